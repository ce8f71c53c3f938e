//! An entry as sent, in either language, and what is made of it.
//!
//! Only a status and a hash are required; every other field is optional and nullable and fields we do not know are
//! ignored, because appliances send nulls and the service adds fields (vendor, "T1000" and "File reputation").

use super::{Dialect, Entry, Reply, shortened};
use hashsweep_model::{Answer, Digest, Digests, HashKind, Verdict};

/// What stands under `rl`, in either language.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Rl {
    pub(super) entries: Option<Vec<RawEntry>>,
    pub(super) malware_presence: Option<RawEntry>,
    pub(super) unknown_hashes: Option<Vec<String>>,
    pub(super) invalid_hashes: Option<Vec<String>>,
}

/// An entry as sent; anything that is not an object reads as an empty one.
#[derive(Debug, Default, PartialEq)]
pub(super) struct RawEntry {
    pub(super) is_object: bool,
    pub(super) status: Option<String>,
    pub(super) query_hash: Digests,
    pub(super) own: Digests,
    pub(super) threat_level: Option<i64>,
    pub(super) trust_factor: Option<i64>,
    pub(super) threat_name: Option<String>,
    pub(super) scanner_count: Option<i64>,
    pub(super) scanner_match: Option<i64>,
    pub(super) first_seen: Option<String>,
    pub(super) last_seen: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) classification: Classification,
    /// The quick start's name for the hash asked.
    pub(super) hash_value: Option<String>,
}

/// The quick start's verdict. TCA-0101 has an object of this name too, which says nothing that we keep.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Classification {
    pub(super) word: Option<String>,
    pub(super) factor: Option<i64>,
}

impl Rl {
    pub(super) fn bulk(self, kind: HashKind, dialect: Dialect) -> Result<Reply, String> {
        let Rl { entries, malware_presence: _, unknown_hashes, invalid_hashes } = self;
        if entries.is_none() && unknown_hashes.is_none() && invalid_hashes.is_none() {
            return Err("it has no 'rl.entries' list".to_owned());
        }
        Ok(Reply {
            entries: entries.unwrap_or_default().into_iter().map(|raw| raw.judge(kind, dialect)).collect(),
            unknown_hashes: unknown_hashes.unwrap_or_default(),
            invalid_hashes: invalid_hashes.unwrap_or_default(),
        })
    }

    /// An entry of a bulk answer is the very object that a single one has as `malware_presence`.
    pub(super) fn single(self, kind: HashKind, dialect: Dialect) -> Result<Reply, String> {
        let raw = self.malware_presence.ok_or("it has no 'rl.malware_presence' object")?;
        Ok(Reply { entries: vec![raw.judge(kind, dialect)], ..Reply::default() })
    }
}

impl RawEntry {
    fn judge(self, kind: HashKind, dialect: Dialect) -> Entry {
        if !self.is_object {
            return Entry::Malformed { about: None, why: "it is not an object".to_owned() };
        }
        let sample = self.own;
        let named = || {
            let value = self.hash_value.as_deref()?.trim().parse::<Digest>().ok()?;
            (dialect == Dialect::QuickStart && value.kind() == kind).then_some(value)
        };
        let about = self.query_hash.get(kind).or_else(named).or_else(|| sample.get(kind));
        let Some(digest) = about else {
            return Entry::Malformed { about: None, why: format!("it names no {kind}") };
        };
        let status = match dialect {
            Dialect::MalwarePresence => self.status,
            Dialect::QuickStart => self.classification.word.or(self.status),
        };
        let Some(status) = status else {
            return Entry::Malformed { about, why: "it has no status".to_owned() };
        };
        let Ok(verdict) = status.trim().parse::<Verdict>() else {
            return Entry::Malformed { about, why: format!("its status is '{}'", shortened(&status)) };
        };
        let reason = match verdict {
            // Said aloud, as opposed to left out.
            Verdict::Unknown => Some("reported".to_owned()),
            Verdict::Known | Verdict::Suspicious | Verdict::Malicious => self.reason,
        };
        let (threat_level, trust_factor) = match (dialect, verdict) {
            (Dialect::MalwarePresence, _) => (self.threat_level, self.trust_factor),
            // The quick start's factor is a confidence, 5 highest: near a threat level, and no trust factor at all.
            (Dialect::QuickStart, Verdict::Malicious | Verdict::Suspicious) => {
                (self.classification.factor, None)
            }
            (Dialect::QuickStart, Verdict::Known | Verdict::Unknown) => (None, None),
        };
        Entry::Answer(Answer {
            digest,
            verdict,
            reason,
            threat_name: self.threat_name,
            threat_level,
            trust_factor,
            scanner_match: self.scanner_match,
            scanner_count: self.scanner_count,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            sample,
        })
    }
}

/// The readable digests among names and texts whose name fits their length.
pub(super) fn digests<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Digests {
    pairs.into_iter().fold(Digests::default(), |digests, (name, text)| {
        match (text.trim().parse::<Digest>(), name.parse::<HashKind>()) {
            (Ok(digest), Ok(kind)) if digest.kind() == kind => digests.with(digest),
            _ => digests,
        }
    })
}

/// A digest under a name that fits its length.
pub(super) fn named(name: &str, digest: Option<Digest>) -> Option<Digest> {
    digest.filter(|digest| name.parse::<HashKind>().is_ok_and(|kind| kind == digest.kind()))
}

/// A whole number in any spelling: appliances and older services write some as text or with a fraction.
#[expect(clippy::cast_possible_truncation, reason = "levels and counts are small; `as` saturates")]
pub(super) fn number(text: &str) -> Option<i64> {
    let text = text.trim();
    let fraction =
        || text.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| number as i64);
    text.parse().ok().or_else(fraction)
}
