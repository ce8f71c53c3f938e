//! Rows of DFXML (`hashdeep -d`, fiwalk): one for every `fileobject`.
//!
//! Only the file's own hashes count: those of byte runs and of what else lies deeper are about pieces of it.

use super::cut::{Cells, Content, Cut, Extent, Gathered};
use hashsweep_model::{DigestError, HashKind};
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
    let Some(before) = memmem::find(bytes, START) else {
        return match (is_at_end, bytes.len().saturating_sub(START.len())) {
            (true, _) => Cut::End,
            (false, 0) => Cut::More,
            (false, n) => Cut::Skip(n),
        };
    };
    let element = &bytes[before..];
    let n = match memchr::memchr(b'>', element) {
        Some(end) if element[end - 1] == b'/' => Some(end + 1),
        _ => memmem::find(element, END).map(|at| at + END.len()),
    };
    match n {
        Some(raw) => Cut::Row(Extent { before, raw, ..Extent::default() }),
        None if is_at_end => Cut::Row(Extent { before, raw: element.len(), ..Extent::default() }),
        None => Cut::More,
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
        return Content::Invalid(DigestError::Form(format!("not XML: {why}")));
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
