//! The tally that proves a sweep complete: every row counted, and every distinct digest with what became of it.
//!
//! ```text
//!  rows ──one reading──► digests ──sorted──► beside `want` ──► beside the answers that counted ──► totals
//! ```
//!
//! The digests come from the rows themselves, so that one which never reached the queue shows as an imbalance. They
//! are taken in key order, in which the fates are stored and most answers were given: joined as they lie, a million
//! rows would be two million looks at random pages.

use crate::codes::{count, digest, kind_code, outcome};
use crate::joining::{took_over, walk};
use crate::ledger::Scope;
use crate::results::parse_verdict;
use crate::stretch::{Recorded, in_order};
use crate::{Case, CaseError, SweepId};
use hashsweep_model::{Digest, Outcome, Skip, Stamp, Tally};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Distinct digests in memory at once, 40 bytes each. For more, the rows are read again: half a second for a million.
const AT_ONCE: usize = 8_000_000;

impl Case {
    /// Counts a sweep.
    pub fn tally(&self, sweep: SweepId) -> Result<Tally, CaseError> {
        // One snapshot for all the counts: beside a writer they would contradict one another.
        let _snapshot = self.connection.unchecked_transaction()?;
        self.count(sweep)
    }

    /// The same, within a snapshot that is open already.
    pub(crate) fn count(&self, sweep: SweepId) -> Result<Tally, CaseError> {
        self.count_with(sweep, AT_ONCE)
    }

    fn count_with(&self, sweep: SweepId, at_once: usize) -> Result<Tally, CaseError> {
        let stored = self.sweep(Some(sweep))?;
        let mut tally = Tally {
            intake_finished: stored.intake_finished,
            excluded: stored.excluded,
            quota: self.quota(Scope::Sweep(sweep))?,
            requests: self.requests(Scope::Sweep(sweep))?,
            ..Tally::default()
        };
        let mut counting = Counting { case: self, sweep, facts: self.facts(sweep)?, fates: Vec::new() };
        let mut rows = Rows { tally: &mut tally, without_digest: BTreeMap::new() };
        let (mut offered, mut rest) = counting.offered(None, at_once, |row| rows.count(row))?;
        let without_digest = rows.without_digest;
        for ((outcome, reason), n_rows) in &without_digest {
            Counted { outcome: outcome.as_deref(), verdict: None, reason: reason.as_deref() }
                .add_to(&mut tally, *n_rows)?;
        }
        loop {
            for of_kind in offered.chunk_by(|a, b| a.digest.kind() == b.digest.kind()) {
                counting.count(of_kind, &mut tally)?;
            }
            let Some(from) = rest else { break };
            drop(offered);
            (offered, rest) = counting.offered(Some(from), at_once, |_| Ok(()))?;
        }
        counting.add_to(&mut tally)?;
        Ok(tally)
    }

    /// How many digests of a sweep have joined and are not settled.
    fn n_waiting(&self, sweep: SweepId) -> Result<u64, CaseError> {
        let sum = "SELECT (SELECT coalesce(sum(n), 0) FROM queue WHERE sweep = ?1)
            + (SELECT coalesce(sum(n), 0) FROM claim WHERE sweep = ?1)";
        Ok(count(self.connection.query_row(sum, [sweep.0], |row| row.get(0))?))
    }

    fn facts(&self, sweep: SweepId) -> Result<Facts, CaseError> {
        Ok(self.connection.query_row(
            "SELECT queued, carried_queued, coalesce(put_off, 'interrupted'), coalesce(answers, 0) > 0
             FROM sweep WHERE id = ?1",
            [sweep.0],
            |row| {
                Ok(Facts {
                    queued: row.get(0)?,
                    carried_queued: row.get(1)?,
                    put_off: row.get(2)?,
                    took_answers_over: row.get(3)?,
                })
            },
        )?)
    }
}

/// What a sweep says of all its digests at once.
struct Facts {
    /// The last row whose digest has joined the queue.
    queued: i64,
    /// Whether what it took over has, too.
    carried_queued: bool,
    /// Why what waits does.
    put_off: String,
    /// Whether an answer may have counted for what it took over.
    took_answers_over: bool,
}

/// How a digest came into the sweep. Where several rows offer it, the first of these tells.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Came {
    /// With a row that the queue has seen.
    Joined,
    /// With a row that it has not.
    Recorded,
    /// With rows of earlier sweeps alone.
    Carried,
}

/// A digest, and how many rows offer it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Offered {
    digest: Digest,
    came: Came,
    n_rows: u32,
}

/// In key order, each digest once.
fn unite(offered: &mut Vec<Offered>) {
    offered.sort_unstable();
    offered.dedup_by(|later, first| {
        let is_same = later.digest == first.digest;
        if is_same {
            first.n_rows = first.n_rows.saturating_add(later.n_rows);
        }
        is_same
    });
}

/// What is read of the rows that a sweep has of its own. The fourth column tells whether it took them over.
const OWN: &str =
    "SELECT seq, kind, CASE kind WHEN 1 THEN md5 WHEN 2 THEN sha1 WHEN 3 THEN sha256 END, 0, size,
        note IS NOT NULL, outcome, reason
    FROM sighting WHERE sweep = ?1 AND seq > ?2 ORDER BY seq";

/// The same of those that it took over, as the view `present` has them.
const CARRIED: &str =
    "SELECT seq, kind, CASE kind WHEN 1 THEN md5 WHEN 2 THEN sha1 WHEN 3 THEN sha256 END, 1, size,
        note IS NOT NULL, outcome, reason
    FROM sweep AS later
    JOIN sweep AS earlier ON earlier.series = later.series AND earlier.id < later.id
    JOIN sighting ON sighting.sweep = earlier.id
    WHERE later.id = ?1 AND later.intake_finished_at IS NOT NULL AND later.pruned_at IS NULL
        AND (until IS NULL OR until >= later.id)";

/// The lowest digests of those that are offered, as many as may be in memory.
struct Lowest {
    /// None below this one.
    from: Option<Digest>,
    /// The lowest of those that are left out.
    end: Option<Digest>,
    at_once: usize,
    offered: Vec<Offered>,
}

impl Lowest {
    fn add(&mut self, digest: Digest, came: Came) {
        if self.from.is_some_and(|from| digest < from) || self.end.is_some_and(|end| digest >= end) {
            return;
        }
        self.offered.push(Offered { digest, came, n_rows: 1 });
        if self.offered.len() == self.at_once {
            unite(&mut self.offered);
            let half = self.at_once / 2;
            if self.offered.len() > half {
                self.end = Some(self.offered[half].digest);
                self.offered.truncate(half);
            }
        }
    }
}

/// Whatever shows at the rows alone.
struct Rows<'t> {
    tally: &'t mut Tally,
    /// Rows by outcome and reason.
    without_digest: BTreeMap<(Option<String>, Option<String>), u64>,
}

impl Rows<'_> {
    fn count(&mut self, recorded: &Recorded<'_, '_>) -> Result<(), CaseError> {
        let row = match recorded {
            Recorded::Alone(row) => row,
            Recorded::Together(stretch) => {
                self.tally.rows += stretch.n_rows() as u64;
                return Ok(());
            }
        };
        self.tally.rows += 1;
        self.tally.bytes += count(row.get::<_, Option<i64>>(4)?.unwrap_or(0));
        self.tally.contradictions += u64::from(row.get::<_, bool>(5)?);
        if row.get::<_, Option<i64>>(1)?.is_none() {
            *self.without_digest.entry((row.get(6)?, row.get(7)?)).or_default() += 1;
        }
        Ok(())
    }
}

/// A count under way.
struct Counting<'c> {
    case: &'c Case,
    sweep: SweepId,
    facts: Facts,
    /// There are few different fates and many digests: counted by their words first, digests and rows.
    fates: Vec<(Fate, u64, u64)>,
}

impl Counting<'_> {
    /// Reads the rows of the sweep, hands each to `each`, and returns the digests that they offer, the lowest ones of
    /// those not below `from`, and the first that is left out.
    fn offered(
        &self,
        from: Option<Digest>,
        at_once: usize,
        mut each: impl FnMut(&Recorded<'_, '_>) -> Result<(), CaseError>,
    ) -> Result<(Vec<Offered>, Option<Digest>), CaseError> {
        let mut lowest = Lowest { from, end: None, at_once, offered: Vec::new() };
        let came = |seq: i64| if seq > self.facts.queued { Came::Recorded } else { Came::Joined };
        let mut take = |recorded: Recorded<'_, '_>| -> Result<(), CaseError> {
            each(&recorded)?;
            match recorded {
                Recorded::Alone(row) => {
                    let Some(code) = row.get::<_, Option<i64>>(1)? else { return Ok(()) };
                    let digest = digest(row.get_ref(2)?.as_blob()?)?;
                    if kind_code(digest.kind()) != code {
                        return Err(CaseError::Damaged(
                            "a digest of another kind than its row says".to_owned(),
                        ));
                    }
                    let came = if row.get(3)? { Came::Carried } else { came(row.get(0)?) };
                    lowest.add(digest, came);
                }
                Recorded::Together(stretch) => {
                    stretch.rows().for_each(|(seq, digest)| lowest.add(digest, came(seq)));
                }
            }
            Ok(())
        };
        let connection = &self.case.connection;
        in_order(connection, (self.sweep, 0), OWN, |recorded| take(recorded).map(ControlFlow::Continue))?;
        let mut carried = connection.prepare_cached(CARRIED)?;
        let mut carried = carried.query([self.sweep.0])?;
        while let Some(row) = carried.next()? {
            take(Recorded::Alone(row))?;
        }
        unite(&mut lowest.offered);
        Ok((lowest.offered, lowest.end))
    }

    /// Counts digests of one kind, in key order.
    fn count(&mut self, offered: &[Offered], tally: &mut Tally) -> Result<(), CaseError> {
        tally.distinct += offered.len() as u64;
        tally.duplicates += offered.iter().map(|offered| u64::from(offered.n_rows) - 1).sum::<u64>();
        let settled = self.count_settled(offered, tally)?;
        let left: Vec<&Offered> =
            offered.iter().zip(settled).filter(|(_, is_settled)| !is_settled).map(|(left, _)| left).collect();
        let mut counted = Vec::new();
        if self.facts.took_answers_over && left.iter().any(|left| left.came == Came::Carried) {
            counted = took_over(&self.case.connection, self.sweep, &left, |left| &left.digest)?;
        }
        let mut counted = counted.into_iter();
        for left in left {
            let answer = counted.next().flatten().filter(|answer| answer.counts);
            if let (Came::Carried, Some(answer)) = (left.came, answer) {
                see_cached(tally, Stamp(answer.at.0));
                let cached = Outcome::Cached.name();
                add(
                    &mut self.fates,
                    Counted { outcome: Some(cached), verdict: Some(answer.verdict.name()), reason: None },
                    left,
                );
                continue;
            }
            let is_owed = match left.came {
                Came::Joined => false,
                Came::Recorded => true,
                Came::Carried => !self.facts.carried_queued,
            };
            let why = self.facts.put_off.as_str();
            let outcome = is_owed.then_some(Outcome::Deferred.name());
            add(&mut self.fates, Counted { outcome, verdict: None, reason: Some(why) }, left);
        }
        Ok(())
    }

    /// Counts those with a row in `want`, and says which they are.
    fn count_settled(&mut self, offered: &[Offered], tally: &mut Tally) -> Result<Vec<bool>, CaseError> {
        let mut settled = vec![false; offered.len()];
        let wants = self.case.connection.prepare_cached(
            "SELECT want.digest, state, verdict, want.reason, CASE state WHEN 'cached' THEN answered_at END,
                 learned IS NOT NULL OR answer.run >= (SELECT min(id) FROM run WHERE run.sweep = ?1)
             FROM want LEFT JOIN answer ON answer.id = want.answer
             WHERE want.sweep = ?1 AND want.kind = ?2 AND want.digest >= ?3 ORDER BY want.digest",
        )?;
        walk(
            wants,
            self.sweep,
            offered,
            |offered| &offered.digest,
            |i, row| {
                settled[i] = true;
                let text = |i: usize| row.get_ref(i)?.as_str_or_null().map_err(rusqlite::Error::from);
                if let Some(at) = row.get::<_, Option<i64>>(4)? {
                    see_cached(tally, Stamp(at));
                    tally.learned += u64::from(row.get::<_, Option<bool>>(5)?.unwrap_or(false));
                }
                add(
                    &mut self.fates,
                    Counted { outcome: text(1)?, verdict: text(2)?, reason: text(3)? },
                    &offered[i],
                );
                Ok(())
            },
        )?;
        Ok(settled)
    }

    /// Adds the digests by what became of them, and their rows.
    fn add_to(self, tally: &mut Tally) -> Result<(), CaseError> {
        let n_waiting = self.case.n_waiting(self.sweep)?;
        for ((mut outcome_word, verdict, reason), n_digests, n_rows) in self.fates {
            // What has no fate waits, and then the queue and the claims hold as many. Else some were lost.
            if outcome_word.is_none() && n_digests == n_waiting {
                outcome_word = Some(Outcome::Deferred.name().to_owned());
            }
            if let Some(word) = &outcome_word {
                *tally.digests.entry(outcome(word)?).or_default() += n_digests;
            }
            Counted {
                outcome: outcome_word.as_deref(),
                verdict: verdict.as_deref(),
                reason: reason.as_deref(),
            }
            .add_to(tally, n_rows)?;
        }
        Ok(())
    }
}

fn add(fates: &mut Vec<(Fate, u64, u64)>, fate: Counted<'_>, offered: &Offered) {
    let n_rows = u64::from(offered.n_rows);
    match fates.iter_mut().find(|(known, ..)| fate.is(known)) {
        Some((_, digests, rows)) => {
            *digests += 1;
            *rows += n_rows;
        }
        None => fates.push((fate.to_owned(), 1, n_rows)),
    }
}

/// An answer of before counts.
fn see_cached(tally: &mut Tally, at: Stamp) {
    tally.oldest_cached = Some(tally.oldest_cached.map_or(at, |oldest| oldest.min(at)));
}

/// Outcome, verdict and reason.
type Fate = (Option<String>, Option<String>, Option<String>);

/// What became of some rows, in the words of the case.
struct Counted<'row> {
    outcome: Option<&'row str>,
    verdict: Option<&'row str>,
    reason: Option<&'row str>,
}

impl Counted<'_> {
    fn is(&self, fate: &Fate) -> bool {
        self.outcome == fate.0.as_deref()
            && self.verdict == fate.1.as_deref()
            && self.reason == fate.2.as_deref()
    }

    fn to_owned(&self) -> Fate {
        (self.outcome.map(str::to_owned), self.verdict.map(str::to_owned), self.reason.map(str::to_owned))
    }

    /// A row without an outcome is not counted anywhere, and so shows as an imbalance. The reason of an answer is
    /// not counted either: its verdict is.
    fn add_to(&self, tally: &mut Tally, n_rows: u64) -> Result<(), CaseError> {
        let Some(word) = self.outcome else { return Ok(()) };
        let outcome = outcome(word)?;
        *tally.outcomes.entry(outcome).or_default() += n_rows;
        if let Some(verdict) = self.verdict {
            *tally.verdicts.entry(parse_verdict(verdict)?).or_default() += n_rows;
            return Ok(());
        }
        let Some(reason) = self.reason.map(str::to_owned) else { return Ok(()) };
        match outcome {
            Outcome::Skipped => {
                let reason = reason.parse::<Skip>().map_or(reason, |skip| skip.kind.to_string());
                *tally.skipped.entry(reason).or_default() += n_rows;
            }
            Outcome::Answered
            | Outcome::Cached
            | Outcome::Local
            | Outcome::Deferred
            | Outcome::Failed
            | Outcome::Invalid => *tally.reasons.entry((outcome, reason)).or_default() += n_rows,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Freshness, NewRoot, NewSweep};
    use hashsweep_model::{Digests, Place, Seen, Sighting};
    use proptest::prelude::*;

    fn row(nth: u64, digest: Option<Digest>) -> Sighting {
        let seen = match digest {
            Some(digest) => Seen::Listed { digests: Digests::default().with(digest), asked: digest.kind() },
            None => Seen::Skipped(Skip::new(hashsweep_model::SkipKind::Vanished)),
        };
        Sighting { root: 0, place: Place::Line(nth), seen }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn the_count_does_not_depend_on_how_many_digests_are_in_memory(
            rows in prop::collection::vec((prop::option::of((0u8..3, 0u8..30)), 1u8..60), 0..20),
            n_joined in 0usize..300,
            at_once in 2usize..12,
        ) {
            let directory = tempfile::tempdir().unwrap();
            let mut case = Case::open(&directory.path().join("case.db")).unwrap();
            let digest = |(kind, value): (u8, u8)| Digest::from_bytes(&vec![value; [16, 20, 32][usize::from(kind)]]);
            // Runs of one kind, so that there are stretches.
            let rows: Vec<_> = rows.iter().flat_map(|(of, n)| {
                (0..*n).map(|nth| of.map(|(kind, value)| (kind, (value + nth) % 30)))
            }).collect();
            let n_distinct =
                rows.iter().flatten().collect::<std::collections::BTreeSet<_>>().len() as u64;
            let rows: Vec<Sighting> =
                (1..).zip(&rows).map(|(nth, of)| row(nth, of.and_then(digest))).collect();
            let new = NewSweep {
                command: "list".to_owned(),
                settings: String::new(),
                roots: vec![NewRoot { given: b"list".to_vec(), opened: "/list".into() }],
            };
            let sweep = case
                .group(|group| {
                    let sweep = group.begin_sweep(&new, Stamp(0))?;
                    let (joined, recorded) = rows.split_at(n_joined.min(rows.len()));
                    group.store(sweep, joined)?;
                    group.enqueue(sweep, &Freshness::NOTHING)?;
                    group.store(sweep, recorded)?;
                    Ok::<_, CaseError>(sweep)
                })
                .unwrap();
            let whole = case.tally(sweep).unwrap();
            prop_assert_eq!(whole.check(), Ok(()));
            prop_assert_eq!((whole.rows, whole.distinct), (rows.len() as u64, n_distinct));
            prop_assert_eq!(case.count_with(sweep, at_once).unwrap(), whole);
        }
    }
}
