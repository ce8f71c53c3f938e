//! The queue: what waits to be asked, in which order it leaves, and what comes back into it.
//!
//! The order of asking is a digest's class, then whether an earlier run put it off, then its value. It is the
//! order of an index, so a claim costs what it takes and not what waits. Which of two digests of one class was seen
//! more rarely is not looked at: that would be a count over all sightings for every claim.

use crate::codes::{class, class_code, column, count, digest, kind, kind_code};
use crate::group::{AttemptId, Freshness, Group};
use crate::{Case, CaseError, Joined, RunId, SweepId};
use hashsweep_model::{Batch, Class, Digest, HashKind, MAX_BATCH, Stamp, Verdict};
use rusqlite::params;
use std::collections::HashSet;

/// What is to be taken out of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Batches at most.
    pub n_batches: usize,
    /// Digests in a full one.
    pub batch_size: usize,
    /// Whether a batch may be taken that is not full.
    pub also_partial: bool,
    /// Digests at most, in all batches together: what is left of a budget. When the queue holds that many and no
    /// more batches would fit into it, nothing is gained by waiting for fuller ones: the budget goes to the best
    /// digests, and their batches are taken even if they are not full.
    pub most_digests: u64,
    /// Digests of this class and of better ones. Within it a full batch mixes classes.
    pub up_to: Class,
}

/// A batch that is ours to ask, with its reservation in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The reservation.
    pub attempt: AttemptId,
    /// What to ask.
    pub batch: Batch,
}

/// Some digests of a sweep that are asked together, and why: one line of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When they are asked.
    pub class: Class,
    /// The kind they are asked by.
    pub kind: HashKind,
    /// Why in this class; `None` for rows of a list.
    pub suspicion: Option<String>,
    /// Distinct digests that a run would ask: those in the queue, and those that an earlier run could not settle.
    pub to_ask: u64,
    /// Distinct digests that an earlier answer is fresh enough for.
    pub cached: u64,
    /// Distinct digests that this machine decided.
    pub local: u64,
}

/// A digest at its place in the queue.
#[derive(Clone, Copy)]
struct Waiting {
    class: Class,
    turn: i64,
    digest: Digest,
}

/// What the process at work knows of the queue beside the case: which digests it has claimed and not settled. They
/// stay pending in the case, so that a kill needs no repair and a claim writes nothing but its reservation. One
/// process writes a case at a time, so nobody else has to know.
#[derive(Debug, Default)]
pub(crate) struct Hand {
    held: HashSet<(SweepId, Digest)>,
    /// What the open group has taken up (`true`) and put down, for when it is undone.
    moves: Vec<(bool, (SweepId, Digest))>,
    /// About how many digests wait; only decides when many are made to join at once.
    waiting: u64,
    waiting_before: u64,
}

impl Hand {
    pub(crate) fn begin(&mut self) {
        self.moves.clear();
        self.waiting_before = self.waiting;
    }

    /// The group has come to nothing, and so have its claims and settlements.
    pub(crate) fn undo(&mut self) {
        self.waiting = self.waiting_before;
        for (taken, key) in std::mem::take(&mut self.moves).into_iter().rev() {
            if taken {
                self.held.remove(&key);
            } else {
                self.held.insert(key);
            }
        }
    }

    fn take(&mut self, sweep: SweepId, digest: Digest) {
        let key = (sweep, digest);
        if self.held.insert(key) {
            self.moves.push((true, key));
            self.waiting = self.waiting.saturating_sub(1);
        }
    }

    pub(crate) fn put_down(&mut self, sweep: SweepId, digest: Digest) {
        let key = (sweep, digest);
        if self.held.remove(&key) {
            self.moves.push((false, key));
        }
    }

    pub(crate) fn put_all_down(&mut self) {
        self.moves.extend(self.held.drain().map(|key| (false, key)));
    }
}

/// As long as fewer wait, new digests join at once: whoever asks must not run dry.
const ENOUGH_WAIT: u64 = 20_000;

/// Rows whose digests join together, at most. Digests come in any order, so each joining touches pages all over the
/// queue, however few they are: see docs/adr/0007. Joining this many takes about a second.
const JOIN_AT_MOST: u64 = 400_000;

impl Group<'_> {
    /// Lets the digests of recorded rows join the queue, if it pays already.
    pub(crate) fn enqueue_if_due(
        &mut self,
        sweep: SweepId,
        last_row: i64,
        fresh: &Freshness,
    ) -> Result<u64, CaseError> {
        let queued = self.queued(sweep)?;
        let n_rows = count(last_row - queued);
        let waiting = self.hand.waiting;
        if waiting < ENOUGH_WAIT || n_rows >= (waiting / 4).clamp(ENOUGH_WAIT, JOIN_AT_MOST) {
            self.enqueue(sweep, fresh)
        } else {
            Ok(0)
        }
    }

    /// The last row of the sweep whose digest has joined.
    fn queued(&self, sweep: SweepId) -> Result<i64, CaseError> {
        let mut queued = self.transaction.prepare_cached("SELECT queued FROM sweep WHERE id = ?1")?;
        Ok(queued.query_row([sweep.0], |row| row.get(0))?)
    }

    /// Lets the digests of all recorded rows join the queue. Returns how many did.
    pub(crate) fn enqueue(&mut self, sweep: SweepId, fresh: &Freshness) -> Result<u64, CaseError> {
        let queued = self.queued(sweep)?;
        let mut joined = if self.others_may_have_answered(sweep)? {
            self.insert_unknown(sweep, queued, fresh)?
        } else {
            let mut insert = self.transaction.prepare_cached(&format!(
                "INSERT OR IGNORE INTO want (sweep, kind, digest, state, class)
                 SELECT ?1, kind, digest, 'pending', class FROM ({OFFERED})"
            ))?;
            insert.execute(params![sweep.0, queued])? as u64
        };
        let mut local = self.transaction.prepare_cached(
            "UPDATE want SET state = 'local', reason = 'empty file'
             WHERE sweep = ?1 AND kind = ?2 AND digest = ?3 AND state = 'pending'",
        )?;
        for kind in HashKind::ALL {
            let empty = kind.empty_input();
            joined -= local.execute(params![sweep.0, kind_code(kind), empty.as_bytes()])? as u64;
        }
        self.raise(sweep, queued)?;
        self.transaction
            .prepare_cached(
                "UPDATE sweep SET queued = (SELECT coalesce(max(seq), 0) FROM sighting WHERE sweep = ?1) WHERE id = ?1",
            )?
            .execute([sweep.0])?;
        self.hand.waiting += joined;
        Ok(joined)
    }

    /// Lets new digests join, those with an earlier answer that still counts as `cached`. Returns how many are not.
    fn insert_unknown(&self, sweep: SweepId, queued: i64, fresh: &Freshness) -> Result<u64, CaseError> {
        let mut insert = self.transaction.prepare_cached(&format!(
            "WITH offered AS MATERIALIZED (SELECT *, {KNOWN} AS known FROM ({OFFERED}) AS offer)
             INSERT OR IGNORE INTO want (sweep, kind, digest, state, class, answer)
             SELECT ?1, kind, digest, CASE WHEN known IS NULL THEN 'pending' ELSE 'cached' END, class, known
             FROM offered WHERE true RETURNING state = 'pending'"
        ))?;
        let [malicious, suspicious, unknown, known] = since(fresh);
        let mut rows = insert.query(params![sweep.0, queued, malicious, suspicious, unknown, known])?;
        let mut n_pending = 0;
        while let Some(row) = rows.next()? {
            n_pending += count(row.get(0)?);
        }
        Ok(n_pending)
    }

    /// Raises digests that were there before to the class of a more suspicious sighting.
    fn raise(&self, sweep: SweepId, queued: i64) -> Result<(), CaseError> {
        let mut files = self.transaction.prepare_cached(
            "SELECT 1 FROM sighting WHERE sweep = ?1 AND seq > ?2 AND suspicion IS NOT NULL LIMIT 1",
        )?;
        if files.exists(params![sweep.0, queued])? {
            let mut raise = self.transaction.prepare_cached(&format!(
                "UPDATE want SET class = offer.class FROM ({OFFERED}) AS offer
                 WHERE want.sweep = ?1 AND want.kind = offer.kind AND want.digest = offer.digest
                     AND offer.class < want.class"
            ))?;
            raise.execute(params![sweep.0, queued])?;
        }
        Ok(())
    }

    /// Lets the digests of the rows that a sweep took over join the queue, unless the sweep wants them already, an answer
    /// counted for them as it took them over, or this machine decides them. Returns how many did.
    ///
    /// Those with an answer get no `want`: what counts for them can be told from the answers and the sweep, so that a
    /// sweep over unchanged files writes nothing for them.
    ///
    /// When nobody is asked, only what this machine decides joins; the sweep says for all the others why they wait.
    pub fn want_carried(
        &mut self,
        sweep: SweepId,
        fresh: &Freshness,
        asks: bool,
    ) -> Result<Joined, CaseError> {
        self.settle_carried_empty(sweep)?;
        if !asks {
            return Ok(Joined(0));
        }
        let mut insert = self.transaction.prepare_cached(&format!(
            "WITH offered AS MATERIALIZED (SELECT *, {COUNTED} AS counted, {KNOWN} AS known FROM ({CARRIED}) AS offer)
             INSERT OR IGNORE INTO want (sweep, kind, digest, state, class, answer)
             SELECT ?1, kind, digest, CASE WHEN known IS NULL THEN 'pending' ELSE 'cached' END, class, known
             FROM offered WHERE counted IS NULL RETURNING state = 'pending'"
        ))?;
        let [malicious, suspicious, unknown, known] = since(fresh);
        let mut rows = insert.query(params![sweep.0, None::<i64>, malicious, suspicious, unknown, known])?;
        let mut n_pending = 0;
        while let Some(row) = rows.next()? {
            n_pending += count(row.get(0)?);
        }
        self.hand.waiting += n_pending;
        Ok(Joined(n_pending))
    }

    /// Settles the digests of an empty file, which this machine decides.
    fn settle_carried_empty(&mut self, sweep: SweepId) -> Result<(), CaseError> {
        let mut insert = self.transaction.prepare_cached(&format!(
            "INSERT OR IGNORE INTO want (sweep, kind, digest, state, class, reason)
             SELECT ?1, kind, digest, 'local', class, 'empty file' FROM ({CARRIED}) WHERE kind = ?2 AND digest = ?3"
        ))?;
        for kind in HashKind::ALL {
            insert.execute(params![sweep.0, kind_code(kind), kind.empty_input().as_bytes()])?;
        }
        Ok(())
    }

    /// Whether an answer may be there for a digest that this sweep has not asked about.
    fn others_may_have_answered(&self, sweep: SweepId) -> Result<bool, CaseError> {
        let mut others = self.transaction.prepare_cached("SELECT 1 FROM sweep WHERE id <> ?1 LIMIT 1")?;
        Ok(others.exists([sweep.0])?)
    }

    /// Takes batches out of the queue, best class first, each with its reservation.
    pub fn claim(
        &mut self,
        (sweep, run): (SweepId, RunId),
        claim: Claim,
        now: Stamp,
    ) -> Result<Vec<Claimed>, CaseError> {
        let batch_size = claim.batch_size.clamp(1, MAX_BATCH);
        let most = claim.n_batches.saturating_mul(batch_size) as u64;
        let mut waiting = Vec::new();
        for kind in HashKind::ALL {
            waiting.extend(self.front(sweep, kind, claim.up_to, most.min(claim.most_digests))?);
        }
        // Stable: within a class and a turn the kinds stay one behind the other, each in the order of its digests.
        waiting.sort_by_key(|waiting| (waiting.class, waiting.turn));
        let budget = usize::try_from(claim.most_digests).unwrap_or(usize::MAX);
        let is_budget_spent = claim.most_digests < most && waiting.len() >= budget;
        waiting.truncate(budget);
        let mut claimed = Vec::new();
        for batch in batches(&waiting, batch_size) {
            if claimed.len() < claim.n_batches
                && (batch.len() == batch_size || claim.also_partial || is_budget_spent)
            {
                for digest in batch.digests() {
                    self.hand.take(sweep, *digest);
                }
                claimed.push(Claimed { attempt: self.reserve(run, batch.len(), now)?, batch });
            }
        }
        Ok(claimed)
    }

    /// The first digests of one kind in the queue that nobody holds.
    fn front(
        &self,
        sweep: SweepId,
        kind: HashKind,
        up_to: Class,
        most: u64,
    ) -> Result<Vec<Waiting>, CaseError> {
        let mut front = self.transaction.prepare_cached(FRONT)?;
        // What is held stands at the front as well, so that this many are read in vain at most.
        let limit = column(most.saturating_add(self.hand.held.len() as u64));
        let mut rows = front.query(params![sweep.0, kind_code(kind), class_code(up_to), limit])?;
        let mut waiting = Vec::new();
        while (waiting.len() as u64) < most
            && let Some(row) = rows.next()?
        {
            let digest = digest(row.get_ref(2)?.as_blob().unwrap_or_default())?;
            if !self.hand.held.contains(&(sweep, digest)) {
                waiting.push(Waiting { class: class(row.get(0)?)?, turn: row.get(1)?, digest });
            }
        }
        Ok(waiting)
    }

    /// Puts what an earlier run could not settle back into the queue, less what has been answered since; what was
    /// put off comes first within its class. Returns how many digests wait now.
    pub fn reopen(&mut self, sweep: SweepId, fresh: &Freshness) -> Result<u64, CaseError> {
        self.enqueue(sweep, fresh)?;
        self.transaction.execute("UPDATE sweep SET put_off = NULL WHERE id = ?1", [sweep.0])?;
        self.transaction.execute(
            "UPDATE want SET state = 'pending', reason = NULL,
                    turn = CASE state WHEN 'deferred' THEN 0 ELSE turn END
             WHERE sweep = ?1 AND state IN ('deferred', 'failed')",
            [sweep.0],
        )?;
        if self.others_may_have_answered(sweep)? {
            let [a, b, c, d] = since(fresh);
            self.transaction.execute(
                &format!(
                    "UPDATE want SET state = 'cached', answer = learned.known
                     FROM (SELECT kind, digest, {KNOWN} AS known FROM want AS offer
                           WHERE sweep = ?1 AND state = 'pending' AND ?2 IS NULL) AS learned
                     WHERE learned.known IS NOT NULL
                         AND want.sweep = ?1 AND want.kind = learned.kind AND want.digest = learned.digest"
                ),
                params![sweep.0, None::<i64>, a, b, c, d],
            )?;
        }
        let waiting = self.transaction.query_row(
            "SELECT count(*) FROM want WHERE sweep = ?1 AND state = 'pending'",
            [sweep.0],
            |row| row.get(0),
        )?;
        self.hand.waiting = count(waiting);
        Ok(count(waiting))
    }

    /// Defers whatever is still in the queue or on its way there, less what an earlier answer is fresh enough for,
    /// and says why: a run that ends early still tells what this case knows of every row that it has seen.
    pub fn defer_rest(&mut self, sweep: SweepId, why: &str, fresh: &Freshness) -> Result<u64, CaseError> {
        self.enqueue(sweep, fresh)?;
        let deferred = self.transaction.execute(
            "UPDATE want SET state = 'deferred', reason = ?2 WHERE sweep = ?1 AND state = 'pending'",
            params![sweep.0, why],
        )?;
        self.transaction.execute("UPDATE sweep SET put_off = ?2 WHERE id = ?1", params![sweep.0, why])?;
        self.hand.put_all_down();
        self.hand.waiting = 0;
        Ok(deferred as u64)
    }
}

/// What rows offer that have not joined yet, each digest once with the best of their classes, in key order.
/// ?1 is the sweep, ?2 its last row that has joined.
const OFFERED: &str = "SELECT kind, CASE kind WHEN 1 THEN md5 WHEN 2 THEN sha1 ELSE sha256 END AS digest,
        min(class) AS class
    FROM sighting WHERE sweep = ?1 AND seq > ?2 AND kind IS NOT NULL GROUP BY 1, 2";

/// The answer that the digest of `offer` has, if its latest one still counts. ?3 to ?6 are [`since`].
const KNOWN: &str = "(SELECT CASE WHEN answered_at >= CASE verdict
            WHEN 'malicious' THEN ?3 WHEN 'suspicious' THEN ?4 WHEN 'unknown' THEN ?5 WHEN 'known' THEN ?6 END
        THEN id END
    FROM answer WHERE answer.kind = offer.kind AND answer.digest = offer.digest
    ORDER BY answered_at DESC, id DESC LIMIT 1)";

/// What the rows that a sweep took over offer, each digest once. ?1 is the sweep.
const CARRIED: &str = "SELECT kind, CASE kind WHEN 1 THEN md5 WHEN 2 THEN sha1 ELSE sha256 END AS digest,
        min(class) AS class
    FROM sweep AS later
    JOIN sweep AS earlier ON earlier.series = later.series AND earlier.id < later.id
    JOIN sighting AS s ON s.sweep = earlier.id
    WHERE later.id = ?1 AND later.answers IS NOT NULL AND (s.until IS NULL OR s.until >= later.id)
        AND kind IS NOT NULL
    GROUP BY 1, 2";

/// The answer that counted for the digest of `offer` when the sweep ?1 took it over.
pub(crate) const COUNTED: &str = "(SELECT CASE WHEN answered_at >= CASE verdict
            WHEN 'malicious' THEN sweep.malicious_since WHEN 'suspicious' THEN sweep.suspicious_since
            WHEN 'unknown' THEN sweep.unknown_since ELSE sweep.known_since END
        THEN answer.id END
    FROM answer JOIN sweep ON sweep.id = ?1 AND answer.id <= sweep.answers
    WHERE answer.kind = offer.kind AND answer.digest = offer.digest
    ORDER BY answered_at DESC, answer.id DESC LIMIT 1)";

fn since(fresh: &Freshness) -> [i64; 4] {
    Verdict::WORST_FIRST.map(|verdict| fresh.since(verdict).0)
}

impl Case {
    /// What a run would ask about a sweep's digests, in the order in which it would, and what needs no asking.
    pub fn plan(&self, sweep: SweepId) -> Result<Vec<Planned>, CaseError> {
        let mut lines = self.connection.prepare(&format!(
            "SELECT offer.class, offer.kind, offer.suspicion,
                 count(*) FILTER (WHERE state IS NULL AND (NOT carried OR counted IS NULL)
                     OR state IN ('pending', 'deferred', 'failed')),
                 count(*) FILTER (WHERE state = 'cached' OR state IS NULL AND carried AND counted IS NOT NULL),
                 count(*) FILTER (WHERE state = 'local')
             FROM (SELECT *, CASE WHEN carried THEN {COUNTED} END AS counted
                   FROM (SELECT kind, CASE kind WHEN 1 THEN md5 WHEN 2 THEN sha1 ELSE sha256 END AS digest,
                             min(class) AS class, suspicion, sum(NOT carried) = 0 AS carried
                         FROM present WHERE sweep = ?1 AND kind IS NOT NULL GROUP BY 1, 2) AS offer) AS offer
             LEFT JOIN want ON want.sweep = ?1 AND want.kind = offer.kind AND want.digest = offer.digest
             GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        ))?;
        let mut rows = lines.query([sweep.0])?;
        let mut plan = Vec::new();
        while let Some(row) = rows.next()? {
            plan.push(Planned {
                class: class(row.get(0)?)?,
                kind: kind(row.get(1)?)?,
                suspicion: row.get(2)?,
                to_ask: count(row.get(3)?),
                cached: count(row.get(4)?),
                local: count(row.get(5)?),
            });
        }
        plan.retain(|line| line.to_ask + line.cached + line.local > 0);
        Ok(plan)
    }
}

/// The order of asking. The columns behind the kind are those of the index, in its order.
const FRONT: &str = "SELECT class, turn, digest FROM want
    WHERE sweep = ?1 AND state = 'pending' AND kind = ?2 AND class <= ?3
    ORDER BY class, turn, digest LIMIT ?4";

/// Batches of one kind each, out of digests in the order of asking: first those whose first digest comes first, and
/// of those that begin alike the ones with less of a worse class in them.
fn batches(waiting: &[Waiting], size: usize) -> Vec<Batch> {
    let mut batches = Vec::new();
    for kind in HashKind::ALL {
        let one_kind: Vec<&Waiting> = waiting.iter().filter(|one| one.digest.kind() == kind).collect();
        for chunk in one_kind.chunks(size) {
            let rank = |one: &Waiting| (one.class, one.turn);
            let key = (chunk.first().map(|one| rank(one)), chunk.last().map(|one| rank(one)));
            batches.push((key, chunk.iter().map(|one| one.digest).collect()));
        }
    }
    batches.sort_by_key(|(key, _)| *key);
    batches
        .into_iter()
        .map(|(_, digests)| {
            Batch::new(digests).expect("distinct digests of one kind, no more than a batch takes")
        })
        .collect()
}
