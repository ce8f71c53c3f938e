//! What a report shows: one row, with exactly one outcome.

use crate::{Answer, Digests, Place, Source};
use std::fmt;
use std::str::FromStr;

/// A moment, in milliseconds since 1970-01-01 00:00 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub i64);

/// What became of our asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The service was asked in this sweep and answered.
    Answered,
    /// An earlier answer was fresh enough.
    Cached,
    /// Something on this machine decided: an empty file, a hash set.
    Local,
    /// Not asked yet: quota, deadline, interrupt, offline, credentials.
    Deferred,
    /// Asked, and no usable answer came.
    Failed,
    /// Not a hash.
    Invalid,
    /// Nothing to read, or not looked at.
    Skipped,
}

impl Outcome {
    /// In the order of the conservation law.
    pub const ALL: [Outcome; 7] = [
        Outcome::Answered,
        Outcome::Cached,
        Outcome::Local,
        Outcome::Deferred,
        Outcome::Failed,
        Outcome::Invalid,
        Outcome::Skipped,
    ];

    /// The word in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Answered => "answered",
            Outcome::Cached => "cached",
            Outcome::Local => "local",
            Outcome::Deferred => "deferred",
            Outcome::Failed => "failed",
            Outcome::Invalid => "invalid",
            Outcome::Skipped => "skipped",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that is no outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAnOutcome(pub String);

impl fmt::Display for NotAnOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is not an outcome", self.0)
    }
}

impl std::error::Error for NotAnOutcome {}

impl FromStr for Outcome {
    type Err = NotAnOutcome;

    fn from_str(word: &str) -> Result<Outcome, NotAnOutcome> {
        Outcome::ALL
            .into_iter()
            .find(|outcome| outcome.name() == word)
            .ok_or_else(|| NotAnOutcome(word.to_owned()))
    }
}

/// One thing the user gave, with what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which of the sweep's roots or lists, from 0.
    pub root: u32,
    /// Where in it.
    pub place: Place,
    /// Bytes read; absent where nothing was read.
    pub size: Option<u64>,
    /// Those that were computed or given.
    pub digests: Digests,
    /// What its file system said of it, where something was read.
    pub dates: Dates,
    /// Exactly one.
    pub outcome: Outcome,
    /// Why this outcome or verdict, where there is something to say.
    pub reason: Option<String>,
    /// What is known, for the outcomes `answered` and `cached`.
    pub answer: Option<Settled>,
}

/// When a file was written, changed and made, by its file system's account, and its number there. Nanoseconds since
/// 1970-01-01 UTC; absent where nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dates {
    /// The file's number on its file system.
    pub inode: Option<u64>,
    /// When its content was last changed: anybody may set it.
    pub modified_ns: Option<i64>,
    /// When it was last changed in any way, where that clock can be trusted.
    pub changed_ns: Option<i64>,
    /// When it was made.
    pub born_ns: Option<i64>,
}

/// An answer with its circumstances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// What the service said.
    pub answer: Answer,
    /// When.
    pub answered_at: Stamp,
    /// Who.
    pub source: Source,
}

/// What is said of a row, whichever it is.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// What became of it.
    pub outcome: Outcome,
    /// Why this outcome or verdict, where there is something to say.
    pub reason: Option<&'a str>,
    /// What is known.
    pub answer: Option<&'a Settled>,
}

impl Row {
    /// What is said of it.
    pub fn judged(&self) -> Judged<'_> {
        Judged { outcome: self.outcome, reason: self.reason.as_deref(), answer: self.answer.as_ref() }
    }

    /// The verdict, if anybody gave one.
    pub fn verdict(&self) -> Option<crate::Verdict> {
        self.answer.as_ref().map(|settled| settled.answer.verdict)
    }
}
