//! What a difference is, and why something cannot be compared.

use hashsweep_model::{Row, Verdict};
use std::borrow::Cow;

/// What happened to a path between two sweeps. Every path of either sweep is the same, a file of our own, or exactly
/// one of these; a path that moved from and one that moved to are one difference together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// The same path and content, and another verdict.
    Flipped,
    /// Only the new sweep has it, and the old one looked.
    New,
    /// The same path, another content.
    Changed,
    /// The same content at another path.
    Moved,
    /// The same path and content, and a verdict where there was none.
    Judged,
    /// It cannot be told: one of the sweeps did not look, or has no answer.
    Unseen,
    /// Only the old sweep has it, and the new one looked.
    Gone,
}

impl Change {
    /// In the order in which people want to know.
    pub const ALL: [Change; 7] = [
        Change::Flipped,
        Change::New,
        Change::Changed,
        Change::Moved,
        Change::Judged,
        Change::Unseen,
        Change::Gone,
    ];

    /// The word in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Change::Flipped => "flipped",
            Change::New => "new",
            Change::Changed => "changed",
            Change::Moved => "moved",
            Change::Judged => "judged",
            Change::Unseen => "unseen",
            Change::Gone => "gone",
        }
    }

    /// Whether what stands there now was not there, or not known to be so, before. A file that moved counts: malware
    /// that is deleted in one place and dropped in another looks just like it.
    pub const fn is_something_new(self) -> bool {
        match self {
            Change::Flipped | Change::New | Change::Changed | Change::Moved | Change::Judged => true,
            Change::Unseen | Change::Gone => false,
        }
    }
}

/// One of the two sweeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Which {
    /// The one that is held against.
    Old,
    /// The one that is asked about.
    New,
}

impl Which {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Which::Old => "old",
            Which::New => "new",
        }
    }
}

/// Why a path cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// The sweep has a row for it and could not look; with the row's reason.
    NotLookedAt(Which, String),
    /// The sweep could not look at something above it: a directory or a root, with the row's reason.
    Below(Which, Vec<u8>, String),
    /// It is below no root of the sweep.
    Outside(Which),
    /// The sweep's intake did not reach its end.
    Unfinished(Which),
    /// The sweep's filters may have left it out.
    LeftOut(Which),
    /// Nothing at all was below its root in the new sweep: a share that is not mounted looks like this.
    EmptyRoot,
    /// The sweeps recorded different kinds of digests.
    NoCommonDigest,
    /// The content is the same, and there was a verdict; now there is none.
    NoVerdictNow,
}

impl Unseen {
    /// The word in counts.
    pub const fn name(&self) -> &'static str {
        match self {
            Unseen::NotLookedAt(..) => "not looked at",
            Unseen::Below(..) => "below what was not looked at",
            Unseen::Outside(_) => "outside the roots",
            Unseen::Unfinished(_) => "intake unfinished",
            Unseen::LeftOut(_) => "left out by filters",
            Unseen::EmptyRoot => "empty root",
            Unseen::NoCommonDigest => "no common digest",
            Unseen::NoVerdictNow => "no verdict now",
        }
    }

    /// The words of the `note` column.
    fn sentence(&self) -> String {
        match self {
            Unseen::NotLookedAt(which, reason) => {
                format!("not looked at in the {} sweep: {reason}", which.name())
            }
            Unseen::Below(which, above, reason) => {
                let above = crate::safe::text(above);
                format!("below {above}, which the {} sweep did not look at: {reason}", which.name())
            }
            Unseen::Outside(which) => format!("outside the roots of the {} sweep", which.name()),
            Unseen::Unfinished(which) => format!("the {} sweep did not reach its end", which.name()),
            Unseen::LeftOut(which) => {
                format!("the filters of the {} sweep may have left it out", which.name())
            }
            Unseen::EmptyRoot => {
                "nothing at all was below its root in the new sweep: is it mounted?".to_owned()
            }
            Unseen::NoCommonDigest => "the sweeps have no kind of digest in common".to_owned(),
            Unseen::NoVerdictNow => "no verdict in the new sweep".to_owned(),
        }
    }
}

/// What else there is to say of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Nothing.
    None,
    /// Why it cannot be compared.
    Unseen(Unseen),
    /// Words of ours, perhaps with parts of file names in them.
    Words(String),
}

impl Note {
    pub(super) fn words(words: &str) -> Note {
        if words.is_empty() { Note::None } else { Note::Words(words.to_owned()) }
    }

    /// The text of the `note` column; empty where there is nothing to say.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Note::None => Cow::Borrowed(""),
            Note::Unseen(why) => Cow::Owned(why.sentence()),
            Note::Words(words) => Cow::Borrowed(words),
        }
    }
}

/// One difference, as a row shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What happened.
    pub change: Change,
    /// As the new sweep has it, or the old one where only that one does.
    pub row: Row,
    /// Whether the row is the old sweep's: then its verdict is none of today.
    pub only_before: bool,
    /// Where it was, for what moved.
    pub from: Option<Vec<u8>>,
    /// What the old sweep knew of it.
    pub verdict_before: Option<Verdict>,
    /// More words.
    pub note: Note,
}

impl Difference {
    /// What is known of it now.
    pub fn verdict(&self) -> Option<Verdict> {
        if self.only_before { None } else { self.row.verdict() }
    }

    pub(super) fn of(change: Change, row: Row, verdict_before: Option<Verdict>, note: Note) -> Difference {
        Difference { change, row, only_before: false, from: None, verdict_before, note }
    }

    /// Something that cannot be compared, as the new sweep has it.
    pub(super) fn unseen(row: Row, verdict_before: Option<Verdict>, why: Unseen) -> Difference {
        Difference::of(Change::Unseen, row, verdict_before, Note::Unseen(why))
    }

    /// Something that only the old sweep has, and the new one may have missed.
    pub(super) fn unseen_since(row: Row, why: Unseen) -> Difference {
        Difference { change: Change::Unseen, note: Note::Unseen(why), ..Difference::gone(row) }
    }

    pub(super) fn gone(row: Row) -> Difference {
        let verdict_before = row.verdict();
        Difference { only_before: true, ..Difference::of(Change::Gone, row, verdict_before, Note::None) }
    }
}
