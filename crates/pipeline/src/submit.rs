//! Submit: the only room that waits.
//!
//! One task owns everything that moves: batches claimed and waiting for their slot, requests on their way,
//! settlements on theirs, batches to be asked again. It decides nothing about a fault itself; the [`Judge`] rules
//! and this loop carries out. The picture of one batch:
//!
//! ```text
//!   claim+reserve+mark sent (one commit) ─► departures ─slot─► flights ─► judge ─► settle (commit)
//!                                               ▲                           │
//!                                               └── reserve ◄── retries ◄───┘
//! ```
//!
//! A batch is marked as leaving before it has its slot, so that the slot's timing never depends on an fsync; after
//! a kill that counts as in doubt what was merely waiting, at most a second's worth of requests.

use crate::clerk::{Booked, ClerkGone, Queue, RequestsDoor, Settlement};
use crate::judge::{Halt, Judge, Ruling, Task};
use crate::pace::{Pace, Rate};
use crate::{Gauges, Service, Waiting, clock};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use hashsweep_case::{AttemptId, Claimed, Fate};
use hashsweep_model::Stamp;
use hashsweep_spectra::{Fault, Reply};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a part of a batch waits for more digests while the intake is open (rule 6 of asking).
const GROWTH_PATIENCE: Duration = Duration::from_secs(5);

/// How many batches may be told to wait before no other is taken on. A service that fails at once and everywhere
/// would else draw the whole queue into memory. Guess, unmeasured: some 5 MB.
const MOST_TOLD_TO_WAIT: usize = 1_000;

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

impl Asking {
    /// How many requests to the clerk may be unanswered at once: every batch in hand, every departure undone by a
    /// stop, and a claim.
    pub(crate) fn outstanding(&self) -> usize {
        2 * self.concurrency + 2
    }
}

/// What became of the asking as a whole.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Why it ended before its end, if it did.
    pub(crate) halt: Option<Halt>,
    /// From the first departure to the last landing.
    pub(crate) asking: Duration,
}

type Flight = BoxFuture<'static, (AttemptId, Task, Result<Reply, Fault>)>;

/// Everything on its way.
struct Submit<S> {
    service: Arc<S>,
    door: Arc<RequestsDoor>,
    queue: watch::Receiver<Queue>,
    asking: Asking,
    gauges: Arc<Gauges>,
    judge: Judge,
    pace: Pace,
    departures: VecDeque<(AttemptId, Task)>,
    retries: Vec<(Task, Instant)>,
    flights: FuturesUnordered<Flight>,
    settling: FuturesUnordered<BoxFuture<'static, Result<(), ClerkGone>>>,
    reserving: FuturesUnordered<BoxFuture<'static, Result<(AttemptId, Task), ClerkGone>>>,
    claiming: FuturesUnordered<BoxFuture<'static, Result<Vec<Claimed>, ClerkGone>>>,
    /// What the queue looked like when a claim last came back empty; nothing to claim until it changes.
    fruitless: Option<(Queue, bool)>,
    /// Room that the claim on its way will fill.
    claimed_room: usize,
    /// Digests that had joined the queue when it last grew, and when that was.
    grown: (u64, Instant),
    /// The first departure and the last landing.
    travelled: Option<(Instant, Instant)>,
}

/// Asks about everything in the queue, until it is empty and the intake closed, or somebody stops the run, or the
/// judge does. What is in flight when that happens is awaited and settled.
pub(crate) async fn submit<S: Service>(
    service: Arc<S>,
    door: RequestsDoor,
    queue: watch::Receiver<Queue>,
    asking: Asking,
    judge: Judge,
    gauges: Arc<Gauges>,
    stop: CancellationToken,
) -> Result<Asked, ClerkGone> {
    let mut submit = Submit {
        service,
        door: Arc::new(door),
        queue,
        asking,
        gauges,
        judge,
        pace: Pace::new(asking.rate),
        departures: VecDeque::new(),
        retries: Vec::new(),
        flights: FuturesUnordered::new(),
        settling: FuturesUnordered::new(),
        reserving: FuturesUnordered::new(),
        claiming: FuturesUnordered::new(),
        fruitless: None,
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
    async fn run(&mut self, stop: CancellationToken) -> Result<(), ClerkGone> {
        loop {
            let now = Instant::now();
            let joined = self.queue.borrow().joined;
            if joined > self.grown.0 {
                self.grown = (joined, now);
            }
            let stopping = stop.is_cancelled() || self.judge.halt().is_some();
            let wake = if stopping { self.turn_back() } else { self.send_off(now) };
            if self.is_idle() && (stopping || self.is_done()) {
                return Ok(());
            }
            tokio::select! {
                () = stop.cancelled(), if !stopping => {}
                Some((attempt, task, came)) = self.flights.next() => self.landed(attempt, task, came),
                Some(settled) = self.settling.next() => settled?,
                Some(reserved) = self.reserving.next() => self.departures.push_back(reserved?),
                Some(claimed) = self.claiming.next() => self.claimed(claimed?),
                changed = self.queue.changed() => changed.map_err(|_| ClerkGone)?,
                () = tokio::time::sleep_until(wake.unwrap_or(now)), if wake.is_some() => {}
            }
        }
    }

    /// Starts whatever may start now. Returns when to look again if nothing else happens before.
    fn send_off(&mut self, now: Instant) -> Option<Instant> {
        let limit = self.judge.limit(self.asking.concurrency);
        let paused_until = self.judge.paused_until(now);
        let mut wake = paused_until;
        let mut waiting = paused_until.map_or(Waiting::ForAnswers, |until| Waiting::ForBackoff {
            until: Stamp(clock::now().0 + i64::try_from((until - now).as_millis()).unwrap_or(i64::MAX)),
        });
        while paused_until.is_none() && self.flights.len() < limit && !self.departures.is_empty() {
            match self.pace.take() {
                Ok(()) => self.depart(),
                Err(at) => {
                    wake = Some(soonest(wake, at));
                    waiting = Waiting::ForPace;
                    break;
                }
            }
        }
        let ahead = limit.min(self.asking.rate.ahead());
        let mut room = (ahead + self.flights.len()).min(limit).saturating_sub(self.in_hand());
        while room > 0
            && let Some(due) = self.retries.iter().position(|(_, at)| *at <= now)
        {
            self.reserve(due);
            room -= 1;
        }
        if let Some(at) = self.retries.iter().map(|(_, at)| *at).filter(|at| *at > now).min() {
            wake = Some(soonest(wake, at));
        }
        if room > 0 && paused_until.is_none() && self.claiming.is_empty() && self.takes_more_on() {
            wake = self.claim(room, now, wake);
            let queue = *self.queue.borrow();
            if self.is_idle() && queue.intake_open && waiting == Waiting::ForAnswers {
                waiting = Waiting::ForDigests;
            }
        }
        self.gauges.wait_for(waiting);
        wake
    }

    /// Asks the clerk for as many batches as there is room for.
    fn claim(&mut self, room: usize, now: Instant, wake: Option<Instant>) -> Option<Instant> {
        let queue = *self.queue.borrow();
        let patience_ends = self.grown.1 + GROWTH_PATIENCE;
        let also_partial = !queue.intake_open || now >= patience_ends;
        if queue.waiting == 0 || self.fruitless == Some((queue, also_partial)) {
            return if queue.waiting > 0 && !also_partial {
                Some(soonest(wake, patience_ends))
            } else {
                wake
            };
        }
        self.fruitless = Some((queue, also_partial));
        self.claimed_room = room;
        let door = Arc::clone(&self.door);
        self.claiming.push(Box::pin(async move { door.claim(room, also_partial).await }));
        wake
    }

    fn claimed(&mut self, claimed: Vec<Claimed>) {
        self.claimed_room = 0;
        if !claimed.is_empty() {
            self.fruitless = None;
        }
        self.departures.extend(claimed.into_iter().map(|c| (c.attempt, Task::new(c.batch))));
    }

    fn reserve(&mut self, due: usize) {
        let (task, _) = self.retries.swap_remove(due);
        let door = Arc::clone(&self.door);
        self.reserving.push(Box::pin(async move { Ok((door.reserve(task.batch.len()).await?, task)) }));
    }

    fn depart(&mut self) {
        let Some((attempt, task)) = self.departures.pop_front() else { return };
        let service = Arc::clone(&self.service);
        self.gauges.requests.fetch_add(1, Relaxed);
        let now = Instant::now();
        self.travelled.get_or_insert((now, now));
        self.flights.push(Box::pin(async move {
            let came = service.ask(&task.batch).await;
            (attempt, task, came)
        }));
        self.gauges.in_flight.store(self.flights.len(), Relaxed);
    }

    fn landed(&mut self, attempt: AttemptId, task: Task, came: Result<Reply, Fault>) {
        self.gauges.in_flight.store(self.flights.len(), Relaxed);
        if let Err(fault) = &came {
            tracing::info!(n_hashes = task.batch.len(), "{}", fault.word());
        }
        tracing::debug!(n_hashes = task.batch.len(), in_flight = self.flights.len(), "landed");
        let now = Instant::now();
        if let Some((_, last)) = &mut self.travelled {
            *last = now;
        }
        let Ruling { word, quota, fates, reports_unknowns, again } =
            self.judge.rule(task, came, now, fastrand::f64());
        for (_, fate) in &fates {
            match fate {
                Fate::Answered(answer) => self.gauges.count_verdict(answer.verdict),
                Fate::Failed(_) | Fate::Invalid(_) | Fate::Deferred(_) => {
                    self.gauges.failed.fetch_add(1, Relaxed);
                }
            }
        }
        self.retries.extend(again);
        self.settle(Settlement { attempt, booking: Booked::Ended { word, quota }, fates, reports_unknowns });
    }

    fn settle(&mut self, settlement: Settlement) {
        let door = Arc::clone(&self.door);
        self.settling.push(Box::pin(async move { door.settle(settlement).await }));
    }

    /// Gives back what has not left. The digests stay in the queue's books and are deferred with the rest.
    fn turn_back(&mut self) -> Option<Instant> {
        self.retries.clear();
        while let Some((attempt, _)) = self.departures.pop_front() {
            self.settle(Settlement {
                attempt,
                booking: Booked::NotSent,
                fates: Vec::new(),
                reports_unknowns: false,
            });
        }
        self.gauges.wait_for(Waiting::ForAnswers);
        None
    }

    /// Whether another batch may leave the queue while some are told to wait. Until the service has proved itself
    /// the first batch is asked again before any other is asked at all.
    fn takes_more_on(&self) -> bool {
        self.retries.len() < if self.judge.is_proven() { MOST_TOLD_TO_WAIT } else { 1 }
    }

    /// Batches that hold room: whatever is between the queue and its settlement, but for those told to wait.
    fn in_hand(&self) -> usize {
        self.departures.len()
            + self.flights.len()
            + self.settling.len()
            + self.reserving.len()
            + self.claimed_room
    }

    fn is_idle(&self) -> bool {
        self.in_hand() == 0
    }

    fn is_done(&self) -> bool {
        let queue = *self.queue.borrow();
        self.retries.is_empty() && queue.waiting == 0 && !queue.intake_open
    }
}

fn soonest(wake: Option<Instant>, at: Instant) -> Instant {
    wake.map_or(at, |wake| wake.min(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clerk::{self, Clerk, Delivery, Doors, RowsDoor, Work};
    use hashsweep_case::{Case, Freshness, NewSweep, Scope};
    use hashsweep_model::{Batch, Digest, Digests, HashKind, Outcome, Place, Seen, Sighting, Source, Tally};
    use hashsweep_spectra::Allowance;
    use std::sync::Mutex;
    use tempfile::TempDir;
    use tokio::task::{JoinHandle, spawn_blocking};

    /// Answers at once that it knows nothing, and notes how many hashes it was asked about, and when.
    struct Absent {
        started: Instant,
        asked: Mutex<Vec<(Duration, usize)>>,
    }

    impl Service for Absent {
        async fn ask(&self, batch: &Batch) -> Result<Reply, Fault> {
            self.asked.lock().unwrap().push((self.started.elapsed(), batch.len()));
            Ok(Reply::default())
        }

        async fn allowance(&self) -> Result<Allowance, Fault> {
            Ok(Allowance::default())
        }
    }

    /// A run whose intake is the test.
    struct Run {
        _dir: TempDir,
        rows: Option<RowsDoor>,
        n_rows: u64,
        service: Arc<Absent>,
        clerk: JoinHandle<Result<Case, crate::PipelineError>>,
        submit: JoinHandle<Result<Asked, ClerkGone>>,
    }

    impl Run {
        fn begin() -> Run {
            let dir = tempfile::tempdir().unwrap();
            let mut case = Case::open(&dir.path().join("case.db")).unwrap();
            let new = NewSweep { command: "list".to_owned(), settings: "{}".to_owned(), roots: Vec::new() };
            let (sweep, run) = case
                .group(|group| {
                    let sweep = group.begin_sweep(&new, clock::now())?;
                    Ok((sweep, group.begin_run(sweep, clock::now())?))
                })
                .unwrap();
            let asking = Asking {
                rate: Rate::Unlimited,
                concurrency: 4,
                batch_size: 100,
                give_up_after: Duration::from_secs(600),
                on_doubt: OnDoubt::Resend,
                wait_for_quota: false,
                max_quota: None,
                reserve: 0,
            };
            let gauges = Arc::new(Gauges::default());
            let work = Work {
                case,
                sweep,
                run,
                fresh: Freshness::NOTHING,
                source: Source::Simulator,
                batch_size: asking.batch_size,
                queue: Queue { waiting: 0, joined: 0, intake_open: true },
                gauges: Arc::clone(&gauges),
            };
            let (Doors { rows, requests, queue }, clerk): (Doors, Clerk) =
                clerk::doors(work, asking.outstanding());
            let service = Arc::new(Absent { started: Instant::now(), asked: Mutex::default() });
            let judge = Judge::new(asking.give_up_after, false);
            let stop = CancellationToken::new();
            Run {
                _dir: dir,
                rows: Some(rows),
                n_rows: 0,
                clerk: tokio::spawn(clerk.run()),
                submit: tokio::spawn(submit(
                    Arc::clone(&service),
                    requests,
                    queue,
                    asking,
                    judge,
                    gauges,
                    stop,
                )),
                service,
            }
        }

        async fn deliver(&mut self, delivery: Delivery) {
            let rows = self.rows.take().unwrap();
            self.rows = Some(
                spawn_blocking(move || {
                    assert!(rows.deliver(delivery).is_continue());
                    rows
                })
                .await
                .unwrap(),
            );
        }

        /// New digests of one kind.
        async fn offer(&mut self, kind: HashKind, n: u64) {
            let rows = (0..n).map(|_| {
                self.n_rows += 1;
                let mut bytes = vec![1; kind.n_bytes()];
                bytes[..8].copy_from_slice(&self.n_rows.to_be_bytes());
                let digests = Digests::default().with(Digest::from_bytes(&bytes).unwrap());
                let seen = Seen::Listed { digests, asked: kind };
                Sighting { root: 0, place: Place::Line(self.n_rows), seen }
            });
            let rows = rows.collect();
            self.deliver(Delivery::Rows(rows)).await;
        }

        #[expect(clippy::disallowed_methods, reason = "time passes on the paused clock")]
        async fn wait(seconds: u64) {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }

        /// What has left so far: in which whole second, and how many hashes.
        fn left(&self) -> Vec<(u64, usize)> {
            self.service.asked.lock().unwrap().iter().map(|(at, n)| (at.as_secs(), *n)).collect()
        }

        async fn end(mut self) -> Tally {
            self.deliver(Delivery::Finished { excluded: 0 }).await;
            drop(self.rows.take());
            self.submit.await.unwrap().unwrap();
            let case = self.clerk.await.unwrap().unwrap();
            let tally = case.tally(case.sweep(None).unwrap().id).unwrap();
            assert_eq!(tally.check(), Ok(()));
            assert_eq!(tally.rows_of(Outcome::Answered), self.n_rows);
            assert_eq!(case.requests(Scope::Case).unwrap(), self.service.asked.lock().unwrap().len() as u64);
            tally
        }
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_intake_is_open_a_part_of_a_batch_waits_for_five_quiet_seconds() {
        let mut run = Run::begin();
        run.offer(HashKind::Sha1, 150).await;
        Run::wait(4).await;
        assert_eq!(run.left(), [(0, 100)]);
        Run::wait(2).await;
        assert_eq!(run.left(), [(0, 100), (5, 50)]);
        run.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn growth_begins_the_wait_anew_and_a_batch_that_fills_leaves_at_once() {
        let mut run = Run::begin();
        for _ in 0..5 {
            run.offer(HashKind::Sha1, 20).await;
            Run::wait(4).await;
        }
        assert_eq!(run.left(), [(16, 100)]);
        run.offer(HashKind::Md5, 30).await;
        Run::wait(4).await;
        run.offer(HashKind::Sha1, 30).await;
        Run::wait(4).await;
        assert_eq!(run.left(), [(16, 100)]);
        Run::wait(2).await;
        assert_eq!(run.left(), [(16, 100), (29, 30), (29, 30)]);
        run.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn growth_counts_although_more_was_taken_out_than_came_in() {
        let mut run = Run::begin();
        run.offer(HashKind::Sha1, 390).await;
        Run::wait(4).await;
        run.offer(HashKind::Md5, 5).await;
        Run::wait(4).await;
        assert_eq!(run.left(), [(0, 100), (0, 100), (0, 100)]);
        Run::wait(2).await;
        assert_eq!(run.left()[3..], [(9, 5), (9, 90)]);
        run.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_intake_sends_the_rest_at_once() {
        let mut run = Run::begin();
        run.offer(HashKind::Sha1, 130).await;
        Run::wait(1).await;
        let service = Arc::clone(&run.service);
        run.end().await;
        let left = service.asked.lock().unwrap().iter().map(|(at, n)| (at.as_secs(), *n)).collect::<Vec<_>>();
        assert_eq!(left, [(0, 100), (1, 30)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clerk_that_is_gone_ends_the_asking() {
        let mut run = Run::begin();
        run.offer(HashKind::Sha1, 10).await;
        run.clerk.abort();
        assert!(run.submit.await.unwrap().is_err());
    }
}
