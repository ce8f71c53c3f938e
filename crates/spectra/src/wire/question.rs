//! Questions: where they go and what they say.

use super::{Dialect, Format};
use hashsweep_model::{Batch, Digest};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use std::fmt::Write;

/// Where a bulk question about whole reports goes (the vendor's SDK, `FileAnalysis`).
pub(crate) const DETAILS_PATH: &str = "api/databrowser/rldata/bulk_query/json";

/// Without `extended` an entry has a status and no more; without `show_hashes` the other digests of a sample are
/// missing (vendor, "File reputation", query parameters).
pub(super) fn bulk_path(dialect: Dialect, format: Format) -> &'static str {
    match (dialect, format) {
        (Dialect::MalwarePresence, Format::Json) => {
            "api/databrowser/malware_presence/bulk_query/json?extended=true&show_hashes=true"
        }
        (Dialect::MalwarePresence, Format::Xml) => {
            "api/databrowser/malware_presence/bulk_query/xml?extended=true&show_hashes=true"
        }
        // The path fixes the kind, and no text shows it in XML.
        (Dialect::QuickStart, _) => "api/databrowser/rl_data/query/sha1/list?format=json",
    }
}

/// The format is always named: without it a single answer is XML (vendor, "File reputation").
pub(super) fn single_path(format: Format, digest: &Digest) -> String {
    let format = match format {
        Format::Json => "json",
        Format::Xml => "xml",
    };
    let kind = digest.kind();
    format!(
        "api/databrowser/malware_presence/query/{kind}/{digest}?extended=true&show_hashes=true&format={format}"
    )
}

pub(super) fn body(format: Format, batch: &Batch) -> Vec<u8> {
    match format {
        Format::Json => json(batch),
        Format::Xml => xml(batch),
    }
}

/// `{"rl":{"query":{"hash_type":"sha1","hashes":["…"]}}}` (vendor, "File reputation", bulk query).
fn json(batch: &Batch) -> Vec<u8> {
    struct Hashes<'a>(&'a Batch);
    impl Serialize for Hashes<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
            for digest in self.0.digests() {
                seq.serialize_element(&format_args!("{digest}"))?;
            }
            seq.end()
        }
    }
    struct Query<'a>(&'a Batch);
    impl Serialize for Query<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(Some(2))?;
            map.serialize_entry("hash_type", self.0.kind().name())?;
            map.serialize_entry("hashes", &Hashes(self.0))?;
            map.end()
        }
    }
    struct Nested<'a>(&'static str, Query<'a>);
    impl Serialize for Nested<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(self.0, &self.1)?;
            map.end()
        }
    }
    let body = std::collections::BTreeMap::from([("rl", Nested("query", Query(batch)))]);
    serde_json::to_vec(&body).expect("a batch of hexadecimal texts always serialises")
}

/// The same by the vendor's rule that each element of an array stands in an `<item>` (vendor, "General
/// information", XML body). Kinds and digests hold nothing that XML would escape.
fn xml(batch: &Batch) -> Vec<u8> {
    let mut body = r#"<?xml version="1.0" encoding="UTF-8"?><rl><query><hash_type>"#.to_owned();
    body.push_str(batch.kind().name());
    body.push_str("</hash_type><hashes>");
    for digest in batch.digests() {
        write!(body, "<item>{digest}</item>").expect("a text takes any text");
    }
    body.push_str("</hashes></query></rl>");
    body.into_bytes()
}
