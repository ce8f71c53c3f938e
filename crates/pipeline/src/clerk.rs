//! The clerk: the only one that writes the case.
//!
//! Rows and requests come through two bounded doors. The clerk takes whatever waits at both, does it in one
//! transaction, commits, and only then answers: what it has confirmed is durable, and a hundred small requests
//! cost one fsync. The cost of the design is latency: a request waits for the group before it.
//!
//! It waits as a task and works on a blocking thread, group by group. A thread of its own for the whole run would
//! be simpler, but tokio holds a paused clock still while any blocking thread is busy, and one that only waits at
//! a door is busy too: no scenario could pass time.

use crate::{Gauges, PipelineError, clock};
use hashsweep_case::{
    AttemptId, Case, CaseError, Claim, Claimed, Fate, Freshness, Group, Joined, RunId, SweepId,
};
use hashsweep_model::{Class, Digest, Quota, Sighting, Source};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{oneshot, watch};
use tokio::task::spawn_blocking;

/// Groups of rows that may wait at the door. A source sends up to a few hundred rows at once, so this is some ten
/// thousand rows: enough to ride out an fsync, little enough that a full door soon makes the readers wait.
const ROW_GROUPS: usize = 64;

/// Rows in one transaction. Larger groups save little (perf figures level off) and hold requests up.
const ROWS_PER_GROUP: usize = 20_000;

/// What an intake brings.
pub(crate) enum Delivery {
    Rows(Vec<Sighting>),
    Fingerprint { root: u32, sha256: [u8; 32] },
    Finished { excluded: u64 },
}

/// What submit wants done.
pub(crate) enum Request {
    /// Take batches out of the queue, reserve them and mark them as leaving.
    Claim { n: usize, also_partial: bool, reply: oneshot::Sender<Vec<Claimed>> },
    /// Reserve one more attempt for a batch in hand, and mark it as leaving.
    Reserve { n_hashes: usize, reply: oneshot::Sender<AttemptId> },
    /// Book an attempt and settle what it settled.
    Settle { settlement: Settlement, reply: oneshot::Sender<()> },
}

/// The end of one attempt.
pub(crate) struct Settlement {
    pub(crate) attempt: AttemptId,
    pub(crate) booking: Booked,
    pub(crate) fates: Vec<(Digest, Fate)>,
    pub(crate) reports_unknowns: bool,
}

/// How an attempt stands in the ledger.
pub(crate) enum Booked {
    /// It left and ended so.
    Ended { word: String, quota: Quota },
    /// It never left.
    NotSent,
}

/// What submit can see of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Queue {
    /// Digests waiting, of all kinds.
    pub(crate) waiting: u64,
    /// Digests that have ever joined, so that growth shows even where more was taken out than came in.
    pub(crate) joined: u64,
    /// Whether more may come.
    pub(crate) intake_open: bool,
}

/// What the clerk works on.
pub(crate) struct Work {
    pub(crate) case: Case,
    pub(crate) sweep: SweepId,
    pub(crate) run: RunId,
    pub(crate) fresh: Freshness,
    pub(crate) source: Source,
    pub(crate) batch_size: usize,
    pub(crate) queue: Queue,
    pub(crate) gauges: Arc<Gauges>,
}

/// The two doors and the window. Dropping both doors ends the clerk.
pub(crate) struct Doors {
    pub(crate) rows: RowsDoor,
    pub(crate) requests: RequestsDoor,
    pub(crate) queue: watch::Receiver<Queue>,
}

/// Where an intake delivers, from threads of its own. Blocks while the clerk is behind.
pub(crate) struct RowsDoor(Sender<Delivery>);

impl RowsDoor {
    /// Break when the clerk is gone.
    pub(crate) fn deliver(&self, delivery: Delivery) -> ControlFlow<()> {
        match self.0.blocking_send(delivery) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

/// Where submit asks. Never blocks: its capacity covers all that submit may have outstanding.
pub(crate) struct RequestsDoor(Sender<Request>);

/// The clerk is gone; why, its thread says when it is joined.
#[derive(Debug)]
pub(crate) struct ClerkGone;

impl RequestsDoor {
    pub(crate) async fn claim(&self, n: usize, also_partial: bool) -> Result<Vec<Claimed>, ClerkGone> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Claim { n, also_partial, reply })?;
        answer.await.map_err(|_| ClerkGone)
    }

    pub(crate) async fn reserve(&self, n_hashes: usize) -> Result<AttemptId, ClerkGone> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Reserve { n_hashes, reply })?;
        answer.await.map_err(|_| ClerkGone)
    }

    pub(crate) async fn settle(&self, settlement: Settlement) -> Result<(), ClerkGone> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Settle { settlement, reply })?;
        answer.await.map_err(|_| ClerkGone)
    }

    fn send(&self, request: Request) -> Result<(), ClerkGone> {
        match self.0.try_send(request) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(_)) => Err(ClerkGone),
            Err(TrySendError::Full(_)) => panic!("submit has more requests outstanding than it promised"),
        }
    }
}

/// Makes the doors. `outstanding` is how many requests submit may have unanswered at once.
pub(crate) fn doors(work: Work, outstanding: usize) -> (Doors, Clerk) {
    let (rows, rows_in) = channel(ROW_GROUPS);
    let (requests, requests_in) = channel(outstanding);
    let (announce, queue) = watch::channel(work.queue);
    let doors = Doors { rows: RowsDoor(rows), requests: RequestsDoor(requests), queue };
    (doors, Clerk { work, rows_in, requests_in, announce })
}

/// The clerk's own side.
pub(crate) struct Clerk {
    work: Work,
    rows_in: Receiver<Delivery>,
    requests_in: Receiver<Request>,
    announce: watch::Sender<Queue>,
}

/// Something to answer once the group is durable.
enum Confirmation {
    Claims(oneshot::Sender<Vec<Claimed>>, Vec<Claimed>),
    Attempt(oneshot::Sender<AttemptId>, AttemptId),
    Done(oneshot::Sender<()>),
}

impl Clerk {
    /// Runs until both doors are closed, and gives the case back.
    pub(crate) async fn run(self) -> Result<Case, PipelineError> {
        let Clerk { mut work, mut rows_in, mut requests_in, announce } = self;
        loop {
            let mut deliveries = Vec::new();
            let mut requests = Vec::new();
            tokio::select! {
                Some(delivery) = rows_in.recv() => deliveries.push(delivery),
                Some(request) = requests_in.recv() => requests.push(request),
                else => return Ok(work.case),
            }
            requests.extend(std::iter::from_fn(|| requests_in.try_recv().ok()));
            let mut n_rows: usize = deliveries.iter().map(Delivery::n_rows).sum();
            while n_rows < ROWS_PER_GROUP
                && let Ok(delivery) = rows_in.try_recv()
            {
                n_rows += delivery.n_rows();
                deliveries.push(delivery);
            }
            let grouped;
            (work, grouped) = spawn_blocking(move || {
                let grouped = work.group(deliveries, requests);
                (work, grouped)
            })
            .await?;
            grouped?;
            announce.send_replace(work.queue);
        }
    }
}

impl Delivery {
    fn n_rows(&self) -> usize {
        match self {
            Delivery::Rows(rows) => rows.len(),
            Delivery::Fingerprint { .. } | Delivery::Finished { .. } => 0,
        }
    }
}

impl Work {
    /// One transaction: settlements first, so that answers are safe before more work is taken on.
    fn group(&mut self, deliveries: Vec<Delivery>, requests: Vec<Request>) -> Result<(), CaseError> {
        let Work { case, sweep, run, fresh, source, batch_size, queue, gauges } = self;
        let at = (*sweep, *run);
        let mut left = *queue;
        let confirmations = case.group(|group| {
            let mut confirmations = Vec::with_capacity(requests.len());
            let mut claims = Vec::new();
            for request in requests {
                match request {
                    Request::Settle { settlement, reply } => {
                        settle(group, at, &settlement, *source)?;
                        confirmations.push(Confirmation::Done(reply));
                    }
                    Request::Reserve { n_hashes, reply } => {
                        let attempt = group.reserve(at.1, n_hashes, clock::now())?;
                        group.mark_sent(attempt, clock::now())?;
                        confirmations.push(Confirmation::Attempt(reply, attempt));
                    }
                    Request::Claim { n, also_partial, reply } => claims.push((n, also_partial, reply)),
                }
            }
            for delivery in deliveries {
                match delivery {
                    Delivery::Rows(rows) => {
                        let joined = group.record(at.0, &rows, fresh)?;
                        left.waiting += joined;
                        left.joined += joined;
                    }
                    Delivery::Fingerprint { root, sha256 } => group.fingerprint(at.0, root, sha256)?,
                    Delivery::Finished { excluded } => {
                        let Joined(joined) = group.finish_intake(at.0, excluded, fresh, clock::now())?;
                        left.waiting += joined;
                        left.joined += joined;
                        left.intake_open = false;
                    }
                }
            }
            for (n, also_partial, reply) in claims {
                let claim = Claim {
                    n_batches: n,
                    batch_size: *batch_size,
                    also_partial,
                    most_digests: u64::MAX,
                    up_to: Class::Last,
                };
                let claimed = group.claim(at, claim, clock::now())?;
                for claim in &claimed {
                    group.mark_sent(claim.attempt, clock::now())?;
                    left.waiting -= (claim.batch.len() as u64).min(left.waiting);
                }
                confirmations.push(Confirmation::Claims(reply, claimed));
            }
            Ok(confirmations)
        })?;
        *queue = left;
        gauges.queued.store(left.waiting, Relaxed);
        gauges.intake_finished.store(!left.intake_open, Relaxed);
        for confirmation in confirmations {
            // Nobody waits any more when submit has been abandoned; the group is durable all the same.
            match confirmation {
                Confirmation::Claims(reply, claims) => drop(reply.send(claims)),
                Confirmation::Attempt(reply, attempt) => drop(reply.send(attempt)),
                Confirmation::Done(reply) => drop(reply.send(())),
            }
        }
        Ok(())
    }
}

fn settle(
    group: &mut Group<'_>,
    at: (SweepId, RunId),
    settlement: &Settlement,
    source: Source,
) -> Result<(), CaseError> {
    let now = clock::now();
    match &settlement.booking {
        Booked::Ended { word, quota } => group.book(settlement.attempt, word, *quota, now)?,
        Booked::NotSent => group.unsend(settlement.attempt, now)?,
    }
    if settlement.reports_unknowns {
        group.remember_unknowns_are_reported()?;
    }
    group.settle(at, settlement.attempt, &settlement.fates, source, now)
}
