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
    /// How its files were hashed over time.
    pub hashing: Hashing,
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

/// Hashing over time: legs between two moments at which somebody wrote down how far it was.
#[derive(Clone, Debug, Default)]
pub struct Hashing {
    legs: Vec<Leg>,
}

#[derive(Clone, Copy, Debug)]
struct Leg {
    from: i64,
    to: i64,
    n_files: u64,
    n_bytes: u64,
}

/// What was hashed within one slot, as far as it can be told: a leg is taken to have gone at one speed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Hashed {
    pub(crate) n_files: f64,
    pub(crate) n_bytes: f64,
}

impl Hashing {
    /// Adds what was hashed between two moments. A clock that was set back tells nothing of a speed, and is left out.
    pub fn add(&mut self, from: Stamp, to: Stamp, n_files: u64, n_bytes: u64) {
        if to > from {
            self.legs.push(Leg { from: from.0, to: to.0, n_files, n_bytes });
        }
    }

    pub(crate) fn n_legs(&self) -> usize {
        self.legs.len()
    }

    /// The first moment and the last.
    pub(crate) fn span(&self) -> Option<(Stamp, Stamp)> {
        let from = self.legs.iter().map(|leg| leg.from).min()?;
        let to = self.legs.iter().map(|leg| leg.to).max()?;
        Some((Stamp(from), Stamp(to)))
    }

    /// As many slots of equal length as a page has room for, and the milliseconds of one.
    pub(crate) fn slots(&self) -> (Vec<Hashed>, f64) {
        let Some((Stamp(first), Stamp(last))) = self.span() else { return (Vec::new(), 0.0) };
        let mut slots = vec![Hashed::default(); MAX_SLOTS];
        let slot = real(last.saturating_sub(first)) / real_len(MAX_SLOTS);
        for leg in &self.legs {
            let (from, to) = (real(leg.from.saturating_sub(first)), real(leg.to.saturating_sub(first)));
            for (nth, hashed) in slots.iter_mut().enumerate() {
                let begin = real_len(nth) * slot;
                let share = ((begin + slot).min(to) - begin.max(from)).max(0.0) / (to - from);
                hashed.n_files += count(leg.n_files) * share;
                hashed.n_bytes += count(leg.n_bytes) * share;
            }
        }
        (slots, slot)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a place in a figure")]
fn real(millis: i64) -> f64 {
    millis as f64
}

#[expect(clippy::cast_precision_loss, reason = "at most MAX_SLOTS")]
fn real_len(n: usize) -> f64 {
    n as f64
}

#[expect(clippy::cast_precision_loss, reason = "three digits of it are shown")]
fn count(n: u64) -> f64 {
    n as f64
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
    fn hashing_is_spread_over_its_legs_and_nothing_is_lost() {
        let mut hashing = Hashing::default();
        hashing.add(Stamp(1_000), Stamp(2_000), 10, 1_000);
        hashing.add(Stamp(2_000), Stamp(2_000), 7, 7);
        hashing.add(Stamp(3_000), Stamp(4_000), 30, 3_000);
        let (slots, slot) = hashing.slots();
        assert_eq!((slots.len(), hashing.span()), (MAX_SLOTS, Some((Stamp(1_000), Stamp(4_000)))));
        assert!((slot - 31.25).abs() < 1e-9);
        let sum = |of: fn(&Hashed) -> f64, slots: &[Hashed]| slots.iter().map(of).sum::<f64>();
        assert!((sum(|slot| slot.n_files, &slots) - 40.0).abs() < 1e-9);
        let thirds: Vec<f64> = slots.chunks(32).map(|third| sum(|slot| slot.n_bytes, third)).collect();
        assert!((thirds[0] - 1_000.0).abs() < 1e-6 && thirds[1].abs() < 1e-6, "{thirds:?}");
        assert!((thirds[2] - 3_000.0).abs() < 1e-6, "{thirds:?}");
        assert!(Hashing::default().slots().0.is_empty());
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
