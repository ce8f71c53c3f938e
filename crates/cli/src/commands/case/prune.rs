//! `hashsweep case prune`: old sweeps go.

use super::open_to_change;
use crate::args::CasePrune;
use crate::exit::Exit;
use crate::json::path_text;
use crate::shell::{json_line, say};
use hashsweep_case::{Dropped, Owing, Retention, SweepId};
use hashsweep_model::Stamp;
use hashsweep_pipeline::now;
use hashsweep_report::{bytes, thousands};
use serde_json::json;
use std::io::Write;

pub(crate) fn run(prune: &CasePrune) -> anyhow::Result<Exit> {
    let mut case = open_to_change(&prune.look)?;
    let mut going = case.outlived(retention(prune))?;
    let owing = case.owing(&going)?;
    let staying: &[Owing] = if prune.abandon { &[] } else { &owing };
    going.retain(|sweep| staying.iter().all(|owing| owing.sweep != *sweep));
    let dropped =
        case.group(|group| if prune.dry_run { group.prunable(&going) } else { group.prune(&going, now()) })?;
    let free = case.size()?.free;
    for owing in staying {
        say(refusal(owing));
    }
    let mut out = std::io::stdout().lock();
    if prune.look.json {
        let numbers: Vec<i64> = going.iter().map(|sweep| sweep.0).collect();
        let staying: Vec<i64> = staying.iter().map(|owing| owing.sweep.0).collect();
        let all = json!({
            "case": path_text(case.path()), "dry_run": prune.dry_run, "pruned": numbers, "owing": staying,
            "rows": dropped.rows, "fates": dropped.fates, "rows_left": dropped.rows_left, "bytes_free": free,
        });
        writeln!(out, "{}", json_line(&all.to_string()))?;
    } else {
        writeln!(out, "{}", words(&going, &dropped, prune.dry_run))?;
        if !prune.dry_run && free > 0 {
            writeln!(
                out,
                "{} are free in the file now; 'hashsweep case vacuum' gives them back",
                bytes(free)
            )?;
        }
    }
    Ok(if staying.is_empty() { Exit::Clean } else { Exit::Incomplete })
}

fn retention(prune: &CasePrune) -> Retention {
    match (prune.keep, prune.older_than) {
        (Some(n), _) => Retention::Latest(n),
        (None, age) => {
            let millis = age.map_or(i64::MAX, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
            Retention::Since(Stamp(now().0.saturating_sub(millis)))
        }
    }
}

fn refusal(owing: &Owing) -> String {
    let sweep = owing.sweep.0;
    let why = if owing.intake_finished {
        format!("still owes {} answers", thousands(owing.n_digests))
    } else {
        "did not come to its end".to_owned()
    };
    format!(
        "sweep {sweep} {why}, and stays\n  hint: 'hashsweep resume --sweep {sweep}' finishes it; --abandon drops it as it is"
    )
}

fn words(going: &[SweepId], dropped: &Dropped, is_dry_run: bool) -> String {
    if going.is_empty() && dropped.rows == 0 {
        return "nothing to prune".to_owned();
    }
    let verb = if is_dry_run { "would go" } else { "gone" };
    format!(
        "{} sweeps and {} rows {verb}; {} rows of pruned sweeps stay, for they are findings or stand for later sweeps",
        thousands(going.len() as u64),
        thousands(dropped.rows),
        thousands(dropped.rows_left),
    )
}
