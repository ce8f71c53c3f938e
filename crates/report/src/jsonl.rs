//! JSONL: one object a row, the same names as CSV. Absent is absent; zero is a value.
//!
//! JSON can hold any text, so nothing is rewritten: control characters are written as JSON escapes (DEL and C1 too,
//! which JSON itself would let through to a terminal), and a reader gets the exact string back. What is not UTF-8
//! has no exact string; it is written as [`safe::text`] spells it, with the bytes percent-encoded beside it.
//! Nothing here knows which rows are wanted, or where the text goes. Hand in a buffered writer.

use crate::columns::{CHANGE, CONTENT, Cell, JUDGED, ListNames, content, judged, when};
use crate::list::{ListHeader, our_names};
use crate::safe;
use hashsweep_model::{Digests, Row};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer as _};
use serde_json::Serializer;
use serde_json::ser::Formatter;
use std::collections::HashSet;
use std::io::{self, Write};

/// The report: one object for everything the user gave.
pub struct JsonlReport<W: Write> {
    out: W,
    names: ListNames,
    line: Vec<u8>,
}

impl<W: Write> JsonlReport<W> {
    /// Writes nothing yet: JSONL has no header.
    pub fn new(out: W, names: ListNames) -> JsonlReport<W> {
        JsonlReport { out, names, line: Vec::new() }
    }

    /// Writes one row.
    pub fn row(&mut self, row: &Row) -> io::Result<()> {
        self.put(row, Cell::Absent)
    }

    /// Writes one row with what has happened to it, as the last member `change`.
    pub fn marked_row(&mut self, row: &Row, change: &'static str) -> io::Result<()> {
        self.put(row, Cell::Word(change))
    }

    fn put(&mut self, row: &Row, change: Cell<'_>) -> io::Result<()> {
        self.line.clear();
        push_object(&mut self.line, |object| {
            object.row(&self.names, row)?;
            object.cells([CHANGE], [change])
        })?;
        self.out.write_all(&self.line)
    }

    /// Flushes, and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// The user's list as objects: the input's cells as strings, then our columns.
pub struct ListJsonl<W: Write> {
    out: W,
    keys: Keys,
    ours: Vec<String>,
    /// The members of the object that was written last, for which `ours` are the names that are free.
    members: Vec<Vec<u8>>,
    line: Vec<u8>,
    scratch: Vec<u8>,
}

impl<W: Write> ListJsonl<W> {
    /// Writes nothing yet: JSONL has no header.
    pub fn new(out: W, header: &ListHeader<'_>) -> ListJsonl<W> {
        let names = header.names();
        ListJsonl {
            out,
            keys: Keys::new(&names),
            ours: our_names(&names),
            members: names,
            line: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Writes one record. Cells beyond the header get the names `column_4` and so on; missing ones are absent.
    pub fn row(&mut self, cells: &[impl AsRef<[u8]>], row: &Row) -> io::Result<()> {
        self.line.clear();
        push_object(&mut self.line, |object| {
            for (i, cell) in cells.iter().enumerate() {
                let (key, raw_key) = self.keys.of(i);
                object.bytes(key, raw_key, cell.as_ref())?;
            }
            object.cells(self.ours.iter().map(String::as_str), judged(row.judged()))
        })?;
        self.out.write_all(&self.line)
    }

    /// Writes one value of a JSON list: an object as it stands, on one line, with our members behind its own; a text
    /// as the member `hash` of an object; anything else, and what is no JSON, as the member `record`.
    ///
    /// A name of ours that the object already uses gets the prefix in this object.
    pub fn value(&mut self, value: &[u8], row: &Row) -> io::Result<()> {
        let value = value.trim_ascii();
        let members = match serde_json::from_slice::<Members>(value) {
            Ok(Members::Object(members)) => Some(members),
            Ok(Members::Text) => Some(vec![b"hash".to_vec()]),
            Err(_) => None,
        };
        let is_object = value.ends_with(b"}");
        let used = members.clone().unwrap_or_else(|| vec![b"record".to_vec()]);
        if used != self.members {
            self.ours = our_names(&used);
            self.members = used;
        }
        let Self { ours, line, scratch, .. } = self;
        line.clear();
        scratch.clear();
        push_object(scratch, |object| object.cells(ours.iter().map(String::as_str), judged(row.judged())))?;
        match members {
            Some(members) => {
                if is_object {
                    line.extend_from_slice(value[..value.len() - 1].trim_ascii_end());
                } else {
                    line.extend_from_slice(b"{\"hash\":");
                    line.extend_from_slice(value);
                }
                // Line breaks stand between its tokens only.
                for byte in line.iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n')) {
                    *byte = b' ';
                }
                if !members.is_empty() {
                    line.push(b',');
                }
                line.extend_from_slice(&scratch[1..]);
            }
            None => push_object(line, |object| {
                object.bytes("record", "record_raw", value)?;
                object.cells(ours.iter().map(String::as_str), judged(row.judged()))
            })?,
        }
        self.out.write_all(line)
    }

    /// Flushes, and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// What a value of a JSON list is, as far as the writer has to know.
enum Members {
    /// An object, by the names of its members.
    Object(Vec<Vec<u8>>),
    Text,
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        deserializer.deserialize_any(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object or a text")
    }

    fn visit_str<E>(self, _text: &str) -> Result<Members, E> {
        Ok(Members::Text)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            map.next_value::<IgnoredAny>()?;
            members.push(name.into_bytes());
        }
        Ok(Members::Object(members))
    }
}

/// One object and a line end with the first five columns only.
pub(crate) fn push_content(
    line: &mut Vec<u8>,
    path: &[u8],
    size: Option<u64>,
    digests: &Digests,
) -> io::Result<()> {
    push_object(line, |object| object.content(path, size, digests))
}

/// A JSON text of ours on one line, without a line end, as careful about control characters as the rows are.
pub(crate) fn to_text(value: &impl Serialize) -> String {
    let mut line = Vec::new();
    let written = value.serialize(&mut Serializer::with_formatter(&mut line, Careful));
    written.expect("a Vec takes every byte, and our keys are strings");
    String::from_utf8(line).expect("JSON of strings is UTF-8")
}

/// The keys of the input's cells: a column's name, or what makes it one of its own. An object with the same key
/// twice would lose one of the two cells in nearly every reader.
struct Keys {
    taken: HashSet<String>,
    keys: Vec<(String, String)>,
}

impl Keys {
    fn new(names: &[Vec<u8>]) -> Keys {
        let texts: Vec<String> = names.iter().map(|name| safe::text(name).into_owned()).collect();
        // The first of two columns of one name keeps it, and no made-up name may take a real one.
        let mut taken: HashSet<String> = texts.iter().cloned().collect();
        taken.extend(our_names(names));
        let mut keys = Keys { taken, keys: Vec::new() };
        let mut seen = HashSet::new();
        for (i, text) in texts.into_iter().enumerate() {
            let key = if text.is_empty() {
                keys.free(&format!("column_{}", i + 1))
            } else if seen.insert(text.clone()) {
                text
            } else {
                keys.free(&text)
            };
            keys.push(key);
        }
        keys
    }

    /// The key of the cell at this index, and the key for its bytes.
    fn of(&mut self, i: usize) -> (&str, &str) {
        while self.keys.len() <= i {
            let key = self.free(&format!("column_{}", self.keys.len() + 1));
            self.push(key);
        }
        let (key, raw_key) = &self.keys[i];
        (key, raw_key)
    }

    fn push(&mut self, key: String) {
        let raw_key = self.free(&format!("{key}_raw"));
        self.keys.push((key, raw_key));
    }

    /// This name, or with the first number behind it that nobody has.
    fn free(&mut self, name: &str) -> String {
        let mut free = name.to_owned();
        let mut n = 2;
        while !self.taken.insert(free.clone()) {
            free = format!("{name}_{n}");
            n += 1;
        }
        free
    }
}

/// An object being written.
pub(crate) struct Object<'a>(serde_json::ser::Compound<'a, &'a mut Vec<u8>, Careful>);

pub(crate) fn push_object(
    line: &mut Vec<u8>,
    fill: impl FnOnce(&mut Object<'_>) -> serde_json::Result<()>,
) -> io::Result<()> {
    let mut writer = Serializer::with_formatter(&mut *line, Careful);
    let mut object = Object(writer.serialize_map(None)?);
    fill(&mut object)?;
    object.0.end()?;
    line.push(b'\n');
    Ok(())
}

impl Object<'_> {
    /// All columns of a row.
    pub(crate) fn row(&mut self, names: &ListNames, row: &Row) -> serde_json::Result<()> {
        self.content(&names.path(row), row.size, &row.digests)?;
        self.cells(JUDGED, judged(row.judged()))
    }

    fn content(&mut self, path: &[u8], size: Option<u64>, digests: &Digests) -> serde_json::Result<()> {
        self.bytes(CONTENT[0], "path_raw", path)?;
        self.cells(CONTENT[1..].iter().copied(), content(size, digests))
    }

    pub(crate) fn bytes(&mut self, key: &str, raw_key: &str, bytes: &[u8]) -> serde_json::Result<()> {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return self.0.serialize_entry(key, text);
        }
        self.0.serialize_entry(key, &safe::text(bytes))?;
        self.0.serialize_entry(raw_key, &percent_encode(bytes, RAW).to_string())
    }

    pub(crate) fn cells<'b>(
        &mut self,
        keys: impl IntoIterator<Item = &'b str>,
        cells: impl IntoIterator<Item = Cell<'b>>,
    ) -> serde_json::Result<()> {
        for (key, cell) in keys.into_iter().zip(cells) {
            match cell {
                Cell::Absent => {}
                Cell::Count(n) => self.0.serialize_entry(key, &n)?,
                Cell::Score(n) => self.0.serialize_entry(key, &n)?,
                Cell::Digest(digest) => self.0.serialize_entry(key, &digest.to_string())?,
                Cell::Word(text) | Cell::Text(text) => self.0.serialize_entry(key, text)?,
                Cell::When(stamp) => self.0.serialize_entry(key, &when(stamp))?,
            }
        }
        Ok(())
    }
}

/// All but the unreserved characters of RFC 3986 and the slash, which keeps a path readable.
pub(crate) const RAW: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Compact JSON in which DEL and C1 are escapes as well: `jq -r` aside, they would reach a terminal raw.
struct Careful;

impl Formatter for Careful {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|c| matches!(c, '\u{7F}'..='\u{9F}')) {
            let (before, from) = rest.split_at(at);
            let c = from.chars().next().expect("find stopped at a character");
            write!(out, "{before}\\u{:04x}", u32::from(c))?;
            rest = &from[c.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }
}
