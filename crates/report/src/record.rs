//! What is on record about a sweep beside its rows and their count: who ran it, when, over what, and how its
//! requests went. It knows moments and bytes; where the record is kept is not its business.

use crate::What;
use hashsweep_model::{Quota, Stamp};

/// A sweep's own history.
#[derive(Clone, Debug)]
pub struct Record {
    /// What the rows are.
    pub what: What,
    /// `scan` or `list`.
    pub command: String,
    /// Its number within the case.
    pub sweep: i64,
    /// What the user pointed at, as typed.
    pub roots: Vec<Vec<u8>>,
    /// Who was asked, if anybody ever was.
    pub service: Option<String>,
    /// Whether the answers are the simulator's.
    pub simulated: bool,
    /// When it began.
    pub started_at: Stamp,
    /// When everything had been read; `None` if that never came.
    pub intake_finished_at: Option<Stamp>,
    /// The processes that worked on it, oldest first.
    pub runs: Vec<Run>,
    /// What its requests brought and cost over time.
    pub progress: Progress,
    /// What to type to finish it.
    pub next_step: String,
    /// The case's own name, without its directory: a case that is moved still gives the same report.
    pub case_name: Vec<u8>,
}

/// One process at work on a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its number within the case.
    pub number: i64,
    /// When it began.
    pub started_at: Stamp,
    /// When it ended; `None` if it was killed, or is still at work.
    pub ended_at: Option<Stamp>,
    /// What it was allowed to spend, in hashes of quota.
    pub budget: Option<u64>,
}

impl Record {
    /// The last moment on record.
    pub(crate) fn ended_at(&self) -> Option<Stamp> {
        self.runs.iter().filter_map(|run| run.ended_at).max()
    }

    /// What all runs together were allowed to spend, if every one of them was bounded.
    pub(crate) fn budget(&self) -> Option<u64> {
        let budgets: Option<Vec<u64>> = self.runs.iter().map(|run| run.budget).collect();
        budgets.filter(|budgets| !budgets.is_empty()).map(|budgets| budgets.iter().sum())
    }
}

/// Slots of a [`Progress`]: as many bars as a page has room for.
const MAX_SLOTS: usize = 96;

/// Requests over time, in slots of equal length. The slots grow with the time that is covered, so memory does not.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    first: i64,
    /// Milliseconds of one slot.
    pub(crate) slot: i64,
    pub(crate) slots: Vec<Slot>,
}

/// What was settled within one slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) n_answered: u64,
    pub(crate) quota: Quota,
}

impl Progress {
    /// Adds a request. They come in the order in which they were settled.
    pub fn add(&mut self, settled_at: Stamp, n_answered: u64, quota: Quota) {
        if self.slots.is_empty() {
            self.first = settled_at.0;
            // A hundredth of a second: no run is worth a finer look.
            self.slot = 10;
        }
        let since = settled_at.0.saturating_sub(self.first).max(0);
        while usize::try_from(since / self.slot).map_or(true, |slot| slot >= MAX_SLOTS) {
            self.slots = self
                .slots
                .chunks(2)
                .map(|pair| pair.iter().copied().fold(Slot::default(), Slot::plus))
                .collect();
            self.slot *= 2;
        }
        let at = usize::try_from(since / self.slot).expect("it is below MAX_SLOTS");
        if self.slots.len() <= at {
            self.slots.resize(at + 1, Slot::default());
        }
        self.slots[at] = self.slots[at].plus(Slot { n_answered, quota });
    }

    /// The first moment of the first slot and the last of the last.
    pub(crate) fn span(&self) -> (Stamp, Stamp) {
        let n_slots = i64::try_from(self.slots.len()).expect("at most MAX_SLOTS");
        (Stamp(self.first), Stamp(self.first.saturating_add(n_slots.saturating_mul(self.slot))))
    }
}

impl Slot {
    fn plus(self, other: Slot) -> Slot {
        Slot {
            n_answered: self.n_answered + other.n_answered,
            quota: Quota {
                charged_max: self.quota.charged_max + other.quota.charged_max,
                charged_min: self.quota.charged_min + other.quota.charged_min,
                in_doubt: self.quota.in_doubt + other.quota.in_doubt,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_grow_with_the_time_they_cover_and_lose_nothing() {
        let mut progress = Progress::default();
        for at in 0..50_000_i64 {
            progress.add(Stamp(1_000_000 + at * 7), 3, Quota { charged_max: 2, ..Quota::default() });
        }
        assert!((MAX_SLOTS / 2..=MAX_SLOTS).contains(&progress.slots.len()));
        assert_eq!(progress.slots.iter().map(|slot| slot.n_answered).sum::<u64>(), 150_000);
        assert_eq!(progress.slots.iter().map(|slot| slot.quota.charged_max).sum::<u64>(), 100_000);
        let (first, last) = progress.span();
        assert!(first == Stamp(1_000_000) && last.0 >= 1_000_000 + 49_999 * 7);
    }

    #[test]
    fn a_clock_that_was_set_back_or_far_ahead_costs_nothing_but_its_slot() {
        let mut progress = Progress::default();
        for at in [500, 0, i64::MAX] {
            progress.add(Stamp(at), 1, Quota::default());
        }
        assert_eq!(progress.slots.iter().map(|slot| slot.n_answered).sum::<u64>(), 3);
    }
}
