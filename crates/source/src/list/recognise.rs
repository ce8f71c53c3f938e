//! Which form a list has, told from its first rows.
//!
//! Wrong guesses lose rows, so it guesses little: where two readings are possible it says what it saw and asks.

use super::cut::{self, Cut};
use super::leaves::{Leaf, each_leaf};
use super::opened::Packing;
use super::tape::Tape;
use super::{
    Columns, InputFormat, JsonField, JsonShape, Layout, ListError, ListOrder, bodyfile, coreutils, hashdeep,
    json, raw, sniff, value,
};
use hashsweep_model::{DigestError, HashKind};
use hashsweep_tables::Kind;
use std::collections::BTreeSet;

/// Rows that are looked at. Enough to get past a few blank cells; a list that begins with more is named by
/// its column.
pub(super) const SAMPLE: usize = 200;

/// Bytes that are looked at: 200 rows of 1 KiB, and some more.
const PEEK: usize = 256 << 10;

/// How our own manifest says what it is.
const MANIFEST: &[u8] = b"\"kind\":\"hashsweep manifest\"";

/// The beginning of a list.
pub(super) struct Head<'a> {
    pub(super) order: &'a ListOrder,
    pub(super) bytes: &'a [u8],
    /// Nothing follows, or nothing that is looked at.
    pub(super) is_whole: bool,
    /// It is the transcript of a binary table.
    pub(super) is_transcript: bool,
    /// Something is wrong with what follows.
    pub(super) has_trouble: bool,
}

/// Finds out what a list looks like.
pub fn recognise(order: &ListOrder) -> Result<Layout, ListError> {
    let path = || order.path.clone();
    let mut tape =
        Tape::open(&order.path).map_err(|source| ListError::Unreadable { path: path(), source })?;
    while tape.unread().len() < PEEK && tape.more() {}
    // A first row may be longer than that.
    while memchr::memchr2(b'\n', b'\r', tape.unread()).is_none()
        && tape.unread().len() < raw::MAX_RECORD
        && tape.more()
    {}
    if tape.unread().is_empty()
        && let Some(trouble) = tape.trouble()
    {
        return Err(match tape.packing() {
            Some(_) => ListError::Damaged { path: path(), why: trouble.detail.clone() },
            None => {
                ListError::Unreadable { path: path(), source: std::io::Error::other(trouble.detail.clone()) }
            }
        });
    }
    let bytes = tape.unread();
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let is_transcript = tape.is_table();
    let head = Head {
        order,
        bytes,
        is_whole: tape.is_at_end(),
        is_transcript,
        has_trouble: tape.trouble().is_some(),
    };
    if let Some(Packing::Table(kind)) = tape.packing() {
        return head.transcript(kind, &tape);
    }
    let named = order.format.or_else(|| {
        // A column is a table's, a field is JSON's.
        let is_table = order.column.is_some() || order.delimiter.is_some() || order.no_header;
        is_table.then_some(InputFormat::Csv)
    });
    match named {
        Some(format) => head.as_named(format),
        None => head.recognised(),
    }
}

impl Head<'_> {
    /// A binary table says itself what it is, and what its columns are called.
    fn transcript(&self, kind: Kind, tape: &Tape) -> Result<Layout, ListError> {
        let own = match kind {
            Kind::Parquet => InputFormat::Parquet,
            Kind::Sqlite => InputFormat::Sqlite,
        };
        let contrary = match self.order {
            ListOrder { format: Some(format), .. } if *format != own => {
                Some((format.name(), "--input-format"))
            }
            ListOrder { delimiter: Some(_), .. } => Some(("csv", "--delimiter")),
            ListOrder { no_header: true, .. } => Some(("csv", "--no-header")),
            ListOrder { field: Some(_), .. } => Some(("json", "--field")),
            _ => None,
        };
        match contrary {
            Some((format, flag)) => Err(ListError::NotThat {
                path: self.order.path.clone(),
                format,
                why: format!("it is a {}", kind.name()),
                flag,
            }),
            None => sniff::table(self).map_err(|error| match (error, tape.trouble(), tape.left_out()) {
                (ListError::NoHashColumn { path, .. }, Some(trouble), _) => {
                    ListError::Damaged { path, why: trouble.detail.clone() }
                }
                (
                    ListError::NoHashColumn { path, columns } | ListError::NoSuchColumn { path, columns, .. },
                    None,
                    nested @ [_, ..],
                ) => {
                    let names = nested.iter().cloned().enumerate();
                    let nested = Columns(names.map(|(at, name)| (at + 1, name)).collect());
                    ListError::Nested { path, columns, nested }
                }
                (error, ..) => error,
            }),
        }
    }

    fn as_named(&self, format: InputFormat) -> Result<Layout, ListError> {
        match format {
            InputFormat::Text => Ok(Layout::Text),
            InputFormat::Csv => sniff::table(self),
            InputFormat::Hashdeep => self.hashdeep().ok_or_else(|| ListError::NotThat {
                path: self.order.path.clone(),
                format: format.name(),
                why: "its second line names no columns".to_owned(),
                flag: "--input-format",
            }),
            InputFormat::Coreutils => Ok(Layout::Coreutils),
            InputFormat::Bodyfile => Ok(Layout::Bodyfile),
            InputFormat::Dfxml => Ok(Layout::Dfxml),
            InputFormat::Json => self.json(self.json_shape().unwrap_or(JsonShape::Stream)),
            InputFormat::Jsonl => self.json(JsonShape::Lines),
            InputFormat::Extract => Ok(Layout::Extract),
            InputFormat::Parquet | InputFormat::Sqlite => Err(ListError::NotThat {
                path: self.order.path.clone(),
                format: format.name(),
                why: format!("it begins with {:?}", self.seen()),
                flag: "--input-format",
            }),
        }
    }

    fn recognised(&self) -> Result<Layout, ListError> {
        self.foreign()?;
        if self.bytes.starts_with(hashdeep::MARK)
            && let Some(layout) = self.hashdeep()
        {
            return Ok(layout);
        }
        if self.bytes.trim_ascii_start().starts_with(b"<") {
            return self.markup();
        }
        if let Some(shape) = self.json_shape() {
            return self.json(shape);
        }
        self.without_lines()?;
        if self.most_lines(coreutils::is_row) {
            return Ok(Layout::Coreutils);
        }
        if self.most_lines(bodyfile::is_row) {
            return self.bodyfile();
        }
        sniff::text_or_table(self)
    }

    /// What is known and not ours to read.
    fn foreign(&self) -> Result<(), ListError> {
        let (what, hint) = match self.bytes {
            start if Kind::of(start).is_some() => (
                "a Parquet file or a SQLite database that is packed",
                "unpack it: it is not read from its beginning",
            ),
            start if Packing::of(start).is_some() => {
                ("packed twice", "unpack it once: zcat FILE | hashsweep list -")
            }
            start if start.starts_with(b"{") && memchr::memmem::find(start, MANIFEST).is_some() => (
                "hashsweep's manifest, which seals a sweep and holds no rows",
                "give the report that it seals",
            ),
            [b'P', b'K', 3, 4, ..] => {
                ("a ZIP archive, as Excel's workbooks are", "unpack it, or save the sheet as CSV")
            }
            [b'%', b'P', b'D', b'F', ..] => {
                ("a PDF", "pdftotext -layout FILE.pdf - | hashsweep list --extract -")
            }
            [0xd0, 0xcf, 0x11, 0xe0, ..] => {
                ("an old Office document", "save the sheet as CSV, or the text as a text file")
            }
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => ("packed with bzip2", "bzcat FILE | hashsweep list -"),
            _ => return Ok(()),
        };
        Err(ListError::Foreign { path: self.order.path.clone(), what, hint })
    }

    /// Manifests and plain lists whose lines end otherwise would be one row with everything in it.
    fn without_lines(&self) -> Result<(), ListError> {
        if memchr::memchr(b'\n', self.bytes).is_some() {
            return Ok(());
        }
        for (end, what, hint) in [
            (
                b'\r',
                "a list whose lines end in a carriage return alone",
                "tr '\\r' '\\n' < FILE | hashsweep list -",
            ),
            (0, "a list whose lines end in a NUL, as with -z", "tr '\\0' '\\n' < FILE | hashsweep list -"),
        ] {
            let is_row = |line: &&[u8]| {
                coreutils::is_row(line) || bodyfile::is_row(line) || is_hash(line, self.order.hash_type)
            };
            let lines = || self.bytes.split(|byte| *byte == end).take(SAMPLE);
            let is_hashdeep = self.bytes.starts_with(hashdeep::MARK) && lines().count() > 2;
            if is_hashdeep || lines().filter(is_row).count() > 1 {
                return Err(ListError::Foreign { path: self.order.path.clone(), what, hint });
            }
        }
        Ok(())
    }

    fn markup(&self) -> Result<Layout, ListError> {
        let has = |name: &[u8]| memchr::memmem::find(self.bytes, name).is_some();
        if has(b":fileobject") && !has(b"<fileobject") {
            return Err(ListError::Foreign {
                path: self.order.path.clone(),
                what: "DFXML whose elements have a prefix",
                hint: "--extract finds the hashes in any text",
            });
        }
        if has(b"<fileobject") || has(b"<dfxml") {
            return Ok(Layout::Dfxml);
        }
        Err(ListError::Foreign {
            path: self.order.path.clone(),
            what: "markup (HTML or XML), and not DFXML",
            hint: "--extract finds the hashes in any text",
        })
    }

    fn hashdeep(&self) -> Option<Layout> {
        let mut lines = self.lines();
        lines.find(|line| line.starts_with(hashdeep::MARK));
        hashdeep::columns(lines.next()?).map(|columns| Layout::Hashdeep { columns })
    }

    /// A bodyfile without hashes is no list of hashes.
    fn bodyfile(&self) -> Result<Layout, ListError> {
        if self.lines().filter(|line| !line.is_empty()).all(|line| line.starts_with(b"0|")) && self.is_whole {
            return Err(ListError::Foreign {
                path: self.order.path.clone(),
                what: "a bodyfile without hashes",
                hint: "fls computes them with -h: fls -r -h -m / IMAGE",
            });
        }
        Ok(Layout::Bodyfile)
    }

    /// Whether the first row ends in sight.
    pub(super) fn has_a_row(&self) -> bool {
        self.is_whole || memchr::memchr2(b'\n', b'\r', self.bytes).is_some()
    }

    /// The first lines, the torn last one not among them.
    pub(super) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || match cut::line(rest, self.is_whole) {
            Cut::Row(extent) => {
                let line = &rest[..extent.raw];
                rest = &rest[extent.len()..];
                Some(line)
            }
            Cut::Skip(_) | Cut::More | Cut::End => None,
        })
        .take(SAMPLE)
    }

    /// Whether more than half of the lines that say anything have this look, the first hash or no hash among them.
    fn most_lines(&self, looks_right: fn(&[u8]) -> bool) -> bool {
        let (mut n_right, mut n_lines) = (0, 0);
        for line in self.lines().filter(|line| !line.trim_ascii().is_empty()) {
            n_lines += 1;
            n_right += usize::from(looks_right(line));
        }
        n_right * 2 > n_lines
    }

    /// How JSON stands in it, if its first value is one.
    fn json_shape(&self) -> Option<JsonShape> {
        let start = self.bytes.trim_ascii_start();
        let is_value = |bytes: &[u8]| json::check(bytes).is_ok();
        match start.first()? {
            b'[' => {
                // Also the beginning of an INI file, or of a defanged address.
                let first = self.values(JsonShape::Array).next();
                let is_array = first.map_or(start[1..].trim_ascii_start().starts_with(b"]"), is_value);
                is_array.then_some(JsonShape::Array)
            }
            b'{' => {
                // Where no line ends in sight there may still be a value that does.
                let mut lines = self.lines();
                if lines.find(|line| !line.trim_ascii().is_empty()).is_some_and(is_value) {
                    return Some(JsonShape::Lines);
                }
                self.values(JsonShape::Stream).next().filter(|value| is_value(value))?;
                Some(JsonShape::Stream)
            }
            _ => None,
        }
    }

    fn values(&self, shape: JsonShape) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes;
        let mut has_begun = false;
        std::iter::from_fn(move || match json::cut(shape, has_begun, rest, self.is_whole) {
            Cut::Row(extent) => {
                let value = &rest[extent.before..extent.before + extent.raw];
                rest = &rest[extent.len()..];
                has_begun = true;
                Some(value)
            }
            Cut::Skip(_) | Cut::More | Cut::End => None,
        })
        .take(SAMPLE)
    }

    fn json(&self, shape: JsonShape) -> Result<Layout, ListError> {
        let only = self.order.hash_type;
        if let Some(field) = &self.order.field {
            let pointer =
                if field.is_empty() || field.starts_with('/') { field.clone() } else { format!("/{field}") };
            let fields = vec![JsonField { pointer, kind: only }];
            return Ok(Layout::Json { shape, fields, is_named: true });
        }
        let path = || self.order.path.clone();
        let mut found = sniff::Found::default();
        let mut in_arrays = BTreeSet::new();
        for value in self.values(shape).filter(|value| json::check(value).is_ok()) {
            each_leaf(value, |at, leaf| match leaf {
                Leaf::Text(text) if !at.is_in_array => found.add(at.pointer, &text, only),
                Leaf::Text(text) if is_hash(&text, only) => {
                    in_arrays.insert(without_numbers(at.pointer));
                }
                Leaf::Text(_) | Leaf::Null | Leaf::Other => {}
            });
        }
        if !in_arrays.is_empty() {
            let fields = Columns((1..).zip(in_arrays).collect());
            return Err(ListError::HashesInArrays { path: path(), fields });
        }
        match found.chosen(|pointer| sniff::subject(pointer.as_bytes())) {
            Ok(chosen) if chosen.is_empty() && found.is_empty() && self.values(shape).next().is_none() => {
                // An empty array, or nothing at all: nothing is lost.
                let fields = vec![JsonField { pointer: String::new(), kind: only }];
                Ok(Layout::Json { shape, fields, is_named: false })
            }
            Ok(chosen) if chosen.is_empty() => {
                Err(ListError::NoHashField { path: path(), fields: found.all() })
            }
            Ok(chosen) => {
                let field = |(pointer, kind): (&String, Option<HashKind>)| JsonField {
                    pointer: pointer.clone(),
                    kind: kind.or(only),
                };
                let mut fields: Vec<JsonField> = chosen.into_iter().map(field).collect();
                add_siblings(&mut fields);
                Ok(Layout::Json { shape, fields, is_named: false })
            }
            Err(fields) => Err(ListError::SeveralHashFields { path: path(), fields }),
        }
    }

    /// How it begins, for a message.
    pub(super) fn seen(&self) -> String {
        let line = self.lines().find(|line| !line.trim_ascii().is_empty()).unwrap_or(self.bytes);
        String::from_utf8_lossy(&line[..line.len().min(400)]).chars().take(60).collect()
    }
}

/// A pointer with an asterisk for the number of each element.
fn without_numbers(pointer: &str) -> String {
    let part = |part| if str::parse::<usize>(part).is_ok() { "*" } else { part };
    pointer.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// Where a member is called `sha1`, the rows to come may have an `md5` beside it that the first ones lack.
fn add_siblings(fields: &mut Vec<JsonField>) {
    let parted = |field: &JsonField| {
        let (parent, name) = field.pointer.rsplit_once('/')?;
        let kind = HashKind::ALL.into_iter().find(|kind| kind.name() == name)?;
        Some((parent.to_owned(), kind))
    };
    let Some(there) = fields.iter().map(parted).collect::<Option<Vec<_>>>() else { return };
    let Some((parent, _)) =
        there.first().filter(|(parent, _)| there.iter().all(|(other, _)| other == parent))
    else {
        return;
    };
    for kind in HashKind::ALL {
        if !there.iter().any(|(_, other)| *other == kind) {
            fields.push(JsonField { pointer: format!("{parent}/{kind}"), kind: Some(kind) });
        }
    }
    for (field, (_, kind)) in fields.iter_mut().zip(&there) {
        field.kind = Some(*kind);
    }
}

/// Whether a cell is a hash, or would be one if the service took its kind.
pub(super) fn is_hash(cell: &[u8], only: Option<HashKind>) -> bool {
    matches!(value::parse(cell, only), Ok(_) | Err(DigestError::Sha512))
}
