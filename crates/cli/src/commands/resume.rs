//! `hashsweep resume`: what a sweep still owes.

use super::sweep::{Ready, open_to_work};
use super::{image, list, scan};
use crate::args::Resume;
use crate::exit::Exit;
use crate::outputs;
use crate::settings::{Ending, Outputs, Sending, case_path};
use crate::shell::{Terminal, say};
use crate::stored::Stored;
use anyhow::{Context, bail};
use hashsweep_case::{Case, Sweep, SweepId};
use hashsweep_model::Outcome;
use hashsweep_pipeline::Intake;
use std::path::{Path, PathBuf};

/// What no report may replace: the case and the lists or images of its sweep.
fn in_use(case: &Path, sweep: &Sweep) -> Vec<PathBuf> {
    let files = sweep
        .roots
        .iter()
        .filter(|_| matches!(sweep.command.as_str(), "list" | "image"))
        .map(|root| root.opened.clone());
    Case::files_of(case).into_iter().chain(files).collect()
}

pub(crate) fn run(resume: Resume, terminal: &Terminal) -> anyhow::Result<Exit> {
    let path = case_path(&resume.case, resume.sending.sim)?;
    if !path.exists() {
        bail!(hashsweep_case::CaseError::Missing(path));
    }
    let mut case = open_to_work(&path)?;
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
    if tally.intake_finished && tally.rows_of(Outcome::Deferred) + tally.rows_of(Outcome::Failed) == 0 {
        say("this sweep owes nothing; 'hashsweep report' writes it again");
        return Ok(Exit::of(&tally, &ending));
    }
    let sending = Sending::resolve(&resume.sending, &stored.sending)?;
    if let Some(service) = &sending.identity {
        case.belong_to(service)?;
    }
    let outputs = Outputs::resolve(&resume.output, terminal.stdout, stored.targets())?;
    let mut outputs = if sweep.command == "list" { outputs.of_list()? } else { outputs };
    outputs.emit = outputs.emit.or(stored.emit);
    let open = outputs::open(&outputs, &in_use(&path, &sweep))?;
    let kinds = || stored.kinds.parse().context("read the sweep's hash functions");
    let intake = match (sweep.intake_finished, &stored.walking, &stored.images) {
        (true, ..) => Intake::Finished,
        (false, Some(filters), _) => {
            scan::intake(filters, &sweep.roots, kinds()?, sweep.started_at, &path, &open)?
        }
        (false, None, Some(images)) => image::intake(images, &sweep.roots, kinds()?, &path, &open)?,
        (false, None, None) => list::intake(&sweep.roots, &stored)?,
    };
    Ready { case, sweep: sweep.id, intake, sending, outputs, open, ending, distrust: stored.distrust }
        .run(terminal)
}
