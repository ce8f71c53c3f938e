//! The wire forms of TCA-0101 bulk in JSON, at the edge: serde's types end here.
//!
//! Of an entry only `status` and a hash are required; every other field is optional and nullable, fields we do not
//! know are ignored, numbers may come as integers, floats or text (appliances and older services differ). What is
//! wrong with one entry costs that entry; what is wrong with the envelope makes the whole body broken.

use hashsweep_model::{Answer, Batch, Digest, Digests, HashKind, Verdict};
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use std::fmt;

/// The arms of a visitor that wants a map: every other JSON value reads as the default, so that one odd field
/// costs itself and not the body around it.
macro_rules! anything_else {
    ($de:lifetime, $value:ty) => {
        fn visit_bool<E: de::Error>(self, _: bool) -> Result<$value, E> {
            Ok(Default::default())
        }
        fn visit_i64<E: de::Error>(self, _: i64) -> Result<$value, E> {
            Ok(Default::default())
        }
        fn visit_u64<E: de::Error>(self, _: u64) -> Result<$value, E> {
            Ok(Default::default())
        }
        fn visit_f64<E: de::Error>(self, _: f64) -> Result<$value, E> {
            Ok(Default::default())
        }
        fn visit_str<E: de::Error>(self, _: &str) -> Result<$value, E> {
            Ok(Default::default())
        }
        fn visit_unit<E: de::Error>(self) -> Result<$value, E> {
            Ok(Default::default())
        }
        fn visit_seq<A: SeqAccess<$de>>(self, seq: A) -> Result<$value, A::Error> {
            drop_seq(seq).map(|()| Default::default())
        }
    };
}

/// Where bulk questions go, below the base URL.
pub(crate) const BULK_PATH: &str =
    "api/databrowser/malware_presence/bulk_query/json?extended=true&show_hashes=true";

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

/// The body of a bulk question.
pub(crate) fn question(batch: &Batch) -> Vec<u8> {
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

/// Reads a bulk answer to a question of `kind`. The error says what makes the body unusable.
pub(crate) fn reply(body: &[u8], kind: HashKind) -> Result<Reply, String> {
    let envelope: Envelope = serde_json::from_slice(body).map_err(|e| shortened(&e.to_string()))?;
    let rl = envelope.rl.ok_or("it has no 'rl' object")?;
    if rl.entries.is_none() && rl.unknown_hashes.is_none() && rl.invalid_hashes.is_none() {
        return Err("it has no 'rl.entries' list".to_owned());
    }
    Ok(Reply {
        entries: rl.entries.unwrap_or_default().into_iter().map(|entry| entry.judge(kind)).collect(),
        unknown_hashes: rl.unknown_hashes.unwrap_or_default().into_iter().filter_map(|t| t.0).collect(),
        invalid_hashes: rl.invalid_hashes.unwrap_or_default().into_iter().filter_map(|t| t.0).collect(),
    })
}

/// The service's own words may be as long as the body; a message is for people. The end stays: serde says there
/// where it was.
fn shortened(message: &str) -> String {
    const KEEP: usize = 100;
    let n_chars = message.chars().count();
    if n_chars <= 2 * KEEP + 1 {
        return message.to_owned();
    }
    let start = message.chars().take(KEEP);
    start.chain(['…']).chain(message.chars().skip(n_chars - KEEP)).collect()
}

#[derive(serde::Deserialize)]
struct Envelope {
    rl: Option<Rl>,
}

#[derive(serde::Deserialize)]
struct Rl {
    #[serde(default)]
    entries: Option<Vec<RawEntry>>,
    #[serde(default)]
    unknown_hashes: Option<Vec<Text>>,
    #[serde(default)]
    invalid_hashes: Option<Vec<Text>>,
}

/// An entry as sent; anything that is not an object reads as an empty one.
#[derive(Default)]
struct RawEntry {
    is_object: bool,
    status: Text,
    query_hash: HashMap,
    own: HashMap,
    threat_level: Number,
    trust_factor: Number,
    threat_name: Text,
    scanner_count: Number,
    scanner_match: Number,
    first_seen: Text,
    last_seen: Text,
    reason: Text,
}

impl RawEntry {
    fn judge(self, kind: HashKind) -> Entry {
        if !self.is_object {
            return Entry::Malformed { about: None, why: "it is not an object".to_owned() };
        }
        let sample = self.own.digests();
        let about = self.query_hash.digests().get(kind).or_else(|| sample.get(kind));
        let Some(digest) = about else {
            return Entry::Malformed { about: None, why: format!("it names no {kind}") };
        };
        let Some(status) = self.status.0 else {
            return Entry::Malformed { about, why: "it has no status".to_owned() };
        };
        let Ok(verdict) = status.parse::<Verdict>() else {
            return Entry::Malformed { about, why: format!("its status is '{}'", shortened(&status)) };
        };
        let reason = match verdict {
            // Said aloud, as opposed to left out.
            Verdict::Unknown => Some("reported".to_owned()),
            Verdict::Known | Verdict::Suspicious | Verdict::Malicious => self.reason.0,
        };
        Entry::Answer(Answer {
            digest,
            verdict,
            reason,
            threat_name: self.threat_name.0,
            threat_level: self.threat_level.0,
            trust_factor: self.trust_factor.0,
            scanner_match: self.scanner_match.0,
            scanner_count: self.scanner_count.0,
            first_seen: self.first_seen.0,
            last_seen: self.last_seen.0,
            sample,
        })
    }
}

impl<'de> Deserialize<'de> for RawEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawEntry, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = RawEntry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an entry")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawEntry, A::Error> {
                let mut entry = RawEntry { is_object: true, ..RawEntry::default() };
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "status" => entry.status = map.next_value()?,
                        "query_hash" => entry.query_hash = map.next_value()?,
                        "md5" | "sha1" | "sha256" => entry.own.0.push((key, map.next_value()?)),
                        "threat_level" => entry.threat_level = map.next_value()?,
                        "trust_factor" => entry.trust_factor = map.next_value()?,
                        "threat_name" => entry.threat_name = map.next_value()?,
                        "scanner_count" => entry.scanner_count = map.next_value()?,
                        "scanner_match" => entry.scanner_match = map.next_value()?,
                        "first_seen" => entry.first_seen = map.next_value()?,
                        "last_seen" => entry.last_seen = map.next_value()?,
                        "reason" => entry.reason = map.next_value()?,
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(entry)
            }

            anything_else!('de, RawEntry);
        }
        deserializer.deserialize_any(Fields)
    }
}

/// A map of hash names to texts; anything that is not a map reads as an empty one.
#[derive(Default)]
struct HashMap(Vec<(String, Text)>);

impl HashMap {
    /// The readable digests whose name fits their length.
    fn digests(&self) -> Digests {
        self.0.iter().fold(Digests::default(), |digests, (name, text)| {
            let digest = text.0.as_deref().and_then(|text| text.trim().parse::<Digest>().ok());
            match (digest, name.parse::<HashKind>()) {
                (Some(digest), Ok(kind)) if digest.kind() == kind => digests.with(digest),
                _ => digests,
            }
        })
    }
}

impl<'de> Deserialize<'de> for HashMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HashMap, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = HashMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of hashes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<HashMap, A::Error> {
                let mut pairs = Vec::with_capacity(1);
                while let Some(pair) = map.next_entry::<String, Text>()? {
                    pairs.push(pair);
                }
                Ok(HashMap(pairs))
            }

            anything_else!('de, HashMap);
        }
        deserializer.deserialize_any(Pairs)
    }
}

/// A text, if it is one.
#[derive(Default)]
struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        Ok(Text(match Scalar::deserialize(deserializer)? {
            Scalar::Text(text) if !text.is_empty() => Some(text),
            Scalar::Text(_) | Scalar::Number(_) | Scalar::Other => None,
        }))
    }
}

/// A whole number, if it is one in any spelling.
#[derive(Default)]
struct Number(Option<i64>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Number, D::Error> {
        Ok(Number(match Scalar::deserialize(deserializer)? {
            Scalar::Number(number) => Some(number),
            Scalar::Text(text) => text.trim().parse().ok(),
            Scalar::Other => None,
        }))
    }
}

/// Any JSON value, of which only texts and numbers are kept.
enum Scalar {
    Text(String),
    Number(i64),
    Other,
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scalar, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.to_owned()))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Scalar, E> {
                Ok(Scalar::Text(text))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar::Number(number))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Scalar, E> {
                Ok(i64::try_from(number).map_or(Scalar::Other, Scalar::Number))
            }

            #[expect(
                clippy::cast_possible_truncation,
                reason = "levels and counts are small; `as` saturates"
            )]
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Scalar, E> {
                Ok(Scalar::Number(number as i64))
            }

            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Scalar, E> {
                Ok(Scalar::Other)
            }

            fn visit_unit<E: de::Error>(self) -> Result<Scalar, E> {
                Ok(Scalar::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Scalar, A::Error> {
                drop_seq(seq).map(|()| Scalar::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

fn drop_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHA1: &str = "3395856ce81f2b7382dee72602f798b642f14140";

    fn one(entry: &str) -> Entry {
        let body = format!(r#"{{"rl":{{"entries":[{entry}]}}}}"#);
        reply(body.as_bytes(), HashKind::Sha1).unwrap().entries.remove(0)
    }

    fn answer(entry: &str) -> Answer {
        match one(entry) {
            Entry::Answer(answer) => answer,
            malformed @ Entry::Malformed { .. } => panic!("{malformed:?}"),
        }
    }

    #[test]
    fn the_question_is_what_the_vendor_documents() {
        let batch = Batch::new(vec![SHA1.parse().unwrap()]).unwrap();
        assert_eq!(
            String::from_utf8(question(&batch)).unwrap(),
            format!(r#"{{"rl":{{"query":{{"hash_type":"sha1","hashes":["{SHA1}"]}}}}}}"#)
        );
    }

    #[test]
    fn a_full_entry_is_read() {
        let got = answer(&format!(
            r#"{{"status":"MALICIOUS","query_hash":{{"sha1":"{SHA1}"}},"md5":"44d88612fea8a8f36de82e1278abb02f",
            "threat_level":2,"trust_factor":5,"threat_name":"Text.Malware.Sample","reason":"antivirus",
            "classification":{{"platform":"Text","is_generic":false}},"scanner_count":47,"scanner_match":44,
            "scanner_percent":93.61701965332031,"first_seen":"2010-08-10T12:00:00","last_seen":null,"new":[{{}}]}}"#
        ));
        assert_eq!(got.verdict, Verdict::Malicious);
        assert_eq!(got.digest.to_string(), SHA1);
        assert_eq!((got.threat_level, got.trust_factor), (Some(2), Some(5)));
        assert_eq!((got.scanner_match, got.scanner_count), (Some(44), Some(47)));
        assert_eq!(got.threat_name.as_deref(), Some("Text.Malware.Sample"));
        assert_eq!(got.reason.as_deref(), Some("antivirus"));
        assert_eq!((got.first_seen.as_deref(), got.last_seen), (Some("2010-08-10T12:00:00"), None));
        assert!(got.sample.md5.is_some());
    }

    #[test]
    fn odd_spellings_are_understood() {
        let upper = SHA1.to_uppercase();
        let got = answer(&format!(r#"{{"status":"goodware","query_hash":{{"SHA1":"{upper}"}}}}"#));
        assert_eq!((got.verdict, got.digest.to_string().as_str()), (Verdict::Known, SHA1));
        let got =
            answer(&format!(r#"{{"status":"known","query_hash":null,"sha1":"{SHA1}","trust_factor":1.0}}"#));
        assert_eq!((got.digest.to_string().as_str(), got.trust_factor), (SHA1, Some(1)));
        let got = answer(&format!(
            r#"{{"status":"Unknown","query_hash":{{"sha1":"{SHA1}"}},"threat_level":"3","threat_name":7,"scanner_count":[1]}}"#
        ));
        assert_eq!((got.reason.as_deref(), got.threat_level), (Some("reported"), Some(3)));
        assert_eq!((got.threat_name, got.scanner_count), (None, None));
    }

    #[test]
    fn a_bad_entry_costs_itself() {
        let why = |entry: &str| match one(entry) {
            Entry::Malformed { about, why } => (about.is_some(), why),
            Entry::Answer(answer) => panic!("{answer:?}"),
        };
        assert_eq!(why("7"), (false, "it is not an object".to_owned()));
        assert_eq!(why("[]"), (false, "it is not an object".to_owned()));
        assert_eq!(why(r#"{"status":"KNOWN"}"#), (false, "it names no sha1".to_owned()));
        assert_eq!(why(&format!(r#"{{"sha1":"{SHA1}"}}"#)), (true, "it has no status".to_owned()));
        assert_eq!(
            why(&format!(r#"{{"sha1":"{SHA1}","status":"ODD"}}"#)),
            (true, "its status is 'ODD'".to_owned())
        );
    }

    #[test]
    fn a_bad_envelope_is_a_broken_body() {
        for body in
            ["", "[]", "{}", r#"{"rl":{}}"#, r#"{"rl":{"entries":{}}}"#, r#"{"rl":{"entries":[]"#, "<html>"]
        {
            assert!(reply(body.as_bytes(), HashKind::Sha1).is_err(), "{body}");
        }
        assert!(reply(b"{\"rl\":{\"entries\":[]}}\xff", HashKind::Sha1).is_err());
        let deep = format!(r#"{{"rl":{{"entries":[{}"#, "[".repeat(100_000));
        assert!(reply(deep.as_bytes(), HashKind::Sha1).is_err());
        assert_eq!(reply(br#"{"rl":{"entries":[]}}"#, HashKind::Sha1), Ok(Reply::default()));
    }

    #[test]
    fn a_message_repeats_little_of_the_body() {
        let long = "\u{1b}[31mä".repeat(10_000);
        let body = serde_json::to_vec(&std::collections::BTreeMap::from([("rl", &long)])).unwrap();
        let why = reply(&body, HashKind::Sha1).unwrap_err();
        assert!(why.chars().count() < 300 && why.contains("column"), "{why}");
        let status = serde_json::to_string(&long).unwrap();
        let Entry::Malformed { why, .. } = one(&format!(r#"{{"sha1":"{SHA1}","status":{status}}}"#)) else {
            panic!("a malformed entry was expected")
        };
        assert!(why.chars().count() < 300, "{why}");
    }

    #[test]
    fn lists_of_unknown_and_invalid_hashes_are_read() {
        let body = br#"{"rl":{"unknown_hashes":["a",1],"invalid_hashes":["b"]}}"#;
        let got = reply(body, HashKind::Sha1).unwrap();
        assert_eq!((got.unknown_hashes, got.invalid_hashes), (vec!["a".to_owned()], vec!["b".to_owned()]));
    }

    proptest! {
        #[test]
        fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = reply(&body, HashKind::Sha1);
        }

        #[test]
        fn a_cut_body_is_never_a_reply(cut in 0usize..60) {
            let whole = format!(r#"{{"rl":{{"entries":[{{"status":"KNOWN","query_hash":{{"sha1":"{SHA1}"}}}}]}}}}"#);
            let end = whole.len() - 1 - cut;
            prop_assert!(reply(&whole.as_bytes()[..end], HashKind::Sha1).is_err());
        }
    }
}
