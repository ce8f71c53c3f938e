//! `hashsweep details`: the whole reports of what a sweep found.

use super::sweep::connect;
use crate::args::Details as Args;
use crate::exit::Exit;
use crate::outputs;
use crate::settings::{Outputs, Sending, Target, absolute, case_path};
use crate::shell::{Terminal, lines_safe, say};
use crate::stored::Stored;
use anyhow::{Context, bail};
use hashsweep_case::{Case, CaseError, Only, Order, SweepId};
use hashsweep_model::Digest;
use hashsweep_pipeline::details;
use std::collections::BTreeSet;
use std::fmt::Write as _;

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Exit> {
    let path = case_path(&args.case, args.sending.sim)?;
    if !path.exists() {
        bail!(CaseError::Missing(path));
    }
    let mut case = Case::open(&path)?;
    let sweep = case.sweep(args.sweep.map(SweepId))?;
    let stored = Stored::parse(&sweep.settings)?;
    let sending = Sending::resolve(&args.sending, &stored.sending)?;
    if let Some(service) = &sending.identity {
        case.belong_to(service)?;
    }
    let digests = found(&case, sweep.id)?;
    let n_found = digests.len();
    let digests: Vec<Digest> = digests.into_iter().take(args.limit).collect();
    let target = if args.output.as_os_str() == "-" {
        Target::Stdout(crate::args::Format::Jsonl)
    } else {
        Target::File(absolute(&args.output)?, crate::args::Format::Jsonl)
    };
    let outputs = Outputs { targets: vec![target], emit: None, no_clobber: args.no_clobber, table: false };
    let output = outputs::open(&outputs, &Case::files_of(&path))?.pop().context("open the output")?;

    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let (n_asked, rate) = (digests.len(), sending.asking.rate);
    let mut done = None;
    output.fill(|_, out| {
        done = Some(runtime.block_on(async {
            let (client, _simulator) = connect(sending).await?;
            let client = client.context("reports cannot be fetched offline")?;
            details(&mut case, sweep.id, &client, digests, rate, |report| {
                writeln!(out, "{}", one_line(&report.json)).map_err(anyhow::Error::from)
            })
            .await
        })?);
        Ok(())
    })?;
    let done = done.context("a bug: nothing was asked")?;
    if !terminal.talk.quiet {
        let missing = done.missing.len();
        say(format!("{} reports of {n_asked} samples, {missing} without one", done.n_reports));
        if n_asked < n_found {
            say(format!("{n_found} samples were found; --limit asks for more than {n_asked}"));
        }
    }
    match done.fault {
        Some(fault) => {
            say(format!("stopped asking: {}", lines_safe(&fault.to_string())));
            Ok(Exit::Incomplete)
        }
        None => Ok(Exit::Clean),
    }
}

/// The service's own JSON as one line that a terminal cannot obey. Line breaks stand only between its tokens, where
/// they are blanks; DEL and C1 only within its texts, where an escape says the same.
fn one_line(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\n' | '\r' => line.push(' '),
            '\u{7f}'..='\u{9f}' => {
                write!(line, "\\u{:04x}", u32::from(c)).expect("a String takes every text");
            }
            c => line.push(c),
        }
    }
    line
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

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn a_report_stays_the_same_json_on_one_harmless_line() {
        let sent = "{\n\"a\":\r\n \"x\u{9b}31m\u{7f}\"}";
        let line = one_line(sent);
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        assert_eq!(value(&line), value(sent));
        assert!(value(sent).is_some());
    }
}
