//! Trees as XML, in both directions, by the vendor's rule: each element of an array stands in an `<item>`.
//!
//! The vendor shows the rule and one example, no recorded answer. How a null is written is a guess: as an element
//! without content. Attributes are passed over; a document type is refused, so no entity can be declared.

use crate::tree::Tree;
use quick_xml::{
    Reader,
    escape::{escape, resolve_predefined_entity},
    events::{BytesRef, Event},
};
use std::borrow::Cow;

/// Deeper than any question; what nests deeper is no question.
const MAX_DEPTH: usize = 32;

const DECLARATION: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;

/// Writes a record, whose one member is the document's root.
pub(crate) fn write(tree: &Tree) -> String {
    let mut text = DECLARATION.to_owned();
    content(&mut text, tree);
    text
}

/// Reads a document into a record with its root; `None` when it is not well-formed, or too deep. Numbers stay text,
/// and an element without content is an empty text.
pub(crate) fn read(text: &str) -> Option<Tree> {
    if !text.chars().all(is_legal) {
        return None;
    }
    let mut reader = Reader::from_str(text);
    let mut open: Vec<(String, Element)> = Vec::new();
    let mut outermost = Element::default();
    loop {
        let here = open.last_mut().map_or(&mut outermost, |(_, element)| element);
        match reader.read_event().ok()? {
            Event::Start(start) => {
                if open.len() == MAX_DEPTH {
                    return None;
                }
                let name = start.name().as_ref().to_owned();
                open.push((name, Element::default()));
            }
            Event::End(_) => {
                let (name, element) = open.pop()?;
                let parent = open.last_mut().map_or(&mut outermost, |(_, element)| element);
                parent.children.push((name, element.close()));
            }
            Event::Empty(empty) => {
                let name = empty.name().as_ref().to_owned();
                here.children.push((name, Tree::Text(String::new())));
            }
            Event::Text(piece) => here.text.push_str(&piece.xml10_content()),
            Event::CData(piece) => here.text.push_str(&piece.xml10_content()),
            Event::GeneralRef(reference) => here.text.push_str(&resolve(&reference)?),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::DocType(_) => return None,
            Event::Eof => break,
        }
    }
    let is_one_document =
        open.is_empty() && outermost.children.len() == 1 && outermost.text.trim().is_empty();
    is_one_document
        .then(|| Tree::Record(outermost.children.into_iter().map(|(name, it)| (name.into(), it)).collect()))
}

/// An element that is being read.
#[derive(Default)]
struct Element {
    children: Vec<(String, Tree)>,
    text: String,
}

impl Element {
    fn close(self) -> Tree {
        if self.children.is_empty() {
            Tree::Text(self.text.trim().to_owned())
        } else if self.children.iter().all(|(name, _)| name == "item") {
            Tree::List(self.children.into_iter().map(|(_, child)| child).collect())
        } else {
            Tree::Record(self.children.into_iter().map(|(name, child)| (Cow::Owned(name), child)).collect())
        }
    }
}

fn resolve(reference: &BytesRef<'_>) -> Option<String> {
    if reference.is_char_ref() {
        return reference.resolve_char_ref().ok()?.map(String::from);
    }
    resolve_predefined_entity(&reference.xml10_content()).map(str::to_owned)
}

fn content(text: &mut String, tree: &Tree) {
    match tree {
        Tree::Null => {}
        Tree::Bool(value) => text.push_str(&value.to_string()),
        Tree::Int(value) => text.push_str(&value.to_string()),
        // With a decimal point even when nothing follows it, as in JSON.
        Tree::Float(value) => text.extend([format!("{value:?}")]),
        Tree::Text(value) => text.push_str(&escape(legal(value).as_ref())),
        Tree::List(values) => values.iter().for_each(|value| element(text, "item", value)),
        Tree::Record(members) => members.iter().for_each(|(name, value)| element(text, name, value)),
    }
}

fn element(text: &mut String, name: &str, tree: &Tree) {
    for piece in ["<", name, ">"] {
        text.push_str(piece);
    }
    content(text, tree);
    for piece in ["</", name, ">"] {
        text.push_str(piece);
    }
}

/// XML has no way to write most control characters. Only a malformed hash that is sent back can hold one.
fn legal(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_legal) {
        return Cow::Borrowed(text);
    }
    text.chars().map(|c| if is_legal(c) { c } else { '\u{fffd}' }).collect()
}

fn is_legal(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r') || (c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vendors_example_is_written_as_the_vendor_writes_it() {
        let entry = Tree::record([("foo", "bar".into()), ("life_meaning", Tree::Int(42))]);
        let tree = Tree::record([("rl", Tree::record([("entries", Tree::List(vec![entry]))]))]);
        assert_eq!(
            write(&tree),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
             <rl><entries><item><foo>bar</foo><life_meaning>42</life_meaning></item></entries></rl>"
        );
        assert_eq!(
            serde_json::to_string(&tree).unwrap(),
            r#"{"rl":{"entries":[{"foo":"bar","life_meaning":42}]}}"#
        );
    }

    #[test]
    fn odd_values_are_written_so_that_they_can_be_read() {
        let check = |value: Tree, expected: &str| {
            let text = write(&Tree::record([("a", value)]));
            assert_eq!(text, format!("{DECLARATION}<a>{expected}</a>"));
            assert!(read(&text).is_some(), "{text}");
        };
        check(Tree::Null, "");
        check(Tree::Bool(true), "true");
        check(Tree::Float(0.0), "0.0");
        check(Tree::Float(93.617_019_653_320_31), "93.61701965332031");
        check("<&\">".into(), "&lt;&amp;&quot;&gt;");
        check("a\u{0}\u{1f}b".into(), "a\u{fffd}\u{fffd}b");
        check(Tree::List(Vec::new()), "");
    }

    #[test]
    fn documents_are_read_or_refused() {
        let check = |text: &str, expected: Option<Tree>| assert_eq!(read(text), expected, "{text}");
        let hashes = |texts: &[&str]| {
            let list = Tree::List(texts.iter().map(|&text| text.into()).collect());
            Some(Tree::record([("q", Tree::record([("kind", "sha1".into()), ("hashes", list)]))]))
        };
        check("<q><kind>sha1</kind><hashes><item>a</item></hashes></q>", hashes(&["a"]));
        check(
            "<?xml version='1.0'?>\n<q x='1'>\n <kind> sha1 </kind><!-- c --><hashes>\n<item>a&lt;&#98;</item><item/></hashes>\n</q>\n",
            hashes(&["a<b", ""]),
        );
        check("<q><![CDATA[<x>]]></q>", Some(Tree::record([("q", "<x>".into())])));
        check("<q/>", Some(Tree::record([("q", "".into())])));
        for bad in [
            "",
            " ",
            "text",
            "<q>\u{1}</q>",
            "<q>",
            "<q></r>",
            "<q/><q/>",
            "<q/>x",
            "<q>&unheard;</q>",
            "<!DOCTYPE q><q/>",
            "</q>",
        ] {
            check(bad, None);
        }
        check(&"<a>".repeat(100_000), None);
        let deep = |n: usize| format!("{}{}", "<a>".repeat(n), "</a>".repeat(n));
        assert!(read(&deep(MAX_DEPTH)).is_some() && read(&deep(MAX_DEPTH + 1)).is_none());
    }
}
