//! One entry of an answer, as it goes over the wire.
//!
//! It knows the shape of an entry, in either dialect, and nothing of where its facts come from or why it was asked
//! for.

use crate::{
    digest::Digest,
    tree::Tree,
    verdicts::{Sample, Standing, Status},
};
use std::borrow::Cow;

/// The extended fields that an on-premises appliance leaves null.
const NULL_ON_PREMISES: [&str; 8] = [
    "threat_name",
    "reason",
    "classification",
    "scanner_count",
    "scanner_match",
    "scanner_percent",
    "first_seen",
    "last_seen",
];

/// Which parts of an entry were asked for, and how absence is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Detail {
    pub(crate) extended: bool,
    pub(crate) show_hashes: bool,
    /// The habit of the on-premises appliance, see [`World::null_fields`](crate::World::null_fields).
    pub(crate) null_fields: bool,
}

/// The entry of a hash, asked for in these letters, about which this is known. An UNKNOWN entry has `status` and
/// `query_hash` and no more.
pub(crate) fn entry(asked: &str, digest: &Digest, sample: Option<&Sample>, detail: Detail) -> Tree {
    let mut entry = bare(asked, digest, sample.map_or(Status::Unknown, |it| it.standing.status()));
    if detail.show_hashes {
        entry = show_hashes(entry, sample, detail.null_fields);
    }
    match sample {
        Some(sample) if detail.extended => extend(entry, sample, detail.null_fields),
        _ => entry,
    }
}

/// Nothing but the status, whatever detail was asked for.
pub(crate) fn bare(asked: &str, digest: &Digest, status: Status) -> Tree {
    let query_hash = vec![(Cow::Borrowed(digest.kind().name()), asked.into())];
    Tree::record([("status", status.name().into()), ("query_hash", Tree::Record(query_hash))])
}

/// An entry in the dialect of the vendor's quick start, which has another word for KNOWN and one factor for all. What
/// an item of `scan_results` looks like is written nowhere, so there is none.
pub(crate) fn quickstart(asked: &str, digest: &Digest, sample: Option<&Sample>) -> Tree {
    let (word, factor) = match sample.map(|sample| (&sample.standing, sample)) {
        None => ("UNKNOWN", 1),
        Some((Standing::Known, sample)) => ("GOODWARE", 5 - sample.trust_factor.min(4)),
        Some((Standing::Suspicious { .. }, sample)) => ("SUSPICIOUS", sample.threat_level.max(1)),
        Some((Standing::Malicious { .. }, sample)) => ("MALICIOUS", sample.threat_level.max(1)),
    };
    quickstart_with(asked, digest, word, factor)
}

/// Such an entry with this word.
pub(crate) fn quickstart_with(asked: &str, digest: &Digest, word: &str, factor: u8) -> Tree {
    let classification = Tree::record([
        ("classification", word.into()),
        ("factor", factor.into()),
        ("scan_results", Tree::List(Vec::new())),
    ]);
    Tree::record([
        ("hash_type", digest.kind().name().into()),
        ("hash_value", asked.into()),
        ("classification", classification),
    ])
}

fn show_hashes(entry: Tree, sample: Option<&Sample>, null_fields: bool) -> Tree {
    let [md5, sha1, sha256] = match sample {
        Some(sample) => sample.digests.map(|digest| Tree::Text(digest.to_string())),
        None if null_fields => [Tree::Null, Tree::Null, Tree::Null],
        None => return entry,
    };
    entry.with("md5", md5).with("sha1", sha1).with("sha256", sha256)
}

fn extend(entry: Tree, sample: &Sample, null_fields: bool) -> Tree {
    let entry = entry.with("threat_level", sample.threat_level).with("trust_factor", sample.trust_factor);
    if null_fields {
        return NULL_ON_PREMISES.into_iter().fold(entry, |entry, name| entry.with(name, Tree::Null));
    }
    let entry = match &sample.standing {
        Standing::Known => entry,
        Standing::Suspicious { threat_name } | Standing::Malicious { threat_name } => entry
            .with("threat_name", threat_name.as_str())
            .with("reason", "antivirus")
            .with("classification", classification(threat_name)),
    };
    entry
        .with("scanner_count", sample.scanner_count)
        .with("scanner_match", sample.scanner_match)
        .with("scanner_percent", Tree::Float(percent(sample.scanner_match, sample.scanner_count)))
        .with("first_seen", sample.first_seen.as_str())
        .with("last_seen", sample.last_seen.as_str())
}

/// Takes a name such as `Script-JS.Downloader.Family` apart; a part that is not there stays empty.
fn classification(threat_name: &str) -> Tree {
    let mut parts = threat_name.splitn(3, '.');
    let mut part = || parts.next().unwrap_or_default();
    let (platform, kind, family_name) = (part(), part(), part());
    let (platform, subplatform) = match platform.split_once('-') {
        Some((platform, rest)) => (platform, Some(rest)),
        None => (platform, None),
    };
    Tree::record([("platform", platform.into())])
        .with_some("subplatform", subplatform)
        .with("type", kind)
        .with("family_name", family_name)
        .with("is_generic", family_name == "Generic")
}

/// Computed in single precision and widened, as the recorded answers show it: 93.61701965332031.
fn percent(part: u8, whole: u8) -> f64 {
    if whole == 0 { 0.0 } else { f64::from(f32::from(part) / f32::from(whole) * 100.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Kind;
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
        let entry = entry(SHA1, &digest, sample, detail);
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
            let found = classification(name);
            assert_eq!(found.get("platform").and_then(Tree::as_text), Some(platform), "{name}");
            assert_eq!(found.get("subplatform").and_then(Tree::as_text), subplatform, "{name}");
            assert_eq!(found.get("is_generic"), Some(&Tree::Bool(is_generic)), "{name}");
        };
        check("Win32.Trojan.Generic", "Win32", None, true);
        check("Document-Word.Trojan.Mockup", "Document", Some("Word"), false);
        check("odd", "odd", None, false);
        let family = classification("A.B.C.D").get("family_name").cloned();
        assert_eq!(family, Some("C.D".into()));
    }

    #[test]
    fn a_file_nobody_scanned_has_no_percentage_to_trip_over() {
        assert!(percent(0, 0).abs() < f64::EPSILON);
    }
}
