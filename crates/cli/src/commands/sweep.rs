//! What scan, list and resume have in common: a run with its progress, its outputs and its last words.

use super::baseline::Baseline;
use super::desk::Desk;
use super::herald::Herald;
use super::metrics::{Budget, write_metrics};
use super::plan::Plan;
use super::written;
use crate::args::Format;
use crate::exit::Exit;
use crate::outputs::Open;
use crate::progress::Progress;
use crate::settings::{Ending, Outputs, SIMULATOR, Sending, Service};
use crate::shell::{Terminal, day_and_time, json_line, lines_safe, maker, say, steady_now, stop_on_signals};
use anyhow::{Context, bail};
use hashsweep_case::{Account, Case, CaseError, RunId, SweepId};
use hashsweep_model::{Stamp, Verdict};
use hashsweep_pipeline::{Clock, Ended, Gauges, Halt, HaltKind, Intake, Order, now, sweep};
use hashsweep_report::{Circumstances, Figures, Speed, Summary, What};
use hashsweep_sim::{Simulator, Verdicts, World};
use hashsweep_spectra::{Client, Endpoint, Settings};
use std::io::Write;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// A sweep that is in its case and ready to run.
pub(crate) struct Ready {
    pub(crate) case: Case,
    /// Where the case lies; dropped after it.
    pub(crate) desk: Desk,
    pub(crate) sweep: SweepId,
    pub(crate) intake: Intake,
    pub(crate) sending: Sending,
    pub(crate) outputs: Outputs,
    /// Opened before the long work starts.
    pub(crate) open: Vec<Open>,
    pub(crate) ending: Ending,
    /// One file in so many is read although nothing tells of a change.
    pub(crate) distrust: Option<NonZeroU64>,
}

impl Ready {
    /// Runs it, writes its reports and says how it went.
    pub(crate) fn run(self, terminal: &Terminal) -> anyhow::Result<Exit> {
        if self.sending.dry_run {
            return self.plan(terminal);
        }
        let Ready { case, desk: _desk, sweep, intake, sending, outputs, open, ending, distrust } = self;
        let (metrics, open): (Vec<Open>, Vec<Open>) =
            open.into_iter().partition(|open| open.format == Format::Metrics);
        let budget = Budget::of(&sending);
        let what = if matches!(intake, Intake::Lists(_)) { What::Rows } else { What::Files };
        let simulated = case.service()?.as_deref() == Some(SIMULATOR);
        let gauges = Arc::new(Gauges::default());
        let runtime = runtime()?;
        let started = steady_now();
        let ended = runtime.block_on(async {
            let stop = stop_on_signals().context("listen for signals")?;
            let (source, fresh, asking, stop_at) =
                (sending.source, sending.fresh, sending.asking, sending.stop_at);
            let account = sending.account()?;
            let (service, _simulator) = connect(sending).await?;
            let order = Order {
                case,
                account,
                clock: Clock::System,
                sweep,
                intake,
                service: service.ok_or("offline"),
                source,
                fresh,
                asking,
                distrust,
                stop_at,
            };
            carry_out(order, &gauges, stop, terminal).await
        })?;
        let elapsed = started.elapsed();
        let Ended { mut case, run, halt, interrupted, out_of_time, reading, asking, mut remarks } = ended;

        if let Some(halt) = halt.as_ref().filter(|halt| !halt.after_an_answer && halt.kind.is_fatal()) {
            close(&mut case, run, now(), Some(Exit::CouldNotRun))?;
            let tally = case.tally(sweep)?;
            write_metrics(metrics, &case, sweep, &tally, &Circumstances::default())?;
            bail!("{}\n  what was read is kept; to go on: {}", words_of(halt), resume_command(&case, sweep)?);
        }
        // Its reports tell when it ended, now and whenever they are written again.
        let ended_at = now();
        close(&mut case, run, ended_at, None)?;
        // Both read the whole sweep, each on a connection of its own.
        let path = case.path().to_owned();
        let counting = std::thread::spawn(move || Case::open_to_read(&path)?.tally(sweep));
        let baseline = Baseline::of(&case, &case.sweep(Some(sweep))?, outputs.emit)?;
        let reporting = steady_now();
        let mut written =
            written::write_all(&case, sweep, &outputs, open, terminal, simulated, baseline.as_ref());
        let reporting = reporting.elapsed();
        let tally = counting.join().expect("counting does not panic")?;
        let exit = Baseline::exit(baseline.as_ref(), &tally, &ending);
        close(&mut case, run, ended_at, Some(exit))?;
        // Another process at this sweep reads its list again to write what it was told to.
        if tally.is_complete() && written.is_ok() && !case.is_at_work_elsewhere(sweep)? {
            super::spool::drop_spools(case.path(), &case.sweep(Some(sweep))?.roots);
        }
        if let Some(halt) = &halt {
            say(format!("stopped asking: {}", lines_safe(&words_of(halt))));
        } else if out_of_time && !tally.is_complete() {
            say("stopped asking: it is the time that --stop-at names");
        }
        let speed = speed_of(what, &gauges, [reading, asking, elapsed]);
        if !metrics.is_empty() {
            let circumstances = Circumstances {
                exit_code: Some(exit.code()),
                speed: Some(speed),
                reporting: Some(reporting),
                account: budget.of_account(ended_at)?,
                budget_left: budget.left(&case, run)?,
                ..Circumstances::default()
            };
            written = written.and(write_metrics(metrics, &case, sweep, &tally, &circumstances));
        }
        // A quiet night is one with nothing to say.
        let has_something_to_say = exit != Exit::Clean || tally.contradictions > 0;
        if !terminal.talk.quiet || has_something_to_say {
            let n_findings = tally.rows_with(Verdict::Malicious) + tally.rows_with(Verdict::Suspicious);
            if terminal.talk.quiet && n_findings > 0 {
                written = written.and(written::findings_for_people(&case, sweep, simulated));
            }
            remarks.extend(images_among(&gauges.source));
            remarks.extend(baseline.map(|since| since.words(outputs.emit)));
            let figures = Figures {
                what,
                remarks,
                speed: Some(speed),
                simulated,
                // Stopped when nothing was left to do is not stopped.
                interrupted: interrupted && !tally.is_complete(),
                next_step: Some(resume_command(&case, sweep)?),
                case_path: Some(path_bytes(&case)),
            };
            // If stderr is closed there is nobody left to tell; the exit code still says it.
            let _ = Summary::new(&tally, &figures)
                .write(&mut std::io::stderr().lock(), terminal.stderr && terminal.colour);
        }
        // Until here the runtime hears a second Ctrl-C, so that writing a report cannot hold anybody up. What is
        // still parked in it is not waited for.
        runtime.shutdown_background();
        written?;
        Ok(exit)
    }

    /// Reads everything, asks nothing and shows what asking would cost. No report is written, and the copy that it
    /// works at goes when it ends.
    fn plan(self, terminal: &Terminal) -> anyhow::Result<Exit> {
        let Ready { case, desk: _desk, sweep, intake, sending, distrust, .. } = self;
        let gauges = Arc::new(Gauges::default());
        let runtime = runtime()?;
        runtime.block_on(async {
            let stop = stop_on_signals().context("listen for signals")?;
            let order = Order {
                case,
                account: Account::in_memory()?,
                clock: Clock::System,
                sweep,
                intake,
                service: Err("dry run"),
                source: sending.source,
                fresh: sending.fresh,
                asking: sending.asking,
                distrust,
                stop_at: None,
            };
            let Ended { mut case, run, remarks, .. } = carry_out(order, &gauges, stop, terminal).await?;
            for remark in remarks.into_iter().chain(images_among(&gauges.source)) {
                say(lines_safe(&remark));
            }
            let plan = Plan::of(&case, sweep, &sending).await?;
            let exit = if case.sweep(Some(sweep))?.intake_finished { Exit::Clean } else { Exit::Incomplete };
            close(&mut case, run, now(), Some(exit))?;
            let mut out = std::io::stdout().lock();
            if sending.plan_as_json {
                writeln!(out, "{}", json_line(&plan.json().to_string()))?;
            } else {
                plan.write(&mut out)?;
            }
            Ok(exit)
        })
    }
}

/// Opens a case to work at, which from now on says who does.
pub(crate) fn open_to_work(path: &Path) -> Result<Case, CaseError> {
    let mut case = Case::open(path)?;
    case.made_by(maker());
    Ok(case)
}

/// What a run did. It took so long to read, to ask, and in all.
fn speed_of(what: What, gauges: &Gauges, [reading, asking, elapsed]: [Duration; 3]) -> Speed {
    Speed {
        n_read: match what {
            What::Files => gauges.source.files_hashed.load(Relaxed),
            What::Rows => gauges.source.rows.load(Relaxed),
        },
        n_unchanged: gauges.source.files_unchanged.load(Relaxed),
        bytes_read: gauges.source.bytes_hashed.load(Relaxed),
        reading,
        n_asked: gauges.answered.load(Relaxed) + gauges.failed.load(Relaxed),
        asking,
        elapsed,
    }
}

fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")
}

/// One run with its progress on the screen, which is wiped off when the run ends.
async fn carry_out(
    order: Order<Client>,
    gauges: &Arc<Gauges>,
    stop: CancellationToken,
    terminal: &Terminal,
) -> anyhow::Result<Ended> {
    let herald = Herald::new(order.case.path().to_owned(), order.sweep);
    let lists = matches!(order.intake, Intake::Lists(_));
    let mut progress = Progress::new(terminal, Arc::clone(gauges), lists, herald);
    tokio::select! {
        ended = sweep(order, Arc::clone(gauges), stop) => Ok(ended?),
        () = progress.run() => unreachable!("progress is drawn until the run ends"),
    }
}

/// What a scan says when it came by disk images: it has hashed them and looked into none.
fn images_among(gauges: &hashsweep_source::Gauges) -> Option<String> {
    let n = gauges.images.load(Relaxed);
    let example = String::from_utf8_lossy(gauges.an_image.get()?);
    let what =
        if n == 1 { "1 file is a disk image".to_owned() } else { format!("{n} files are disk images") };
    Some(format!("{what}, and nobody looked inside; 'hashsweep image' does: {example}"))
}

/// Why asking stopped, in words, with what to do about it.
fn words_of(halt: &Halt) -> String {
    let fault = halt.fault.as_ref().map(ToString::to_string).unwrap_or_default();
    let resets = |at| format!("\n  the quota begins anew at {}", day_and_time(at));
    match halt.kind {
        HaltKind::Budget => {
            "what this run may spend is spent\n  hint: --max-quota sets it; give it to resume again, which else knows no budget".to_owned()
        }
        HaltKind::Quota => {
            let what = match halt.fault {
                Some(_) => fault,
                None => "by the account's own ledger the quota is used up, less what --reserve leaves\n  hint: 'hashsweep quota' shows it; --wait-for-quota waits and goes on".to_owned(),
            };
            what + &halt.resets_at.map(resets).unwrap_or_default()
        }
        HaltKind::Licence => {
            "quota or licence: the service refuses with 429 after the quota has begun anew, and does not tell its limits\n  hint: this looks like an appliance; check its licence".to_owned()
        }
        HaltKind::NoLimits => format!(
            "the service does not tell its limits, so --reserve cannot be kept\n  hint: leave --reserve out, or set a budget with --max-quota ({fault})"
        ),
        HaltKind::Credentials
        | HaltKind::Unreachable
        | HaltKind::WrongEndpoint
        | HaltKind::Refused
        | HaltKind::Unavailable => fault,
    }
}

/// What to type to finish a sweep.
pub(crate) fn resume_command(case: &Case, sweep: SweepId) -> anyhow::Result<String> {
    let is_latest = case.sweep(None)?.id == sweep;
    let command = resume(case.path());
    Ok(if is_latest { command } else { format!("{command} --sweep {}", sweep.0) })
}

/// The same whatever sweeps follow and wherever the case lies, for what is kept and passed on.
pub(crate) fn resume_exactly(case: &Case, sweep: SweepId) -> String {
    format!("{} --sweep {}", resume(Path::new(case.path().file_name().unwrap_or_default())), sweep.0)
}

fn resume(case: &Path) -> String {
    let path = case.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    let path = if path.chars().all(is_plain) { path } else { format!("'{}'", path.replace('\'', "'\\''")) };
    format!("hashsweep resume --case {path}")
}

pub(crate) fn path_bytes(case: &Case) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    case.path().as_os_str().as_bytes().to_vec()
}

fn close(case: &mut Case, run: RunId, ended_at: Stamp, exit: Option<Exit>) -> anyhow::Result<()> {
    Ok(case.group(|group| group.end_run(run, ended_at, exit.map(Exit::code)))?)
}

/// The service to ask, if any. The simulator lives as long as its handle.
pub(crate) async fn connect(sending: Sending) -> anyhow::Result<(Option<Arc<Client>>, Option<Simulator>)> {
    match sending.service {
        Service::Offline => Ok((None, None)),
        Service::Remote(client) => Ok((Some(Arc::new(client)), None)),
        Service::Simulator => {
            let world = World { verdicts: Verdicts::demo(), ..World::default() };
            let simulator = Simulator::start(world).await.context("start the built-in simulator")?;
            let client = Client::new(Settings {
                endpoint: Endpoint::parse(&simulator.url())?,
                credentials: None,
                ca_cert_pem: None,
                proxy: None,
                environment_proxy: false,
                timeout: sending.timeout,
                concurrency: sending.asking.concurrency,
                dialect: sending.speech.dialect,
                format: sending.speech.format,
                content_type: sending.speech.content_type,
            })?;
            Ok((Some(Arc::new(client)), Some(simulator)))
        }
    }
}
