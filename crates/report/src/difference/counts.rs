//! How many differences of which kind there are, and the sum that proves that no path was lost between two sweeps.

use super::{Change, Difference, Note};
use hashsweep_model::{Outcome, Row, Source, Verdict};
use std::collections::BTreeMap;

/// What a comparison came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Differences by what happened and by the verdict now.
    pub changes: BTreeMap<(Change, Option<Verdict>), u64>,
    /// Why paths could not be compared.
    pub unseen: BTreeMap<&'static str, u64>,
    /// Paths with the same content, or as little of it, and the same verdict on both sides.
    pub same: u64,
    /// Files of ours (a case, an output), which are not compared.
    pub own: u64,
    /// Distinct paths of both sweeps together.
    pub places: u64,
    /// Moves that could have been paired otherwise: several paths of one content went or came.
    pub ambiguous: u64,
    /// Contents that the new sweep has no verdict for although it wanted one, `unseen` ones aside. Among them may be
    /// anything.
    pub without_verdict: u64,
    /// Whether an answer came from a simulator.
    pub simulated: bool,
}

impl Counts {
    /// How many differences of this kind there are. One move is one difference and two paths.
    pub fn of(&self, change: Change) -> u64 {
        self.changes.iter().filter(|((of, _), _)| *of == change).map(|(_, n)| n).sum()
    }

    /// How many paths hold something new with this verdict.
    pub fn new_with(&self, verdict: Verdict) -> u64 {
        self.changes
            .iter()
            .filter(|((change, now), _)| change.is_something_new() && *now == Some(verdict))
            .map(|(_, n)| n)
            .sum()
    }

    /// How many differences there are, `unseen` aside.
    pub fn n_differences(&self) -> u64 {
        Change::ALL.into_iter().filter(|change| *change != Change::Unseen).map(|change| self.of(change)).sum()
    }

    /// Whether every path could be compared, and everything that the new sweep read has a verdict.
    pub fn is_whole(&self) -> bool {
        self.of(Change::Unseen) == 0 && self.without_verdict == 0
    }

    /// Whether every path of both sweeps ended in exactly one class.
    pub fn is_balanced(&self) -> bool {
        let differences: u64 = self.changes.values().sum();
        self.places == differences + self.of(Change::Moved) + self.same + self.own
    }

    pub(super) fn add(&mut self, difference: &Difference) {
        *self.changes.entry((difference.change, difference.verdict())).or_default() += 1;
        match &difference.note {
            Note::Unseen(why) => *self.unseen.entry(why.name()).or_default() += 1,
            Note::None | Note::Words(_) if difference.only_before => {}
            Note::None | Note::Words(_) => self.expect_verdict(&difference.row),
        }
        self.simulated |= is_simulated(&difference.row);
    }

    /// Looks at a row of the new sweep that could be compared.
    pub(super) fn expect_verdict(&mut self, row: &Row) {
        let is_owed = matches!(row.outcome, Outcome::Deferred | Outcome::Failed);
        self.without_verdict += u64::from(is_owed && row.verdict().is_none());
        self.simulated |= is_simulated(row);
    }
}

fn is_simulated(row: &Row) -> bool {
    row.answer.as_ref().is_some_and(|settled| settled.source == Source::Simulator)
}
