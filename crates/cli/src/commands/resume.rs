//! `hashsweep resume`: what a sweep still owes.

use super::baseline::Baseline;
use super::desk::Desk;
use super::metrics::write_metrics;
use super::sweep::Ready;
use super::{image, list, scan, written};
use crate::args::{Format, Output, Resume};
use crate::exit::Exit;
use crate::outputs::{self, Open};
use crate::settings::{Ending, Outputs, SIMULATOR, Sending, case_path};
use crate::shell::{Terminal, maker, say};
use crate::stored::Stored;
use anyhow::{Context, bail};
use hashsweep_case::{Case, Sweep, SweepId};
use hashsweep_model::Tally;
use hashsweep_pipeline::Intake;
use hashsweep_report::Circumstances;
use std::path::PathBuf;

/// What no report may replace: the case and the lists or images of its sweep.
fn in_use(desk: &Desk, sweep: &Sweep) -> Vec<PathBuf> {
    let files = sweep
        .roots
        .iter()
        .filter(|_| matches!(sweep.command.as_str(), "list" | "image"))
        .map(|root| root.opened.clone());
    desk.files().into_iter().chain(files).collect()
}

pub(crate) fn run(resume: Resume, terminal: &Terminal) -> anyhow::Result<Exit> {
    let path = case_path(&resume.case, resume.sending.sim)?;
    if !path.exists() {
        bail!(hashsweep_case::CaseError::Missing(path));
    }
    let desk = Desk::of(path, resume.sending.dry_run);
    let mut case = desk.open()?;
    let sweep = case.sweep(resume.sweep.map(SweepId))?;
    if sweep.is_brought && !sweep.intake_finished {
        bail!(
            "sweep {} was brought here from {} before it had come to its end, and what it has not seen is there\n  hint: resume it there, and merge that case again",
            sweep.id.0,
            sweep.host.as_deref().map_or("another case".to_owned(), |host| format!("a case of '{host}'"))
        );
    }
    let stored = Stored::parse(&sweep.settings)?;
    let ending = Ending::resolve(&resume.ending, Some(&stored.ending));
    let tally = case.tally(sweep.id)?;
    if !tally.owes_something() {
        say("this sweep owes nothing; 'hashsweep report' writes it again");
        let Output { output, metrics, dataset, .. } = &resume.output;
        if !output.is_empty() || metrics.is_some() || dataset.is_some() {
            write_again(&resume, &case, &sweep, &stored, (&desk, &tally), terminal)?;
        }
        let baseline = Baseline::of(&case, &sweep, resume.output.emit)?;
        return Ok(Baseline::exit(baseline.as_ref(), &tally, &ending));
    }
    let sending = Sending::resolve(&resume.sending, &stored.sending)?;
    if let Some(service) = &sending.identity {
        case.belong_to(service)?;
    }
    let targets = if is_of_here(&sweep) { stored.targets() } else { Vec::new() };
    if targets.len() < stored.targets().len() && resume.output.output.is_empty() {
        say("its reports went to files of another machine and are not written again; -o says where to");
    }
    let outputs = Outputs::resolve(&resume.output, terminal.stdout, targets)?;
    let mut outputs = if sweep.command == "list" { outputs.of_list()? } else { outputs };
    outputs.emit = outputs.emit.or(stored.emit);
    Baseline::check_again(&case, &sweep, outputs.emit)?;
    let open = outputs::open(&outputs, &in_use(&desk, &sweep))?;
    let kinds = || stored.kinds.parse().context("read the sweep's hash functions");
    let intake = match (sweep.intake_finished, &stored.walking, &stored.images) {
        (true, ..) => Intake::Finished,
        (false, Some(filters), _) => {
            scan::intake(filters, &sweep.roots, kinds()?, sweep.started_at, desk.own(&case, &open))?
        }
        (false, None, Some(images)) => image::intake(images, &sweep.roots, kinds()?, &desk, &open)?,
        (false, None, None) => list::intake(&sweep.roots, &stored)?,
    };
    let distrust = stored.distrust;
    Ready { case, desk, sweep: sweep.id, intake, sending, outputs, open, ending, distrust }.run(terminal)
}

/// Whether a sweep was begun on this machine. Where the reports of another went is no reason to replace files here.
fn is_of_here(sweep: &Sweep) -> bool {
    !sweep.is_brought && (sweep.host.is_none() || sweep.host == maker().host)
}

/// Reports of a sweep that owes nothing go where they were asked for.
fn write_again(
    resume: &Resume,
    case: &Case,
    sweep: &Sweep,
    stored: &Stored,
    (desk, tally): (&Desk, &Tally),
    terminal: &Terminal,
) -> anyhow::Result<()> {
    let outputs = Outputs::resolve(&resume.output, terminal.stdout, Vec::new())?;
    let mut outputs = if sweep.command == "list" { outputs.of_list()? } else { outputs };
    outputs.emit = outputs.emit.or(stored.emit);
    let open = outputs::open(&outputs, &in_use(desk, sweep))?;
    let (metrics, open): (Vec<Open>, Vec<Open>) =
        open.into_iter().partition(|open| open.format == Format::Metrics);
    write_metrics(metrics, case, sweep.id, tally, &Circumstances::default())?;
    let simulated = case.service()?.as_deref() == Some(SIMULATOR);
    let baseline = Baseline::of(case, sweep, outputs.emit)?;
    written::write_all(case, sweep.id, &outputs, open, terminal, simulated, baseline.as_ref())?;
    if let Some(since) = baseline.filter(|_| !terminal.talk.quiet) {
        say(since.words(outputs.emit));
    }
    Ok(())
}
