//! The story of a run.

use crate::clerk::{Queue, Work, doors};
use crate::intake::{Before, take_in};
use crate::judge::{Halt, Judge};
use crate::submit::{Asked, submit};
use crate::{Asking, Clock, Gauges, Intake, Service, clock};
use hashsweep_case::{Account, Case, CaseError, Freshness, SweepId};
use hashsweep_model::{Source, Stamp};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// One run of one sweep.
#[derive(Debug)]
pub struct Order<S> {
    /// Where it is remembered.
    pub case: Case,
    /// Who pays, and by whose pace.
    pub account: Account,
    /// Which moment it is.
    pub clock: Clock,
    /// Which sweep of it.
    pub sweep: SweepId,
    /// Where its rows come from.
    pub intake: Intake,
    /// Who is asked; nobody when offline.
    pub service: Option<Arc<S>>,
    /// What the answers are worth.
    pub source: Source,
    /// Which earlier answers count.
    pub fresh: Freshness,
    /// How the service is asked.
    pub asking: Asking,
    /// When the run stops by itself, whatever is left.
    pub stop_at: Option<Stamp>,
}

/// How a run ended. The counts are in the case.
#[derive(Debug)]
pub struct Ended {
    /// The case, every change durable.
    pub case: Case,
    /// This run, to be closed with its exit code.
    pub run: hashsweep_case::RunId,
    /// Why asking stopped before its end, if it did.
    pub halt: Option<Halt>,
    /// Whether the user stopped it.
    pub interrupted: bool,
    /// From the intake's start to its end.
    pub reading: Duration,
    /// From the first request to the last answer.
    pub asking: Duration,
}

/// Why a run could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The case said no; everything confirmed before is safe in it.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// A root cannot be walked.
    #[error(transparent)]
    Walk(#[from] hashsweep_source::WalkError),
    /// A list cannot be read.
    #[error(transparent)]
    List(#[from] hashsweep_source::list::ListError),
    /// A list is not what it was when its reading began.
    #[error(
        "{0} has changed since its first rows were read, so they cannot be told from the rest\n  hint: sweep it anew with 'hashsweep list'; 'hashsweep report' writes what was read"
    )]
    ListChanged(PathBuf),
    /// A bug of ours: a room panicked.
    #[error("a bug: {0}; the case holds everything up to here")]
    Room(#[from] JoinError),
}

/// Carries out one run: rows come in, digests are asked, answers are settled, and what could not be asked is
/// deferred with its reason. Cancelling `stop` ends it early and in order.
pub async fn sweep<S: Service>(
    order: Order<S>,
    gauges: Arc<Gauges>,
    stop: CancellationToken,
) -> Result<Ended, PipelineError> {
    let Order { mut case, account, clock: _, sweep, intake, service, source, fresh, asking, stop_at: _ } =
        order;
    let _ = account;
    let intake_open = !matches!(intake, Intake::Finished);
    let before = if intake_open { Before::of(&case, sweep)? } else { Before::default() };
    let (run, waiting) = case.group(|group| {
        let run = group.begin_run(sweep, clock::now())?;
        Ok((run, group.reopen(sweep, &fresh)?))
    })?;
    let judge = Judge::new(asking.give_up_after, case.unknowns_are_reported()?);

    let queue = Queue { waiting, joined: waiting, intake_open };
    let work = Work {
        case,
        sweep,
        run,
        fresh,
        source,
        batch_size: asking.batch_size,
        queue,
        gauges: Arc::clone(&gauges),
    };
    let (doors, clerk) = doors(work, asking.outstanding());
    let clerk = tokio::spawn(clerk.run());

    // The run's own end: the user's stop, and whatever else leaves nothing to go on with. Dropping the guard, on
    // whichever way out of here, stops the intake.
    let ending = stop.child_token();
    let _guard = ending.clone().drop_guard();
    let halted = Arc::new(AtomicBool::new(false));
    let (watched, flag) = (ending.clone(), Arc::clone(&halted));
    tokio::spawn(async move {
        watched.cancelled().await;
        flag.store(true, Relaxed);
    });
    let (rows, at_work) = (doors.rows, Arc::clone(&gauges));
    // An intake that fails or panics brings no more digests and never says that it is finished.
    let failing = ending.clone().drop_guard();
    let intake = spawn_blocking(move || {
        let started = Instant::now();
        take_in(&intake, &before, &rows, &at_work, &halted)?;
        failing.disarm();
        Ok::<_, PipelineError>(started.elapsed())
    });

    let Asked { halt, asking } = if let Some(service) = service {
        // When the clerk is gone, its own error follows below.
        submit(service, doors.requests, doors.queue, asking, judge, gauges, ending.clone())
            .await
            .unwrap_or_default()
    } else {
        drop(doors.requests);
        Asked::default()
    };
    if halt.as_ref().is_some_and(|halt| !halt.after_an_answer && halt.kind.is_fatal()) {
        // Nothing can be asked at all: the user has something to mend first, and resume walks on.
        ending.cancel();
    }
    let taken_in = intake.await?;
    let mut case = clerk.await??;
    let reading = taken_in?;

    let interrupted = stop.is_cancelled();
    let why = match &halt {
        Some(halt) => halt.kind.word(),
        None if interrupted => "interrupted",
        None => "offline",
    };
    case.group(|group| group.defer_rest(sweep, why))?;
    Ok(Ended { case, run, halt, interrupted, reading, asking })
}
