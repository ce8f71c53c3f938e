//! The story of a run.

use crate::clerk::{Queue, RowsDoor, Turn, Work, doors};
use crate::course::Course;
use crate::halt::Halt;
use crate::intake::{Before, take_in};
use crate::judge::Judge;
use crate::purse::Purse;
use crate::submit::{Asked, Asker, Broken, submit};
use crate::{Asking, Clock, Gauges, Intake, Service};
use hashsweep_case::{Account, Case, CaseError, Freshness, Standing, SweepId};
use hashsweep_model::{Source, Stamp};
use std::num::NonZeroU64;
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
    /// Who is asked, or the reason why nobody is: `offline`, `dry run`.
    pub service: Result<Arc<S>, &'static str>,
    /// What the answers are worth.
    pub source: Source,
    /// Which earlier answers count.
    pub fresh: Freshness,
    /// How the service is asked.
    pub asking: Asking,
    /// One file in so many is read although nothing tells of a change, another share in each sweep; with 1, every file.
    pub distrust: Option<NonZeroU64>,
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
    /// Whether it was still at work when its time was up.
    pub out_of_time: bool,
    /// From the intake's start to its end.
    pub reading: Duration,
    /// From the first request to the last answer.
    pub asking: Duration,
    /// What the intake has to say beside its rows, a line each; file names in it are as they were found.
    pub remarks: Vec<String>,
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
    let Order { mut case, account, clock, sweep, intake, service, source, fresh, asking, distrust, stop_at } =
        order;
    let intake_open = !matches!(intake, Intake::Finished);
    let asks = service.is_ok();
    let (run, queue) = case.group(|group| {
        let run = group.begin_run(sweep, clock.now())?;
        if !asks {
            group.ask_nobody();
        }
        if let Some(budget) = asking.max_quota {
            group.bound_run(run, budget)?;
        }
        group.reopen(sweep, &fresh)?;
        group.want_carried(sweep, &fresh, asks)?;
        Ok((run, Queue::of(group, intake_open)))
    })?;
    let (judge, slots) = (Judge::new(&asking, case.unknowns_are_reported()?), account.slots()?);

    let work = Work {
        case,
        account,
        purse: Purse::new(asking.max_quota, asking.reserve),
        clock,
        sweep,
        run,
        fresh,
        source,
        queue,
        gauges: Arc::clone(&gauges),
        distrust,
        standing: Arc::new(Standing::nothing(sweep)),
        asks,
        course: Course::default(),
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
    let deadline = stop_at.map(|at| tokio::spawn(cancel_at(at, clock, ending.clone())));
    let (rows, at_work) = (doors.rows, Arc::clone(&gauges));
    // An intake that fails or panics brings no more digests and never says that it is finished.
    let failing = ending.clone().drop_guard();
    // Nobody waits for the turn to take rows in any more when there is nothing to ask.
    let asked_all = ending.child_token();
    let turn = intake_turn(intake, rows, asked_all.clone());
    let intake = tokio::spawn(async move {
        let Some((intake, rows, before)) = turn.await else {
            failing.disarm();
            return Ok((Duration::ZERO, Vec::new()));
        };
        spawn_blocking(move || {
            let started = Instant::now();
            let remarks = take_in(&intake, &before, &rows, &at_work, &halted)?;
            failing.disarm();
            Ok::<_, PipelineError>((started.elapsed(), remarks))
        })
        .await?
    });

    let nobody = service.as_ref().err().copied();
    let asked = if let Ok(service) = service {
        let (door, queue) = (doors.requests, doors.queue);
        let asker = Asker { service, door, queue, slots, clock, asking, judge, gauges };
        submit(asker, ending.clone()).await
    } else {
        drop(doors.requests);
        Ok(Asked::default())
    };
    let (Asked { halt, asking }, unpaced) = match asked {
        Ok(asked) => (asked, None),
        // The clerk's own error follows below.
        Err(Broken::ClerkGone) => (Asked::default(), None),
        Err(Broken::Pace(error)) => {
            ending.cancel();
            (Asked::default(), Some(error))
        }
    };
    if halt.as_ref().is_some_and(|halt| !halt.after_an_answer && halt.kind.is_fatal()) {
        // Nothing can be asked at all: the user has something to mend first, and resume walks on.
        ending.cancel();
    }
    asked_all.cancel();
    let taken_in = intake.await?;
    let mut case = clerk.await??;
    let (reading, remarks) = taken_in?;

    let interrupted = stop.is_cancelled();
    let out_of_time = deadline.is_some_and(|deadline| deadline.is_finished());
    let why = match &halt {
        Some(halt) => halt.kind.word(),
        None if interrupted => "interrupted",
        None if out_of_time => "deadline",
        None => nobody.unwrap_or("interrupted"),
    };
    case.group(|group| group.defer_rest(sweep, why, &fresh, clock.now()))?;
    if let Some(error) = unpaced {
        return Err(error.into());
    }
    Ok(Ended { case, run, halt, interrupted, out_of_time, reading, asking, remarks })
}

/// How often one looks whether another process has taken the rows in, or died over it.
const LOOK_AT_THE_INTAKE: Duration = Duration::from_millis(200);

/// Waits until it is this run's turn to take its sweep's rows in: one process does so at a time. `None` if nothing is
/// left to take in, or nobody waits for it any more.
#[expect(clippy::disallowed_methods, reason = "another process is waited for, not the service")]
async fn intake_turn(
    intake: Intake,
    rows: RowsDoor,
    stop: CancellationToken,
) -> Option<(Intake, RowsDoor, Before)> {
    if matches!(intake, Intake::Finished) {
        return None;
    }
    loop {
        match rows.turn().await? {
            Turn::Ours(before) => return Some((intake, rows, before)),
            Turn::Finished => return None,
            Turn::AnothersYet => {}
        }
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(LOOK_AT_THE_INTAKE) => {}
        }
    }
}

/// Ends a run when the clock on the wall says so; it may be set meanwhile, so it is looked at again and again.
#[expect(clippy::disallowed_methods, reason = "a deadline is the user's clock, not a wait for the service")]
async fn cancel_at(at: Stamp, clock: Clock, ending: CancellationToken) {
    loop {
        let left = at.0 - clock.now().0;
        let Ok(left @ 1..) = u64::try_from(left) else { break };
        tokio::select! {
            () = ending.cancelled() => return std::future::pending().await,
            () = tokio::time::sleep(Duration::from_millis(left.min(60_000))) => {}
        }
    }
    ending.cancel();
}
