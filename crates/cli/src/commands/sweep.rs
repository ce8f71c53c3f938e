//! What scan, list and resume have in common: a run with its progress, its outputs and its last words.

use super::written;
use crate::exit::Exit;
use crate::outputs::Open;
use crate::progress::Progress;
use crate::settings::{Ending, Outputs, Remote, SIMULATOR, Sending, Service};
use crate::shell::{Terminal, say, steady_now, stop_on_signals};
use anyhow::Context;
use hashsweep_case::{Case, RunId, SweepId};
use hashsweep_pipeline::{Ended, Gauges, Intake, Order, now, sweep};
use hashsweep_report::{Figures, Speed, Summary, What};
use hashsweep_sim::{Simulator, World};
use hashsweep_spectra::{Client, Endpoint, Settings};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// A sweep that is in its case and ready to run.
pub(crate) struct Ready {
    pub(crate) case: Case,
    pub(crate) sweep: SweepId,
    pub(crate) intake: Intake,
    pub(crate) sending: Sending,
    pub(crate) outputs: Outputs,
    /// Opened before the long work starts.
    pub(crate) open: Vec<Open>,
    pub(crate) ending: Ending,
}

impl Ready {
    /// Runs it, writes its reports and says how it went.
    pub(crate) fn run(self, terminal: &Terminal) -> anyhow::Result<Exit> {
        let Ready { case, sweep, intake, sending, outputs, open, ending } = self;
        let what = if matches!(intake, Intake::Lists(_)) { What::Rows } else { What::Files };
        let simulated = sending.identity.as_deref() == Some(SIMULATOR);
        let gauges = Arc::new(Gauges::default());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
        let started = steady_now();
        let ended = runtime.block_on(async {
            let stop = stop_on_signals().context("listen for signals")?;
            let progress = Progress::new(terminal, Arc::clone(&gauges), what == What::Rows);
            let (service, _simulator) = connect(&sending).await?;
            let (source, fresh, asking) = (sending.source, sending.fresh, sending.asking);
            let order = Order { case, sweep, intake, service, source, fresh, asking };
            tokio::select! {
                ended = self::sweep(order, Arc::clone(&gauges), stop) => Ok::<_, anyhow::Error>(ended?),
                () = progress.run() => unreachable!("progress is drawn until the run ends"),
            }
        })?;
        let elapsed = started.elapsed();
        // A second Ctrl-C must not have to wait for anything that is still parked in the runtime.
        runtime.shutdown_background();
        let Ended { mut case, run, halt, interrupted, reading, asking } = ended;

        if let Some(halt) = halt.as_ref().filter(|halt| !halt.after_an_answer && halt.kind.is_fatal()) {
            close(&mut case, run, Exit::CouldNotRun)?;
            let error = anyhow::Error::msg(halt.fault.to_string());
            return Err(error.context(format!(
                "nothing could be asked; what was read is kept in {}, and 'hashsweep resume' goes on",
                case.path().display()
            )));
        }
        let tally = case.tally(sweep)?;
        let exit = Exit::of(&tally, &ending);
        close(&mut case, run, exit)?;
        written::write_all(&case, sweep, &outputs, open, terminal, simulated)?;
        if let Some(halt) = &halt {
            say(format!(
                "stopped asking: {}",
                hashsweep_report::safe::terminal(halt.fault.to_string().as_bytes())
            ));
        }
        if !terminal.talk.quiet {
            let speed = Speed {
                n_read: match what {
                    What::Files => gauges.source.files_hashed.load(Relaxed),
                    What::Rows => gauges.source.rows.load(Relaxed),
                },
                bytes_read: gauges.source.bytes_hashed.load(Relaxed),
                reading,
                n_asked: gauges.answered.load(Relaxed) + gauges.failed.load(Relaxed),
                asking,
                elapsed,
            };
            let figures = Figures {
                what,
                speed: Some(speed),
                simulated,
                interrupted,
                next_step: Some(format!("hashsweep resume --case {}", case.path().display())),
                case_path: Some(path_bytes(&case)),
            };
            let mut err = std::io::stderr().lock();
            Summary::new(&tally, &figures).write(&mut err, terminal.stderr && terminal.colour)?;
            err.flush()?;
        }
        Ok(exit)
    }
}

pub(crate) fn path_bytes(case: &Case) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    case.path().as_os_str().as_bytes().to_vec()
}

fn close(case: &mut Case, run: RunId, exit: Exit) -> anyhow::Result<()> {
    Ok(case.group(|group| group.end_run(run, now(), Some(exit.code())))?)
}

/// The service to ask, if any. The simulator lives as long as its handle.
async fn connect(sending: &Sending) -> anyhow::Result<(Option<Arc<Client>>, Option<Simulator>)> {
    let client = |settings| Ok::<_, anyhow::Error>(Some(Arc::new(Client::new(settings)?)));
    let (timeout, concurrency) = (sending.timeout, sending.asking.concurrency);
    match &sending.service {
        Service::Offline => Ok((None, None)),
        Service::Simulator => {
            let world = World { verdicts: hashsweep_sim::Verdicts::demo(), ..World::default() };
            let simulator = Simulator::start(world).await.context("start the built-in simulator")?;
            let endpoint = Endpoint::parse(&simulator.url())?;
            let settings = settings(endpoint, None, timeout, concurrency);
            Ok((client(settings)?, Some(simulator)))
        }
        Service::Remote(remote) => {
            let Remote { endpoint, credentials, ca_cert_pem, proxy } = remote.as_ref();
            let settings = Settings {
                credentials: credentials.clone(),
                ca_cert_pem: ca_cert_pem.clone(),
                proxy: proxy.clone(),
                environment_proxy: ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
                    .iter()
                    .any(|name| std::env::var_os(name).is_some()),
                ..settings(endpoint.clone(), None, timeout, concurrency)
            };
            Ok((client(settings)?, None))
        }
    }
}

fn settings(
    endpoint: Endpoint,
    credentials: Option<hashsweep_spectra::Credentials>,
    timeout: Duration,
    concurrency: usize,
) -> Settings {
    Settings {
        endpoint,
        credentials,
        ca_cert_pem: None,
        proxy: None,
        environment_proxy: false,
        timeout,
        concurrency,
    }
}
