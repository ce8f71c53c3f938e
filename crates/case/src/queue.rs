//! The queue: what waits to be asked, in which order it leaves, and what comes back into it.
//!
//! The order of asking is a digest's class, then whether an earlier run put it off, then about its value: blocks leave
//! in the order of their first digests. Which of two digests of one class was seen more rarely is not looked at: that
//! would be a count over all sightings for every claim.

use crate::bridge::Learned;
use crate::codes::{class, count, kind};
use crate::group::{AttemptId, Freshness, Group};
use crate::joining::COUNTED;
use crate::waiting::{Block, Rank};
use crate::{Case, CaseError, RunId, SweepId};
use hashsweep_model::{Batch, Class, Digest, HashKind, MAX_BATCH, Outcome, Stamp};
use rusqlite::params;
use std::collections::{BTreeMap, HashMap};

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

/// What the process at work knows of the queue beside the case: which of its claims each digest belongs to that it has
/// not settled.
#[derive(Debug, Default)]
pub(crate) struct Hand {
    held: HashMap<(SweepId, Digest), Held>,
    /// What each digest was before that the open group has taken up or put down, for when it is undone.
    moves: Vec<((SweepId, Digest), Option<Held>)>,
    /// About how many digests wait; only decides when many are made to join at once.
    pub(crate) waiting: u64,
    waiting_before: u64,
}

/// A digest in hand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    /// The claim that it left the queue with.
    pub(crate) claim: i64,
    pub(crate) rank: Rank,
}

impl Hand {
    pub(crate) fn begin(&mut self) {
        self.moves.clear();
        self.waiting_before = self.waiting;
    }

    /// The group has come to nothing, and so have its claims and settlements.
    pub(crate) fn undo(&mut self) {
        self.waiting = self.waiting_before;
        for (key, before) in std::mem::take(&mut self.moves).into_iter().rev() {
            match before {
                Some(held) => self.held.insert(key, held),
                None => self.held.remove(&key),
            };
        }
    }

    pub(crate) fn holds(&self, sweep: SweepId, digest: &Digest) -> bool {
        self.held.contains_key(&(sweep, *digest))
    }

    pub(crate) fn held(&self, sweep: SweepId, digest: &Digest) -> Option<Held> {
        self.held.get(&(sweep, *digest)).copied()
    }

    pub(crate) fn raise(&mut self, sweep: SweepId, digest: Digest, class: Class) {
        if let Some(held) = self.held(sweep, &digest) {
            self.hold(sweep, digest, Held { rank: Rank { class, ..held.rank }, ..held });
        }
    }

    fn hold(&mut self, sweep: SweepId, digest: Digest, held: Held) {
        let key = (sweep, digest);
        let before = self.held.insert(key, held);
        self.moves.push((key, before));
    }

    fn take(&mut self, sweep: SweepId, digest: Digest, held: Held) {
        self.hold(sweep, digest, held);
        self.waiting = self.waiting.saturating_sub(1);
    }

    pub(crate) fn put_down(&mut self, sweep: SweepId, digest: Digest) -> Option<Held> {
        let key = (sweep, digest);
        let held = self.held.remove(&key);
        if held.is_some() {
            self.moves.push((key, held));
        }
        held
    }

    pub(crate) fn put_all_down(&mut self) {
        self.moves.extend(self.held.drain().map(|(key, held)| (key, Some(held))));
    }
}

impl Group<'_> {
    /// Settles digests that would be claimed next and that an answer about another digest of their file answers:
    /// whoever claims does this first.
    pub fn learn_before(&mut self, sweep: SweepId, claim: &Claim) -> Result<Learned, CaseError> {
        let most = claim.n_batches.saturating_mul(claim.batch_size.clamp(1, MAX_BATCH)) as u64;
        let most = (claim.up_to, most.min(claim.most_digests));
        let n_learned = self.learn(sweep, most, &Freshness::NOTHING)?;
        self.hand.waiting = self.hand.waiting.saturating_sub(n_learned);
        Ok(Learned(n_learned))
    }

    /// Takes batches out of the queue, best class first, each with its reservation.
    pub fn claim(
        &mut self,
        (sweep, run): (SweepId, RunId),
        claim: Claim,
        now: Stamp,
    ) -> Result<Vec<Claimed>, CaseError> {
        if self.is_put_off(sweep)? {
            return Ok(Vec::new());
        }
        let batch_size = claim.batch_size.clamp(1, MAX_BATCH);
        let most = claim.n_batches.saturating_mul(batch_size) as u64;
        let mut front = Vec::new();
        for kind in HashKind::ALL {
            front.extend(self.front(sweep, kind, claim.up_to, most.min(claim.most_digests))?);
        }
        let mut waiting: Vec<(Rank, Digest)> =
            front.iter().flat_map(|block| block.digests.iter().map(|digest| (block.rank, *digest))).collect();
        // Stable: within a class and a turn the kinds stay one behind the other, each in the order of its blocks.
        waiting.sort_by_key(|(rank, _)| *rank);
        let budget = usize::try_from(claim.most_digests).unwrap_or(usize::MAX);
        let is_budget_spent = claim.most_digests < most && waiting.len() >= budget;
        waiting.truncate(budget);
        let mut claimed = Vec::new();
        for batch in batches(&waiting, batch_size) {
            if claimed.len() < claim.n_batches
                && (batch.len() == batch_size || claim.also_partial || is_budget_spent)
            {
                let attempt = self.reserve(run, batch.len(), now)?;
                claimed.push(self.take(sweep, &batch, attempt)?);
            }
        }
        for block in &front {
            let left = block.digests.iter().filter(|digest| !self.hand.holds(sweep, digest));
            let left: Vec<Digest> = left.copied().collect();
            if left.len() < block.digests.len() {
                self.keep(block, &left)?;
            }
        }
        Ok(claimed)
    }

    /// The first blocks of one kind in the queue that hold this many digests.
    pub(crate) fn front(
        &self,
        sweep: SweepId,
        kind: HashKind,
        up_to: Class,
        most: u64,
    ) -> Result<Vec<Block>, CaseError> {
        let mut front = Vec::new();
        let mut n = 0;
        self.blocks((sweep, kind), up_to, |block| {
            if n < most {
                n += block.digests.len() as u64;
                front.push(block);
            }
            Ok(n < most)
        })?;
        Ok(front)
    }

    fn take(
        &mut self,
        sweep: SweepId,
        batch: &[(Rank, Digest)],
        attempt: AttemptId,
    ) -> Result<Claimed, CaseError> {
        let claim = self.write_claim(sweep, batch)?;
        for (rank, digest) in batch {
            self.hand.take(sweep, *digest, Held { claim, rank: *rank });
        }
        let digests = batch.iter().map(|(_, digest)| *digest).collect();
        let batch = Batch::new(digests).expect("distinct digests of one kind, no more than a batch takes");
        Ok(Claimed { attempt, batch })
    }

    /// Whether what is left of a sweep is not to be asked, because its run has ended.
    fn is_put_off(&self, sweep: SweepId) -> Result<bool, CaseError> {
        let mut put_off =
            self.transaction.prepare_cached("SELECT put_off IS NOT NULL FROM sweep WHERE id = ?1")?;
        Ok(put_off.query_row([sweep.0], |row| row.get(0))?)
    }

    /// Puts what an earlier run could not settle back into the queue, less what has been answered since; what was
    /// put off comes first within its class. Returns how many digests wait now.
    pub fn reopen(&mut self, sweep: SweepId, fresh: &Freshness) -> Result<u64, CaseError> {
        self.enqueue(sweep, fresh)?;
        self.transaction.execute("UPDATE sweep SET put_off = NULL WHERE id = ?1", [sweep.0])?;
        self.requeue(sweep)?;
        if self.others_may_have_answered(sweep)? {
            self.settle_learned(sweep, fresh)?;
            self.learn(sweep, (Class::Last, u64::MAX), fresh)?;
        }
        self.hand.waiting = self.waiting(sweep)?;
        Ok(self.hand.waiting)
    }

    /// Puts digests with a fate that is none back into the queue.
    fn requeue(&self, sweep: SweepId) -> Result<(), CaseError> {
        let mut unsettled = self.transaction.prepare(
            "DELETE FROM want WHERE sweep = ?1 AND state IN ('deferred', 'failed') RETURNING digest, class, state",
        )?;
        let mut rows = unsettled.query([sweep.0])?;
        let mut again = Vec::new();
        while let Some(row) = rows.next()? {
            let turn = i64::from(row.get_ref(2)?.as_str()? != Outcome::Deferred.name());
            let rank = Rank { class: class(row.get(1)?)?, turn };
            again.push((rank, crate::codes::digest(row.get_ref(0)?.as_blob()?)?));
        }
        drop(rows);
        self.put(sweep, again)
    }

    /// Settles what other sweeps have learned about digests in this one's queue.
    fn settle_learned(&self, sweep: SweepId, fresh: &Freshness) -> Result<(), CaseError> {
        for kind in HashKind::ALL {
            let mut changed = Vec::new();
            self.blocks((sweep, kind), Class::Last, |block| {
                let mut offers: Vec<_> =
                    block.digests.iter().map(|digest| (*digest, block.rank.class)).collect();
                self.settle_known(sweep, &mut offers, fresh)?;
                if offers.len() < block.digests.len() {
                    changed.push((block, offers));
                }
                Ok(true)
            })?;
            for (block, left) in changed {
                let left: Vec<Digest> = left.into_iter().map(|(digest, _)| digest).collect();
                self.keep(&block, &left)?;
            }
        }
        Ok(())
    }

    /// Defers whatever is still in the queue or on its way there, less what an earlier answer is fresh enough for,
    /// and says why: a run that ends early still tells what this case knows of every row that it has seen.
    pub fn defer_rest(&mut self, sweep: SweepId, why: &str, fresh: &Freshness) -> Result<u64, CaseError> {
        self.enqueue(sweep, fresh)?;
        self.return_claims(Some(sweep))?;
        self.learn(sweep, (Class::Last, u64::MAX), fresh)?;
        self.remember_files(sweep)?;
        self.hand.put_all_down();
        self.hand.waiting = 0;
        self.transaction.execute("UPDATE queue SET turn = 0 WHERE sweep = ?1 AND turn <> 0", [sweep.0])?;
        self.transaction.execute("UPDATE sweep SET put_off = ?2 WHERE id = ?1", params![sweep.0, why])?;
        self.waiting(sweep)
    }
}

impl Case {
    /// What a run would ask about a sweep's digests, in the order in which it would, and what needs no asking.
    pub fn plan(&self, sweep: SweepId) -> Result<Vec<Planned>, CaseError> {
        let mut lines = self.connection.prepare(&format!(
            "SELECT offer.class, offer.kind, offer.suspicion,
                 count(*) FILTER (WHERE state IS NULL AND counted IS NULL OR state IN ('deferred', 'failed')),
                 count(*) FILTER (WHERE state = 'cached' OR state IS NULL AND counted IS NOT NULL),
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

/// Batches of one kind each, out of digests in the order of asking: first those whose first digest comes first, and
/// of those that begin alike the ones with less of a worse class in them.
fn batches(waiting: &[(Rank, Digest)], size: usize) -> Vec<Vec<(Rank, Digest)>> {
    let mut of_kind: BTreeMap<HashKind, Vec<(Rank, Digest)>> = BTreeMap::new();
    for one in waiting {
        of_kind.entry(one.1.kind()).or_default().push(*one);
    }
    let mut batches: Vec<Vec<_>> =
        of_kind.values().flat_map(|digests| digests.chunks(size).map(<[_]>::to_vec)).collect();
    batches.sort_by_key(|batch| (batch.first().map(|(rank, _)| *rank), batch.last().map(|(rank, _)| *rank)));
    for batch in &mut batches {
        batch.sort_unstable_by_key(|(_, digest)| *digest);
    }
    batches
}
