//! One file a command. Each turns its arguments into settings and hands them to a room that does the work.

mod baseline;
mod case;
mod desk;
mod details;
mod diff;
mod documents;
mod forensic;
mod hash;
pub(crate) mod herald;
mod image;
mod list;
mod metrics;
mod plan;
mod quota;
mod report;
mod resume;
mod scan;
mod sim;
mod spool;
mod sweep;
mod written;

use crate::args::{Cli, Command};
use crate::exit::Exit;
use crate::settings::case_path;
use crate::shell::Terminal;
use hashsweep_case::CaseError;
use hashsweep_pipeline::PipelineError;
use std::path::PathBuf;
use tracing_subscriber::EnvFilter;

/// Runs what was typed.
pub(crate) fn run(cli: Cli) -> anyhow::Result<Exit> {
    let terminal = Terminal::new(cli.talk);
    log_to_stderr(&terminal);
    crate::shell::raise_descriptor_limit();
    crate::shell::outlive_file_size_limits();
    let case = case_of(&cli.command);
    let ended = match cli.command {
        Command::Scan(scan) => scan::run(*scan, &terminal),
        Command::Image(image) => image::run(*image, &terminal),
        Command::List(list) => list::run(*list, &terminal),
        Command::Hash(hash) => hash::run(&hash, &terminal),
        Command::Resume(resume) => resume::run(*resume, &terminal),
        Command::Report(report) => report::run(report, &terminal),
        Command::Diff(diff) => diff::run(diff, &terminal),
        Command::Case(tools) => case::run(tools),
        Command::Quota(quota) => quota::run(&quota),
        Command::Details(details) => details::run(&details, &terminal),
        Command::Sim(sim) => sim::run(&sim),
    };
    ended.map_err(|error| match case {
        Some(path) if leaves_the_case_unnamed(&error) => error.context(path.display().to_string()),
        _ => error,
    })
}

/// The case that a command is about.
fn case_of(command: &Command) -> Option<PathBuf> {
    let (choice, simulated) = match command {
        Command::Scan(scan) => (&scan.case, scan.sending.sim),
        Command::Image(image) => (&image.case, image.sending.sim),
        Command::List(list) => (&list.case, list.sending.sim),
        Command::Resume(resume) => (&resume.case, resume.sending.sim),
        Command::Report(report) => (&report.case, report.sim),
        Command::Diff(diff) => (&diff.case, diff.sim),
        Command::Quota(quota) => (&quota.case, quota.sim),
        Command::Details(details) => (&details.case, details.sending.sim),
        Command::Case(tools) => return case::path_of(&tools.action).ok(),
        Command::Hash(_) | Command::Sim(_) => return None,
    };
    case_path(choice, simulated).ok()
}

/// Whoever has given more context has said which file it is about.
fn leaves_the_case_unnamed(error: &anyhow::Error) -> bool {
    error.chain().next().is_some_and(|cause| {
        cause.downcast_ref::<CaseError>().is_some_and(CaseError::names_no_file)
            || matches!(cause.downcast_ref(), Some(PipelineError::Case(error)) if error.names_no_file())
    })
}

/// Our own words at the level asked for, other crates' only when they warn. `HASHSWEEP_LOG` overrides both.
fn log_to_stderr(terminal: &Terminal) {
    let ours = match (terminal.talk.quiet, terminal.talk.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, _) => "debug",
    };
    let crates = ["hashsweep", "hashsweep_pipeline", "hashsweep_spectra", "hashsweep_source"];
    let mut directives = vec!["warn".to_owned()];
    directives.extend(crates.map(|name| format!("{name}={ours}")));
    let filter =
        EnvFilter::try_from_env("HASHSWEEP_LOG").unwrap_or_else(|_| EnvFilter::new(directives.join(",")));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .init();
}
