//! Submit: the only room that waits.
//!
//! One task owns everything that moves: batches claimed and waiting for their slot, requests on their way,
//! settlements on theirs, batches to be asked again. It decides nothing about a fault itself; the [`Judge`] rules
//! and this loop carries out. The picture of one batch:
//!
//! ```text
//!   claim+reserve+mark sent (one commit) ─► ready ─slot─► slotted ─► flights ─► judge ─► settle (commit)
//!                                             ▲                                   │
//!                                             └───────── reserve ◄── retries ◄────┘
//! ```
//!
//! A batch is marked as leaving before it has its slot, so that the slot's timing never depends on an fsync; after
//! a kill that counts as in doubt what was merely waiting, at most a quarter of a second's worth of requests.

use crate::clerk::{self, Booked, Claimed, ClerkGone, Queue, RequestsDoor, Settlement, Short, Ticket};
use crate::crash::{self, Moment};
use crate::halt::Halt;
use crate::inquiry::Inquiry;
use crate::judge::{Denied, Judge, Ruling, Task};
use crate::pace::Pace;
use crate::{Asking, Clock, Gauges, Service, Waiting};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use hashsweep_case::{Beside, CaseError, Claim, Fate, Slots, day_of};
use hashsweep_model::{Class, Stamp};
use hashsweep_spectra::{Allowance, Fault, Reply};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a part of a batch waits for more digests while the intake is open (rule 6 of asking).
const GROWTH_PATIENCE: Duration = Duration::from_secs(5);

/// How many batches may be told to wait before no other is taken on. A service that fails at once and everywhere
/// would else draw the whole queue into memory. Guess, unmeasured: some 5 MB.
const MOST_TOLD_TO_WAIT: usize = 1_000;

/// How long a wait for a new quota goes without a look at the clock, which may be set, or stand still while the
/// machine sleeps.
const LOOK_AT_THE_CLOCK: Duration = Duration::from_secs(60);

/// How often one looks at what other processes at the case have left.
const LOOK_AT_OTHERS: Duration = Duration::from_millis(200);

/// How far ahead slots are taken: those of a process that ends are nobody's, and others wait until they are over.
const SECOND: Duration = Duration::from_secs(1);

/// What became of the asking as a whole.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Why it ended before its end, if it did.
    pub(crate) halt: Option<Halt>,
    /// From the first departure to the last landing.
    pub(crate) asking: Duration,
}

type Flight = BoxFuture<'static, (Ticket, Task, Result<Reply, Fault>)>;
type Reservation = BoxFuture<'static, Result<(Task, Result<Ticket, Short>), ClerkGone>>;

/// The account's pace back from a thread that took slots, and the moments they stand for.
type Taken = (Slots, Result<Vec<Instant>, CaseError>);

/// Why asking cannot go on.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The clerk is gone; its own error says why.
    ClerkGone,
    /// The account's pace cannot be kept.
    Pace(CaseError),
}

impl From<ClerkGone> for Broken {
    fn from(_: ClerkGone) -> Broken {
        Broken::ClerkGone
    }
}

/// A run's asking, about to begin.
pub(crate) struct Asker<S> {
    pub(crate) service: Arc<S>,
    pub(crate) door: RequestsDoor,
    pub(crate) queue: watch::Receiver<Queue>,
    pub(crate) slots: Slots,
    pub(crate) clock: Clock,
    pub(crate) asking: Asking,
    pub(crate) judge: Judge,
    pub(crate) gauges: Arc<Gauges>,
}

/// Everything on its way.
struct Submit<S> {
    service: Arc<S>,
    door: RequestsDoor,
    queue: watch::Receiver<Queue>,
    clock: Clock,
    asking: Asking,
    gauges: Arc<Gauges>,
    judge: Judge,
    pace: Pace,
    /// Absent while slots are being taken.
    slots: Option<Slots>,
    /// Booked, and without a slot yet.
    ready: VecDeque<(Ticket, Task)>,
    /// Slots that are ours, soonest first.
    slotted: VecDeque<Instant>,
    retries: Vec<(Task, Instant)>,
    flights: FuturesUnordered<Flight>,
    settling: FuturesUnordered<clerk::Reply<()>>,
    reserving: FuturesUnordered<Reservation>,
    claiming: FuturesUnordered<clerk::Reply<Claimed>>,
    inquiring: FuturesUnordered<BoxFuture<'static, Result<Allowance, Fault>>>,
    taking: FuturesUnordered<JoinHandle<Taken>>,
    /// Whether the limits are known.
    inquiry: Inquiry,
    /// What the queue looked like when a claim last came back empty; nothing to claim until it changes.
    fruitless: Option<(Queue, bool)>,
    /// Why the clerk spends no more. Something that settles may give room back.
    denied: Option<Denied>,
    /// How the queue stood beside other processes when there was less than was wanted, and when they were last seen to
    /// have changed something.
    beside: Option<(Beside, Instant)>,
    /// When the queue was last looked at in vain.
    found_dry: Option<Instant>,
    /// Whether rows could still come when that look was begun: what came with the last of them it has not seen.
    looked_while_open: bool,
    /// Room that the claim on its way will fill.
    claimed_room: usize,
    /// Digests that had joined the queue when it last grew, and when that was.
    grown: (u64, Instant),
    /// The first departure and the last landing.
    travelled: Option<(Instant, Instant)>,
}

/// Asks about everything in the queue, until it is empty and the intake closed, or somebody stops the run, or the
/// judge does. What is in flight when that happens is awaited and settled.
pub(crate) async fn submit<S: Service>(asker: Asker<S>, stop: CancellationToken) -> Result<Asked, Broken> {
    let Asker { service, door, queue, slots, clock, asking, judge, gauges } = asker;
    let mut submit = Submit {
        service,
        door,
        queue,
        clock,
        asking,
        gauges,
        judge,
        pace: Pace::new(asking.rate),
        slots: Some(slots),
        ready: VecDeque::new(),
        slotted: VecDeque::new(),
        retries: Vec::new(),
        flights: FuturesUnordered::new(),
        settling: FuturesUnordered::new(),
        reserving: FuturesUnordered::new(),
        claiming: FuturesUnordered::new(),
        inquiring: FuturesUnordered::new(),
        taking: FuturesUnordered::new(),
        inquiry: Inquiry::new(asking.reserve > 0),
        fruitless: None,
        denied: None,
        beside: None,
        found_dry: None,
        looked_while_open: true,
        claimed_room: 0,
        grown: (0, Instant::now()),
        travelled: None,
    };
    submit.run(stop).await?;
    let asking = match submit.travelled {
        Some((first, last)) => last - first,
        None => Duration::ZERO,
    };
    Ok(Asked { halt: submit.judge.halt().cloned(), asking })
}

impl<S: Service> Submit<S> {
    #[expect(clippy::disallowed_methods, reason = "the one place that waits")]
    async fn run(&mut self, stop: CancellationToken) -> Result<(), Broken> {
        loop {
            let now = Instant::now();
            let joined = self.queue.borrow().joined;
            if joined > self.grown.0 {
                self.grown = (joined, now);
            }
            if !stop.is_cancelled()
                && let Some(by) = self.denied
                && self.is_idle()
            {
                self.denied = None;
                self.judge.denied(by, (now, self.clock.now()), fastrand::f64());
            }
            let stopping = stop.is_cancelled() || self.judge.halt().is_some();
            let wake = if stopping { self.turn_back() } else { self.send_off(now) };
            if self.is_idle() && (stopping || self.is_done()) {
                return Ok(());
            }
            tokio::select! {
                () = stop.cancelled(), if !stopping => {}
                Some((ticket, task, came)) = self.flights.next() => self.landed(ticket, task, came),
                Some(settled) = self.settling.next() => settled?,
                Some(reserved) = self.reserving.next() => self.reserved(reserved?),
                Some(claimed) = self.claiming.next() => self.claimed(claimed?),
                Some(told) = self.inquiring.next() => self.told(told),
                Some(taken) = self.taking.next() => self.took(taken)?,
                changed = self.queue.changed() => changed.map_err(|_| ClerkGone)?,
                () = tokio::time::sleep_until(wake.unwrap_or(now)), if wake.is_some() => {}
            }
        }
    }

    /// Starts whatever may start now. Returns when to look again if nothing else happens before.
    fn send_off(&mut self, now: Instant) -> Option<Instant> {
        let (pause, mut waiting) = self.pause(now);
        let is_without_quota = matches!(waiting, Waiting::ForQuota { .. });
        self.inquiry.look_after_a_wait(is_without_quota);
        if is_without_quota || self.is_booked_on_another_day() {
            self.unready(now);
        }
        if !is_without_quota {
            self.ask_limits(now);
        }
        let mut wake = pause;
        if let Some(at) = self.inquiry.patience_ends(now) {
            wake = Some(soonest(wake, at));
        }
        let must_know_limits = self.inquiry.holds_back(now);
        let held_back = pause.is_some() || self.judge.waits_for_limits() || must_know_limits;
        if !held_back && let Some(at) = self.depart_all(now) {
            wake = Some(soonest(wake, at));
            waiting = Waiting::ForPace;
        }
        let mut room = self.room();
        while room > 0
            && self.denied.is_none()
            && !(is_without_quota || must_know_limits)
            && let Some(due) = self.retries.iter().position(|(_, at)| *at <= now)
        {
            self.reserve(due);
            room -= 1;
        }
        if let Some(at) = self.retries.iter().map(|(_, at)| *at).filter(|at| *at > now).min() {
            wake = Some(soonest(wake, at));
        }
        if room > 0 && !held_back && self.denied.is_none() && self.claiming.is_empty() && self.takes_more_on()
        {
            wake = self.claim(room, now, wake);
            let queue = *self.queue.borrow();
            if self.is_idle() && waiting == Waiting::ForAnswers {
                if self.elsewhere() > 0 {
                    waiting = Waiting::ForAnother;
                } else if queue.intake_open {
                    waiting = Waiting::ForDigests;
                }
            }
        }
        self.gauges.wait_for(waiting);
        wake
    }

    /// Takes back what is booked and will leave hours later, or on another day: it belongs to the day on which it does.
    fn unready(&mut self, now: Instant) {
        let tasks = self.unbook();
        self.retries.extend(tasks.into_iter().map(|task| (task, now)));
    }

    /// Until when nobody sends, and what for.
    fn pause(&mut self, now: Instant) -> (Option<Instant>, Waiting) {
        let moment = self.clock.now();
        if let Some(until) = self.judge.no_quota_until(moment) {
            let left = Duration::from_millis(u64::try_from(until.0 - moment.0).unwrap_or(0));
            return (Some(now + left.min(LOOK_AT_THE_CLOCK)), Waiting::ForQuota { until });
        }
        match self.judge.paused_until(now) {
            Some(until) => {
                let left = i64::try_from((until - now).as_millis()).unwrap_or(i64::MAX);
                (Some(until), Waiting::ForBackoff { until: Stamp(moment.0.saturating_add(left)) })
            }
            None => (None, Waiting::ForAnswers),
        }
    }

    /// Sends what has its slot. Returns when the next one's slot comes.
    fn depart_all(&mut self, now: Instant) -> Option<Instant> {
        let limit = self.judge.limit();
        let late = self.pace.late();
        while self.slotted.front().is_some_and(|slot| *slot + late < now) {
            self.slotted.pop_front();
        }
        let apart = self.pace.apart(now);
        while self.flights.len() < limit && !self.ready.is_empty() {
            if apart.is_some() {
                match self.slotted.front() {
                    None => break,
                    Some(slot) if *slot > now => return Some(*slot),
                    Some(_) => {}
                }
            }
            if let Err(at) = self.pace.take() {
                return Some(at);
            }
            self.slotted.pop_front();
            self.depart();
        }
        if let Some(apart) = apart {
            let could_leave = limit.saturating_sub(self.flights.len()).min(self.ready.len());
            let a_seconds = (SECOND.as_nanos() / apart.as_nanos().max(1)).max(1);
            let wanted = could_leave.min(usize::try_from(a_seconds).unwrap_or(usize::MAX));
            self.take_slots(wanted.saturating_sub(self.slotted.len()), apart);
        }
        None
    }

    /// Asks the account for the next slots.
    fn take_slots(&mut self, n: usize, apart: Duration) {
        if n == 0 {
            return;
        }
        let Some(mut slots) = self.slots.take() else { return };
        let (clock, apart) = (self.clock, i64::try_from(apart.as_nanos()).unwrap_or(i64::MAX));
        self.taking.push(spawn_blocking(move || {
            let taken = slots.take(n, apart, clock.nanos()).map(|first| {
                let nth =
                    |n: usize| first.saturating_add(apart.saturating_mul(i64::try_from(n).unwrap_or(0)));
                (0..n).map(|n| clock.instant(nth(n))).collect()
            });
            (slots, taken)
        }));
    }

    fn took(&mut self, taken: Result<Taken, tokio::task::JoinError>) -> Result<(), Broken> {
        let (slots, taken) = taken.expect("taking slots does not panic");
        self.slots = Some(slots);
        self.slotted.extend(taken.map_err(Broken::Pace)?);
        Ok(())
    }

    /// Asks once what the account may still ask, for the run's sake or about a 429 that does not say what it means.
    fn ask_limits(&mut self, now: Instant) {
        let is_wanted = self.inquiry.is_due(self.judge.is_proven()) || self.judge.waits_for_limits();
        if is_wanted && self.inquiring.is_empty() && self.judge.paused_until(now).is_none() {
            self.inquiry.begin(now);
            let service = Arc::clone(&self.service);
            self.inquiring.push(Box::pin(async move { service.allowance().await }));
        }
    }

    fn told(&mut self, told: Result<Allowance, Fault>) {
        let at = (Instant::now(), self.clock.now());
        self.inquiry.end(self.judge.told(told.as_ref(), at, fastrand::f64()));
        match told {
            Ok(allowance) => {
                self.settling.push(self.door.bind(allowance));
            }
            Err(fault) => tracing::info!("the service does not tell its limits: {}", fault.word()),
        }
    }

    /// Asks the clerk for as many batches as there is room for.
    fn claim(&mut self, room: usize, now: Instant, wake: Option<Instant>) -> Option<Instant> {
        let queue = *self.queue.borrow();
        let patience_ends = self.grown.1 + GROWTH_PATIENCE;
        let also_partial = !queue.intake_open || now >= patience_ends;
        let may_hold_more = queue.may_hold_more();
        let is_news = self.looked_while_open && !queue.intake_open;
        if may_hold_more
            && !is_news
            && let Some(look) = self.found_dry.map(|found| found + LOOK_AT_OTHERS)
            && look > now
        {
            return Some(soonest(wake, look));
        }
        if !may_hold_more && (queue.waiting == 0 || self.fruitless == Some((queue, also_partial))) {
            return if queue.waiting > 0 && !also_partial {
                Some(soonest(wake, patience_ends))
            } else {
                wake
            };
        }
        self.fruitless = Some((queue, also_partial));
        self.looked_while_open = queue.intake_open;
        self.claimed_room = room;
        let wanted = Claim {
            n_batches: room,
            batch_size: self.judge.batch_size(),
            also_partial,
            most_digests: u64::MAX,
            up_to: Class::Last,
        };
        self.claiming.push(self.door.claim(wanted));
        wake
    }

    fn claimed(&mut self, Claimed { batches, denied, beside }: Claimed) {
        self.claimed_room = 0;
        let now = Instant::now();
        self.found_dry = batches.is_empty().then_some(now);
        if let Some(beside) = beside {
            let still = self.beside.filter(|(before, _)| before.stirs == beside.stirs);
            self.beside = Some((beside, still.map_or(now, |(_, stirred)| stirred)));
        }
        if !batches.is_empty() || denied.is_some() {
            self.fruitless = None;
        }
        self.denied = denied;
        self.ready.extend(batches.into_iter().map(|(ticket, batch)| (ticket, Task::new(batch))));
    }

    fn reserve(&mut self, due: usize) {
        let (task, _) = self.retries.swap_remove(due);
        let reserving = self.door.reserve(task.batch.len());
        self.reserving.push(Box::pin(async move { Ok((task, reserving.await?)) }));
    }

    /// What is left is spent, not all or nothing: a batch that does not fit is asked in pieces that do.
    fn reserved(&mut self, (task, reserved): (Task, Result<Ticket, Short>)) {
        let now = Instant::now();
        match reserved {
            Ok(ticket) => self.ready.push_back((ticket, task)),
            Err(Short { room: 0, by }) => {
                self.denied = Some(by);
                self.retries.push((task, now));
            }
            Err(Short { room, .. }) => {
                self.retries.extend(task.in_pieces(room).into_iter().map(|piece| (piece, now)));
            }
        }
    }

    fn depart(&mut self) {
        let Some((ticket, task)) = self.ready.pop_front() else { return };
        let service = Arc::clone(&self.service);
        self.gauges.requests.fetch_add(1, Relaxed);
        let now = Instant::now();
        self.travelled.get_or_insert((now, now));
        self.flights.push(Box::pin(async move {
            let came = service.ask(&task.batch).await;
            (ticket, task, came)
        }));
        crash::point(Moment::Sent);
        self.gauges.in_flight.store(self.flights.len(), Relaxed);
    }

    fn landed(&mut self, ticket: Ticket, task: Task, came: Result<Reply, Fault>) {
        crash::point(Moment::Answered);
        self.gauges.in_flight.store(self.flights.len(), Relaxed);
        if let Err(fault) = &came {
            tracing::info!(n_hashes = task.batch.len(), "{}", fault.word());
        }
        tracing::debug!(n_hashes = task.batch.len(), in_flight = self.flights.len(), "landed");
        let now = Instant::now();
        if let Some((_, last)) = &mut self.travelled {
            *last = now;
        }
        if came.is_ok() {
            self.pace.answered(now);
        }
        let Ruling { word, quota, fates, reports_unknowns, again, eases } =
            self.judge.rule(task, came, now, fastrand::f64());
        if eases {
            self.pace.ease(now);
            // They were taken at the old pace.
            self.slotted.clear();
        }
        for (_, fate) in &fates {
            match fate {
                Fate::Answered(answer) => self.gauges.count_verdict(answer.verdict),
                Fate::Failed(_) | Fate::Invalid(_) | Fate::Deferred(_) => {
                    self.gauges.failed.fetch_add(1, Relaxed);
                }
            }
        }
        self.retries.extend(again);
        self.settle(Settlement { ticket, booking: Booked::Ended { word, quota }, fates, reports_unknowns });
    }

    fn settle(&mut self, settlement: Settlement) {
        self.denied = None;
        self.settling.push(self.door.settle(settlement));
    }

    /// Gives back the bookings of what has not left.
    fn unbook(&mut self) -> Vec<Task> {
        let mut tasks = Vec::with_capacity(self.ready.len());
        while let Some((ticket, task)) = self.ready.pop_front() {
            let booking = Booked::NotSent;
            self.settle(Settlement { ticket, booking, fates: Vec::new(), reports_unknowns: false });
            tasks.push(task);
        }
        tasks
    }

    /// Gives back what has not left. The digests stay in the queue's books and are deferred with the rest.
    fn turn_back(&mut self) -> Option<Instant> {
        self.retries.clear();
        self.unbook();
        self.gauges.wait_for(Waiting::ForAnswers);
        None
    }

    /// Whether something would leave on another day than the one it is booked on.
    fn is_booked_on_another_day(&self) -> bool {
        let today = day_of(self.clock.now());
        self.ready.iter().any(|(ticket, _)| !today.contains(&ticket.held_at))
    }

    /// Whether another batch may leave the queue while some are told to wait. Until the service has proved itself
    /// the first batch is asked again before any other is asked at all.
    fn takes_more_on(&self) -> bool {
        self.retries.len() < if self.judge.is_proven() { MOST_TOLD_TO_WAIT } else { 1 }
    }

    /// How many more batches may be taken in hand. Until the service has proved itself, or while one finds out
    /// whether a pause has helped, there is none beyond those that may travel. A slow rate leaves most of the
    /// connections idle, and what is booked for them would wait for many seconds, perhaps into another day.
    fn room(&self) -> usize {
        let limit = self.judge.limit();
        let lead = if limit > 1 || self.asking.concurrency == 1 { self.asking.rate.lead() } else { 0 };
        let unleft = self.ready.len() + self.reserving.len() + self.claimed_room;
        let unlanded = unleft + self.flights.len();
        let unsettled = unlanded + self.settling.len();
        (limit + lead)
            .saturating_sub(unlanded)
            .min(lead.max(1).saturating_sub(unleft))
            .min((2 * self.asking.in_hand()).saturating_sub(unsettled))
    }

    fn is_idle(&self) -> bool {
        self.ready.is_empty()
            && self.flights.is_empty()
            && self.settling.is_empty()
            && self.reserving.is_empty()
            && self.claimed_room == 0
    }

    fn is_done(&self) -> bool {
        let queue = *self.queue.borrow();
        if !self.retries.is_empty() || queue.waiting > 0 {
            return false;
        }
        if !queue.may_hold_more() {
            return !queue.intake_open;
        }
        let Some(found_dry) = self.found_dry else { return false };
        let is_all = !queue.intake_open && !self.looked_while_open && self.elsewhere() == 0;
        // Whoever stands still keeps what it holds, and may do so for ever.
        let is_still = (!queue.intake_open || queue.intake_elsewhere)
            && self.beside.is_some_and(|(_, stirred)| found_dry >= stirred + self.asking.patience);
        is_all || is_still
    }

    /// Digests that wait for another process.
    fn elsewhere(&self) -> u64 {
        self.beside.map_or(0, |(beside, _)| beside.elsewhere)
    }
}

fn soonest(wake: Option<Instant>, at: Instant) -> Instant {
    wake.map_or(at, |wake| wake.min(at))
}

#[cfg(test)]
mod tests;
