//! What happens to a case while a run is at work: rows come in, attempts are booked, answers are settled; what
//! leaves the queue in between is `queue`'s. All of it set by set, in key order, inside one transaction.

use crate::codes::{class_code, column, kind_code};
use crate::others::Others;
use crate::queue::Hand;
use crate::session::Session;
use crate::standing::CONTRADICTION;
use crate::sweeps::Maker;
use crate::{CaseError, RunId, SweepId, stretch};
use hashsweep_model::{
    Answer, Class, Digest, Digests, Outcome, Place, Quota, Seen, Sighting, Source, Stamp, Verdict,
};
use rusqlite::{CachedStatement, Transaction, params};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// One open transaction. Dropping it without [`Case::group`](crate::Case::group)'s commit undoes it.
#[derive(Debug)]
pub struct Group<'case> {
    pub(crate) transaction: Transaction<'case>,
    pub(crate) hand: &'case mut Hand,
    pub(crate) others: &'case mut Others,
    pub(crate) maker: &'case Maker,
    /// Absent where nobody writes.
    pub(crate) session: Option<&'case Session>,
}

/// Names an attempt within its case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(pub(crate) i64);

/// What became of one digest of a settled attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "almost every fate is an answer")]
pub enum Fate {
    /// The service said something.
    Answered(Answer),
    /// No usable answer, and why.
    Failed(String),
    /// Not a hash, by the service's word.
    Invalid(String),
    /// Not asked after all, and why.
    Deferred(String),
}

/// Which earlier answers still count, per verdict: those given between two moments. There is a latest one because a
/// clock may have been set back since: an answer from far in the future would stay young for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// In the order of [`Verdict`].
    since: [Stamp; 4],
    until: [Stamp; 4],
}

impl Freshness {
    /// No earlier answer counts.
    pub const NOTHING: Freshness = Freshness { since: [Stamp(i64::MAX); 4], until: [Stamp(i64::MAX); 4] };

    /// Every earlier answer counts, however old.
    pub const ANYTHING: Freshness = Freshness { since: [Stamp(i64::MIN); 4], until: [Stamp(i64::MAX); 4] };

    /// Answers with this verdict count if they were given between these moments, both included.
    pub fn accept(&mut self, verdict: Verdict, between: RangeInclusive<Stamp>) {
        (self.since[verdict as usize], self.until[verdict as usize]) = between.into_inner();
    }

    /// The same, and besides whatever was said since a moment.
    pub(crate) fn or_since(&self, moment: Stamp) -> Freshness {
        Freshness { since: self.since.map(|since| since.min(moment)), until: [Stamp(i64::MAX); 4] }
    }

    /// The oldest and the latest moment that count for an answer with this verdict.
    pub fn between(&self, verdict: Verdict) -> RangeInclusive<Stamp> {
        self.since[verdict as usize]..=self.until[verdict as usize]
    }
}

impl Group<'_> {
    /// Takes rows in: each is stored, and each new distinct digest joins the queue unless something on this machine
    /// already answers it. A digest that was there before keeps its class, or takes a better one.
    ///
    /// Rows are stored at once; their digests join later, many rows' at a time, or when this is told to
    /// [`catch_up`](Self::catch_up). Returns how many digests joined now.
    pub fn record(&mut self, sweep: SweepId, rows: &[Sighting], fresh: &Freshness) -> Result<u64, CaseError> {
        let last = self.store(sweep, rows)?;
        self.enqueue_if_due(sweep, last, fresh)
    }

    /// Stores the rows and returns the number of the last.
    pub(crate) fn store(&mut self, sweep: SweepId, rows: &[Sighting]) -> Result<i64, CaseError> {
        let mut seq = stretch::last_row(&self.transaction, sweep)?;
        if seq.checked_add(column(rows.len() as u64)).is_none() {
            return Err(CaseError::Damaged("a row with a number that none comes after".to_owned()));
        }
        for (rows, is_stretch) in stretch::apart(rows) {
            if is_stretch {
                stretch::store(&self.transaction, (sweep, seq + 1), rows)?;
            } else {
                self.store_alone((sweep, seq), rows)?;
            }
            seq += column(rows.len() as u64);
        }
        Ok(seq)
    }

    /// Stores rows behind the one numbered `seq`, each by itself.
    fn store_alone(&self, (sweep, mut seq): (SweepId, i64), rows: &[Sighting]) -> Result<(), CaseError> {
        let mut insert_listed = self.transaction.prepare_cached(
            "INSERT INTO sighting (sweep, seq, root, line, md5, sha1, sha256, kind, class)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        let mut insert = self.transaction.prepare_cached(
            "INSERT INTO sighting (sweep, seq, root, path, line, size, md5, sha1, sha256, kind, class, suspicion,
                 outcome, reason, device, inode, modified_ns, changed_ns, born_ns, note)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
        )?;
        for row in rows {
            seq += 1;
            // There is no file to judge by. One class for all, and the first: there is nothing to wait for.
            if let Sighting { root, place: Place::Line(line), seen: Seen::Listed { digests, asked } } = row {
                let Digests { md5, sha1, sha256 } = digests;
                insert_listed.execute(params![
                    sweep.0,
                    seq,
                    root,
                    column(*line),
                    md5.as_ref().map(Digest::as_bytes),
                    sha1.as_ref().map(Digest::as_bytes),
                    sha256.as_ref().map(Digest::as_bytes),
                    kind_code(*asked),
                    class_code(Class::First),
                ])?;
                continue;
            }
            let (path, line) = match &row.place {
                Place::Path(path) => (Some(path.as_slice()), None),
                Place::Line(line) => (None, Some(column(*line))),
            };
            let (size, digests, asked, outcome) = match &row.seen {
                Seen::Read { size, digests, asked, .. } => {
                    (Some(column(*size)), *digests, Some(*asked), None)
                }
                Seen::Listed { digests, asked } => (None, *digests, Some(*asked), None),
                Seen::Invalid(why) => {
                    (None, Digests::default(), None, Some((Outcome::Invalid, why.to_string())))
                }
                Seen::Skipped(skip) => {
                    (None, Digests::default(), None, Some((Outcome::Skipped, skip.to_string())))
                }
            };
            let (class, suspicion) = match &row.seen {
                Seen::Read { suspicion, .. } => (Some(suspicion.class()), Some(suspicion.to_string())),
                Seen::Listed { .. } => (Some(Class::First), None),
                Seen::Invalid(_) | Seen::Skipped(_) => (None, None),
            };
            let (trace, contradicts) = match &row.seen {
                Seen::Read { trace, contradicts, .. } => (trace.as_ref(), *contradicts),
                Seen::Listed { .. } | Seen::Invalid(_) | Seen::Skipped(_) => (None, false),
            };
            let bytes = [digests.md5, digests.sha1, digests.sha256];
            let bytes = bytes.each_ref().map(|digest| digest.as_ref().map(Digest::as_bytes));
            insert.execute(params![
                sweep.0,
                seq,
                row.root,
                path,
                line,
                size,
                bytes[0],
                bytes[1],
                bytes[2],
                asked.map(kind_code),
                class.map(class_code),
                suspicion,
                outcome.as_ref().map(|(outcome, _)| outcome.name()),
                outcome.as_ref().map(|(_, reason)| reason),
                trace.map(|trace| trace.device.cast_signed()),
                trace.map(|trace| trace.inode.cast_signed()),
                trace.map(|trace| trace.modified_ns),
                trace.filter(|trace| trace.is_trusted).map(|trace| trace.changed_ns),
                trace.and_then(|trace| trace.born_ns),
                contradicts.then_some(CONTRADICTION),
            ])?;
        }
        Ok(())
    }

    /// Books one more attempt for a batch that is claimed already.
    pub fn reserve(&mut self, run: RunId, n_hashes: usize, now: Stamp) -> Result<AttemptId, CaseError> {
        self.transaction
            .prepare_cached("INSERT INTO attempt (run, n_hashes, reserved_at) VALUES (?1, ?2, ?3)")?
            .execute(params![run.0, column(n_hashes as u64), now.0])?;
        Ok(AttemptId(self.transaction.last_insert_rowid()))
    }

    /// Books an attempt at another product than file reputation: quota is counted by product.
    pub fn reserve_for(
        &mut self,
        product: &str,
        run: RunId,
        n_hashes: usize,
        now: Stamp,
    ) -> Result<AttemptId, CaseError> {
        let attempt = self.reserve(run, n_hashes, now)?;
        self.transaction
            .execute("UPDATE attempt SET product = ?2 WHERE id = ?1", params![attempt.0, product])?;
        Ok(attempt)
    }

    /// Says that the attempt's first byte may leave from now on.
    pub fn mark_sent(&mut self, attempt: AttemptId, now: Stamp) -> Result<(), CaseError> {
        self.transaction
            .prepare_cached("UPDATE attempt SET sent_at = ?2 WHERE id = ?1")?
            .execute(params![attempt.0, now.0])?;
        Ok(())
    }

    /// Says that a marked attempt never left after all, and cost nothing.
    pub fn unsend(&mut self, attempt: AttemptId, now: Stamp) -> Result<(), CaseError> {
        self.transaction
            .prepare_cached(
                "UPDATE attempt SET sent_at = NULL, settled_at = ?2, ended = 'not sent' WHERE id = ?1",
            )?
            .execute(params![attempt.0, now.0])?;
        Ok(())
    }

    /// Books how an attempt ended and what it cost.
    pub fn book(
        &mut self,
        attempt: AttemptId,
        ended: &str,
        quota: Quota,
        now: Stamp,
    ) -> Result<(), CaseError> {
        self.transaction
            .prepare_cached(
                "UPDATE attempt SET settled_at = ?2, ended = ?3, charged_max = ?4, charged_min = ?5, in_doubt = ?6
                 WHERE id = ?1",
            )?
            .execute(params![
                attempt.0,
                now.0,
                ended,
                column(quota.charged_max),
                column(quota.charged_min),
                column(quota.in_doubt)
            ])?;
        Ok(())
    }

    /// Settles digests: each leaves the queue with its fate, for good as far as this run is concerned.
    pub fn settle(
        &mut self,
        (sweep, run): (SweepId, RunId),
        attempt: AttemptId,
        fates: &[(Digest, Fate)],
        source: Source,
        now: Stamp,
    ) -> Result<(), CaseError> {
        let mut settle = self.transaction.prepare_cached(
            "INSERT INTO want (sweep, kind, digest, state, class, reason, answer, attempt)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT DO UPDATE SET state = ?4, reason = ?6, answer = ?7, attempt = ?8",
        )?;
        let mut claims = BTreeSet::new();
        let mut answers = Answers::new(&self.transaction, run, source, now)?;
        for (digest, fate) in fates {
            let (outcome, reason, answer) = match fate {
                Fate::Answered(answer) => (Outcome::Answered, None, Some(answers.append(answer)?)),
                Fate::Failed(why) => (Outcome::Failed, Some(why), None),
                Fate::Invalid(why) => (Outcome::Invalid, Some(why), None),
                Fate::Deferred(why) => (Outcome::Deferred, Some(why), None),
            };
            let held = self.hand.put_down(sweep, *digest);
            claims.extend(held.map(|held| held.claim));
            settle.execute(params![
                sweep.0,
                kind_code(digest.kind()),
                digest.as_bytes(),
                outcome.name(),
                class_code(held.map_or(Class::Last, |held| held.rank.class)),
                reason,
                answer,
                attempt.0
            ])?;
        }
        for claim in claims {
            self.amend(claim, |claimed| claimed.retain(|(_, digest)| self.hand.holds(sweep, digest)))?;
        }
        Ok(())
    }

    /// Remembers that this service says UNKNOWN aloud, so that from now on an absent hash is a fault.
    pub fn remember_unknowns_are_reported(&mut self) -> Result<(), CaseError> {
        self.transaction
            .execute("INSERT OR REPLACE INTO meta VALUES ('unknowns_are_reported', 'yes')", [])?;
        Ok(())
    }
}

impl crate::Case {
    /// Whether this service has ever said UNKNOWN aloud.
    pub fn unknowns_are_reported(&self) -> Result<bool, CaseError> {
        Ok(self.meta("unknowns_are_reported")?.is_some())
    }
}

/// Answers on their way into the case. Their numbers are given out here, so that nobody has to ask for them.
struct Answers<'group> {
    insert: CachedStatement<'group>,
    last_id: i64,
    run: RunId,
    source: Source,
    now: Stamp,
}

impl<'group> Answers<'group> {
    fn new(
        transaction: &'group Transaction<'_>,
        run: RunId,
        source: Source,
        now: Stamp,
    ) -> Result<Answers<'group>, CaseError> {
        let last_id = transaction
            .prepare_cached("SELECT coalesce(max(id), 0) FROM answer")?
            .query_row([], |row| row.get(0))?;
        let insert = transaction.prepare_cached(
            "INSERT INTO answer (id, kind, digest, answered_at, run, source, verdict, reason, threat_name,
                 threat_level, trust_factor, scanner_match, scanner_count, first_seen, last_seen, md5, sha1, sha256)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
        )?;
        Ok(Answers { insert, last_id, run, source, now })
    }

    fn append(&mut self, answer: &Answer) -> Result<i64, CaseError> {
        self.last_id += 1;
        let sample = [answer.sample.md5, answer.sample.sha1, answer.sample.sha256];
        let sample = sample.each_ref().map(|digest| digest.as_ref().map(Digest::as_bytes));
        self.insert.execute(params![
            self.last_id,
            kind_code(answer.digest.kind()),
            answer.digest.as_bytes(),
            self.now.0,
            self.run.0,
            self.source.name(),
            answer.verdict.name(),
            answer.reason,
            answer.threat_name,
            answer.threat_level,
            answer.trust_factor,
            answer.scanner_match,
            answer.scanner_count,
            answer.first_seen,
            answer.last_seen,
            sample[0],
            sample[1],
            sample[2],
        ])?;
        Ok(self.last_id)
    }
}
