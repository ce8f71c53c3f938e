//! The manifest of a sweep: what a lawyer asks about a report a year later, as one JSON object.
//!
//! It says how the rows came about and how many there are, and seals them with a digest that anybody can compute
//! again: that of the JSONL report of all rows. It holds no clock and nothing of the machine that writes it, so the
//! same case gives the same bytes.

use crate::columns::when;
use crate::jsonl::to_text;
use crate::{Figures, JsonlReport, ListNames, Record, Summary, safe};
use hashsweep_model::{Row, Tally};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::io::{self, Write};

/// What people say about a sweep; all of it goes into the manifest as it was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Who answers for it.
    pub examiner: Option<String>,
    /// What the roots are called elsewhere.
    pub evidence_id: Option<String>,
    /// Anything else.
    pub note: Option<String>,
}

/// The digest over all rows: SHA-256 of the JSONL report that holds them.
pub struct Seal {
    report: JsonlReport<Hashing>,
    n_rows: u64,
}

impl Seal {
    /// Over no rows yet. Rows of lists are called by these names.
    pub fn new(names: ListNames) -> Seal {
        Seal { report: JsonlReport::new(Hashing(Sha256::new()), names), n_rows: 0 }
    }

    /// Adds a row; all of them in the order of the report.
    pub fn add(&mut self, row: &Row) -> io::Result<()> {
        self.n_rows += 1;
        self.report.row(row)
    }

    fn end(self) -> io::Result<(u64, String)> {
        let mut hex = String::with_capacity(64);
        for byte in self.report.finish()?.0.finalize() {
            write!(hex, "{byte:02x}").expect("a String takes every text");
        }
        Ok((self.n_rows, hex))
    }
}

/// Writes the manifest. `settings` are the sweep's stored arguments, which hold no secret.
pub fn write_evidence(
    out: &mut impl Write,
    record: &Record,
    tally: &Tally,
    settings: Value,
    labels: &Labels,
    seal: Seal,
) -> io::Result<()> {
    let (n_rows, sha256) = seal.end()?;
    let figures = Figures {
        what: record.what,
        remarks: Vec::new(),
        speed: None,
        simulated: record.simulated,
        interrupted: !tally.intake_finished,
        next_step: None,
        case_path: None,
    };
    let totals: Value = serde_json::from_str(&Summary::new(tally, &figures).json())?;
    let runs: Vec<Value> = record
        .runs
        .iter()
        .map(|run| {
            present([
                ("run", Some(run.number.into())),
                ("started_at", Some(when(run.started_at).into())),
                ("ended_at", run.ended_at.map(|at| when(at).into())),
                ("max_quota", run.budget.map(Into::into)),
            ])
        })
        .collect();
    let manifest = present([
        ("kind", Some("hashsweep manifest".into())),
        ("version", Some(1.into())),
        ("tool", Some(concat!("hashsweep ", env!("CARGO_PKG_VERSION")).into())),
        ("examiner", labels.examiner.clone().map(Into::into)),
        ("evidence_id", labels.evidence_id.clone().map(Into::into)),
        ("note", labels.note.clone().map(Into::into)),
        ("case", Some(safe::text(&record.case_name).into())),
        ("sweep", Some(record.sweep.into())),
        ("command", Some(record.command.clone().into())),
        ("roots", Some(record.roots.iter().map(|root| Value::from(safe::text(root))).collect())),
        ("settings", Some(settings)),
        ("service", record.service.clone().map(Into::into)),
        ("started_at", Some(when(record.started_at).into())),
        ("intake_finished_at", record.intake_finished_at.map(|at| when(at).into())),
        ("runs", Some(runs.into())),
        ("totals", Some(totals)),
        (
            "rows",
            Some(json!({
                "n": n_rows,
                "sha256": sha256,
                "of": format!("hashsweep report --sweep {} --emit all --format jsonl", record.sweep),
            })),
        ),
    ]);
    out.write_all(to_text(&manifest).as_bytes())?;
    out.write_all(b"\n")
}

/// Absent is absent.
fn present<const N: usize>(entries: [(&str, Option<Value>); N]) -> Value {
    Value::Object(
        entries.into_iter().filter_map(|(key, value)| value.map(|value| (key.to_owned(), value))).collect(),
    )
}

/// Keeps nothing of what is written but its digest.
struct Hashing(Sha256);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
