//! `hashsweep case`: a look at the case itself.

use super::sweep::path_bytes;
use crate::args::{CaseAction, CaseTools, CaseVerify};
use crate::exit::Exit;
use crate::settings::case_path;
use crate::shell::json_line;
use hashsweep_case::{Case, Check};
use hashsweep_report::safe;
use serde_json::json;
use std::io::Write;

pub(crate) fn run(tools: CaseTools) -> anyhow::Result<Exit> {
    match tools.action {
        CaseAction::Verify(choice) => verify(&choice),
    }
}

fn verify(choice: &CaseVerify) -> anyhow::Result<Exit> {
    let case = Case::open_to_read(&case_path(&choice.case, choice.sim)?)?;
    let checks = case.verify()?;
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
