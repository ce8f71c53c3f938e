//! The parsers as targets: for cargo-fuzz in `fuzz/`, and for the replay of its corpus in the tests.
//!
//! No part of the API. A target panics when what must hold of any input does not hold.

use crate::details::{Splitter, detail};
use crate::usage::{read_limits, read_usage};
use crate::wire::{ContentType, Dialect, Entry, Form, Format, Reply, looks_like_the_api};
use hashsweep_model::HashKind;

/// A target and the folder of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 5] = [
    ("json_answer", json_answer),
    ("xml_answer", xml_answer),
    ("quick_start", quick_start),
    ("usage", usage),
    ("details", details),
];

/// A TCA-0101 answer in JSON, bulk and single.
pub fn json_answer(body: &[u8]) {
    answer(Form { format: Format::Json, ..Form::default() }, body);
    let _ = looks_like_the_api(body);
}

/// The same in XML: what does not look like XML is made to.
pub fn xml_answer(body: &[u8]) {
    let form = Form { format: Format::Xml, ..Form::default() };
    answer(form, body);
    answer(form, &[b"<rl><entries>", body, b"</entries></rl>"].concat());
    let _ = looks_like_the_api(body);
}

/// An answer in the quick start's dialect.
pub fn quick_start(body: &[u8]) {
    answer(Form { dialect: Dialect::QuickStart, content_type: ContentType::Json, ..Form::default() }, body);
}

/// Figures and limits.
pub fn usage(body: &[u8]) {
    if let Ok(usage) = read_usage(body) {
        let _ = usage.n_queries("TCA-0101");
    }
    for limit in read_limits(body).unwrap_or_default() {
        let _ = limit.covers("TCA-0101");
    }
}

/// Reports in pieces: however the body is cut, the same elements come out and the same is said of the whole; and
/// if it is whole, they are what a parser finds that sees it at once.
pub fn details(body: &[u8]) {
    let (elements, whole) = split(body, body.len().max(1));
    for size in [1, 2, 7] {
        let (in_pieces, so) = split(body, size);
        assert_eq!(so.is_ok(), whole.is_ok(), "in pieces of {size}: {so:?}, at once: {whole:?}");
        assert_eq!(in_pieces, elements);
    }
    let is_read = elements.iter().all(|element| detail(element.clone()).is_ok());
    if whole.is_ok() && is_read {
        let value: serde_json::Value = match serde_json::from_slice(body.trim_ascii()) {
            Ok(value) => value,
            // Deeper or with a number larger than a value can hold, neither of which a report is refused for.
            Err(_) => return,
        };
        let listed = value["rl"]["entries"].as_array().expect("a whole answer has a list of entries");
        assert_eq!(listed.len(), elements.len());
        for (listed, element) in listed.iter().zip(&elements) {
            assert_eq!(serde_json::from_slice::<serde_json::Value>(element).ok().as_ref(), Some(listed));
        }
    }
}

fn split(body: &[u8], size: usize) -> (Vec<Vec<u8>>, Result<(), String>) {
    let mut splitter = Splitter::default();
    let mut elements = Vec::new();
    for piece in body.chunks(size) {
        let pushed = splitter.push(piece);
        while let Some(element) = splitter.pop() {
            elements.push(element);
        }
        if pushed.is_err() {
            return (elements, pushed);
        }
    }
    let whole = splitter.finish();
    (elements, whole)
}

fn answer(form: Form, body: &[u8]) {
    for kind in HashKind::ALL {
        for reply in [form.reply(body, kind), form.single_reply(body, kind)] {
            match reply {
                Ok(reply) => check(&reply, kind),
                Err(why) => assert!(why.chars().count() < 400, "a message of {} characters", why.len()),
            }
        }
    }
}

/// An entry is about a digest of the kind that was asked, or says that it cannot be used.
fn check(reply: &Reply, kind: HashKind) {
    for entry in &reply.entries {
        match entry {
            Entry::Answer(answer) => {
                assert_eq!(answer.digest.kind(), kind);
                assert!(answer.sample.iter().all(|own| answer.sample.get(own.kind()) == Some(own)));
            }
            Entry::Malformed { about, why } => {
                assert!(about.is_none_or(|digest| digest.kind() == kind));
                assert!(!why.is_empty() && why.chars().count() < 400, "{why}");
            }
        }
    }
}
