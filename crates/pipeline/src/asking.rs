//! How a service is to be asked: what the user set.

use crate::Rate;
use std::time::Duration;

/// How the service is to be asked.
#[derive(Clone, Copy, Debug)]
pub struct Asking {
    /// Requests in time.
    pub rate: Rate,
    /// Requests on their way at once.
    pub concurrency: usize,
    /// Hashes in a request, at most 100.
    pub batch_size: usize,
    /// How long the service may fail without one answer before the run gives up.
    pub give_up_after: Duration,
    /// What becomes of a batch whose fate nobody saw.
    pub on_doubt: OnDoubt,
    /// Whether an exhausted quota is waited out rather than ending the run.
    pub wait_for_quota: bool,
    /// Hashes that this run may spend.
    pub max_quota: Option<u64>,
    /// Hashes of every window of the account's quota that are left to others.
    pub reserve: u64,
    /// How long another process at the same case may stand still before this run ends without what it holds.
    pub patience: Duration,
}

/// What becomes of a batch that was sent and may have been charged, when nobody saw an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDoubt {
    /// It is asked again, and booked again.
    #[default]
    Resend,
    /// It is deferred, so that nothing is paid twice without being asked for.
    Hold,
}

#[cfg(test)]
impl Asking {
    /// What the rooms' own tests ask with: no limit but this many connections.
    pub(crate) fn at_will(concurrency: usize) -> Asking {
        Asking {
            rate: Rate::Unlimited,
            concurrency,
            batch_size: 100,
            give_up_after: Duration::from_secs(600),
            on_doubt: OnDoubt::Resend,
            wait_for_quota: false,
            max_quota: None,
            reserve: 0,
            patience: Duration::from_secs(120),
        }
    }
}

impl Asking {
    /// How many batches may be booked at once, from the claim to the landing.
    pub(crate) fn in_hand(&self) -> usize {
        self.concurrency + self.rate.lead()
    }

    /// How many requests to the clerk may be unanswered at once: every batch in hand, as many settlements that the
    /// clerk is behind with, every departure undone by a stop, a claim, and the account's limits.
    pub(crate) fn outstanding(&self) -> usize {
        4 * self.in_hand() + 2
    }
}
