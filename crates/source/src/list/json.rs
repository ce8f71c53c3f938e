//! Rows of JSON: the lines of JSONL, the values of a stream (`jq .`), or the elements of an array.

use super::cut::{self, Cells, Content, Cut, Extent, Gathered};
use super::leaves::{Leaf, each_leaf};
use super::value;
use hashsweep_model::{Digest, DigestError, HashKind, Skip, SkipKind};
use serde::de::IgnoredAny;

/// How the values stand in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonShape {
    /// One value a line. A line that is none costs that line.
    Lines,
    /// One behind the other, over as many lines as they like.
    Stream,
    /// The elements of one array.
    Array,
}

/// Where a hash is in each value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonField {
    /// A JSON pointer (RFC 6901): `/hashes/sha256`. Empty, the value itself.
    pub pointer: String,
    /// The only kind that is taken, where another field holds another.
    pub kind: Option<HashKind>,
}

/// The next value. `has_begun`: whether the array's bracket was passed.
pub(super) fn cut(shape: JsonShape, has_begun: bool, bytes: &[u8], is_at_end: bool) -> Cut {
    if shape == JsonShape::Lines {
        return cut::line(bytes, is_at_end);
    }
    let mut before = 0;
    let mut has_begun = has_begun || shape == JsonShape::Stream;
    loop {
        match bytes.get(before) {
            None if is_at_end => return Cut::End,
            None if before == 0 => return Cut::More,
            // The caller learns from this that the bracket was passed.
            None => return Cut::Skip(before),
            Some(b' ' | b'\t' | b'\r' | b'\n') => before += 1,
            Some(b',') if shape == JsonShape::Array => before += 1,
            Some(b'[') if !has_begun => {
                has_begun = true;
                before += 1;
            }
            Some(b']') if shape == JsonShape::Array && before > 0 => return Cut::Skip(before),
            Some(b']') if shape == JsonShape::Array => return Cut::End,
            Some(_) => break,
        }
    }
    let value = &bytes[before..];
    match end_of_value(value) {
        Some(raw) => Cut::Row(Extent { before, raw, ..Extent::default() }),
        None if is_at_end => {
            // Blank to JSON only: a form feed is a value, and none, or there would be no end of rows.
            let n_blank = value.iter().rev().take_while(|byte| b" \t\r\n".contains(byte)).count();
            Cut::Row(Extent { before, raw: value.len() - n_blank, ..Extent::default() })
        }
        None => Cut::More,
    }
}

/// Whether the array is closed at the beginning of what is left.
pub(super) fn is_closed(rest: &[u8]) -> bool {
    rest.iter().find(|byte| !byte.is_ascii_whitespace() && **byte != b',') == Some(&b']')
}

/// Where the value at the beginning ends, by brackets and quotes alone.
fn end_of_value(value: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = value.get(at) {
        match byte {
            b'"' => at = end_of_string(value, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                // A stray one is a value of its own, and none.
                depth = depth.saturating_sub(1);
                at += 1;
            }
            // One that no value stands before is a value of its own, and none.
            b',' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => return Some(at.max(1)),
            _ => {
                at += 1;
                let next = value.get(at);
                if depth == 0 && matches!(next, Some(b']' | b'}' | b'{' | b'[' | b'"')) {
                    return Some(at);
                }
                continue;
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Behind the quote that closes the string at `start`.
pub(super) fn end_of_string(value: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', value.get(at..)?)?;
        if value[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Whether it is a value of JSON. What a name says in no characters, how large a number is and how deep an array lies
/// is no matter.
pub(super) fn check(value: &[u8]) -> Result<(), serde_json::Error> {
    serde_json::from_slice::<IgnoredAny>(value).map(|_| ())
}

/// Whether a value at the end of the list has no end of its own. Numbers and words show none.
pub(super) fn is_torn(value: &[u8]) -> bool {
    matches!(value.first(), Some(b'{' | b'[' | b'"')) && end_of_value(value).is_none()
}

/// What a parser of characters takes of a text: a lone half of a surrogate pair, as Python writes a byte of a file name that is
/// no UTF-8, and bytes that are no UTF-8 themselves become U+FFFD. A file's name must not keep its hash from being
/// asked.
pub(super) fn made_readable(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let mut readable = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        readable.push_str(before);
        let n = match (surrogate(escape), escape.get(6..).and_then(surrogate)) {
            (Some(0xd800..0xdc00), Some(0xdc00..)) => 12,
            (Some(_), _) => {
                readable.push('\u{fffd}');
                rest = &escape[6..];
                continue;
            }
            (None, _) => 1 + escape[1..].chars().next().map_or(0, char::len_utf8),
        };
        readable.push_str(&escape[..n]);
        rest = &escape[n..];
    }
    readable.push_str(rest);
    readable
}

/// The half of a surrogate pair that is escaped here.
fn surrogate(escape: &str) -> Option<u16> {
    let digits = escape.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok().filter(|unit| (0xd800..0xe000).contains(unit))
}

/// The hashes at the fields; the cell is the value as it stands. `is_named`: the user named the field, so that hashes
/// elsewhere are left out on purpose.
pub(super) fn read(value: &[u8], fields: &[JsonField], is_named: bool, cells: &mut Cells) -> Content {
    let (start, end) = cut::trimmed(value, 0, value.len());
    cells.push_piece(start, end);
    if start == end {
        return Content::Invalid(DigestError::Empty);
    }
    if let Err(error) = check(value) {
        return if value::holds_hash(value) {
            unseen(format!("not JSON ({error}), and a hash stands in it"))
        } else {
            Content::Invalid(DigestError::Form(format!("not JSON: {error}")))
        };
    }
    let mut members = Members {
        fields,
        is_named,
        gathered: Gathered::default(),
        n_there: 0,
        first: [None; N_FIELDS],
        unseen: None,
    };
    each_leaf(value, |at, leaf| members.add(at.pointer, at.is_in_array, &leaf));
    members.content()
}

/// Hashes stand in the row that nobody looked at. Such a row is not merely invalid: the sweep is incomplete.
fn unseen(why: String) -> Content {
    Content::Lost(Skip::because(SkipKind::Unreadable, why))
}

/// Fields differ by the kinds that they hold.
const N_FIELDS: usize = HashKind::ALL.len();

/// What the members of one value hold.
struct Members<'a> {
    fields: &'a [JsonField],
    is_named: bool,
    gathered: Gathered,
    n_there: usize,
    /// The first hash at each field.
    first: [Option<Digest>; N_FIELDS],
    unseen: Option<String>,
}

impl Members<'_> {
    fn add(&mut self, pointer: &str, is_in_array: bool, leaf: &Leaf<'_>) {
        let Some(i) = self.fields.iter().position(|field| field.pointer == pointer) else {
            if let Leaf::Text(text) = leaf
                && is_in_array
                && !self.is_named
                && self.unseen.is_none()
                && value::parse(text, None).is_ok()
            {
                self.unseen = Some(format!("a hash in an array, at {pointer}; see --field and --extract"));
            }
            return;
        };
        match leaf {
            Leaf::Null => {}
            Leaf::Text(text) => {
                self.n_there += 1;
                self.see(i, text);
                self.gathered.add(i, text, self.fields[i].kind);
            }
            Leaf::Other => {
                self.n_there += 1;
                let why = format!("{} is no text", shown(pointer));
                self.gathered.fault(i, DigestError::Form(why));
            }
        }
    }

    /// A second member of the same name, with another hash: parsers disagree which of the two counts.
    fn see(&mut self, i: usize, text: &[u8]) {
        let Ok(digest) = value::parse(text, self.fields[i].kind) else { return };
        let Some(first) = self.first.get_mut(i) else { return };
        if *first.get_or_insert(digest) != digest {
            let why = format!("two members {} with different hashes", shown(&self.fields[i].pointer));
            self.unseen.get_or_insert(why);
        }
    }

    fn content(self) -> Content {
        if let Some(why) = self.unseen {
            return unseen(why);
        }
        if self.n_there == 0 {
            let names: Vec<&str> = self.fields.iter().map(|field| shown(&field.pointer)).collect();
            return Content::Invalid(DigestError::Form(format!("no {}", names.join(", "))));
        }
        self.gathered.content()
    }
}

fn shown(pointer: &str) -> &str {
    if pointer.is_empty() { "text" } else { pointer }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(text: &str, shape: JsonShape) -> Vec<String> {
        let bytes = text.as_bytes();
        let mut values = Vec::new();
        let (mut at, mut n_there, mut has_begun) = (0, 0, false);
        loop {
            match cut(shape, has_begun, &bytes[at..n_there], n_there == bytes.len()) {
                Cut::Row(extent) => {
                    let raw = &text[at + extent.before..at + extent.before + extent.raw];
                    values.push(raw.to_owned());
                    at += extent.len();
                    has_begun = true;
                }
                Cut::Skip(n) => {
                    has_begun |= bytes[at..at + n].contains(&b'[');
                    at += n;
                }
                Cut::More => n_there += 1,
                Cut::End => return values,
            }
        }
    }

    #[test]
    fn values_end_where_their_brackets_close() {
        let check = |text: &str, expected: &[&str]| assert_eq!(values(text, JsonShape::Array), expected);
        check(r#" [ {"a":"]}\\\""} , "x" ,12,[1,[2]]]"#, &[r#"{"a":"]}\\\""}"#, "\"x\"", "12", "[1,[2]]"]);
        check("[\n]", &[]);
        check("[{\"a\":1}", &["{\"a\":1}"]);
        check("[{\"a\": ", &["{\"a\":"]);
        check("[}]", &["}"]);
        let stream = "{\"a\":\n 1}\n{} \"x\"{}";
        assert_eq!(values(stream, JsonShape::Stream), ["{\"a\":\n 1}", "{}", "\"x\"", "{}"]);
        assert_eq!(values("{}\n\u{c}", JsonShape::Stream), ["{}", "\u{c}"]);
    }

    proptest! {
        #[test]
        fn no_bytes_stop_the_cutting(text in "[\\[\\]{}\",: a\\\\\n\u{c}]{0,40}") {
            for shape in [JsonShape::Lines, JsonShape::Stream, JsonShape::Array] {
                prop_assert!(values(&text, shape).len() <= text.len());
            }
        }
    }
}
