//! `hashsweep case`: a look at the case itself, and what can be done to it as a file.

mod airgap;
mod copying;
mod info;
mod merge;
mod prune;

use super::sweep::path_bytes;
use crate::args::{CaseAction, CaseLook, CaseTools};
use crate::exit::Exit;
use crate::settings::{accounts_at, case_path};
use crate::shell::{json_line, maker};
use hashsweep_case::{Account, Case, Check};
use hashsweep_report::safe;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;

pub(crate) fn run(tools: CaseTools) -> anyhow::Result<Exit> {
    match tools.action {
        CaseAction::Info(args) => info::run(&args),
        CaseAction::Verify(look) => verify(&look),
        CaseAction::Prune(args) => prune::run(&args),
        CaseAction::Vacuum(look) => copying::vacuum(&look),
        CaseAction::Export(args) => copying::export(&args),
        CaseAction::Merge(args) => merge::run(&args),
        CaseAction::ExportPending(args) => airgap::export(&args),
        CaseAction::ImportAnswers(args) => airgap::import(&args),
    }
}

/// The case that a command is about.
pub(crate) fn path_of(action: &CaseAction) -> anyhow::Result<PathBuf> {
    let look = match action {
        CaseAction::Info(info) => &info.look,
        CaseAction::Verify(look) | CaseAction::Vacuum(look) => look,
        CaseAction::Prune(prune) => &prune.look,
        CaseAction::Export(export) => &export.look,
        CaseAction::ExportPending(pending) => &pending.look,
        CaseAction::ImportAnswers(answers) => &answers.look,
        CaseAction::Merge(merge) => return crate::settings::absolute(&merge.target),
    };
    case_path(&look.case, look.sim)
}

/// Opens an existing case to change it.
fn open_to_change(look: &CaseLook) -> anyhow::Result<Case> {
    let path = case_path(&look.case, look.sim)?;
    if !path.exists() {
        anyhow::bail!(hashsweep_case::CaseError::Missing(path));
    }
    Ok(Case::open(&path)?)
}

fn verify(choice: &CaseLook) -> anyhow::Result<Exit> {
    let case = Case::open_to_read(&case_path(&choice.case, choice.sim)?)?;
    let mut checks = case.verify()?;
    let accounts = accounts_of(&case)?;
    if !accounts.is_empty() {
        checks.push(case.verify_against(&accounts, maker().host.as_deref()));
    }
    let sound = checks.iter().all(|check| check.n_broken == 0);
    let mut out = std::io::stdout().lock();
    if choice.json {
        let rules: Vec<_> = checks.iter().map(rule_json).collect();
        let path = safe::text(&path_bytes(&case)).into_owned();
        let all = json!({ "case": path, "sound": sound, "rules": rules });
        writeln!(out, "{}", json_line(&all.to_string()))?;
    } else {
        for check in &checks {
            writeln!(out, "{}", rule_line(check))?;
        }
    }
    Ok(if sound { Exit::Clean } else { Exit::Incomplete })
}

/// The accounts that were charged for this case, as far as this user on this machine has any. The built-in simulator
/// keeps none.
fn accounts_of(case: &Case) -> anyhow::Result<Vec<Account>> {
    let paths = case.service()?.map(|service| accounts_at(&service)).unwrap_or_default();
    Ok(paths.iter().map(|path| Account::open_to_read(path)).collect::<Result<_, _>>()?)
}

fn rule_json(check: &Check) -> serde_json::Value {
    json!({ "rule": check.rule, "broken": check.n_broken, "example": check.example })
}

/// One line for each rule, whatever a damaged case holds.
fn rule_line(check: &Check) -> String {
    match (&check.example, check.n_broken) {
        (None, _) => format!("ok      {}", check.rule),
        (Some(example), n) => {
            format!("BROKEN  {}: {n}, first {}", check.rule, safe::terminal(example.as_bytes()))
        }
    }
}
