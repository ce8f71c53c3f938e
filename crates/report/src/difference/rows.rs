//! Differences as CSV and JSONL: sixteen columns, written by the rules of every other output.

use super::Difference;
use crate::columns::{Cell, ListNames, content, judged};
use crate::{csv, jsonl, safe};
use std::io::{self, Write};

/// The columns, in their promised order.
const COLUMNS: [&str; 16] = [
    "change",
    "path",
    "from",
    "size",
    "md5",
    "sha1",
    "sha256",
    "verdict_before",
    "verdict",
    "outcome",
    "reason",
    "threat_name",
    "threat_level",
    "answered_at",
    "source",
    "note",
];

/// Where the row's own values begin: before them stand the change and two paths.
const VALUES: usize = 3;

/// Differences as CSV. Hand in a buffered writer.
pub struct DifferenceCsv<W: Write> {
    out: W,
    names: ListNames,
    line: Vec<u8>,
}

impl<W: Write> DifferenceCsv<W> {
    /// Writes the header at once: two sweeps without a difference still have one.
    pub fn new(mut out: W, names: ListNames) -> io::Result<DifferenceCsv<W>> {
        writeln!(out, "{}", COLUMNS.join(","))?;
        Ok(DifferenceCsv { out, names, line: Vec::new() })
    }

    /// Writes one difference.
    pub fn row(&mut self, difference: &Difference) -> io::Result<()> {
        self.line.clear();
        self.line.extend_from_slice(difference.change.name().as_bytes());
        for path in [self.names.path(&difference.row), difference.from.as_deref().unwrap_or_default().into()]
        {
            self.line.push(b',');
            csv::push_quoted(&mut self.line, b',', safe::cell(&path).as_bytes());
        }
        let note = difference.note.text();
        for cell in values(difference, &note) {
            self.line.push(b',');
            csv::push_cell(&mut self.line, b',', cell);
        }
        self.line.push(b'\n');
        self.out.write_all(&self.line)
    }

    /// Flushes, and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Differences as JSONL, with the same names. Hand in a buffered writer.
pub struct DifferenceJsonl<W: Write> {
    out: W,
    names: ListNames,
    line: Vec<u8>,
}

impl<W: Write> DifferenceJsonl<W> {
    /// Writes nothing yet: JSONL has no header.
    pub fn new(out: W, names: ListNames) -> DifferenceJsonl<W> {
        DifferenceJsonl { out, names, line: Vec::new() }
    }

    /// Writes one difference.
    pub fn row(&mut self, difference: &Difference) -> io::Result<()> {
        self.line.clear();
        let note = difference.note.text();
        jsonl::push_object(&mut self.line, |object| {
            object.cells([COLUMNS[0]], [Cell::Word(difference.change.name())])?;
            object.bytes(COLUMNS[1], "path_raw", &self.names.path(&difference.row))?;
            if let Some(from) = &difference.from {
                object.bytes(COLUMNS[2], "from_raw", from)?;
            }
            object.cells(COLUMNS[VALUES..].iter().copied(), values(difference, &note))
        })?;
        self.out.write_all(&self.line)
    }

    /// Flushes, and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// The columns from `size` on.
fn values<'a>(difference: &'a Difference, note: &'a str) -> [Cell<'a>; COLUMNS.len() - VALUES] {
    let row = &difference.row;
    let word = |verdict: Option<hashsweep_model::Verdict>| {
        verdict.map_or(Cell::Absent, |verdict| Cell::Word(verdict.name()))
    };
    let [size, md5, sha1, sha256] = content(row.size, &row.digests);
    let [_, outcome, reason, threat_name, threat_level, _, _, _, _, _, answered_at, source] =
        judged(row.judged());
    [
        size,
        md5,
        sha1,
        sha256,
        word(difference.verdict_before),
        word(difference.verdict()),
        outcome,
        reason,
        threat_name,
        threat_level,
        answered_at,
        source,
        if note.is_empty() { Cell::Absent } else { Cell::Text(note) },
    ]
}
