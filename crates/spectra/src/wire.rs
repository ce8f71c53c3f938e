//! The wire forms of questions and answers, at the edge: serde's types and XML's end here.
//!
//! ```text
//!   Batch ──► question (JSON or XML) ──► …
//!                                          … ──► json ─┐
//!                                          … ──► xml ──┴─► RawEntry ──► entry::judge ──► Reply
//! ```
//!
//! What is wrong with one entry costs that entry; what is wrong with the envelope makes the whole body broken. An
//! answer is read as what it is, JSON or XML, whichever was asked for: nothing else about it depends on that.

mod entry;
mod json;
mod lenient;
mod question;
mod xml;

pub(crate) use lenient::{Hashes, List, Number, Object, Text};
pub(crate) use question::DETAILS_PATH;

use entry::Rl;
use hashsweep_model::{Answer, Batch, Digest, HashKind};

/// A whole, well-formed answer, unmatched: what it says about the batch is the reconciler's to find out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// In the service's order, which means nothing.
    pub entries: Vec<Entry>,
    /// Hashes the service listed as not found, where it lists them.
    pub unknown_hashes: Vec<String>,
    /// Hashes the service listed as not hashes.
    pub invalid_hashes: Vec<String>,
}

/// One entry of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "almost every entry is an answer")]
pub enum Entry {
    /// It says something about a digest.
    Answer(Answer),
    /// It cannot be used.
    Malformed {
        /// The digest it is about, if that much could be read.
        about: Option<Digest>,
        /// What is wrong with it.
        why: String,
    },
}

/// Which of the vendor's two descriptions of a reputation lookup the service follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// TCA-0101 as its own page, the SDK and the troubleshooting guide have it (vendor, "File reputation").
    #[default]
    MalwarePresence,
    /// The vendor's "Quick start": another path and another shape, SHA-1 and JSON only. No other source knows it.
    QuickStart,
}

/// The language of question and answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// What every example of the vendor's shows.
    #[default]
    Json,
    /// "All APIs also support XML request bodies" (vendor, "General information", XML body).
    Xml,
}

/// What a bulk question calls its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentType {
    /// The format's own name, `application/json`, as the vendor's SDK sends it; `application/xml` for XML.
    #[default]
    Json,
    /// `application/octet-stream`, as the page of TCA-0101 has it.
    OctetStream,
}

/// How to ask, all told. The quick start with XML is refused before one is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) dialect: Dialect,
    pub(crate) format: Format,
    pub(crate) content_type: ContentType,
}

impl Form {
    /// Whether the dialect has a way to ask by this kind.
    pub(crate) fn can_ask(self, kind: HashKind) -> bool {
        match self.dialect {
            Dialect::MalwarePresence => true,
            Dialect::QuickStart => kind == HashKind::Sha1,
        }
    }

    /// Where bulk questions go, below the base URL.
    pub(crate) fn bulk_path(self) -> &'static str {
        question::bulk_path(self.dialect, self.format)
    }

    /// Where a single question goes, below the base URL; only [`Dialect::MalwarePresence`] has such a place.
    pub(crate) fn single_path(self, digest: &Digest) -> String {
        question::single_path(self.format, digest)
    }

    /// The `Content-Type` of a bulk question.
    pub(crate) fn content_type(self) -> &'static str {
        match (self.content_type, self.format) {
            (ContentType::OctetStream, _) => "application/octet-stream",
            (ContentType::Json, Format::Json) => "application/json",
            (ContentType::Json, Format::Xml) => "application/xml",
        }
    }

    /// The body of a bulk question.
    pub(crate) fn question(self, batch: &Batch) -> Vec<u8> {
        question::body(self.format, batch)
    }

    /// Reads the answer to a bulk question of `kind`. The error says what makes the body unusable.
    pub(crate) fn reply(self, body: &[u8], kind: HashKind) -> Result<Reply, String> {
        read(body)?.bulk(kind, self.dialect)
    }

    /// Reads the answer to a single question of `kind`.
    pub(crate) fn single_reply(self, body: &[u8], kind: HashKind) -> Result<Reply, String> {
        read(body)?.single(kind, self.dialect)
    }
}

/// Whether a body is nothing, JSON or XML of the API's own root, as the API's would be; a portal sends HTML.
pub(crate) fn looks_like_the_api(body: &[u8]) -> bool {
    let body = without_mark(body).trim_ascii();
    match body.first() {
        None => true,
        Some(b'<') => xml::is_rl(body),
        Some(_) => serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok(),
    }
}

fn read(body: &[u8]) -> Result<Rl, String> {
    let body = without_mark(body);
    if body.trim_ascii_start().starts_with(b"<") { xml::read(body) } else { json::read(body) }
}

/// A byte order mark says nothing about UTF-8, but some proxies that rewrite bodies put one in front.
pub(crate) fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// The service's own words may be as long as the body; a message is for people. The end stays: serde says there
/// where it was.
pub(crate) fn shortened(message: &str) -> String {
    const KEEP: usize = 100;
    let n_chars = message.chars().count();
    if n_chars <= 2 * KEEP + 1 {
        return message.to_owned();
    }
    let start = message.chars().take(KEEP);
    start.chain(['…']).chain(message.chars().skip(n_chars - KEEP)).collect()
}

#[cfg(test)]
mod tests;
