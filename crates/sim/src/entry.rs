//! One entry of an answer, as it goes over the wire.
//!
//! It knows the shape of an entry and nothing of where its facts come from or why it was asked for.

use crate::{
    digest::{Digest, Kind},
    verdicts::{Sample, Standing, Status},
};
use serde::{Serialize, Serializer, ser::SerializeMap};

/// What the service says about one hash. An UNKNOWN entry has `status` and `query_hash` and no more.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    status: &'static str,
    query_hash: QueryHash,
    #[serde(skip_serializing_if = "Field::is_absent")]
    md5: Field<String>,
    #[serde(skip_serializing_if = "Field::is_absent")]
    sha1: Field<String>,
    #[serde(skip_serializing_if = "Field::is_absent")]
    sha256: Field<String>,
    #[serde(skip_serializing_if = "Field::is_absent")]
    threat_level: Field<u8>,
    #[serde(skip_serializing_if = "Field::is_absent")]
    trust_factor: Field<u8>,
    #[serde(skip_serializing_if = "Field::is_absent")]
    threat_name: Field<String>,
    #[serde(skip_serializing_if = "Field::is_absent")]
    reason: Field<&'static str>,
    #[serde(skip_serializing_if = "Field::is_absent")]
    classification: Field<Classification>,
    #[serde(skip_serializing_if = "Field::is_absent")]
    scanner_count: Field<u8>,
    #[serde(skip_serializing_if = "Field::is_absent")]
    scanner_match: Field<u8>,
    #[serde(skip_serializing_if = "Field::is_absent")]
    scanner_percent: Field<f64>,
    #[serde(skip_serializing_if = "Field::is_absent")]
    first_seen: Field<String>,
    #[serde(skip_serializing_if = "Field::is_absent")]
    last_seen: Field<String>,
}

/// Which parts of an entry were asked for, and how absence is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Detail {
    pub(crate) extended: bool,
    pub(crate) show_hashes: bool,
    /// The habit of the on-premises appliance, see [`World::null_fields`](crate::World::null_fields).
    pub(crate) null_fields: bool,
}

/// `{"sha1": "…"}`, the hash as it was asked for, letter case included.
#[derive(Clone, Debug)]
struct QueryHash {
    kind: Kind,
    text: String,
}

#[derive(Clone, Debug, Serialize)]
struct Classification {
    platform: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subplatform: Option<String>,
    r#type: String,
    family_name: String,
    is_generic: bool,
}

/// A member of a JSON object that can be left out, be null, or have a value.
#[derive(Clone, Copy, Debug, Default)]
enum Field<T> {
    #[default]
    Absent,
    Null,
    Value(T),
}

impl Entry {
    /// The entry of a hash, asked for in these letters, about which this is known.
    pub(crate) fn new(asked: &str, digest: &Digest, sample: Option<&Sample>, detail: Detail) -> Entry {
        let mut entry = Entry::bare(asked, digest, sample.map_or(Status::Unknown, |it| it.standing.status()));
        if detail.show_hashes {
            entry.show_hashes(sample, detail.null_fields);
        }
        if let (true, Some(sample)) = (detail.extended, sample) {
            entry.extend(sample, detail.null_fields);
        }
        entry
    }

    /// Nothing but the status, whatever detail was asked for.
    pub(crate) fn bare(asked: &str, digest: &Digest, status: Status) -> Entry {
        Entry {
            status: status.name(),
            query_hash: QueryHash { kind: digest.kind(), text: asked.to_owned() },
            md5: Field::Absent,
            sha1: Field::Absent,
            sha256: Field::Absent,
            threat_level: Field::Absent,
            trust_factor: Field::Absent,
            threat_name: Field::Absent,
            reason: Field::Absent,
            classification: Field::Absent,
            scanner_count: Field::Absent,
            scanner_match: Field::Absent,
            scanner_percent: Field::Absent,
            first_seen: Field::Absent,
            last_seen: Field::Absent,
        }
    }

    fn show_hashes(&mut self, sample: Option<&Sample>, null_fields: bool) {
        let [md5, sha1, sha256] = match sample {
            Some(sample) => sample.digests.map(|digest| Field::Value(digest.to_string())),
            None if null_fields => [Field::Null, Field::Null, Field::Null],
            None => [Field::Absent, Field::Absent, Field::Absent],
        };
        (self.md5, self.sha1, self.sha256) = (md5, sha1, sha256);
    }

    fn extend(&mut self, sample: &Sample, null_fields: bool) {
        self.threat_level = Field::Value(sample.threat_level);
        self.trust_factor = Field::Value(sample.trust_factor);
        if null_fields {
            self.threat_name = Field::Null;
            self.reason = Field::Null;
            self.classification = Field::Null;
            self.scanner_count = Field::Null;
            self.scanner_match = Field::Null;
            self.scanner_percent = Field::Null;
            self.first_seen = Field::Null;
            self.last_seen = Field::Null;
            return;
        }
        match &sample.standing {
            Standing::Known => {}
            Standing::Suspicious { threat_name } | Standing::Malicious { threat_name } => {
                self.threat_name = Field::Value(threat_name.clone());
                self.reason = Field::Value("antivirus");
                self.classification = Field::Value(Classification::of(threat_name));
            }
        }
        self.scanner_count = Field::Value(sample.scanner_count);
        self.scanner_match = Field::Value(sample.scanner_match);
        self.scanner_percent = Field::Value(percent(sample.scanner_match, sample.scanner_count));
        self.first_seen = Field::Value(sample.first_seen.clone());
        self.last_seen = Field::Value(sample.last_seen.clone());
    }
}

impl Classification {
    /// Takes a name such as `Script-JS.Downloader.Family` apart; a part that is not there stays empty.
    fn of(threat_name: &str) -> Classification {
        let mut parts = threat_name.splitn(3, '.');
        let mut part = || parts.next().unwrap_or_default().to_owned();
        let (platform, kind, family_name) = (part(), part(), part());
        let (platform, subplatform) = match platform.split_once('-') {
            Some((platform, rest)) => (platform.to_owned(), Some(rest.to_owned())),
            None => (platform, None),
        };
        let is_generic = family_name == "Generic";
        Classification { platform, subplatform, r#type: kind, family_name, is_generic }
    }
}

/// Computed in single precision and widened, as the recorded answers show it: 93.61701965332031.
fn percent(part: u8, whole: u8) -> f64 {
    if whole == 0 { 0.0 } else { f64::from(f32::from(part) / f32::from(whole) * 100.0) }
}

impl<T> Field<T> {
    fn is_absent(&self) -> bool {
        matches!(self, Field::Absent)
    }
}

impl<T: Serialize> Serialize for Field<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Field::Absent | Field::Null => serializer.serialize_none(),
            Field::Value(value) => value.serialize(serializer),
        }
    }
}

impl Serialize for QueryHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.kind.name(), &self.text)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SHA1: &str = "00000000000000000000000000000000000000AA";

    fn sample(standing: Standing) -> Sample {
        let digest = |kind| Digest::cut_from(kind, [0x11; 32]);
        Sample {
            digests: Kind::ALL.map(digest),
            standing,
            threat_level: 4,
            trust_factor: 5,
            scanner_match: 44,
            scanner_count: 47,
            first_seen: "2020-01-02T03:04:05".to_owned(),
            last_seen: "2021-01-02T03:04:05".to_owned(),
        }
    }

    fn check(sample: Option<&Sample>, detail: Detail, expected: &serde_json::Value) {
        let digest = Digest::parse(Kind::Sha1, SHA1).unwrap();
        let entry = Entry::new(SHA1, &digest, sample, detail);
        assert_eq!(&serde_json::to_value(&entry).unwrap(), expected);
    }

    const PLAIN: Detail = Detail { extended: false, show_hashes: false, null_fields: false };
    const FULL: Detail = Detail { extended: true, show_hashes: true, null_fields: false };

    #[test]
    fn an_entry_has_what_was_asked_for() {
        let malicious =
            sample(Standing::Malicious { threat_name: "Script-JS.Downloader.Makebelieve".to_owned() });
        check(Some(&malicious), PLAIN, &json!({"status": "MALICIOUS", "query_hash": {"sha1": SHA1}}));
        check(
            Some(&malicious),
            Detail { show_hashes: true, ..PLAIN },
            &json!({
                "status": "MALICIOUS", "query_hash": {"sha1": SHA1},
                "md5": "11".repeat(16), "sha1": "11".repeat(20), "sha256": "11".repeat(32),
            }),
        );
        check(
            Some(&malicious),
            Detail { extended: true, ..PLAIN },
            &json!({
                "status": "MALICIOUS", "query_hash": {"sha1": SHA1},
                "threat_level": 4, "trust_factor": 5,
                "threat_name": "Script-JS.Downloader.Makebelieve", "reason": "antivirus",
                "classification": {
                    "platform": "Script", "subplatform": "JS", "type": "Downloader",
                    "family_name": "Makebelieve", "is_generic": false,
                },
                "scanner_count": 47, "scanner_match": 44, "scanner_percent": 93.617_019_653_320_31,
                "first_seen": "2020-01-02T03:04:05", "last_seen": "2021-01-02T03:04:05",
            }),
        );
        check(
            Some(&sample(Standing::Known)),
            Detail { extended: true, ..PLAIN },
            &json!({
                "status": "KNOWN", "query_hash": {"sha1": SHA1}, "threat_level": 4, "trust_factor": 5,
                "scanner_count": 47, "scanner_match": 44, "scanner_percent": 93.617_019_653_320_31,
                "first_seen": "2020-01-02T03:04:05", "last_seen": "2021-01-02T03:04:05",
            }),
        );
        check(None, FULL, &json!({"status": "UNKNOWN", "query_hash": {"sha1": SHA1}}));
    }

    #[test]
    fn an_appliance_writes_nulls() {
        let detail = Detail { null_fields: true, ..FULL };
        check(
            Some(&sample(Standing::Suspicious { threat_name: "Win32.PUA.Generic".to_owned() })),
            detail,
            &json!({
                "status": "SUSPICIOUS", "query_hash": {"sha1": SHA1},
                "md5": "11".repeat(16), "sha1": "11".repeat(20), "sha256": "11".repeat(32),
                "threat_level": 4, "trust_factor": 5, "threat_name": null, "reason": null, "classification": null,
                "scanner_count": null, "scanner_match": null, "scanner_percent": null,
                "first_seen": null, "last_seen": null,
            }),
        );
        check(
            None,
            detail,
            &json!({
                "status": "UNKNOWN", "query_hash": {"sha1": SHA1}, "md5": null, "sha1": null, "sha256": null,
            }),
        );
    }

    #[test]
    fn classification_follows_the_name() {
        let check = |name: &str, platform: &str, subplatform: Option<&str>, is_generic: bool| {
            let found = Classification::of(name);
            assert_eq!(
                (found.platform.as_str(), found.subplatform.as_deref()),
                (platform, subplatform),
                "{name}"
            );
            assert_eq!(found.is_generic, is_generic, "{name}");
        };
        check("Win32.Trojan.Generic", "Win32", None, true);
        check("Document-Word.Trojan.Mockup", "Document", Some("Word"), false);
        check("odd", "odd", None, false);
        assert_eq!(Classification::of("A.B.C.D").family_name, "C.D");
    }

    #[test]
    fn a_file_nobody_scanned_has_no_percentage_to_trip_over() {
        assert!(percent(0, 0).abs() < f64::EPSILON);
    }
}
