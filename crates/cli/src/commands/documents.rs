//! Reports that are more than rows: what they tell of a sweep is read from its case here.

use super::sweep::resume_exactly;
use super::written::{names, order};
use crate::settings::SIMULATOR;
use anyhow::Context;
use hashsweep_case::{Case, Only, Sweep};
use hashsweep_model::{Outcome, Tally};
use hashsweep_report::{Labels, Overview, Page, Progress, Record, Run, Seal, Ticket, What, write_evidence};
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
        runs: case.runs(sweep.id)?.into_iter().map(run).collect(),
        progress,
        next_step: resume_exactly(case, sweep.id),
        case_name: case.path().file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default(),
    })
}
