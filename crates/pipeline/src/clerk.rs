//! The clerk: the only one that writes the case.
//!
//! Rows and requests come through two bounded doors. The clerk takes whatever waits at both, does it in one
//! transaction, commits, and only then answers: what it has confirmed is durable, and a hundred small requests
//! cost one fsync. The cost of the design is latency: a request waits for the group before it.
//!
//! It waits as a task and works on a blocking thread, group by group. A thread of its own for the whole run would
//! be simpler, but tokio holds a paused clock still while any blocking thread is busy, and one that only waits at
//! a door is busy too: no scenario could pass time.

use crate::course::Course;
use crate::crash::{self, Moment};
use crate::intake::Before;
use crate::judge::Denied;
use crate::purse::Purse;
use crate::{Clock, Gauges, PipelineError};
use futures::future::BoxFuture;
use hashsweep_case::{
    Account, AttemptId, Backlog, Beside, Books, Case, CaseError, Claim, Fate, Freshness, Group, HoldId,
    IntakeTurn, RunId, Standing, SweepId, Taken, Walked,
};
use hashsweep_model::{Batch, Class, Digest, Quota, Sighting, Source, Stamp, Verdict};
use hashsweep_spectra::Allowance;
use std::num::NonZeroU64;
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
    Fingerprint {
        root: u32,
        sha256: [u8; 32],
    },
    /// `walked` tells which of the earlier rows the walk could have found again.
    Finished {
        excluded: u64,
        walked: Walked,
    },
    /// Nothing yet: the intake asks whether it is its turn.
    Turn {
        reply: oneshot::Sender<Turn>,
    },
}

/// Whose turn it is to take the sweep's rows in.
pub(crate) enum Turn {
    /// Ours, from what is recorded on.
    Ours(Before),
    /// Another process is at it.
    AnothersYet,
    /// Everything is in.
    Finished,
}

/// What submit wants done.
pub(crate) enum Request {
    /// Take batches out of the queue, reserve them and mark them as leaving.
    Claim { wanted: Claim, reply: oneshot::Sender<Claimed> },
    /// Reserve one more attempt for a batch in hand, and mark it as leaving.
    Reserve { n_hashes: usize, reply: oneshot::Sender<Result<Ticket, Short>> },
    /// Book an attempt and settle what it settled.
    Settle { settlement: Settlement, reply: oneshot::Sender<()> },
    /// Spend no more than the account's limits leave.
    Bind { allowance: Allowance, reply: oneshot::Sender<()> },
}

impl Request {
    /// Digests that it settles as findings.
    fn n_found(&self) -> u64 {
        let is_finding = |fate: &Fate| match fate {
            Fate::Answered(answer) => matches!(answer.verdict, Verdict::Malicious | Verdict::Suspicious),
            Fate::Failed(_) | Fate::Invalid(_) | Fate::Deferred(_) => false,
        };
        match self {
            Request::Settle { settlement, .. } => {
                settlement.fates.iter().filter(|(_, fate)| is_finding(fate)).count() as u64
            }
            Request::Claim { .. } | Request::Reserve { .. } | Request::Bind { .. } => 0,
        }
    }
}

/// What one attempt is known by: in the case's ledger and in the account's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    attempt: AttemptId,
    hold: HoldId,
    n_hashes: usize,
    /// On this moment's day it is booked.
    pub(crate) held_at: Stamp,
}

/// Why an attempt is not reserved, and how many hashes might be instead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Short {
    pub(crate) room: usize,
    pub(crate) by: Denied,
}

/// What a claim brought.
pub(crate) struct Claimed {
    pub(crate) batches: Vec<(Ticket, Batch)>,
    /// Why there are none although digests wait.
    pub(crate) denied: Option<Denied>,
    /// How the queue stands where other processes are at work too, if there was less than was wanted.
    pub(crate) beside: Option<Beside>,
}

/// The end of one attempt.
pub(crate) struct Settlement {
    pub(crate) ticket: Ticket,
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
    /// Whether another process takes them in, or has to the end, so that nothing here says what has come.
    pub(crate) intake_elsewhere: bool,
    /// Whether other processes are or were at work at the case, who put digests back and take them out unannounced.
    pub(crate) has_company: bool,
}

impl Queue {
    /// As it is when a run begins.
    pub(crate) fn of(group: &Group<'_>, intake_open: bool) -> Queue {
        let Backlog { waiting, joined } = group.backlog();
        let has_company = group.has_company();
        Queue { waiting, joined, intake_open, intake_elsewhere: false, has_company }
    }

    /// Brings it in line with the case.
    fn see(&mut self, group: &Group<'_>) {
        let Backlog { waiting, joined } = group.backlog();
        *self = Queue { waiting, joined, has_company: group.has_company(), ..*self };
    }

    /// Whether more may wait than has been seen, so that only a look tells that nothing does.
    pub(crate) fn may_hold_more(&self) -> bool {
        self.waiting == 0 && (self.has_company || self.intake_elsewhere)
    }
}

/// What the clerk works on.
pub(crate) struct Work {
    pub(crate) case: Case,
    pub(crate) account: Account,
    pub(crate) purse: Purse,
    pub(crate) clock: Clock,
    pub(crate) sweep: SweepId,
    pub(crate) run: RunId,
    pub(crate) fresh: Freshness,
    pub(crate) source: Source,
    pub(crate) queue: Queue,
    pub(crate) gauges: Arc<Gauges>,
    /// One file in so many is read although nothing tells of a change.
    pub(crate) distrust: Option<NonZeroU64>,
    /// The rows of earlier sweeps, as the intake finds them. None before it is this run's turn.
    pub(crate) standing: Arc<Standing>,
    /// Whether anybody is asked.
    pub(crate) asks: bool,
    /// How hashing has gone so far.
    pub(crate) course: Course,
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
    /// Asks whose turn it is. `None` when the clerk is gone.
    pub(crate) async fn turn(&self) -> Option<Turn> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Delivery::Turn { reply }).await.ok()?;
        answer.await.ok()
    }

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

/// What the clerk will say.
pub(crate) type Reply<T> = BoxFuture<'static, Result<T, ClerkGone>>;

impl RequestsDoor {
    pub(crate) fn claim(&self, wanted: Claim) -> Reply<Claimed> {
        self.ask(|reply| Request::Claim { wanted, reply })
    }

    pub(crate) fn reserve(&self, n_hashes: usize) -> Reply<Result<Ticket, Short>> {
        self.ask(|reply| Request::Reserve { n_hashes, reply })
    }

    pub(crate) fn bind(&self, allowance: Allowance) -> Reply<()> {
        self.ask(|reply| Request::Bind { allowance, reply })
    }

    pub(crate) fn settle(&self, settlement: Settlement) -> Reply<()> {
        self.ask(|reply| Request::Settle { settlement, reply })
    }

    /// Sends at once and not when somebody begins to wait: what is asked for first, the clerk does first.
    fn ask<T: Send + 'static>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Reply<T> {
        let (reply, answer) = oneshot::channel();
        let sent = self.send(request(reply));
        Box::pin(async move {
            sent?;
            answer.await.map_err(|_| ClerkGone)
        })
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
    Claimed(oneshot::Sender<Claimed>, Claimed),
    Reserved(oneshot::Sender<Result<Ticket, Short>>, Result<Ticket, Short>),
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
            let no_more_rows = n_rows < ROWS_PER_GROUP;
            let grouped;
            (work, grouped) = spawn_blocking(move || {
                let grouped = work.group(deliveries, no_more_rows, requests);
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
            Delivery::Fingerprint { .. } | Delivery::Finished { .. } | Delivery::Turn { .. } => 0,
        }
    }
}

impl Work {
    /// One transaction of the case. What asking concerns is one of the account's too, durable before the case's: a
    /// crash between the two leaves the account with more than was spent, never with less.
    fn group(
        &mut self,
        deliveries: Vec<Delivery>,
        no_more_rows: bool,
        requests: Vec<Request>,
    ) -> Result<(), CaseError> {
        let Work {
            case,
            account,
            purse,
            clock,
            sweep,
            run,
            fresh,
            source,
            queue,
            gauges,
            distrust,
            standing,
            asks,
            course,
        } = self;
        let mut left = *queue;
        let mut turns = Vec::new();
        let n_found: u64 = requests.iter().map(Request::n_found).sum();
        let is_end = deliveries.iter().any(|delivery| matches!(delivery, Delivery::Finished { .. }));
        let reading = course.due(clock.now(), gauges, is_end);
        let confirmations = case.group(|group| {
            if let Some(reading) = reading {
                group.note_reading(*run, reading)?;
            }
            for delivery in deliveries {
                match delivery {
                    Delivery::Rows(rows) => {
                        group.record(*sweep, &rows, fresh)?;
                    }
                    Delivery::Fingerprint { root, sha256 } => group.fingerprint(*sweep, root, sha256)?,
                    Delivery::Finished { excluded, walked } => {
                        group.carry_over(standing, &walked, fresh)?;
                        group.finish_intake(*sweep, excluded, fresh, clock.now())?;
                        group.want_carried(*sweep, fresh, *asks)?;
                        left.intake_open = false;
                    }
                    Delivery::Turn { reply } => {
                        let turn = group.take_turn(*sweep, *run, clock.now())?;
                        left.intake_open = turn != IntakeTurn::Finished;
                        left.intake_elsewhere = turn != IntakeTurn::Ours;
                        turns.push((reply, turn));
                    }
                }
            }
            if no_more_rows && left.intake_open {
                group.catch_up(*sweep, fresh)?;
            }
            crash::point(Moment::Recording);
            if requests.is_empty() {
                left.see(group);
                return Ok(Vec::new());
            }
            for request in &requests {
                if let Request::Bind { allowance, .. } = request {
                    purse.bind(allowance, account, clock.now())?;
                }
            }
            let books = account.books()?;
            let at = (*sweep, *run);
            let intake_open = left.intake_open;
            let mut desk = Desk { group, books, purse, clock: *clock, at, fresh, intake_open };
            let confirmations = requests
                .into_iter()
                .map(|request| desk.do_one(request, *source))
                .collect::<Result<_, _>>()?;
            desk.books.commit()?;
            left.see(group);
            crash::point(Moment::Held);
            Ok(confirmations)
        })?;
        if !confirmations.is_empty() {
            crash::point(Moment::Reserved);
        }
        *queue = left;
        gauges.found.fetch_add(n_found, Relaxed);
        gauges.queued.store(left.waiting, Relaxed);
        gauges.intake_finished.store(!left.intake_open, Relaxed);
        for (reply, turn) in turns {
            let turn = match turn {
                IntakeTurn::Ours => {
                    let before = Before::of(case, *sweep, *distrust)?;
                    *standing = Arc::clone(&before.standing);
                    Turn::Ours(before)
                }
                IntakeTurn::AnothersYet => Turn::AnothersYet,
                IntakeTurn::Finished => Turn::Finished,
            };
            drop(reply.send(turn));
        }
        for confirmation in confirmations {
            // Nobody waits any more when submit has been abandoned; the group is durable all the same.
            match confirmation {
                Confirmation::Claimed(reply, claimed) => drop(reply.send(claimed)),
                Confirmation::Reserved(reply, reserved) => drop(reply.send(reserved)),
                Confirmation::Done(reply) => drop(reply.send(())),
            }
        }
        Ok(())
    }
}

/// Where submit's requests are done: both ledgers open.
struct Desk<'w, 'group, 'case> {
    group: &'w mut Group<'case>,
    books: Books<'group>,
    purse: &'w mut Purse,
    clock: Clock,
    at: (SweepId, RunId),
    fresh: &'w Freshness,
    intake_open: bool,
}

impl Desk<'_, '_, '_> {
    fn do_one(&mut self, request: Request, source: Source) -> Result<Confirmation, CaseError> {
        Ok(match request {
            Request::Claim { wanted, reply } => Confirmation::Claimed(reply, self.claim(wanted)?),
            Request::Reserve { n_hashes, reply } => Confirmation::Reserved(reply, self.reserve(n_hashes)?),
            Request::Settle { settlement, reply } => {
                self.settle(&settlement, source)?;
                Confirmation::Done(reply)
            }
            // Bound before the books were opened.
            Request::Bind { reply, .. } => Confirmation::Done(reply),
        })
    }

    fn claim(&mut self, wanted: Claim) -> Result<Claimed, CaseError> {
        let now = self.clock.now();
        let (room, by) = self.purse.room(&self.books, now)?;
        let waiting = self.group.backlog().waiting;
        if room == 0 && waiting > 0 {
            return Ok(Claimed { batches: Vec::new(), denied: Some(by), beside: None });
        }
        // What will not reach for everything is for the best, and until the intake ends nobody knows which those are.
        let up_to = if self.intake_open && self.purse.is_short_of(waiting, room) {
            Class::First
        } else {
            wanted.up_to
        };
        let wanted = Claim { most_digests: room.min(wanted.most_digests), up_to, ..wanted };
        let mut batches = Vec::new();
        let Taken { batches: taken, beside, .. } = self.group.claim(self.at, wanted, self.fresh, now)?;
        for claimed in taken {
            batches.push((self.ticket(claimed.attempt, claimed.batch.len())?, claimed.batch));
        }
        Ok(Claimed { batches, denied: None, beside })
    }

    fn reserve(&mut self, n_hashes: usize) -> Result<Result<Ticket, Short>, CaseError> {
        let now = self.clock.now();
        let (room, by) = self.purse.room(&self.books, now)?;
        if room < n_hashes as u64 {
            return Ok(Err(Short { room: usize::try_from(room).unwrap_or(usize::MAX), by }));
        }
        let attempt = self.group.reserve(self.at.1, n_hashes, now)?;
        Ok(Ok(self.ticket(attempt, n_hashes)?))
    }

    /// Marks an attempt as leaving, in both ledgers.
    fn ticket(&mut self, attempt: AttemptId, n_hashes: usize) -> Result<Ticket, CaseError> {
        let now = self.clock.now();
        let hold = self.purse.hold(&self.books, n_hashes, now)?;
        self.group.mark_sent(attempt, now)?;
        Ok(Ticket { attempt, hold, n_hashes, held_at: now })
    }

    fn settle(&mut self, settlement: &Settlement, source: Source) -> Result<(), CaseError> {
        let (now, Ticket { attempt, hold, n_hashes, .. }) = (self.clock.now(), settlement.ticket);
        match &settlement.booking {
            Booked::Ended { word, quota } => {
                self.purse.settle(&self.books, (hold, n_hashes), *quota)?;
                self.group.book(attempt, word, *quota, now)?;
            }
            Booked::NotSent => {
                self.purse.release(&self.books, (hold, n_hashes))?;
                self.group.unsend(attempt, now)?;
            }
        }
        if settlement.reports_unknowns {
            self.group.remember_unknowns_are_reported()?;
        }
        self.group.settle(self.at, attempt, &settlement.fates, source, now)
    }
}
