use super::*;
use crate::clerk::{Clerk, Delivery, Doors, RowsDoor, Work};
use crate::now;
use crate::purse::Purse;
use hashsweep_case::{Account, Case, Freshness, NewSweep, Scope};
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
    submit: JoinHandle<Result<Asked, Broken>>,
}

impl Run {
    fn begin() -> Run {
        let dir = tempfile::tempdir().unwrap();
        let mut case = Case::open(&dir.path().join("case.db")).unwrap();
        let new = NewSweep { command: "list".to_owned(), settings: "{}".to_owned(), roots: Vec::new() };
        let (sweep, run) = case
            .group(|group| {
                let sweep = group.begin_sweep(&new, now())?;
                Ok((sweep, group.begin_run(sweep, now())?))
            })
            .unwrap();
        let asking = Asking::at_will(4);
        let gauges = Arc::new(Gauges::default());
        let account = Account::in_memory().unwrap();
        let (slots, clock) = (account.slots().unwrap(), Clock::starting_at(now()));
        let work = Work {
            distrust: None,
            standing: Arc::new(hashsweep_case::Standing::nothing(sweep)),
            asks: true,
            case,
            account,
            purse: Purse::new(None, 0),
            clock,
            sweep,
            run,
            fresh: Freshness::NOTHING,
            source: Source::Simulator,
            queue: Queue {
                waiting: 0,
                joined: 0,
                intake_open: true,
                intake_elsewhere: false,
                has_company: false,
            },
            gauges: Arc::clone(&gauges),
            course: crate::course::Course::default(),
        };
        let (Doors { rows, requests, queue }, clerk): (Doors, Clerk) =
            clerk::doors(work, asking.outstanding());
        let service = Arc::new(Absent { started: Instant::now(), asked: Mutex::default() });
        let asker = Asker {
            service: Arc::clone(&service),
            door: requests,
            queue,
            slots,
            clock,
            asking,
            judge: Judge::new(&asking, false),
            gauges,
        };
        Run {
            _dir: dir,
            rows: Some(rows),
            n_rows: 0,
            clerk: tokio::spawn(clerk.run()),
            submit: tokio::spawn(submit(asker, CancellationToken::new())),
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
        self.deliver(Delivery::Finished { excluded: 0, walked: hashsweep_case::Walked::default() }).await;
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
