//! Figures for Prometheus, in the text format that `node_exporter`'s textfile collector reads.
//!
//! All are gauges, because each file tells of one sweep and the next one replaces it. Every series carries the name
//! of its file, so that several jobs on a machine do not write the same one. What is not known has no series: a zero
//! would be a claim.

use crate::{Record, Speed, safe};
use hashsweep_model::{Outcome, Quota, Stamp, Tally, Verdict};
use std::io::{self, Write};
use std::time::Duration;

/// What a tally and a record cannot tell.
#[derive(Clone, Debug, Default)]
pub struct Circumstances {
    /// Tells the series of this file from those of others.
    pub name: Vec<u8>,
    /// How the last run of the sweep ended.
    pub exit_code: Option<u8>,
    /// When a run of the case last ended with 0 or 1.
    pub last_success: Option<Stamp>,
    /// What this run did and how fast; `None` where nothing was run, as in a report.
    pub speed: Option<Speed>,
    /// How long this run wrote reports.
    pub reporting: Option<Duration>,
    /// What the account has been charged today and this month, by its ledger.
    pub account: Option<[Quota; 2]>,
    /// What is left of the run's own budget, in hashes.
    pub budget_left: Option<u64>,
}

/// Writes all series.
pub fn write_metrics(
    out: &mut dyn Write,
    record: &Record,
    tally: &Tally,
    circumstances: &Circumstances,
) -> io::Result<()> {
    let name = label(&circumstances.name);
    let mut family = |family: &str, help: &str, series: &[(String, f64)]| {
        if series.is_empty() {
            return Ok(());
        }
        writeln!(out, "# HELP hashsweep_{family} {help}\n# TYPE hashsweep_{family} gauge")?;
        series.iter().try_for_each(|(labels, value)| {
            writeln!(out, "hashsweep_{family}{{name=\"{name}\"{labels}}} {value}")
        })
    };
    let one = |value: f64| vec![(String::new(), value)];
    let maybe = |value: Option<f64>| value.map_or_else(Vec::new, one);
    let moment = |at: Stamp| count_signed(at.0) / 1000.0;

    let version = format!(",version=\"{}\",command=\"{}\"", env!("CARGO_PKG_VERSION"), record.command);
    family("info", "What wrote these figures.", &[(version, 1.0)])?;
    family("simulated", "Whether the verdicts are the simulator's.", &one(flag(record.simulated)))?;
    family(
        "complete",
        "Whether the sweep has nothing left to look at or to ask.",
        &one(flag(tally.is_complete())),
    )?;
    family(
        "exit_code",
        "How the last run of the sweep ended.",
        &maybe(circumstances.exit_code.map(f64::from)),
    )?;
    family("start_timestamp_seconds", "When the sweep began.", &one(moment(record.started_at)))?;
    family("end_timestamp_seconds", "When its last run ended.", &maybe(record.ended_at().map(moment)))?;
    family(
        "last_success_timestamp_seconds",
        "When a run of this case last ended with exit code 0 or 1.",
        &maybe(circumstances.last_success.map(moment)),
    )?;
    let rows = Outcome::ALL.map(|outcome| (format!(",outcome=\"{outcome}\""), count(tally.rows_of(outcome))));
    family("rows", "Rows of the sweep by outcome.", &rows)?;
    let verdicts = Verdict::WORST_FIRST
        .map(|verdict| (format!(",verdict=\"{verdict}\""), count(tally.rows_with(verdict))));
    family("verdicts", "Rows of the sweep by verdict.", &verdicts)?;
    let missed: u64 = tally.not_looked_at().map(|(_, n)| n).sum();
    family("not_looked_at", "Rows that nobody could look at.", &one(count(missed)))?;
    family(
        "contradictions",
        "Files that changed behind unchanged metadata.",
        &one(count(tally.contradictions)),
    )?;
    family("swept_bytes", "Bytes in the rows of the sweep.", &one(count(tally.bytes)))?;
    family("requests", "Requests of the sweep.", &one(count(tally.requests)))?;
    family(
        "quota",
        "Quota of the sweep, in hashes; the truth lies between min and max with in_doubt.",
        &quota(&tally.quota, ""),
    )?;
    let windows = circumstances
        .account
        .iter()
        .flat_map(|[day, month]| [quota(day, ",window=\"day\""), quota(month, ",window=\"month\"")].concat());
    family(
        "account_quota",
        "Quota of the account on this machine, in hashes.",
        &windows.collect::<Vec<_>>(),
    )?;
    family(
        "budget_left",
        "What --max-quota has left, in hashes.",
        &maybe(circumstances.budget_left.map(count)),
    )?;
    if let Some(speed) = circumstances.speed {
        family("run_hashed", "Files or rows of lists that this run read.", &one(count(speed.n_read)))?;
        family("run_unchanged", "Files that this run found unchanged.", &one(count(speed.n_unchanged)))?;
        family("run_read_bytes", "Bytes that this run read.", &one(count(speed.bytes_read)))?;
        family("run_asked", "Hashes that this run asked.", &one(count(speed.n_asked)))?;
        let stages = [
            ("reading", Some(speed.reading)),
            ("asking", Some(speed.asking)),
            ("reporting", circumstances.reporting),
            ("all", Some(speed.elapsed)),
        ];
        let stages: Vec<(String, f64)> = stages
            .into_iter()
            .filter_map(|(stage, took)| Some((format!(",stage=\"{stage}\""), took?.as_secs_f64())))
            .collect();
        family("run_seconds", "How long the stages of this run took; reading and asking overlap.", &stages)?;
    }
    out.flush()
}

fn quota(quota: &Quota, labels: &str) -> Vec<(String, f64)> {
    [("max", quota.charged_max), ("min", quota.charged_min), ("in_doubt", quota.in_doubt)]
        .map(|(charged, n)| (format!("{labels},charged=\"{charged}\""), count(n)))
        .to_vec()
}

fn flag(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other number")]
fn count(n: u64) -> f64 {
    n as f64
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other number")]
fn count_signed(n: i64) -> f64 {
    n as f64
}

/// The value of a label: one line, no quote that would end it.
fn label(bytes: &[u8]) -> String {
    safe::terminal(bytes).replace('\\', "\\\\").replace('"', "\\\"")
}
