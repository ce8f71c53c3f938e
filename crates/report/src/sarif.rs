//! SARIF 2.1.0: findings as code hosts, dashboards and pipelines take them in.
//!
//! One result a finding, one a line. Its place is a URI of percent-encoded bytes, so every name is exact; its
//! `properties` are the JSONL row. A sweep that is not whole says so with `executionSuccessful: false` and the
//! summary's words, so that no results are never mistaken for nothing found.

use crate::columns::{ListNames, when};
use crate::jsonl::{RAW, push_object, to_text};
use crate::{Figures, Record, SIMULATED, Summary, safe};
use hashsweep_model::{Answer, Place, Row, Tally, Verdict};
use percent_encoding::percent_encode;
use serde_json::{Value, json};
use std::io::{self, Write};

/// A log being written. Hand in a buffered writer.
pub struct Sarif<W: Write> {
    out: W,
    names: ListNames,
    n_results: u64,
}

impl<W: Write> Sarif<W> {
    /// Writes what stands before the results.
    pub fn new(mut out: W, names: ListNames, record: &Record, tally: &Tally) -> io::Result<Sarif<W>> {
        let figures = Figures {
            what: record.what,
            speed: None,
            simulated: record.simulated,
            interrupted: !tally.intake_finished,
            next_step: None,
            case_path: None,
            remarks: Vec::new(),
        };
        let summary = Summary::new(tally, &figures);
        let is_complete = tally.is_complete() && tally.check().is_ok();
        let mut notes = Vec::new();
        if !is_complete {
            notes.push(
                json!({ "level": "error", "message": { "text": escape(&summary.completeness_line()) } }),
            );
        }
        if record.simulated {
            notes.push(json!({ "level": "warning", "message": { "text": escape(SIMULATED) } }));
        }
        let mut invocation = json!({
            "executionSuccessful": is_complete,
            "startTimeUtc": when(record.started_at),
            "toolExecutionNotifications": notes,
        });
        if let Some(ended_at) = record.ended_at() {
            invocation["endTimeUtc"] = when(ended_at).into();
        }
        let totals: Value = serde_json::from_str(&summary.json())?;
        let id = format!("hashsweep/{}/{}", safe::terminal(&record.case_name), record.sweep);
        write!(
            out,
            "{{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\",\"version\":\"2.1.0\",\"runs\":[{{\
             \"tool\":{},\"automationDetails\":{},\"invocations\":[{}],\"properties\":{},\"results\":[",
            to_text(&driver()),
            to_text(&json!({ "id": id })),
            to_text(&invocation),
            to_text(&json!({ "totals": totals })),
        )?;
        Ok(Sarif { out, names, n_results: 0 })
    }

    /// Writes a row, if it is a finding.
    pub fn row(&mut self, row: &Row) -> io::Result<()> {
        let Some(settled) =
            row.answer.as_ref().filter(|settled| settled.answer.verdict >= Verdict::Suspicious)
        else {
            return Ok(());
        };
        let answer = &settled.answer;
        let mut location =
            json!({ "physicalLocation": { "artifactLocation": { "uri": uri(&self.file_of(row)) } } });
        if let Place::Line(line) = row.place {
            location["message"] = json!({ "text": format!("row {line}") });
        }
        let mut properties = Vec::new();
        push_object(&mut properties, |object| object.row(&self.names, row))?;
        let properties: Value = serde_json::from_slice(&properties)?;
        let result = json!({
            "ruleId": answer.verdict.name(),
            "level": if answer.verdict == Verdict::Malicious { "error" } else { "warning" },
            "message": { "text": message(answer) },
            "locations": [location],
            "partialFingerprints": { "contentDigest/v1": answer.digest.to_string() },
            "properties": properties,
        });
        write!(self.out, "{}\n{}", if self.n_results == 0 { "" } else { "," }, to_text(&result))?;
        self.n_results += 1;
        Ok(())
    }

    /// Closes the log, flushes, and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        writeln!(self.out, "\n]}}]}}")?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// The file itself, or the list that the row stands in.
    fn file_of(&self, row: &Row) -> Vec<u8> {
        match &row.place {
            Place::Path(path) => path.clone(),
            Place::Line(_) => self.names.list(row).to_vec(),
        }
    }
}

fn driver() -> Value {
    let rule = |verdict: Verdict, level: &str, words: &str| {
        json!({
            "id": verdict.name(),
            "shortDescription": { "text": words },
            "defaultConfiguration": { "level": level },
        })
    };
    json!({ "driver": {
        "name": "hashsweep",
        "version": env!("CARGO_PKG_VERSION"),
        "semanticVersion": env!("CARGO_PKG_VERSION"),
        "rules": [
            rule(Verdict::Malicious, "error", "The reputation service calls this content malicious."),
            rule(Verdict::Suspicious, "warning", "The reputation service calls this content suspicious."),
        ],
    }})
}

/// `malicious: Win32.Trojan.Generic, level 5 of 5, 37 of 41 engines`
fn message(answer: &Answer) -> String {
    let mut text = answer.verdict.name().to_owned();
    if let Some(threat) = &answer.threat_name {
        text = format!("{text}: {}", safe::terminal(threat.as_bytes()));
    }
    if let Some(level) = answer.threat_level {
        text = format!("{text}, level {level} of 5");
    }
    if let (Some(hits), Some(engines)) = (answer.scanner_match, answer.scanner_count) {
        text = format!("{text}, {hits} of {engines} engines");
    }
    escape(&text)
}

/// A message may hold links in brackets and placeholders in braces; in ours they mean themselves.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '[' | ']' => escaped.extend(['\\', c]),
            '{' | '}' => escaped.extend([c, c]),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Absolute paths as `file:` URIs, others as references that are relative to wherever the sweep was started.
fn uri(path: &[u8]) -> String {
    let encoded = percent_encode(path, RAW);
    if path.starts_with(b"/") { format!("file://{encoded}") } else { encoded.to_string() }
}
