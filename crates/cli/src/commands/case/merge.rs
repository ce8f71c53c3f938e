//! `hashsweep case merge`: the cases of several machines in one.

use crate::args::CaseMerge;
use crate::exit::Exit;
use crate::json::path_text;
use crate::settings::absolute;
use crate::shell::{json_line, lines_safe};
use hashsweep_case::{Case, CaseError, Merged};
use hashsweep_pipeline::now;
use hashsweep_report::thousands;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;

pub(crate) fn run(merge: &CaseMerge) -> anyhow::Result<Exit> {
    let sources = merge.sources.iter().map(|path| absolute(path)).collect::<anyhow::Result<Vec<_>>>()?;
    // Before a target is made for them.
    if let Some(missing) = sources.iter().find(|path| !path.exists()) {
        anyhow::bail!(CaseError::Missing(missing.clone()));
    }
    let mut target = Case::open(&absolute(&merge.target)?)?;
    let mut out = std::io::stdout().lock();
    let mut all = Vec::new();
    for source in &sources {
        let merged = target.merge(source, now()).map_err(|error| said(error, source))?;
        if merge.json {
            all.push(in_json(source, &merged));
        } else {
            writeln!(out, "{}: {}", lines_safe(&source.to_string_lossy()), words(&merged))?;
        }
    }
    if merge.json {
        let all = json!({ "case": path_text(target.path()), "sources": all });
        writeln!(out, "{}", json_line(&all.to_string()))?;
    }
    Ok(Exit::Clean)
}

/// Which source it is about, unless it says so itself. What was merged before stays; each comes in whole or not at all.
fn said(error: CaseError, source: &Path) -> anyhow::Error {
    let source = source.display().to_string();
    let names_it = error.to_string().contains(&source);
    let error = anyhow::Error::new(error);
    if names_it { error } else { error.context(format!("merge {source}")) }
}

fn in_json(source: &Path, merged: &Merged) -> Value {
    json!({
        "source": path_text(source), "sweeps": merged.sweeps, "rows": merged.rows, "fates": merged.fates,
        "answers": merged.answers, "attempts": merged.attempts,
    })
}

fn words(merged: &Merged) -> String {
    if *merged == Merged::default() {
        return "nothing new".to_owned();
    }
    format!(
        "{} sweeps, {} rows, {} answers, {} lines of the ledger",
        thousands(merged.sweeps),
        thousands(merged.rows),
        thousands(merged.answers),
        thousands(merged.attempts)
    )
}
