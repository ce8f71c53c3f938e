//! Rows of DFXML (`hashdeep -d`, fiwalk): one for every `fileobject`.
//!
//! Only the file's own hashes count: those of byte runs and of what else lies deeper are about pieces of it.

use super::cut::{Cells, Content, Cut, Extent, Gathered};
use super::value;
use hashsweep_model::{DigestError, HashKind, Skip, SkipKind};
use memchr::memmem;
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};

/// The columns of an enriched list.
pub(super) const COLUMNS: [&str; 5] = ["path", "size", "md5", "sha1", "sha256"];

const START: &[u8] = b"<fileobject";
pub(super) const END: &[u8] = b"</fileobject>";

/// The next `fileobject`.
pub(super) fn cut(bytes: &[u8], is_at_end: bool) -> Cut {
    let before = match tag(bytes, 0, START) {
        Tag::At(before) => before,
        _ if is_at_end => return Cut::End,
        Tag::Unclosed(0) => return Cut::More,
        Tag::Unclosed(n) => return Cut::Skip(n),
        Tag::None => {
            return match bytes.len().saturating_sub(LONGEST_START) {
                0 => Cut::More,
                n => Cut::Skip(n),
            };
        }
    };
    let element = &bytes[before..];
    match end(element) {
        Some(raw) => Cut::Row(Extent { before, raw, ..Extent::default() }),
        None if is_at_end => Cut::Row(Extent { before, raw: element.len(), ..Extent::default() }),
        None => Cut::More,
    }
}

/// Whether the element has its end.
pub(super) fn is_whole(element: &[u8]) -> bool {
    end(element).is_some()
}

/// Behind the element at the beginning.
fn end(element: &[u8]) -> Option<usize> {
    match memchr::memchr(b'>', element) {
        Some(end) if element[end - 1] == b'/' => Some(end + 1),
        _ => match tag(element, START.len(), END) {
            Tag::At(at) => Some(at + END.len()),
            Tag::Unclosed(_) | Tag::None => None,
        },
    }
}

/// Where something is in a document, not counting what comments and CDATA hold.
enum Tag {
    At(usize),
    /// A comment or a CDATA section begins here and has no end yet.
    Unclosed(usize),
    None,
}

/// The longest mark that is looked for, less one byte: so much may be the beginning of one.
const LONGEST_START: usize = START.len() - 1;

fn tag(bytes: &[u8], from: usize, wanted: &[u8]) -> Tag {
    let mut at = from;
    while let Some(n) = memchr::memchr(b'<', &bytes[at..]) {
        at += n;
        let rest = &bytes[at..];
        if rest.starts_with(wanted) {
            return Tag::At(at);
        }
        let (open, close): (&[u8], &[u8]) = match rest {
            [b'<', b'!', b'-', b'-', ..] => (b"<!--", b"-->"),
            [b'<', b'!', b'[', ..] if rest.starts_with(b"<![CDATA[") => (b"<![CDATA[", b"]]>"),
            _ => {
                at += 1;
                continue;
            }
        };
        match memmem::find(&rest[open.len()..], close) {
            Some(n) => at += open.len() + n + close.len(),
            None => return Tag::Unclosed(at),
        }
    }
    Tag::None
}

/// Whether the document's own element was opened, and closed. A list without one is a fragment, and whole.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Root {
    is_opened: bool,
    is_closed: bool,
}

impl Root {
    const CLOSE: &[u8] = b"</dfxml";

    /// Before `n` of these bytes are used up. A mark may lie over the end of them.
    pub(super) fn pass(&mut self, bytes: &[u8], n: usize) {
        let seen = &bytes[..bytes.len().min(n + Root::CLOSE.len() - 1)];
        self.is_opened = self.is_opened || memmem::find(seen, b"<dfxml").is_some();
        self.is_closed = self.is_closed || memmem::find(seen, Root::CLOSE).is_some();
    }

    pub(super) fn is_open(self) -> bool {
        self.is_opened && !self.is_closed
    }
}

#[derive(Default)]
struct Object {
    path: String,
    size: String,
    /// As the elements come: the kind that they name, and the text.
    hashes: Vec<(String, String)>,
}

/// The name, the size and the hashes.
pub(super) fn read(element: &[u8], only: Option<HashKind>, cells: &mut Cells) -> Content {
    let (object, broken) = object(&String::from_utf8_lossy(element));
    cells.push_made(object.path.as_bytes());
    cells.push_made(object.size.as_bytes());
    for kind in HashKind::ALL {
        let text = object.hashes.iter().find(|(name, _)| name.parse() == Ok(kind));
        cells.push_made(text.map_or("", |(_, text)| text).as_bytes());
    }
    if let Some(why) = broken {
        return if value::holds_hash(element) {
            let why = format!("not XML ({why}), and a hash stands in it");
            Content::Lost(Skip::because(SkipKind::Unreadable, why))
        } else {
            Content::Invalid(DigestError::Form(format!("not XML: {why}")))
        };
    }
    let mut gathered = Gathered::default();
    for (name, text) in &object.hashes {
        match name.parse::<HashKind>() {
            Ok(kind) if only.is_none_or(|only| only == kind) => {
                gathered.add(2 + kind as usize, text.as_bytes(), Some(kind));
            }
            // Other hash functions may stand beside ours.
            Ok(_) | Err(_) => {}
        }
    }
    gathered.content()
}

/// What was found before the end, or before what is no XML.
fn object(text: &str) -> (Object, Option<String>) {
    let mut object = Object::default();
    let mut reader = Reader::from_str(text);
    let mut depth = 0_usize;
    let mut here = String::new();
    let mut hash = None;
    loop {
        let event = match reader.read_event() {
            Ok(event) => event,
            Err(error) => return (object, Some(error.to_string())),
        };
        match event {
            Event::Start(start) => {
                depth += 1;
                if depth == 2 {
                    here.clear();
                    hash = kind_of(&start);
                }
            }
            Event::Text(piece) if depth == 2 => here.push_str(&piece),
            Event::CData(piece) if depth == 2 => here.push_str(&piece),
            Event::GeneralRef(reference) if depth == 2 => match reference.resolve_char_ref() {
                Ok(Some(character)) => here.push(character),
                _ => here.push_str(resolve_predefined_entity(&reference).unwrap_or("\u{fffd}")),
            },
            Event::End(end) => {
                depth -= 1;
                if depth == 1 {
                    match (end.local_name().as_ref(), hash.take()) {
                        ("filename", _) => object.path = std::mem::take(&mut here),
                        ("filesize", _) => here.trim().clone_into(&mut object.size),
                        ("hashdigest", Some(kind)) => object.hashes.push((kind, std::mem::take(&mut here))),
                        _ => {}
                    }
                }
                if depth == 0 {
                    return (object, None);
                }
            }
            Event::Empty(_) if depth == 0 => return (object, None),
            Event::Eof => return (object, Some("it ends inside a fileobject".to_owned())),
            _ => {}
        }
    }
}

fn kind_of(start: &BytesStart<'_>) -> Option<String> {
    let kind = start.try_get_attribute("type").ok()??;
    Some(kind.value.to_string())
}
