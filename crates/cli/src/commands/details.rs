//! `hashsweep details`: the whole reports of what a sweep found.
//!
//! A report costs quota, so none is ever thrown away or paid for twice: a file is added to, report by report as they
//! come, and a sample whose report is in it already is not asked about again.

use super::sweep::{connect, open_to_work};
use crate::args::Details as Args;
use crate::exit::Exit;
use crate::settings::{Sending, case_path};
use crate::shell::{Terminal, json_line, lines_safe, say, stop_on_signals};
use crate::stored::Stored;
use anyhow::{Context, bail};
use hashsweep_case::{Case, CaseError, Only, Order, SweepId};
use hashsweep_model::Digest;
use hashsweep_pipeline::details;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Exit> {
    let path = case_path(&args.case, args.sending.sim)?;
    if !path.exists() {
        bail!(CaseError::Missing(path));
    }
    let mut case = open_to_work(&path)?;
    let sweep = case.sweep(args.sweep.map(SweepId))?;
    let stored = Stored::parse(&sweep.settings)?;
    let sending = Sending::resolve(&args.sending, &stored.sending)?;
    if sending.dry_run {
        bail!(
            "--dry-run plans lookups and not reports, which are charged one by one\n  hint: --limit bounds them"
        );
    }
    if let Some(service) = &sending.identity {
        case.belong_to(service)?;
    }
    let found = found(&case, sweep.id)?;
    let (mut out, there): (Box<dyn Write>, _) = if args.output.as_os_str() == "-" {
        (Box::new(std::io::stdout()), BTreeSet::new())
    } else {
        let opened = reopen(&args.output, args.no_clobber);
        let (file, there) = opened.with_context(|| format!("open the output {}", args.output.display()))?;
        (Box::new(file), there)
    };
    let owed: Vec<Digest> = found.difference(&there).copied().collect();
    let budget =
        sending.asking.max_quota.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let digests: Vec<Digest> = owed.iter().copied().take(args.limit.min(budget)).collect();
    let (n_asked, rate) = (digests.len(), sending.asking.rate);
    let mut account = sending.account()?;

    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let done = runtime.block_on(async {
        let stop = stop_on_signals().context("listen for signals")?;
        let (client, _simulator) = connect(sending).await?;
        let client = client.context("reports cannot be fetched offline")?;
        details((&mut case, &mut account), sweep.id, &client, digests, rate, &stop, |report| {
            // Flushed one by one: whatever ends this process, what was paid for is there.
            writeln!(out, "{}", json_line(&report.json))
                .and_then(|()| out.flush())
                .map_err(anyhow::Error::from)
        })
        .await
    })?;

    if !terminal.talk.quiet {
        let (there, missing) = (found.len() - owed.len(), done.missing.len());
        say(format!(
            "{} reports of {n_asked} samples, {missing} without one, {there} were there already, {} not asked",
            done.n_reports,
            done.n_unasked + (owed.len() - n_asked)
        ));
        for digest in &done.missing {
            tracing::info!("the service has no report of {digest}");
        }
        if done.n_strangers > 0 {
            say(format!("{} reports of other samples came and were dropped", done.n_strangers));
        }
    }
    if let Some(fault) = &done.fault {
        say(format!("stopped asking: {}", lines_safe(&fault.to_string())));
    }
    Ok(if done.fault.is_some() || done.n_unasked > 0 { Exit::Incomplete } else { Exit::Clean })
}

/// The distinct digests of a sweep's findings.
fn found(case: &Case, sweep: SweepId) -> anyhow::Result<BTreeSet<Digest>> {
    let mut digests = BTreeSet::new();
    case.rows(sweep, Only::Findings, Order::Arrival, |row| {
        digests.extend(row.answer.map(|settled| settled.answer.digest));
        Ok::<_, CaseError>(())
    })?;
    Ok(digests)
}

/// Opens a file to add to, and reads which samples it holds reports of.
fn reopen(path: &Path, no_clobber: bool) -> anyhow::Result<(File, BTreeSet<Digest>)> {
    let mut file =
        OpenOptions::new().read(true).append(true).create(true).create_new(no_clobber).open(path)?;
    let mut there = BTreeSet::new();
    if !file.metadata()?.is_file() {
        return Ok((file, there));
    }
    let mut ends_whole = true;
    for line in BufReader::new(&file).split(b'\n') {
        let line = line?;
        // A line that a kill cut short is no report; its sample is asked again.
        let report = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&line);
        ends_whole = line.is_empty() || report.is_ok();
        let names = report.iter().flat_map(|report| ["md5", "sha1", "sha256"].map(|kind| report.get(kind)));
        there.extend(names.flatten().filter_map(|text| text.as_str()?.parse::<Digest>().ok()));
    }
    let n_bytes = file.seek(SeekFrom::End(0))?;
    if !ends_whole && n_bytes > 0 {
        file.write_all(b"\n")?;
    }
    Ok((file, there))
}
