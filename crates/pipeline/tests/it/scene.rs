//! A sweep on a stage of its own: a temporary case, something to take in, and the books that every run must leave
//! behind.

use crate::memory::Memory;
use hashsweep_case::{Account, Case, Freshness, NewRoot, NewSweep, Only, Order as Rows, Scope, SweepId};
use hashsweep_model::{HashKind, Kinds, Outcome, Row, Source, Stamp, Tally};
use hashsweep_pipeline::{
    Asking, Clock, Ended, Gauges, Halt, Intake, OnDoubt, Order, PipelineError, Rate, Service, now, sweep,
};
use hashsweep_sim::{Cue, ScriptHits, Verdicts, Witness, World};
use hashsweep_source::list::{Layout, ListOrder};
use hashsweep_source::{Globs, MissingRoot, OwnFiles, Root, Walk};
use std::future::Future;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// How long a run may take. On a paused clock nothing but a hang gets there, and it gets there at once.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// The same on a real clock.
pub(crate) const REAL_LIMIT: Duration = Duration::from_secs(60);

/// One sweep, over as many runs as a scenario likes.
pub(crate) struct Scene {
    dir: Arc<TempDir>,
    case: Option<Case>,
    pub(crate) sweep: SweepId,
    pub(crate) asking: Asking,
    pub(crate) stop: CancellationToken,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) limit: Duration,
    /// Kept in memory, and so forgotten after each run, where there is none.
    pub(crate) account: Option<PathBuf>,
    /// The real day where there is none.
    pub(crate) clock: Option<Clock>,
    pub(crate) stop_at: Option<Stamp>,
    pub(crate) distrust: Option<NonZeroU64>,
    pub(crate) fresh: Freshness,
}

/// What a run left behind.
pub(crate) struct Seen {
    pub(crate) halt: Option<Halt>,
    pub(crate) interrupted: bool,
    pub(crate) tally: Tally,
    pub(crate) rows: Vec<Row>,
    /// How often the run was woken: work, so few when there is nothing to do.
    pub(crate) polls: u64,
}

impl Scene {
    /// A list of these lines, not read yet.
    pub(crate) fn listing(lines: &[String]) -> Scene {
        let scene = Scene::over(|dir| vec![dir.join("list.txt")]);
        std::fs::write(scene.list(), lines.join("\n") + "\n").unwrap();
        scene
    }

    /// The same, read and recorded already: only asking is left.
    pub(crate) async fn recorded(lines: &[String]) -> Scene {
        let mut scene = Scene::listing(lines);
        let seen = scene.run(scene.lists(), None::<Arc<Memory>>).await;
        assert_eq!(seen.tally.rows, lines.len() as u64);
        assert_eq!(seen.tally.rows_of(Outcome::Answered), 0);
        scene
    }

    /// An empty directory to be filled and walked.
    pub(crate) fn walking() -> Scene {
        let scene = Scene::over(|dir| vec![dir.join("tree")]);
        std::fs::create_dir(scene.tree()).unwrap();
        scene
    }

    fn over(roots: impl Fn(&Path) -> Vec<PathBuf>) -> Scene {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let mut case = Case::open(&dir.path().join("case.db")).unwrap();
        let root = |opened: PathBuf| NewRoot { given: b"given".to_vec(), opened };
        let roots = roots(dir.path()).into_iter().map(root).collect();
        let new = NewSweep { command: "list".to_owned(), settings: "{}".to_owned(), roots };
        let sweep = case.group(|group| group.begin_sweep(&new, now())).unwrap();
        let asking = Asking {
            rate: Rate::Unlimited,
            concurrency: 8,
            batch_size: 100,
            give_up_after: Duration::from_secs(600),
            on_doubt: OnDoubt::Resend,
            wait_for_quota: false,
            max_quota: None,
            reserve: 0,
            patience: Duration::from_secs(120),
        };
        let gauges = Arc::default();
        Scene {
            dir,
            case: Some(case),
            sweep,
            asking,
            stop: CancellationToken::new(),
            gauges,
            limit: LIMIT,
            account: None,
            clock: None,
            stop_at: None,
            distrust: None,
            fresh: Freshness::NOTHING,
        }
    }

    /// Another process at the same sweep, by the same clock.
    pub(crate) fn beside(&mut self) -> Scene {
        self.clock.get_or_insert_with(|| Clock::starting_at(now()));
        Scene {
            dir: Arc::clone(&self.dir),
            case: Some(Case::open(&self.case_path()).unwrap()),
            stop: CancellationToken::new(),
            gauges: Arc::default(),
            account: self.account.clone(),
            ..*self
        }
    }

    /// Another process at the same case, with a sweep of its own over a list of these lines.
    pub(crate) fn beside_with(&mut self, lines: &[String]) -> Scene {
        let mut scene = self.beside();
        let opened = scene.dir.path().join("another list.txt");
        std::fs::write(&opened, lines.join("\n") + "\n").unwrap();
        let roots = vec![NewRoot { given: b"another".to_vec(), opened }];
        let new = NewSweep { command: "list".to_owned(), settings: "{}".to_owned(), roots };
        scene.sweep = scene.case_mut().group(|group| group.begin_sweep(&new, now())).unwrap();
        scene
    }

    /// Begins the next sweep of the tree, one of a series. What its earlier ones recorded counts in it.
    pub(crate) fn next_night(&mut self) {
        let tree = self.tree();
        let new = NewSweep {
            command: "scan".to_owned(),
            settings: "{}".to_owned(),
            roots: vec![NewRoot { given: b"tree".to_vec(), opened: tree }],
        };
        let case = self.case.as_mut().unwrap();
        self.sweep = case
            .group(|group| {
                let sweep = group.begin_sweep(&new, now())?;
                group.join_series(sweep, "shape")?;
                Ok(sweep)
            })
            .unwrap();
        self.gauges = Arc::default();
    }

    /// The walk of a night that began long after the last change: nothing about it is too recent to be trusted.
    pub(crate) fn late_walk(&self) -> Intake {
        let Intake::Walk(walk) = self.walk() else { unreachable!("it is a walk") };
        Intake::Walk(Walk { sweep_started: Stamp(now().0 + 60_000), ..walk })
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.dir.path().join("tree")
    }

    pub(crate) fn list(&self) -> PathBuf {
        self.dir.path().join("list.txt")
    }

    pub(crate) fn case_path(&self) -> PathBuf {
        self.dir.path().join("case.db")
    }

    pub(crate) fn lists(&self) -> Intake {
        let path = self.case().sweep(Some(self.sweep)).unwrap().roots[0].opened.clone();
        let order = ListOrder::new(path, kinds());
        Intake::Lists(vec![(order, Layout::Text)])
    }

    pub(crate) fn walk(&self) -> Intake {
        Intake::Walk(Walk {
            roots: vec![Root { given: b"tree".to_vec(), open_at: self.tree() }],
            kinds: kinds(),
            follow: false,
            one_file_system: false,
            max_depth: None,
            min_size: None,
            max_size: None,
            newer: None,
            include: Globs::none(),
            exclude: Globs::none(),
            own: OwnFiles::default(),
            jobs: NonZeroUsize::new(2).unwrap(),
            engine: hashsweep_source::Engine::best(),
            io: hashsweep_source::Io::Auto,
            readers: None,
            nice: false,
            max_read: None,
            missing_root: MissingRoot::Fail,
            sweep_started: Stamp(0),
        })
    }

    /// One run that must end well. Whatever the world did, the tally balances and no verdict is false.
    pub(crate) async fn run<S: Service>(&mut self, intake: Intake, service: Option<Arc<S>>) -> Seen {
        let (ended, polls) = self.attempt(intake, service).await;
        let Ended { mut case, run, halt, interrupted, .. } = ended.unwrap();
        case.group(|group| group.end_run(run, now(), Some(0))).unwrap();
        let tally = case.tally(self.sweep).unwrap();
        let mut rows = Vec::new();
        case.rows(self.sweep, Only::All, Rows::Arrival, |row| {
            rows.push(row);
            Ok::<_, hashsweep_case::CaseError>(())
        })
        .unwrap();
        self.case = Some(case);
        assert_eq!(tally.check(), Ok(()));
        assert_eq!(tally.outcomes.values().sum::<u64>(), tally.rows);
        assert_eq!(rows.len() as u64, tally.rows);
        assert_eq!(self.gauges.in_flight.load(Relaxed), 0);
        Seen { halt, interrupted, tally, rows, polls }
    }

    /// One run, however it ends, and how often it was woken. A run that failed has taken the case with it.
    pub(crate) async fn attempt<S: Service>(
        &mut self,
        intake: Intake,
        service: Option<Arc<S>>,
    ) -> (Result<Ended, PipelineError>, u64) {
        let order = Order {
            case: self.case.take().expect("the run before has given the case back"),
            account: match &self.account {
                Some(path) => Account::open(path).unwrap(),
                None => Account::in_memory().unwrap(),
            },
            clock: self.clock.unwrap_or_else(|| Clock::starting_at(now())),
            sweep: self.sweep,
            intake,
            service: service.ok_or("offline"),
            source: Source::Simulator,
            fresh: self.fresh,
            asking: self.asking,
            distrust: self.distrust,
            stop_at: self.stop_at,
        };
        let mut polls = 0;
        let mut run = pin!(sweep(order, Arc::clone(&self.gauges), self.stop.clone()));
        let counted = std::future::poll_fn(|context| {
            polls += 1;
            run.as_mut().poll(context)
        });
        let ended = tokio::time::timeout(self.limit, counted).await.expect("the run hangs");
        (ended, polls)
    }

    /// Asks what is recorded, once.
    pub(crate) async fn ask(&mut self, service: &Arc<Memory>) -> Seen {
        let seen = self.run(Intake::Finished, Some(Arc::clone(service))).await;
        self.balance(&seen, &service.witness(), service.lost());
        seen
    }

    /// Our books against the simulator's, over all runs so far: what left arrived, and no unit that was charged is
    /// missing from the ledger. Every answer is the one that the simulator gives.
    pub(crate) fn balance(&self, seen: &Seen, witness: &Witness, lost: u64) {
        let ledger = self.case().quota(Scope::Case).unwrap();
        assert!(ledger.at_most() >= witness.charged(), "{ledger:?}, charged {}", witness.charged());
        assert_eq!(self.case().requests(Scope::Case).unwrap(), witness.bulk_requests + lost);
        assert!(witness.max_batch() <= self.asking.batch_size);
        assert_eq!(witness.malformed, 0);
        seen.is_honest();
    }

    pub(crate) fn case_mut(&mut self) -> &mut Case {
        self.case.as_mut().unwrap()
    }

    pub(crate) fn case(&self) -> &Case {
        self.case.as_ref().unwrap()
    }
}

impl Seen {
    /// Rows with this outcome and reason.
    pub(crate) fn because(&self, outcome: Outcome, reason: &str) -> u64 {
        self.tally.reasons.get(&(outcome, reason.to_owned())).copied().unwrap_or(0)
    }

    pub(crate) fn answered(&self) -> u64 {
        self.tally.rows_of(Outcome::Answered)
    }

    /// Everything was answered.
    pub(crate) fn is_whole(&self) {
        assert_eq!((self.answered(), &self.halt), (self.tally.rows, &None), "{:?}", self.tally);
        assert!(self.tally.is_complete());
    }

    /// Every answer is the one that the simulator gives.
    pub(crate) fn is_honest(&self) {
        let truth = Verdicts::default();
        for row in &self.rows {
            if let Some(settled) = &row.answer {
                let hash = settled.answer.digest.to_string();
                let status = truth.status_of(&hash).unwrap().name().to_ascii_lowercase();
                assert_eq!(settled.answer.verdict.name(), status, "{hash}");
            }
        }
    }
}

/// A world in which lookups meet these faults; what is asked on the side meets none and shifts no number.
pub(crate) fn scripted(script: Vec<Cue>) -> World {
    World { script, script_hits: ScriptHits::Lookups, ..World::default() }
}

fn kinds() -> Kinds {
    Kinds::new([HashKind::Sha1]).unwrap()
}

/// The `n`th hash of a kind, in ascending order.
pub(crate) fn hash(kind: HashKind, n: usize) -> String {
    format!("{:0>width$x}", n + 1, width = 2 * kind.n_bytes())
}

/// That many SHA-1 hashes.
pub(crate) fn hashes(n: usize) -> Vec<String> {
    (0..n).map(|n| hash(HashKind::Sha1, n)).collect()
}
