//! The count that proves nothing was lost.

use crate::{Outcome, Quota, Skip, Stamp, Verdict};
use std::collections::BTreeMap;
use std::fmt;

/// The totals of one sweep, read back from the case, never summed up along the way: what the case cannot show
/// did not happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows the intake recorded.
    pub rows: u64,
    /// Rows by outcome; a row without one is in none of them.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Rows by verdict.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// `skipped` rows by reason, the details dropped.
    pub skipped: BTreeMap<String, u64>,
    /// `deferred`, `failed`, `invalid` and `local` rows by reason.
    pub reasons: BTreeMap<(Outcome, String), u64>,
    /// Rows with a digest that an earlier row of the sweep had already brought.
    pub duplicates: u64,
    /// Distinct digests the rows offered.
    pub distinct: u64,
    /// Distinct digests by what became of them.
    pub digests: BTreeMap<Outcome, u64>,
    /// Those of the `cached` ones whose answer came after the sweep had begun, without its asking: for another digest of
    /// the same file, or to another process.
    pub learned: u64,
    /// When the oldest answer that counts as `cached` was given.
    pub oldest_cached: Option<Stamp>,
    /// Entries that the user's own filters left out; they are no rows.
    pub excluded: u64,
    /// Rows that contradict an earlier one of the very same file.
    pub contradictions: u64,
    /// Bytes in the rows that have a digest: by each of a file's names, and whether or not a run had to read them.
    pub bytes: u64,
    /// Requests that left.
    pub requests: u64,
    /// What they cost.
    pub quota: Quota,
    /// Whether the intake reached its end.
    pub intake_finished: bool,
}

/// A sum that does not add up: a bug of ours, said aloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imbalance(pub String);

impl fmt::Display for Imbalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the books do not balance: {}", self.0)
    }
}

impl std::error::Error for Imbalance {}

impl Tally {
    /// Rows with this outcome.
    pub fn rows_of(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or(0)
    }

    /// Distinct digests with this outcome.
    pub fn digests_of(&self, outcome: Outcome) -> u64 {
        self.digests.get(&outcome).copied().unwrap_or(0)
    }

    /// Rows with this verdict.
    pub fn rows_with(&self, verdict: Verdict) -> u64 {
        self.verdicts.get(&verdict).copied().unwrap_or(0)
    }

    /// Distinct digests that this sweep asked about: answered, failed, or refused as invalid by the service.
    pub fn asked(&self) -> u64 {
        self.digests_of(Outcome::Answered)
            + self.digests_of(Outcome::Failed)
            + self.digests_of(Outcome::Invalid)
    }

    /// `skipped` rows that nobody looked at, by reason; a reason this version does not know counts as one.
    pub fn not_looked_at(&self) -> impl Iterator<Item = (&str, u64)> {
        self.skipped
            .iter()
            .filter(|(reason, _)| reason.parse::<Skip>().map_or(true, |skip| skip.kind.is_not_looked_at()))
            .map(|(reason, n)| (reason.as_str(), *n))
    }

    /// Whether everything that the user gave was looked at, asked and answered.
    pub fn is_complete(&self) -> bool {
        !self.owes_something() && self.not_looked_at().next().is_none()
    }

    /// Whether a resume has anything to do: rows to take in, or digests to ask about. What could not be looked at is
    /// missing as well, but not to be had by asking.
    pub fn owes_something(&self) -> bool {
        !self.intake_finished || self.rows_of(Outcome::Deferred) + self.rows_of(Outcome::Failed) > 0
    }

    /// The conservation law: every row has exactly one outcome, and so has every distinct digest.
    pub fn check(&self) -> Result<(), Imbalance> {
        let settled: u64 = self.outcomes.values().sum();
        if settled != self.rows {
            return Err(Imbalance(format!("{} rows in, {settled} with an outcome", self.rows)));
        }
        let accounted: u64 = self.digests.values().sum();
        if accounted != self.distinct {
            return Err(Imbalance(format!(
                "{} distinct digests offered, {accounted} accounted for",
                self.distinct
            )));
        }
        if self.learned > self.digests_of(Outcome::Cached) {
            return Err(Imbalance(format!(
                "{} digests learned, {} cached in all",
                self.learned,
                self.digests_of(Outcome::Cached)
            )));
        }
        let skipped: u64 = self.skipped.values().sum();
        if skipped != self.rows_of(Outcome::Skipped) {
            return Err(Imbalance(format!(
                "{} rows skipped, {skipped} with a reason",
                self.rows_of(Outcome::Skipped)
            )));
        }
        let judged: u64 = self.verdicts.values().sum();
        let answered = self.rows_of(Outcome::Answered) + self.rows_of(Outcome::Cached);
        if judged != answered {
            return Err(Imbalance(format!("{answered} rows answered or cached, {judged} with a verdict")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally() -> Tally {
        Tally {
            rows: 5,
            outcomes: [(Outcome::Answered, 3), (Outcome::Local, 1), (Outcome::Skipped, 1)].into(),
            verdicts: [(Verdict::Malicious, 1), (Verdict::Known, 2)].into(),
            skipped: [("fifo".to_owned(), 1)].into(),
            distinct: 3,
            digests: [(Outcome::Answered, 2), (Outcome::Local, 1)].into(),
            intake_finished: true,
            ..Tally::default()
        }
    }

    #[test]
    fn a_whole_sweep_balances_and_is_complete() {
        assert_eq!(tally().check(), Ok(()));
        assert!(tally().is_complete());
        assert_eq!(tally().asked(), 2);
    }

    #[test]
    fn a_lost_row_digest_reason_or_verdict_is_said() {
        let broken = |spoil: fn(&mut Tally)| {
            let mut tally = tally();
            spoil(&mut tally);
            tally.check().unwrap_err().to_string()
        };
        assert!(broken(|t| t.rows += 1).contains("6 rows in, 5 with an outcome"));
        assert!(broken(|t| t.distinct += 1).contains("4 distinct digests offered, 3 accounted for"));
        assert!(broken(|t| t.learned = 1).contains("1 digests learned, 0 cached in all"));
        assert!(broken(|t| t.skipped.clear()).contains("1 rows skipped, 0 with a reason"));
        assert!(broken(|t| t.verdicts.clear()).contains("3 rows answered or cached, 0 with a verdict"));
    }

    #[test]
    fn only_what_nobody_looked_at_makes_a_sweep_incomplete() {
        let with = |reason: &str| {
            let mut tally = tally();
            tally.skipped = [(reason.to_owned(), 1)].into();
            tally.is_complete()
        };
        assert!(with("socket"));
        assert!(!with("unreadable"));
        assert!(!tally().owes_something(), "what cannot be read is nothing to resume");
        assert!(!with("a reason from a newer version"));
        let mut deferred = tally();
        deferred.outcomes.insert(Outcome::Deferred, 1);
        assert!(!deferred.is_complete());
        assert!(deferred.owes_something());
    }
}
