//! The queue: what waits to be asked, in which order it leaves, and what comes back into it.
//!
//! The order of asking is a digest's class, then whether an earlier run put it off, then about its value: blocks leave
//! in the order of their first digests. Which of two digests of one class was seen more rarely is not looked at: that
//! would be a count over all sightings for every claim.

use crate::bridge::KindsSeen;
use crate::codes::class;
use crate::group::{AttemptId, Freshness, Group};
use crate::others::{Beside, IN_OTHER_HANDS};
use crate::waiting::{Block, Rank};
use crate::{CaseError, RunId, SweepId};
use hashsweep_model::{Batch, Class, Digest, HashKind, MAX_BATCH, Outcome, Stamp};
use rusqlite::params;
use std::cell::Cell;
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

/// What a claim brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Ours to ask.
    pub batches: Vec<Claimed>,
    /// Digests that have left the queue because an answer about another digest of their file tells enough, or because
    /// another process was told about them meanwhile.
    pub learned: u64,
    /// How the queue stands where others are at work too, if it brought less than was wanted. What had been counted
    /// as waiting before is then no longer true.
    pub beside: Option<Beside>,
}

/// What a process at work knows of its sweep's queue without looking into it. Exact while it is alone at the case;
/// others put digests in and take them out without a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Digests that wait.
    pub waiting: u64,
    /// Digests that have ever come, so that growth shows even where more was taken out.
    pub joined: u64,
}

impl Backlog {
    /// So many have come into the queue.
    pub(crate) fn came(&mut self, n: u64) {
        self.waiting += n;
        self.joined += n;
    }

    /// So many have left it.
    pub(crate) fn went(&mut self, n: u64) {
        self.waiting = self.waiting.saturating_sub(n);
    }

    /// So many are there, by a count of the queue itself.
    pub(crate) fn count_anew(&mut self, waiting: u64) {
        self.joined += waiting.saturating_sub(self.waiting);
        self.waiting = waiting;
    }
}

/// A batch that is ours to ask, with its reservation in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The reservation.
    pub attempt: AttemptId,
    /// What to ask.
    pub batch: Batch,
}

/// What the process at work knows of the queue beside the case: which of its claims each digest belongs to that it has
/// not settled.
#[derive(Debug, Default)]
pub(crate) struct Hand {
    held: HashMap<(SweepId, Digest), Held>,
    /// What each digest was before that the open group has taken up or put down, for when it is undone.
    moves: Vec<((SweepId, Digest), Option<Held>)>,
    /// Kept where the queue is changed, so that nobody else has to count along.
    pub(crate) backlog: Backlog,
    backlog_before: Backlog,
    /// Nobody waits for digests to join.
    pub(crate) asks_nobody: bool,
    pub(crate) kinds: Cell<Option<KindsSeen>>,
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
        self.backlog_before = self.backlog;
    }

    /// The group has come to nothing, and so have its claims and settlements.
    pub(crate) fn undo(&mut self) {
        self.backlog = self.backlog_before;
        // Other rows may come to stand where some were looked at.
        self.kinds.set(None);
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
        self.backlog.went(1);
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
    /// Takes batches out of the queue, best class first, each with its reservation. Nothing is taken that another
    /// living process holds, in whatever sweep. What an answer about another digest of its file answers, or what
    /// another process was told meanwhile, leaves the queue without being asked.
    pub fn claim(
        &mut self,
        (sweep, run): (SweepId, RunId),
        claim: Claim,
        fresh: &Freshness,
        now: Stamp,
    ) -> Result<Taken, CaseError> {
        self.look_around(sweep, now)?;
        if self.is_put_off(sweep)? {
            return Ok(Taken::default());
        }
        let batch_size = claim.batch_size.clamp(1, MAX_BATCH);
        let most = claim.n_batches.saturating_mul(batch_size) as u64;
        let most_digests = most.min(claim.most_digests);
        let n_bridged = self.learn_bridged(sweep, (claim.up_to, most_digests), &Freshness::NOTHING)?;
        self.hand.backlog.went(n_bridged);
        let mut front = Vec::new();
        for kind in HashKind::ALL {
            front.extend(self.front(sweep, kind, claim.up_to, most_digests)?);
        }
        let mut taken = Taken { learned: n_bridged, ..Taken::default() };
        if self.others.have_been_met() {
            taken.learned += self.learn_from_others((sweep, run), &mut front, fresh)?;
        }
        let mut waiting: Vec<(Rank, Digest)> =
            front.iter().flat_map(|block| block.digests.iter().map(|digest| (block.rank, *digest))).collect();
        waiting.retain(|(_, digest)| !self.others.hold(*digest));
        // Stable: within a class and a turn the kinds stay one behind the other, each in the order of its blocks.
        waiting.sort_by_key(|(rank, _)| *rank);
        let budget = usize::try_from(claim.most_digests).unwrap_or(usize::MAX);
        let is_budget_spent = claim.most_digests < most && waiting.len() >= budget;
        waiting.truncate(budget);
        for batch in batches(&waiting, batch_size) {
            if taken.batches.len() < claim.n_batches
                && (batch.len() == batch_size || claim.also_partial || is_budget_spent)
            {
                let attempt = self.reserve(run, batch.len(), now)?;
                taken.batches.push(self.take((sweep, run), &batch, attempt)?);
            }
        }
        for block in &front {
            let left = block.digests.iter().filter(|digest| !self.hand.holds(sweep, digest));
            let left: Vec<Digest> = left.copied().collect();
            if left.len() < block.digests.len() {
                self.keep(block, &left)?;
            }
        }
        if self.others.have_been_met() && taken.batches.len() < claim.n_batches {
            taken.beside = Some(self.beside(sweep)?);
        }
        Ok(taken)
    }

    /// Settles digests at the front with what another process was told, and takes them out. An answer that came while
    /// this run is at work is as good as asking, whatever else is to be refreshed. Returns how many.
    fn learn_from_others(
        &mut self,
        (sweep, run): (SweepId, RunId),
        front: &mut [Block],
        fresh: &Freshness,
    ) -> Result<u64, CaseError> {
        let mut started = self.transaction.prepare_cached("SELECT started_at FROM run WHERE id = ?1")?;
        let fresh = fresh.or_since(Stamp(started.query_row([run.0], |row| row.get(0))?));
        let mut n_learned = 0;
        for block in front {
            let mut offers: Vec<_> = block.digests.iter().map(|digest| (*digest, block.rank.class)).collect();
            self.settle_known(sweep, &mut offers, &fresh, Some("another process"))?;
            let n = block.digests.len() - offers.len();
            if n > 0 {
                n_learned += n as u64;
                let left: Vec<Digest> = offers.into_iter().map(|(digest, _)| digest).collect();
                self.keep(block, &left)?;
                block.digests = left;
            }
        }
        self.hand.backlog.went(n_learned);
        Ok(n_learned)
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
                n += block.digests.iter().filter(|digest| !self.others.hold(**digest)).count() as u64;
                front.push(block);
            }
            Ok(n < most)
        })?;
        Ok(front)
    }

    fn take(
        &mut self,
        (sweep, run): (SweepId, RunId),
        batch: &[(Rank, Digest)],
        attempt: AttemptId,
    ) -> Result<Claimed, CaseError> {
        let claim = self.write_claim((sweep, run), batch)?;
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
            self.transaction.prepare_cached("SELECT coalesce(put_off <> ?2, 0) FROM sweep WHERE id = ?1")?;
        Ok(put_off.query_row(params![sweep.0, IN_OTHER_HANDS], |row| row.get(0))?)
    }

    /// Puts what an earlier run could not settle back into the queue, less what has been answered since; what was
    /// put off comes first within its class. Returns how many digests wait now.
    pub fn reopen(&mut self, sweep: SweepId, fresh: &Freshness) -> Result<u64, CaseError> {
        // Who takes rows in counts what joins.
        if !self.is_shared(sweep) {
            self.enqueue(sweep, fresh)?;
        }
        self.transaction.execute("UPDATE sweep SET put_off = NULL WHERE id = ?1", [sweep.0])?;
        self.requeue(sweep)?;
        if self.others_may_have_answered(sweep)? {
            self.settle_learned(sweep, fresh)?;
            self.learn_bridged(sweep, (Class::Last, u64::MAX), fresh)?;
        }
        let waiting = self.waiting(sweep)?;
        self.hand.backlog.count_anew(waiting);
        Ok(waiting)
    }

    /// What is known of the queue of the sweep that this process is at work on.
    pub fn backlog(&self) -> Backlog {
        self.hand.backlog
    }

    /// Whether others have been at work at the case since this process began its run.
    pub fn has_company(&self) -> bool {
        self.others.have_been_met()
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
                self.settle_known(sweep, &mut offers, fresh, None)?;
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
    /// and says why: a run that ends early still tells what this case knows of every row that it has seen. With that
    /// its work on the queue is over. A sweep that another living process is at work on too is left to it.
    pub fn defer_rest(
        &mut self,
        sweep: SweepId,
        why: &str,
        fresh: &Freshness,
        now: Stamp,
    ) -> Result<u64, CaseError> {
        self.look_around(sweep, now)?;
        let is_shared = self.is_shared(sweep);
        if !is_shared {
            self.enqueue(sweep, fresh)?;
        }
        self.leave_the_queue()?;
        if !is_shared {
            self.learn_bridged(sweep, (Class::Last, u64::MAX), fresh)?;
        }
        self.remember_files(sweep)?;
        let beside = self.beside(sweep)?;
        self.hand.backlog.count_anew(0);
        let is_elsewhere = beside.waiting == 0 && beside.elsewhere > 0;
        let why = if is_shared || is_elsewhere { IN_OTHER_HANDS } else { why };
        if !is_shared {
            self.transaction
                .execute("UPDATE queue SET turn = 0 WHERE sweep = ?1 AND turn <> 0", [sweep.0])?;
        }
        self.transaction.execute("UPDATE sweep SET put_off = ?2 WHERE id = ?1", params![sweep.0, why])?;
        Ok(beside.waiting + beside.elsewhere)
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
