//! Answers in JSON.

use super::entry::{Classification, RawEntry, Rl, named};
use super::lenient::{Hash, Name, anything_else};
use super::{Hashes, List, Number, Object, Text, shortened};
use hashsweep_model::Digests;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::fmt;

#[derive(serde::Deserialize)]
struct Envelope {
    rl: Option<Object<Inside>>,
}

#[derive(serde::Deserialize)]
struct Inside {
    #[serde(default)]
    entries: Option<List<RawEntry>>,
    #[serde(default)]
    malware_presence: Option<RawEntry>,
    #[serde(default)]
    unknown_hashes: Option<List<Text>>,
    #[serde(default)]
    invalid_hashes: Option<List<Text>>,
}

pub(super) fn read(body: &[u8]) -> Result<Rl, String> {
    // The parser alone would not look at the letters of a text that it skips.
    let text = std::str::from_utf8(body).map_err(|e| e.to_string())?;
    let Object(envelope): Object<Envelope> =
        serde_json::from_str(text).map_err(|e| shortened(&e.to_string()))?;
    let Object(Inside { entries, malware_presence, unknown_hashes, invalid_hashes }) =
        envelope.rl.ok_or("it has no 'rl' object")?;
    Ok(Rl {
        entries: entries.map(|list| list.0),
        malware_presence,
        unknown_hashes: unknown_hashes.map(texts),
        invalid_hashes: invalid_hashes.map(texts),
    })
}

/// What stands in a list of hashes and is no text stays in it as an empty one: something was listed there, so that
/// the reconciler draws no conclusion from silence.
fn texts(list: List<Text>) -> Vec<String> {
    list.0.into_iter().map(|text| text.0.unwrap_or_default()).collect()
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
                while let Some(Name(key)) = map.next_key::<Name<'de>>()? {
                    match key.as_ref() {
                        "status" => entry.status = map.next_value::<Text>()?.0,
                        "query_hash" => entry.query_hash = map.next_value::<Hashes>()?.0,
                        "md5" | "sha1" | "sha256" => {
                            let own = named(&key, map.next_value::<Hash>()?.0);
                            entry.own = own.into_iter().fold(entry.own, Digests::with);
                        }
                        "threat_level" => entry.threat_level = map.next_value::<Number>()?.0,
                        "trust_factor" => entry.trust_factor = map.next_value::<Number>()?.0,
                        "threat_name" => entry.threat_name = map.next_value::<Text>()?.0,
                        "scanner_count" => entry.scanner_count = map.next_value::<Number>()?.0,
                        "scanner_match" => entry.scanner_match = map.next_value::<Number>()?.0,
                        "first_seen" => entry.first_seen = map.next_value::<Text>()?.0,
                        "last_seen" => entry.last_seen = map.next_value::<Text>()?.0,
                        "reason" => entry.reason = map.next_value::<Text>()?.0,
                        "classification" => entry.classification = map.next_value()?,
                        "hash_value" => entry.hash_value = map.next_value::<Text>()?.0,
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

impl<'de> Deserialize<'de> for Classification {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Classification, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Classification;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a classification")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Classification, A::Error> {
                let mut seen = Classification::default();
                while let Some(Name(key)) = map.next_key::<Name<'de>>()? {
                    match key.as_ref() {
                        "classification" => seen.word = map.next_value::<Text>()?.0,
                        "factor" => seen.factor = map.next_value::<Number>()?.0,
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(seen)
            }

            anything_else!('de, Classification);
        }
        deserializer.deserialize_any(Fields)
    }
}
