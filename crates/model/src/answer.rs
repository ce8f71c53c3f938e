//! What is known of a digest.

use crate::{Digest, Digests};
use std::fmt;
use std::str::FromStr;

/// What is known of a digest, mildest first. `Known` does not mean clean: the trust factor stays beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Seen, and nothing bad found.
    Known,
    /// The service has no record, or has never classified it.
    Unknown,
    /// Bad by some measure.
    Suspicious,
    /// Bad.
    Malicious,
}

impl Verdict {
    /// Worst first, as people read it.
    pub const WORST_FIRST: [Verdict; 4] =
        [Verdict::Malicious, Verdict::Suspicious, Verdict::Unknown, Verdict::Known];

    /// The word in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Known => "known",
            Verdict::Unknown => "unknown",
            Verdict::Suspicious => "suspicious",
            Verdict::Malicious => "malicious",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that is no verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAVerdict(pub String);

impl fmt::Display for NotAVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is not a verdict", self.0)
    }
}

impl std::error::Error for NotAVerdict {}

/// Any letter case; `goodware` is Spectra Analyze's and the quick start's word for `known`.
impl FromStr for Verdict {
    type Err = NotAVerdict;

    fn from_str(word: &str) -> Result<Verdict, NotAVerdict> {
        match word.to_ascii_lowercase().as_str() {
            "known" | "goodware" => Ok(Verdict::Known),
            "unknown" => Ok(Verdict::Unknown),
            "suspicious" => Ok(Verdict::Suspicious),
            "malicious" => Ok(Verdict::Malicious),
            _ => Err(NotAVerdict(word.to_owned())),
        }
    }
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The reputation service.
    Service,
    /// The simulator; its verdicts mean nothing about the file.
    Simulator,
}

impl Source {
    /// The word of the `source` column.
    pub const fn name(self) -> &'static str {
        match self {
            Source::Service => "service",
            Source::Simulator => "simulator",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Source {
    type Err = NotAVerdict;

    fn from_str(word: &str) -> Result<Source, NotAVerdict> {
        match word {
            "service" => Ok(Source::Service),
            "simulator" => Ok(Source::Simulator),
            _ => Err(NotAVerdict(word.to_owned())),
        }
    }
}

/// One answer about one digest. Numbers and texts are the service's own and stay absent where it said nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The digest that was asked.
    pub digest: Digest,
    /// What the service knows.
    pub verdict: Verdict,
    /// How we know: `reported` and `absent` for an unknown, else the service's own word, if any.
    pub reason: Option<String>,
    /// For example `Win32.Trojan.Generic`.
    pub threat_name: Option<String>,
    /// 0 to 5, 5 worst; means something for malicious and suspicious only.
    pub threat_level: Option<i64>,
    /// 0 to 5, 0 most trusted; means something for known only.
    pub trust_factor: Option<i64>,
    /// Engines that hit in the last scan.
    pub scanner_match: Option<i64>,
    /// Engines in the last scan.
    pub scanner_count: Option<i64>,
    /// As the service wrote it, UTC without a zone mark.
    pub first_seen: Option<String>,
    /// As the service wrote it, UTC without a zone mark.
    pub last_seen: Option<String>,
    /// The sample's digests, where the service showed them.
    pub sample: Digests,
}

impl Answer {
    /// An answer with nothing but a verdict.
    pub fn bare(digest: Digest, verdict: Verdict) -> Answer {
        Answer {
            digest,
            verdict,
            reason: None,
            threat_name: None,
            threat_level: None,
            trust_factor: None,
            scanner_match: None,
            scanner_count: None,
            first_seen: None,
            last_seen: None,
            sample: Digests::default(),
        }
    }

    /// Unknown because a whole, well-formed response left it out.
    pub fn absent(digest: Digest) -> Answer {
        Answer { reason: Some("absent".to_owned()), ..Answer::bare(digest, Verdict::Unknown) }
    }
}
