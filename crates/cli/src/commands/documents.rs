//! Reports that are more than rows: what they tell of a sweep is read from its case here.

use super::sweep::resume_exactly;
use super::written::{Rows, names, order};
use crate::settings::SIMULATOR;
use anyhow::Context;
use hashsweep_case::{Case, Only, Reading, Sweep};
use hashsweep_model::{Outcome, Tally};
use hashsweep_report::{
    Circumstances, Hashing, Labels, Overview, Page, ParquetReport, Progress, Record, Run, Seal, Ticket, What,
    write_evidence, write_metrics,
};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

/// The page. Rows are read twice, so that no more than one of them is held at a time.
pub(crate) fn page(case: &Case, sweep: &Sweep, out: &mut dyn Write) -> anyhow::Result<()> {
    let tally = case.tally(sweep.id)?;
    let record = record(case, sweep, &tally)?;
    let mut overview = Overview::new(names(sweep));
    case.rows(sweep.id, Only::All, order(sweep), |row| {
        overview.add(&row);
        Ok::<_, anyhow::Error>(())
    })?;
    let mut page = Page::new(out, names(sweep), &record, &tally, &overview)?;
    case.rows(sweep.id, Only::Findings, order(sweep), |row| Ok::<_, anyhow::Error>(page.row(&row)?))?;
    page.finish()?;
    Ok(())
}

/// The manifest, sealed with a digest over all rows.
pub(crate) fn manifest(
    case: &Case,
    sweep: &Sweep,
    labels: &Labels,
    mut out: &mut dyn Write,
) -> anyhow::Result<()> {
    let tally = case.tally(sweep.id)?;
    let record = record(case, sweep, &tally)?;
    let mut seal = Seal::new(names(sweep));
    case.rows(sweep.id, Only::All, order(sweep), |row| Ok::<_, anyhow::Error>(seal.add(&row)?))?;
    let settings = serde_json::from_str(&sweep.settings).context("read the sweep's settings")?;
    Ok(write_evidence(&mut out, &record, &tally, settings, labels, seal)?)
}

/// Rows as Parquet.
pub(crate) fn parquet(case: &Case, sweep: &Sweep, rows: Rows<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    let record = record(case, sweep, &case.tally(sweep.id)?)?;
    let mut report = ParquetReport::new(out, names(sweep), &record)?;
    rows(&mut |row| Ok(report.row(row)?))?;
    report.finish()?;
    Ok(())
}

/// Figures for Prometheus.
pub(crate) fn metrics(
    case: &Case,
    sweep: &Sweep,
    tally: &Tally,
    mut circumstances: Circumstances,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    circumstances.last_success = case.last_success()?;
    if circumstances.exit_code.is_none() {
        circumstances.exit_code = case.last_exit(sweep.id)?;
    }
    Ok(write_metrics(out, &record(case, sweep, tally)?, tally, &circumstances)?)
}

/// The summary for a ticket.
pub(crate) fn ticket(case: &Case, sweep: &Sweep, mut out: &mut dyn Write) -> anyhow::Result<()> {
    let tally = case.tally(sweep.id)?;
    let record = record(case, sweep, &tally)?;
    let mut ticket = Ticket::new(names(sweep));
    case.rows(sweep.id, Only::Findings, order(sweep), |row| {
        ticket.add(&row);
        Ok::<_, anyhow::Error>(())
    })?;
    Ok(ticket.write(&mut out, &record, &tally)?)
}

pub(crate) fn record(case: &Case, sweep: &Sweep, tally: &Tally) -> anyhow::Result<Record> {
    let mut progress = Progress::default();
    case.requests_of(sweep.id, |request| {
        progress.add(request.settled_at, request.n_answered, request.quota);
    })?;
    let runs = case.runs(sweep.id)?;
    let mut hashing = Hashing::default();
    let mut before = None;
    case.readings_of(sweep.id, |run, reading| {
        let began =
            runs.iter().find(|known| known.number == run).map_or(reading.at, |known| known.started_at);
        let (from, n_files, n_bytes) = match before {
            Some((of, Reading { at, n_files, n_bytes })) if of == run => (at, n_files, n_bytes),
            _ => (began, 0, 0),
        };
        let gone_on = (reading.n_files.saturating_sub(n_files), reading.n_bytes.saturating_sub(n_bytes));
        hashing.add(from, reading.at, gone_on.0, gone_on.1);
        before = Some((run, reading));
    })?;
    let run = |run: hashsweep_case::Run| {
        let hashsweep_case::Run { number, started_at, ended_at, budget } = run;
        Run { number, started_at, ended_at, budget }
    };
    // The case may belong to a service that this sweep had nothing to do with.
    let was_told =
        tally.requests > 0 || tally.rows_of(Outcome::Answered) + tally.rows_of(Outcome::Cached) > 0;
    let service = case.service()?.filter(|_| was_told);
    Ok(Record {
        what: if sweep.command == "list" { What::Rows } else { What::Files },
        command: sweep.command.clone(),
        sweep: sweep.id.0,
        roots: sweep.roots.iter().map(|root| root.given.clone()).collect(),
        simulated: service.as_deref() == Some(SIMULATOR),
        service,
        started_at: sweep.started_at,
        intake_finished_at: case.intake_finished_at(sweep.id)?,
        runs: runs.into_iter().map(run).collect(),
        progress,
        hashing,
        next_step: resume_exactly(case, sweep.id),
        case_name: case.path().file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default(),
    })
}
