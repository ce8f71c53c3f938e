//! `hashsweep case export-pending` and `import-answers`: a case without a network has another ask.

use super::open_to_change;
use crate::args::{CaseAnswers, CasePending};
use crate::exit::Exit;
use crate::json::path_text;
use crate::settings::{absolute, case_path};
use crate::shell::{json_line, lines_safe, say};
use anyhow::Context as _;
use hashsweep_case::{Case, CaseError, SweepId};
use hashsweep_model::Digest;
use hashsweep_pipeline::now;
use hashsweep_report::thousands;
use serde_json::json;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// What waits says this afterwards; the case it came from is in the ledger.
const NOT_AMONG_THEM: &str = "not among the answers brought in";

pub(crate) fn export(pending: &CasePending) -> anyhow::Result<Exit> {
    let case = Case::open_to_read(&case_path(&pending.look.case, pending.look.sim)?)?;
    let sweeps = match pending.sweep {
        Some(n) => vec![SweepId(n)],
        None => made_here(&case)?,
    };
    let mut exit = Exit::Clean;
    for sweep in &sweeps {
        if !case.sweep(Some(*sweep))?.intake_finished {
            exit = Exit::Incomplete;
            say(format!(
                "sweep {n} did not come to its end, and what it has not read is not among these\n  hint: 'hashsweep resume --offline --sweep {n}' finishes it first",
                n = sweep.0
            ));
        }
    }
    let digests = case.pending(&sweeps)?;
    match &pending.output {
        Some(path) => write_anew(&absolute(path)?, &digests)?,
        None => lines(&digests, io::stdout().lock())?,
    }
    let n = digests.len() as u64;
    if pending.look.json && pending.output.is_some() {
        let all = json!({ "case": path_text(case.path()), "sweeps": sweeps.len(), "digests": n });
        writeln!(io::stdout().lock(), "{}", json_line(&all.to_string()))?;
    } else if let Some(path) = &pending.output {
        let name = lines_safe(&path.to_string_lossy());
        say(match n {
            0 => "nothing is owed; the list is empty".to_owned(),
            n => format!(
                "{} digests written to {name}\n  next: where there is a network, 'hashsweep list {name} --case answers.db'; here again, 'hashsweep case import-answers answers.db'",
                thousands(n)
            ),
        });
    }
    Ok(exit)
}

fn made_here(case: &Case) -> anyhow::Result<Vec<SweepId>> {
    let mut here = Vec::new();
    for sweep in case.sweep_ids()? {
        if !case.sweep(Some(sweep))?.is_brought {
            here.push(sweep);
        }
    }
    Ok(here)
}

fn lines(digests: &[Digest], out: impl Write) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    digests.iter().try_for_each(|digest| writeln!(out, "{digest}"))?;
    out.flush()
}

/// Readable by its owner alone, as the case is. What could not be written whole is not left behind.
fn write_anew(path: &Path, digests: &[Digest]) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let write = |file: File| {
        lines(digests, &file)?;
        file.sync_all()
    };
    if file.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
        anyhow::bail!(CaseError::Taken(path.to_owned()));
    }
    file.with_context(|| path.display().to_string()).and_then(|file| {
        write(file).inspect_err(|_| drop(fs::remove_file(path))).with_context(|| path.display().to_string())
    })
}

pub(crate) fn import(answers: &CaseAnswers) -> anyhow::Result<Exit> {
    let from = absolute(&answers.from)?;
    if !from.exists() {
        anyhow::bail!(CaseError::Missing(from));
    }
    let mut case = open_to_change(&answers.look)?;
    let merged = case.merge(&from, now())?;
    let (mut owed, mut left, mut settled) = (0, 0, Vec::new());
    for sweep in made_here(&case)? {
        let caught = case.catch_up_with_answers(sweep, NOT_AMONG_THEM, now())?;
        (owed, left) = (owed + caught.owed, left + caught.left);
        if caught.owed > 0 {
            settled.push((sweep, caught));
        }
    }
    let mut out = io::stdout().lock();
    if answers.look.json {
        let sweeps: Vec<_> = settled
            .iter()
            .map(|(sweep, caught)| json!({ "sweep": sweep.0, "owed": caught.owed, "left": caught.left }))
            .collect();
        let all = json!({
            "case": path_text(case.path()), "source": path_text(&from), "answers": merged.answers, "sweeps": sweeps,
        });
        writeln!(out, "{}", json_line(&all.to_string()))?;
    } else {
        writeln!(out, "{} answers brought in", thousands(merged.answers))?;
        for (sweep, caught) in &settled {
            writeln!(
                out,
                "sweep {}: {} of {} owed digests are answered, {} still wait",
                sweep.0,
                thousands(caught.owed - caught.left),
                thousands(caught.owed),
                thousands(caught.left)
            )?;
        }
        if owed > 0 {
            writeln!(out, "  next: 'hashsweep report' writes a sweep's results again")?;
        }
    }
    Ok(if left == 0 { Exit::Clean } else { Exit::Incomplete })
}
