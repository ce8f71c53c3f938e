//! What one process holds of the queue: the digests that it has claimed and not settled.
//!
//! They stay pending in the case, and beside them stands one row for each batch, so that other processes leave them
//! alone. Which of a batch's digests are settled is known here only: the row goes when the last of them is, and for
//! others a settled digest of it is no longer pending anyway.

use crate::SweepId;
use hashsweep_model::Digest;
use std::collections::HashMap;

/// Names a row of `claim`: the attempt that it was claimed with, because attempts are never deleted and a number of
/// theirs is never used again.
pub(crate) type ClaimId = i64;

/// The claims of this process.
#[derive(Debug, Default)]
pub(crate) struct Hand {
    held: HashMap<(SweepId, Digest), ClaimId>,
    /// How many digests of each claim are not settled.
    unsettled: HashMap<ClaimId, usize>,
    /// What the open group has taken up and put down, for when it is undone.
    moves: Vec<Move>,
    /// About how many digests wait; only decides when many are made to join at once.
    pub(crate) waiting: u64,
    waiting_before: u64,
}

#[derive(Debug)]
enum Move {
    Took((SweepId, Digest)),
    PutDown((SweepId, Digest), ClaimId),
}

impl Hand {
    pub(crate) fn begin(&mut self) {
        self.moves.clear();
        self.waiting_before = self.waiting;
    }

    /// The group has come to nothing, and so have its claims and settlements.
    pub(crate) fn undo(&mut self) {
        self.waiting = self.waiting_before;
        for done in std::mem::take(&mut self.moves).into_iter().rev() {
            match done {
                Move::Took(key) => {
                    self.remove(key);
                }
                Move::PutDown(key, claim) => self.insert(key, claim),
            }
        }
    }

    pub(crate) fn has(&self, sweep: SweepId, digest: Digest) -> bool {
        self.held.contains_key(&(sweep, digest))
    }

    pub(crate) fn take(&mut self, sweep: SweepId, digest: Digest, claim: ClaimId) {
        let key = (sweep, digest);
        debug_assert!(!self.held.contains_key(&key), "claimed twice");
        self.insert(key, claim);
        self.moves.push(Move::Took(key));
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// Returns the claim that this was the last digest of.
    pub(crate) fn put_down(&mut self, sweep: SweepId, digest: Digest) -> Option<ClaimId> {
        let key = (sweep, digest);
        let claim = self.remove(key)?;
        self.moves.push(Move::PutDown(key, claim));
        (!self.unsettled.contains_key(&claim)).then_some(claim)
    }

    pub(crate) fn put_all_down(&mut self) {
        self.unsettled.clear();
        self.moves.extend(self.held.drain().map(|(key, claim)| Move::PutDown(key, claim)));
    }

    fn insert(&mut self, key: (SweepId, Digest), claim: ClaimId) {
        self.held.insert(key, claim);
        *self.unsettled.entry(claim).or_default() += 1;
    }

    fn remove(&mut self, key: (SweepId, Digest)) -> Option<ClaimId> {
        let claim = self.held.remove(&key)?;
        if let Some(left) = self.unsettled.get_mut(&claim) {
            *left -= 1;
            if *left == 0 {
                self.unsettled.remove(&claim);
            }
        }
        Some(claim)
    }
}
