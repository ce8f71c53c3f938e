//! What happens to a case while a run is at work: rows come in, attempts are booked, answers are settled; what
//! leaves the queue in between is `queue`'s. All of it set by set, in key order, inside one transaction.

use crate::codes::{class_code, column, kind_code};
use crate::{CaseError, RunId, SweepId};
use hashsweep_model::{
    Answer, Class, Digest, Digests, HashKind, Outcome, Place, Quota, Seen, Sighting, Source, Stamp,
    Suspicion, Verdict,
};
use rusqlite::{OptionalExtension, Statement, Transaction, params};

/// One open transaction. Dropping it without [`Case::group`](crate::Case::group)'s commit undoes it.
#[derive(Debug)]
pub struct Group<'case> {
    pub(crate) transaction: Transaction<'case>,
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

/// The oldest answer that still counts, per verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// In the order of [`Verdict`].
    since: [Stamp; 4],
}

impl Freshness {
    /// No earlier answer counts.
    pub const NOTHING: Freshness = Freshness { since: [Stamp(i64::MAX); 4] };

    /// Answers with this verdict count from this moment on.
    pub fn accept_since(&mut self, verdict: Verdict, moment: Stamp) {
        self.since[verdict as usize] = moment;
    }

    fn accepts(&self, verdict: &str, answered_at: Stamp) -> bool {
        verdict.parse::<Verdict>().is_ok_and(|verdict| answered_at >= self.since[verdict as usize])
    }
}

/// A digest that a row brings.
struct Offer {
    digest: Digest,
    class: Class,
    suspicion: Option<Suspicion>,
}

impl Offer {
    fn of(row: &Sighting) -> Option<Offer> {
        match &row.seen {
            Seen::Read { digests, asked, suspicion, .. } => Some(Offer {
                digest: digests.get(*asked)?,
                class: suspicion.class(),
                suspicion: Some(*suspicion),
            }),
            // There is no file to judge by. One class for all, and the first, because there is nothing to wait for.
            Seen::Listed { digests, asked } => {
                Some(Offer { digest: digests.get(*asked)?, class: Class::First, suspicion: None })
            }
            Seen::Invalid(_) | Seen::Skipped(_) => None,
        }
    }
}

impl Group<'_> {
    /// Takes rows in: each is stored, each new distinct digest joins the queue unless something on this machine
    /// already answers it. A digest that was there before keeps its class, or takes a better one. Returns how many
    /// digests joined the queue.
    pub fn record(&mut self, sweep: SweepId, rows: &[Sighting], fresh: &Freshness) -> Result<u64, CaseError> {
        let mut offered = self.store(sweep, rows)?;
        // The best class of a digest first, so that the others are the doubles.
        offered.sort_unstable_by_key(|offer| (offer.digest, offer.class));
        offered.dedup_by_key(|offer| offer.digest);
        let mut insert = self.transaction.prepare_cached(
            "INSERT OR IGNORE INTO want (sweep, kind, digest, state, class, suspicion, reason, answer)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        let mut raise = self.transaction.prepare_cached(
            "UPDATE want SET class = ?4, suspicion = ?5 WHERE sweep = ?1 AND kind = ?2 AND digest = ?3",
        )?;
        let mut known = self.transaction.prepare_cached(LATEST_ANSWER)?;
        let mut class_of = self
            .transaction
            .prepare_cached("SELECT class FROM want WHERE sweep = ?1 AND kind = ?2 AND digest = ?3")?;
        let mut joined = 0;
        for Offer { digest, class, suspicion } in offered {
            let (kind, bytes, class) = (kind_code(digest.kind()), digest.as_bytes(), class_code(class));
            let suspicion = suspicion.map(|suspicion| suspicion.to_string());
            let before: Option<i64> =
                class_of.query_row(params![sweep.0, kind, bytes], |row| row.get(0)).optional()?;
            if let Some(before) = before {
                if class < before {
                    raise.execute(params![sweep.0, kind, bytes, class, suspicion])?;
                }
                continue;
            }
            let (state, reason, answer) = if digest.is_of_empty_input() {
                (Outcome::Local.name(), Some("empty file"), None)
            } else {
                let cached = fresh_answer(&mut known, kind, bytes, fresh)?;
                if cached.is_some() {
                    (Outcome::Cached.name(), None, cached)
                } else {
                    joined += 1;
                    ("pending", None, None)
                }
            };
            insert.execute(params![sweep.0, kind, bytes, state, class, suspicion, reason, answer])?;
        }
        Ok(joined)
    }

    /// Stores the rows and returns what they offer.
    fn store(&mut self, sweep: SweepId, rows: &[Sighting]) -> Result<Vec<Offer>, CaseError> {
        let mut seq: i64 = self
            .transaction
            .prepare_cached("SELECT coalesce(max(seq), 0) FROM sighting WHERE sweep = ?1")?
            .query_row([sweep.0], |row| row.get(0))?;
        let mut insert = self.transaction.prepare_cached(
            "INSERT INTO sighting (sweep, seq, root, path, line, size, md5, sha1, sha256, kind, outcome, reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?;
        let mut offered = Vec::with_capacity(rows.len());
        for row in rows {
            seq += 1;
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
            let bytes = |kind| digests.get(kind).map(|digest| digest.as_bytes().to_vec());
            insert.execute(params![
                sweep.0,
                seq,
                row.root,
                path,
                line,
                size,
                bytes(HashKind::Md5),
                bytes(HashKind::Sha1),
                bytes(HashKind::Sha256),
                asked.map(kind_code),
                outcome.as_ref().map(|(outcome, _)| outcome.name()),
                outcome.as_ref().map(|(_, reason)| reason),
            ])?;
            offered.extend(Offer::of(row));
        }
        Ok(offered)
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
        let mut update = self.transaction.prepare_cached(
            "UPDATE want SET state = ?4, reason = ?5, answer = ?6, attempt = ?7
             WHERE sweep = ?1 AND kind = ?2 AND digest = ?3",
        )?;
        for (digest, fate) in fates {
            let (outcome, reason, answer) = match fate {
                Fate::Answered(answer) => {
                    (Outcome::Answered, None, Some(append(&self.transaction, run, answer, source, now)?))
                }
                Fate::Failed(why) => (Outcome::Failed, Some(why), None),
                Fate::Invalid(why) => (Outcome::Invalid, Some(why), None),
                Fate::Deferred(why) => (Outcome::Deferred, Some(why), None),
            };
            update.execute(params![
                sweep.0,
                kind_code(digest.kind()),
                digest.as_bytes(),
                outcome.name(),
                reason,
                answer,
                attempt.0
            ])?;
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

pub(crate) const LATEST_ANSWER: &str =
    "SELECT id, verdict, answered_at FROM answer WHERE kind = ?1 AND digest = ?2
                             ORDER BY answered_at DESC, id DESC LIMIT 1";

/// The answer that a digest's latest one is, if it still counts. `latest` is [`LATEST_ANSWER`], prepared.
pub(crate) fn fresh_answer(
    latest: &mut Statement<'_>,
    kind: i64,
    digest: &[u8],
    fresh: &Freshness,
) -> Result<Option<i64>, CaseError> {
    let found = latest
        .query_row(params![kind, digest], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, Stamp(row.get(2)?)))
        })
        .optional()?;
    Ok(found.filter(|(_, verdict, at)| fresh.accepts(verdict, *at)).map(|(id, ..)| id))
}

fn append(
    transaction: &Transaction<'_>,
    run: RunId,
    answer: &Answer,
    source: Source,
    now: Stamp,
) -> Result<i64, CaseError> {
    let sample = |kind| answer.sample.get(kind).map(|digest| digest.as_bytes().to_vec());
    transaction
        .prepare_cached(
            "INSERT INTO answer (kind, digest, answered_at, run, source, verdict, reason, threat_name,
                 threat_level, trust_factor, scanner_match, scanner_count, first_seen, last_seen, md5, sha1, sha256)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        )?
        .execute(params![
            kind_code(answer.digest.kind()),
            answer.digest.as_bytes(),
            now.0,
            run.0,
            source.name(),
            answer.verdict.name(),
            answer.reason,
            answer.threat_name,
            answer.threat_level,
            answer.trust_factor,
            answer.scanner_match,
            answer.scanner_count,
            answer.first_seen,
            answer.last_seen,
            sample(HashKind::Md5),
            sample(HashKind::Sha1),
            sample(HashKind::Sha256),
        ])?;
    Ok(transaction.last_insert_rowid())
}
