//! `hashsweep report`: any format again, without a request.

use super::baseline::Baseline;
use super::metrics::write_metrics;
use super::sweep::{path_bytes, resume_command};
use super::written::{self, Troubles};
use crate::args::{Emit, Format, Report};
use crate::exit::Exit;
use crate::outputs::{self, Open};
use crate::settings::{Ending, Outputs, SIMULATOR, Target, case_path};
use crate::shell::Terminal;
use crate::stored::Stored;
use anyhow::bail;
use hashsweep_case::{Case, SweepId};
use hashsweep_report::{Circumstances, Figures, Labels, Summary, What};
use std::io::Write;

pub(crate) fn run(report: Report, terminal: &Terminal) -> anyhow::Result<Exit> {
    let case = Case::open_to_read(&case_path(&report.case, report.sim)?)?;
    let sweep = case.sweep(report.sweep.map(SweepId))?;
    let stored = Stored::parse(&sweep.settings)?;
    let ending = Ending::resolve(&report.ending, Some(&stored.ending));
    let simulated = case.service()?.as_deref() == Some(SIMULATOR);
    let tally = case.tally(sweep.id)?;
    let baseline = Baseline::of(&case, &sweep, report.output.emit.or(stored.emit))?;
    let ending = Baseline::exit(baseline.as_ref(), &tally, &ending);
    let mut figures = Figures {
        what: if sweep.command == "list" { What::Rows } else { What::Files },
        remarks: Vec::new(),
        speed: None,
        simulated,
        interrupted: !tally.intake_finished,
        next_step: Some(resume_command(&case, sweep.id)?),
        case_path: Some(path_bytes(&case)),
    };
    if report.json {
        writeln!(std::io::stdout(), "{}", Summary::new(&tally, &figures).json())?;
        return Ok(ending);
    }
    let outputs = Outputs::resolve(&report.output, terminal.stdout, Vec::new())?;
    let outputs = if sweep.command == "list" { outputs.of_list()? } else { outputs };
    let Report { examiner, evidence_id, note, .. } = report;
    let labels = Labels { examiner, evidence_id, note };
    let is_manifest = |target: &Target| target.format() == Format::Manifest;
    if labels != Labels::default() && !outputs.targets.iter().any(is_manifest) {
        bail!(
            "--examiner, --evidence-id and --note go into a manifest, and none is written\n  hint: add -o NAME.manifest.json"
        );
    }
    let mut troubles = Troubles::default();
    let open = outputs::open(&outputs, &Case::files_of(case.path()))?;
    let (metrics, open): (Vec<Open>, Vec<Open>) =
        open.into_iter().partition(|open| open.format == Format::Metrics);
    troubles.note(write_metrics(metrics, &case, sweep.id, &tally, &Circumstances::default()));
    for output in open {
        let emit = outputs.emit.or(stored.emit).unwrap_or(Emit::All);
        let output = output.in_partition(|| written::partition(&case, &sweep));
        troubles.note(output.and_then(|output| {
            output.fill(|format, out| {
                written::plain(&case, &sweep, (emit, baseline.as_ref()), &labels, format, out)
            })
        }));
    }
    if outputs.table && !terminal.talk.quiet {
        let emit = outputs.emit.unwrap_or(Emit::Findings);
        troubles.note(written::table(&case, &sweep, (emit, baseline.as_ref()), terminal, simulated));
    }
    if !terminal.talk.quiet {
        figures.remarks.extend(baseline.map(|since| since.words(report.output.emit.or(stored.emit))));
        // If stderr is closed there is nobody left to tell; the exit code still says it.
        let _ = Summary::new(&tally, &figures)
            .write(&mut std::io::stderr().lock(), terminal.stderr && terminal.colour);
    }
    troubles.first()?;
    Ok(ending)
}
