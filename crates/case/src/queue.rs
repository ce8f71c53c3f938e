//! The queue: what waits to be asked, in which order it leaves, and what comes back into it.
//!
//! The order of asking is a digest's class, then whether an earlier run put it off, then its value. It is the
//! order of an index, so a claim costs what it takes and not what waits. Which of two digests of one class was seen
//! more rarely is not looked at: that would be a count over all sightings for every claim.

use crate::codes::{class, class_code, column, count, digest, kind, kind_code};
use crate::group::{AttemptId, Freshness, Group, LATEST_ANSWER, fresh_answer};
use crate::{Case, CaseError, RunId, SweepId};
use hashsweep_model::{Batch, Class, Digest, HashKind, MAX_BATCH, Stamp};
use rusqlite::params;

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

impl Group<'_> {
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
                self.mark("asking", sweep, batch.digests())?;
                claimed.push(Claimed { attempt: self.reserve(run, batch.len(), now)?, batch });
            }
        }
        Ok(claimed)
    }

    /// The first digests of one kind in the queue.
    fn front(
        &self,
        sweep: SweepId,
        kind: HashKind,
        up_to: Class,
        most: u64,
    ) -> Result<Vec<Waiting>, CaseError> {
        let mut front = self.transaction.prepare_cached(FRONT)?;
        let mut rows = front.query(params![sweep.0, kind_code(kind), class_code(up_to), column(most)])?;
        let mut waiting = Vec::new();
        while let Some(row) = rows.next()? {
            waiting.push(Waiting {
                class: class(row.get(0)?)?,
                turn: row.get(1)?,
                digest: digest(row.get_ref(2)?.as_blob().unwrap_or_default())?,
            });
        }
        Ok(waiting)
    }

    fn mark(&self, state: &str, sweep: SweepId, digests: &[Digest]) -> Result<(), CaseError> {
        let mut update = self
            .transaction
            .prepare_cached("UPDATE want SET state = ?4 WHERE sweep = ?1 AND kind = ?2 AND digest = ?3")?;
        for digest in digests {
            update.execute(params![sweep.0, kind_code(digest.kind()), digest.as_bytes(), state])?;
        }
        Ok(())
    }

    /// Puts what an earlier run could not settle back into the queue, less what has been answered since; what was
    /// put off comes first within its class. Returns how many digests wait now.
    pub fn reopen(&mut self, sweep: SweepId, fresh: &Freshness) -> Result<u64, CaseError> {
        self.transaction.execute(
            "UPDATE want SET state = 'pending', reason = NULL,
                    turn = CASE state WHEN 'deferred' THEN 0 ELSE turn END
             WHERE sweep = ?1 AND state IN ('deferred', 'failed')",
            [sweep.0],
        )?;
        let mut pending = self
            .transaction
            .prepare("SELECT kind, digest FROM want WHERE sweep = ?1 AND state = 'pending'")?;
        let pending: Vec<(i64, Vec<u8>)> =
            pending.query_map([sweep.0], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        let mut latest = self.transaction.prepare_cached(LATEST_ANSWER)?;
        let mut settle = self.transaction.prepare_cached(
            "UPDATE want SET state = 'cached', answer = ?4 WHERE sweep = ?1 AND kind = ?2 AND digest = ?3",
        )?;
        let mut waiting = 0;
        for (kind, digest) in pending {
            match fresh_answer(&mut latest, kind, &digest, fresh)? {
                Some(id) => {
                    settle.execute(params![sweep.0, kind, digest, id])?;
                }
                None => waiting += 1,
            }
        }
        Ok(waiting)
    }

    /// Defers whatever is still in the queue, and says why.
    pub fn defer_rest(&mut self, sweep: SweepId, why: &str) -> Result<u64, CaseError> {
        let deferred = self.transaction.execute(
            "UPDATE want SET state = 'deferred', reason = ?2 WHERE sweep = ?1 AND state IN ('pending', 'asking')",
            params![sweep.0, why],
        )?;
        Ok(deferred as u64)
    }
}

impl Case {
    /// What a run would ask about a sweep's digests, in the order in which it would, and what needs no asking.
    pub fn plan(&self, sweep: SweepId) -> Result<Vec<Planned>, CaseError> {
        let mut lines = self.connection.prepare(
            "SELECT class, kind, suspicion, count(*) FILTER (WHERE state IN ('pending', 'asking', 'deferred', 'failed')),
                 count(*) FILTER (WHERE state = 'cached'), count(*) FILTER (WHERE state = 'local')
             FROM want WHERE sweep = ?1 GROUP BY class, kind, suspicion ORDER BY class, kind, suspicion",
        )?;
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
