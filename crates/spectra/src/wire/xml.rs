//! Answers in XML: the JSON shape by the vendor's rule that each element of an array stands in an `<item>`
//! (vendor, "General information", XML body).
//!
//! No recorded answer is known, so values are read as forgivingly as in JSON: an element without content is a
//! null. A hostile document costs what its bytes cost: nothing is fetched or declared (a document type is refused,
//! so there is no entity to expand), and depth and number of elements are bounded.

use super::entry::{Classification, RawEntry, Rl, digests, number};
use super::shortened;
use hashsweep_model::Digests;
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

/// The documented shape needs six; what nests deeper is no answer.
const MAX_DEPTH: usize = 32;

/// A hundred entries of thirty elements are three thousand. An element costs more memory than the few bytes that
/// write it, so their number is bounded apart from the body's size.
const MAX_ELEMENTS: usize = 100_000;

/// An element with what is in it. Attributes are passed over: the vendor's rule knows none.
#[derive(Debug, Default)]
struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

pub(super) fn read(body: &[u8]) -> Result<Rl, String> {
    let root = tree(body)?;
    if root.name != "rl" {
        return Err(format!("it is XML, but of '{}' and not of 'rl'", shortened(&root.name)));
    }
    let mut rl = Rl::default();
    for child in root.children {
        let is_second = match child.name.as_str() {
            "entries" => rl.entries.replace(child.items(RawEntry::from)?).is_some(),
            "malware_presence" => rl.malware_presence.replace(RawEntry::from(child)).is_some(),
            "unknown_hashes" => rl.unknown_hashes.replace(child.items(Element::into_text)?).is_some(),
            "invalid_hashes" => rl.invalid_hashes.replace(child.items(Element::into_text)?).is_some(),
            _ => false,
        };
        if is_second {
            return Err("it says one thing twice".to_owned());
        }
    }
    Ok(rl)
}

/// Whether this is a whole document of the API's own root.
pub(super) fn is_rl(body: &[u8]) -> bool {
    tree(body).is_ok_and(|root| root.name == "rl")
}

impl Element {
    fn of(start: &BytesStart<'_>) -> Element {
        Element { name: start.local_name().into_inner().to_owned(), ..Element::default() }
    }

    /// Its elements as a list. Anything but items makes the list unreadable, and with it the body: what is missing
    /// from a list means something.
    fn items<T>(self, read: impl Fn(Element) -> T) -> Result<Vec<T>, String> {
        let is_list = self.text.trim().is_empty() && self.children.iter().all(|child| child.name == "item");
        if is_list {
            Ok(self.children.into_iter().map(read).collect())
        } else {
            Err(format!("its '{}' is not a list of items", self.name))
        }
    }

    fn into_text(self) -> String {
        self.text().unwrap_or_default()
    }

    fn text(&self) -> Option<String> {
        let text = self.text.trim();
        (self.children.is_empty() && !text.is_empty()).then(|| text.to_owned())
    }

    fn number(&self) -> Option<i64> {
        number(&self.text()?)
    }

    fn digests(&self) -> Digests {
        digests(self.children.iter().map(|child| (child.name.as_str(), child.text.as_str())))
    }
}

impl From<Element> for RawEntry {
    fn from(element: Element) -> RawEntry {
        if !element.text.trim().is_empty() {
            return RawEntry::default();
        }
        let mut entry = RawEntry { is_object: true, own: element.digests(), ..RawEntry::default() };
        for child in &element.children {
            match child.name.as_str() {
                "status" => entry.status = child.text(),
                "query_hash" => entry.query_hash = child.digests(),
                "threat_level" => entry.threat_level = child.number(),
                "trust_factor" => entry.trust_factor = child.number(),
                "threat_name" => entry.threat_name = child.text(),
                "scanner_count" => entry.scanner_count = child.number(),
                "scanner_match" => entry.scanner_match = child.number(),
                "first_seen" => entry.first_seen = child.text(),
                "last_seen" => entry.last_seen = child.text(),
                "reason" => entry.reason = child.text(),
                "classification" => entry.classification = Classification::from(child),
                "hash_value" => entry.hash_value = child.text(),
                _ => {}
            }
        }
        entry
    }
}

impl From<&Element> for Classification {
    fn from(element: &Element) -> Classification {
        let find = |name| element.children.iter().rfind(|child| child.name == name);
        Classification {
            word: find("classification").and_then(Element::text),
            factor: find("factor").and_then(Element::number),
        }
    }
}

/// Reads one whole document.
fn tree(body: &[u8]) -> Result<Element, String> {
    let text = std::str::from_utf8(body).map_err(|e| e.to_string())?;
    let mut reader = Reader::from_str(text);
    // Whatever stands outside the root is collected in an element that is no part of the document.
    let mut open = vec![Element::default()];
    let mut n_elements = 0;
    loop {
        let event = reader.read_event().map_err(|e| shortened(&e.to_string()))?;
        if let Event::Start(_) | Event::Empty(_) = event {
            n_elements += 1;
            if n_elements > MAX_ELEMENTS {
                return Err(format!("it has more than {MAX_ELEMENTS} elements"));
            }
        }
        let depth = open.len();
        let here = open.last_mut().ok_or("an element ends that did not begin")?;
        match event {
            Event::Start(_) if depth > MAX_DEPTH => {
                return Err(format!("it nests deeper than {MAX_DEPTH} elements"));
            }
            Event::Start(start) => open.push(Element::of(&start)),
            Event::Empty(empty) => here.children.push(Element::of(&empty)),
            Event::End(_) => {
                let ended = open.pop().ok_or("an element ends that did not begin")?;
                open.last_mut().ok_or("an element ends that did not begin")?.children.push(ended);
            }
            Event::Text(piece) => here.text.push_str(&piece),
            Event::CData(piece) => here.text.push_str(&piece),
            Event::GeneralRef(reference) => here.text.push_str(&resolved(&reference)?),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::DocType(_) => return Err("it declares a document type".to_owned()),
            Event::Eof => break,
        }
    }
    match (open.pop(), open.pop()) {
        (Some(mut outside), None) => match (outside.children.pop(), outside.children.is_empty()) {
            (Some(root), true) if outside.text.trim().is_empty() => Ok(root),
            _ => Err("it is not one XML document".to_owned()),
        },
        _ => Err("it ends within an element".to_owned()),
    }
}

/// A character by number, or one of XML's own five names; any other entity would have to be declared first.
fn resolved(reference: &BytesRef<'_>) -> Result<String, String> {
    if let Some(character) = reference.resolve_char_ref().map_err(|e| e.to_string())? {
        return Ok(character.to_string());
    }
    let known = resolve_predefined_entity(reference).map(str::to_owned);
    known.ok_or_else(|| format!("it names an entity, '{}'", shortened(reference)))
}
