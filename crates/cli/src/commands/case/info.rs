//! `hashsweep case info`: what is in a case, on one screen.

use crate::args::CaseInfo;
use crate::exit::Exit;
use crate::json::path_text;
use crate::settings::case_path;
use crate::shell::{day_and_time, json_line};
use hashsweep_case::{Brief, Case, Info};
use hashsweep_model::{Outcome, Quota, Stamp, Tally, Verdict};
use hashsweep_report::{bytes, safe, thousands};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

/// How many sweeps are counted unless all are wanted: counting one reads all rows of its series.
const SWEEPS: usize = 10;

pub(crate) fn run(args: &CaseInfo) -> anyhow::Result<Exit> {
    let case = Case::open_to_read(&case_path(&args.look.case, args.look.sim)?)?;
    let info = case.info()?;
    let n_left_out = if args.all { 0 } else { info.sweeps.len().saturating_sub(SWEEPS) };
    let sweeps = info.sweeps[n_left_out..]
        .iter()
        .map(|sweep| {
            let tally = sweep.pruned_at.is_none().then(|| case.tally(sweep.id)).transpose()?;
            Ok((sweep, tally))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut out = io::stdout().lock();
    if args.look.json {
        writeln!(out, "{}", json_line(&in_json(case.path(), &info, &sweeps, n_left_out).to_string()))?;
    } else {
        write(case.path(), &info, &sweeps, n_left_out, &mut out)?;
    }
    Ok(Exit::Clean)
}

type Counted<'info> = (&'info Brief, Option<Tally>);

fn write(
    path: &Path,
    info: &Info,
    sweeps: &[Counted<'_>],
    n_left_out: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    let size = info.size;
    writeln!(out, "case      {}", terminal(&path_text(path)))?;
    writeln!(out, "name      {}", info.uid)?;
    writeln!(out, "service   {}", info.service.as_deref().map_or("none yet".into(), terminal))?;
    writeln!(
        out,
        "size      {}, of which {} are free; a log of {} beside it",
        bytes(size.file),
        bytes(size.free),
        bytes(size.log)
    )?;
    writeln!(
        out,
        "rows      {} stored, {} of them ended; {} distinct digests; {} bytes a row, {} a digest",
        thousands(info.n_rows),
        thousands(info.n_ended),
        thousands(info.n_digests),
        each(size.in_use(), info.n_rows),
        each(size.in_use(), info.n_digests)
    )?;
    let answers = &info.answers;
    let verdicts = Verdict::WORST_FIRST.iter().filter_map(|verdict| {
        let n = answers.by_verdict.get(verdict).copied().unwrap_or_default();
        (n > 0).then(|| format!("{} {}", thousands(n), verdict.name()))
    });
    let n_answers = answers.by_verdict.values().sum();
    let period = match answers.oldest.zip(answers.newest) {
        Some((oldest, newest)) => format!(", from {} to {}", day_and_time(oldest), day_and_time(newest)),
        None => String::new(),
    };
    writeln!(
        out,
        "answers   {} about {} digests{period}",
        thousands(n_answers),
        thousands(answers.n_digests)
    )?;
    if n_answers > 0 {
        writeln!(out, "          {}", verdicts.collect::<Vec<_>>().join(", "))?;
    }
    writeln!(out, "ledger    {} in {} requests", cost(info.quota), thousands(info.requests))?;
    if info.brought != Quota::default() {
        writeln!(out, "          of it {} by the cases that were merged into this one", cost(info.brought))?;
    }
    writeln!(out, "owed      {} digests wait for an answer", thousands(info.n_owed))?;
    let hosts: BTreeSet<&str> = info.sweeps.iter().filter_map(|sweep| sweep.host.as_deref()).collect();
    let n_pruned = info.sweeps.iter().filter(|sweep| sweep.pruned_at.is_some()).count();
    writeln!(
        out,
        "sweeps    {}, {n_pruned} of them pruned, on {} known {}",
        info.sweeps.len(),
        hosts.len(),
        if hosts.len() == 1 { "machine" } else { "machines" }
    )?;
    if n_left_out > 0 {
        writeln!(out, "          the latest {} below; --all shows every one", sweeps.len())?;
    }
    for (sweep, tally) in sweeps {
        writeln!(out)?;
        write_sweep(sweep, tally.as_ref(), out)?;
    }
    Ok(())
}

fn write_sweep(sweep: &Brief, tally: Option<&Tally>, out: &mut impl Write) -> io::Result<()> {
    let host = sweep.host.as_deref().map_or("an unknown machine".into(), terminal);
    let brought = if sweep.origin.is_some() { ", brought here" } else { "" };
    writeln!(
        out,
        "sweep {:<3} {} of {} on {host}{brought}",
        sweep.id.0,
        day_and_time(sweep.started_at),
        sweep.command
    )?;
    writeln!(out, "          {}", roots(sweep))?;
    match (tally, sweep.pruned_at) {
        (Some(tally), _) => {
            let end = if tally.intake_finished { "" } else { "; it did not come to its end" };
            writeln!(out, "          {}{end}", counts(tally))
        }
        (None, at) => writeln!(
            out,
            "          pruned {}; {} rows are left",
            at.map(day_and_time).unwrap_or_default(),
            thousands(sweep.n_own_rows)
        ),
    }
}

/// The first few of what was pointed at.
fn roots(sweep: &Brief) -> String {
    const SHOWN: usize = 3;
    let mut shown: Vec<String> = sweep.roots.iter().take(SHOWN).map(|root| safe::terminal(root)).collect();
    if sweep.roots.len() > SHOWN {
        shown.push(format!("and {} more", sweep.roots.len() - SHOWN));
    }
    shown.join(", ")
}

fn counts(tally: &Tally) -> String {
    let some = |n: u64, word: &str| (n > 0).then(|| format!("{} {word}", thousands(n)));
    let outcomes = Outcome::ALL.iter().filter_map(|outcome| some(tally.rows_of(*outcome), outcome.name()));
    let verdicts = Verdict::WORST_FIRST
        .iter()
        .filter_map(|verdict| some(tally.verdicts.get(verdict).copied().unwrap_or_default(), verdict.name()));
    let (outcomes, verdicts): (Vec<_>, Vec<_>) = (outcomes.collect(), verdicts.collect());
    let rows = format!("{} rows", thousands(tally.rows));
    let parts = [rows, outcomes.join(", "), verdicts.join(", ")];
    parts.into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join("; ")
}

fn cost(quota: Quota) -> String {
    format!(
        "{} charged at most, {} at least, {} in doubt",
        thousands(quota.charged_max),
        thousands(quota.charged_min),
        thousands(quota.in_doubt)
    )
}

fn each(bytes: u64, n: u64) -> String {
    bytes.checked_div(n).map_or("no".to_owned(), thousands)
}

fn terminal(text: &str) -> String {
    safe::terminal(text.as_bytes())
}

fn in_json(path: &Path, info: &Info, sweeps: &[Counted<'_>], n_left_out: usize) -> Value {
    let quota = |quota: Quota| {
        json!({
            "charged_max": quota.charged_max, "charged_min": quota.charged_min, "in_doubt": quota.in_doubt,
        })
    };
    let answers = &info.answers;
    let verdicts: Map<String, Value> =
        answers.by_verdict.iter().map(|(verdict, n)| (verdict.name().to_owned(), json!(n))).collect();
    json!({
        "case": path_text(path),
        "uid": info.uid,
        "service": info.service,
        "bytes": { "file": info.size.file, "log": info.size.log, "free": info.size.free },
        "rows": info.n_rows,
        "rows_ended": info.n_ended,
        "digests": info.n_digests,
        "answers": {
            "by_verdict": verdicts, "digests": answers.n_digests,
            "oldest": answers.oldest.map(moment), "newest": answers.newest.map(moment),
        },
        "ledger": quota(info.quota),
        "requests": info.requests,
        "ledger_of_merged_cases": quota(info.brought),
        "owed": info.n_owed,
        "sweeps_left_out": n_left_out,
        "sweeps": sweeps.iter().map(|(sweep, tally)| sweep_json(sweep, tally.as_ref())).collect::<Vec<_>>(),
    })
}

fn sweep_json(sweep: &Brief, tally: Option<&Tally>) -> Value {
    let outcomes = tally.map(|tally| {
        Outcome::ALL
            .iter()
            .map(|outcome| (outcome.name().to_owned(), json!(tally.rows_of(*outcome))))
            .collect::<Map<_, _>>()
    });
    let verdicts = tally.map(|tally| {
        tally.verdicts.iter().map(|(verdict, n)| (verdict.name().to_owned(), json!(n))).collect::<Map<_, _>>()
    });
    let arguments = sweep.arguments.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    json!({
        "sweep": sweep.id.0,
        "uid": sweep.uid,
        "command": sweep.command,
        "arguments": arguments,
        "host": sweep.host,
        "tool": sweep.tool,
        "origin": sweep.origin,
        "roots": sweep.roots.iter().map(|root| safe::text(root).into_owned()).collect::<Vec<_>>(),
        "started_at": moment(sweep.started_at),
        "intake_finished_at": sweep.intake_finished_at.map(moment),
        "pruned_at": sweep.pruned_at.map(moment),
        "own_rows": sweep.n_own_rows,
        "rows": tally.map(|tally| tally.rows),
        "outcomes": outcomes,
        "verdicts": verdicts,
    })
}

/// As everywhere in JSON: RFC 3339, UTC.
fn moment(at: Stamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).map(|at| at.to_string()).unwrap_or_default()
}
