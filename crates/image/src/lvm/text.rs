//! The language of LVM's metadata: sections, and values that are numbers, texts or lists.

use crate::fault::{Fault, damaged};

const MOST_DEPTH: u32 = 16;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    Number(u64),
    Text(String),
    List(Vec<Value>),
    Section(Section),
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Section(pub(super) Vec<(String, Value)>);

impl Section {
    pub(super) fn read(text: &[u8]) -> Result<Section, Fault> {
        let mut reader = Reader { text, at: 0 };
        let section = reader.section(0)?;
        if reader.skip().is_some() {
            return Err(reader.wrong());
        }
        Ok(section)
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    pub(super) fn number(&self, name: &'static str) -> Result<u64, Fault> {
        match self.get(name) {
            Some(Value::Number(number)) => Ok(*number),
            _ => Err(absent()),
        }
    }

    pub(super) fn text(&self, name: &'static str) -> Result<&str, Fault> {
        match self.get(name) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(absent()),
        }
    }

    pub(super) fn list(&self, name: &'static str) -> Result<&[Value], Fault> {
        match self.get(name) {
            Some(Value::List(values)) => Ok(values),
            _ => Err(absent()),
        }
    }

    pub(super) fn sections(&self) -> impl Iterator<Item = (&str, &Section)> {
        self.0.iter().filter_map(|(name, value)| match value {
            Value::Section(section) => Some((name.as_str(), section)),
            Value::Number(_) | Value::Text(_) | Value::List(_) => None,
        })
    }

    /// The sections in the one of this name; none where there is no such.
    pub(super) fn within(&self, name: &str) -> impl Iterator<Item = (&str, &Section)> {
        self.sections().filter(move |(known, _)| *known == name).flat_map(|(_, section)| section.sections())
    }
}

fn absent() -> Fault {
    damaged("metadata of LVM2 without a value that they must have", 0)
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    fn wrong(&self) -> Fault {
        damaged("metadata of LVM2 that cannot be read", self.at as u64)
    }

    /// The next byte that is neither space nor comment.
    fn skip(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.at)? {
                b'#' => {
                    let rest = &self.text[self.at..];
                    self.at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                }
                0 => return None,
                byte if byte.is_ascii_whitespace() => self.at += 1,
                byte => return Some(*byte),
            }
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.skip() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.wrong())
        }
    }

    /// Up to the closing brace, or to the end where there is none to come.
    fn section(&mut self, depth: u32) -> Result<Section, Fault> {
        if depth > MOST_DEPTH {
            return Err(Fault::Limit { what: "sections in one another", limit: MOST_DEPTH.into() });
        }
        let mut section = Section::default();
        while self.skip().is_some_and(|byte| byte != b'}') {
            let name = self.word()?;
            let value = if self.skip() == Some(b'{') {
                self.at += 1;
                let inner = self.section(depth + 1)?;
                self.expect(b'}')?;
                Value::Section(inner)
            } else {
                self.expect(b'=')?;
                self.value(depth)?
            };
            section.0.push((name, value));
        }
        Ok(section)
    }

    fn word(&mut self) -> Result<String, Fault> {
        let rest = &self.text[self.at..];
        let ends = |byte: &u8| byte.is_ascii_whitespace() || b"={}[],#\"\0".contains(byte);
        let len = rest.iter().position(ends).unwrap_or(rest.len());
        let word = std::str::from_utf8(&rest[..len]).ok().filter(|word| !word.is_empty());
        let word = word.ok_or_else(|| self.wrong())?.to_owned();
        self.at += len;
        Ok(word)
    }

    fn value(&mut self, depth: u32) -> Result<Value, Fault> {
        if depth > MOST_DEPTH {
            return Err(Fault::Limit { what: "lists in one another", limit: MOST_DEPTH.into() });
        }
        match self.skip() {
            Some(b'"') => self.quoted().map(Value::Text),
            Some(b'[') => {
                self.at += 1;
                let mut values = Vec::new();
                while self.skip().is_some_and(|byte| byte != b']') {
                    values.push(self.value(depth + 1)?);
                    if self.skip() == Some(b',') {
                        self.at += 1;
                    }
                }
                self.expect(b']')?;
                Ok(Value::List(values))
            }
            Some(_) => {
                let word = self.word()?;
                // What is no whole number is not asked for, but it is no damage.
                Ok(word.parse().map_or(Value::Text(word), Value::Number))
            }
            None => Err(self.wrong()),
        }
    }

    fn quoted(&mut self) -> Result<String, Fault> {
        let mut bytes = Vec::new();
        let mut rest = self.text[self.at + 1..].iter();
        loop {
            match rest.next() {
                Some(b'"') => break,
                Some(b'\\') => bytes.extend(rest.next()),
                Some(byte) => bytes.push(*byte),
                None => return Err(self.wrong()),
            }
        }
        self.at = self.text.len() - rest.len();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_or_refused() {
        let section = Section::read(
            b"# one\nvg {\nid = \"a\\\"b\" seqno=7\nstripes = [\n\"pv0\", 3\n]\nflags = []\nlv { a = 1.5 }\n}\nversion = 1\n\0",
        )
        .unwrap();
        let vg = section.sections().next().unwrap().1;
        assert_eq!((vg.text("id").unwrap(), vg.number("seqno").unwrap()), ("a\"b", 7));
        assert_eq!(vg.list("stripes").unwrap(), [Value::Text("pv0".into()), Value::Number(3)]);
        assert!(vg.list("flags").unwrap().is_empty() && vg.number("id").is_err());
        assert_eq!(section.number("version").unwrap(), 1);
        for wrong in [&b"a"[..], b"a {", b"a = ", b"a = [1", b"a = \"b", b"}", b"= 1", b"a = [ = ]"] {
            assert!(Section::read(wrong).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
        assert!(Section::read(&b"a{".repeat(100_000)).is_err());
        assert!(Section::read(&[&b"a="[..], &b"[".repeat(100_000)].concat()).is_err());
    }
}
