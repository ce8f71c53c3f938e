//! The table on a screen: worst first, then by path, as wide as the screen and no wider.
//!
//! It does not know whether there is a screen: the width, the colour and the number of rows are given. Every text
//! passes through [`safe::terminal`], so a row is one line. No more rows are kept in memory than are shown, so the
//! findings of a fleet can be poured through it.

use crate::columns::ListNames;
use crate::figures::thousands;
use crate::grid::{Cells, Grid};
use crate::{Emit, SIMULATED, safe};
use hashsweep_model::{Row, Source, Verdict};
use std::cmp::Reverse;
use std::io::{self, Write};

/// How the table is to look.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Columns of the screen; without a width nothing is cut.
    pub width: Option<usize>,
    /// Whether ANSI colours may be used. They repeat what the words say.
    pub colour: bool,
    /// How many rows are shown at most.
    pub max_rows: Option<usize>,
    /// Which rows are wanted; the others are ignored.
    pub emit: Emit,
    /// Whether the sweep asked the simulator. A row that says so turns this on by itself.
    pub simulated: bool,
}

/// A table being filled.
pub struct Findings {
    layout: Layout,
    names: ListNames,
    lines: Vec<Line>,
    n_rows: u64,
    /// Wanted rows by verdict, in the order of [`Verdict::WORST_FIRST`]; the rest have none.
    n_with: [u64; 4],
}

/// One row, as texts. Sorted by its key.
struct Line {
    key: (Reverse<Option<Verdict>>, Reverse<Option<i64>>, Vec<u8>),
    cells: Cells,
}

const GRID: Grid =
    Grid { header: ["VERDICT", "THREAT", "LEVEL", "ENGINES", "PATH"], painted: 0, giving_way: 1 };
/// Lines kept beyond those shown before the rest is dropped, so that dropping is rare. A guess, unmeasured.
const SLACK: usize = 4096;

impl Findings {
    /// An empty table.
    pub fn new(layout: Layout, names: ListNames) -> Findings {
        Findings { layout, names, lines: Vec::new(), n_rows: 0, n_with: [0; 4] }
    }

    /// Takes a row in, if it is wanted. The order does not matter.
    pub fn add(&mut self, row: &Row) {
        if !self.layout.emit.wants(row) {
            return;
        }
        self.n_rows += 1;
        if let Some(at) = Verdict::WORST_FIRST.iter().position(|verdict| row.verdict() == Some(*verdict)) {
            self.n_with[at] += 1;
        }
        self.layout.simulated |=
            row.answer.as_ref().is_some_and(|settled| settled.source == Source::Simulator);
        self.lines.push(line(row, &self.names));
        if let Some(max_rows) = self.layout.max_rows
            && self.lines.len() > max_rows.saturating_add(SLACK)
        {
            self.keep(max_rows);
        }
    }

    /// How many rows were wanted.
    pub fn n_rows(&self) -> u64 {
        self.n_rows
    }

    /// Writes the table, or one sentence when there is nothing in it.
    pub fn write(mut self, out: &mut impl Write) -> io::Result<()> {
        self.keep(self.layout.max_rows.unwrap_or(usize::MAX));
        let paint = Paint(self.layout.colour);
        if self.layout.simulated {
            writeln!(out, "{}", paint.warning(SIMULATED))?;
        }
        if self.n_rows == 0 {
            return writeln!(out, "{}", nothing(self.layout.emit));
        }
        writeln!(out, "{}", self.title())?;
        let widths = GRID.widths(self.lines.iter().map(|line| &line.cells), self.layout.width);
        writeln!(out, "{}", paint.bold(&GRID.header_line(&widths)))?;
        for line in &self.lines {
            let Reverse(verdict) = line.key.0;
            writeln!(out, "{}", GRID.line(&line.cells, &widths, |text| paint.verdict(verdict, &text)))?;
        }
        let n_more = self.n_rows - self.lines.len() as u64;
        if n_more > 0 {
            writeln!(out, "… and {} more (all of them: -o FILE, or hashsweep report)", thousands(n_more))?;
        }
        Ok(())
    }

    fn keep(&mut self, n_lines: usize) {
        self.lines.sort_by(|a, b| a.key.cmp(&b.key));
        self.lines.truncate(n_lines);
    }

    fn title(&self) -> String {
        let n_judged: u64 = self.n_with.iter().sum();
        let mut parts: Vec<String> = Verdict::WORST_FIRST
            .iter()
            .zip(self.n_with)
            .filter(|(_, n)| *n > 0)
            .map(|(verdict, n)| format!("{} {verdict}", thousands(n)))
            .collect();
        if self.n_rows > n_judged {
            parts.push(format!("{} without a verdict", thousands(self.n_rows - n_judged)));
        }
        let noun = match self.layout.emit {
            Emit::Findings if self.n_rows == 1 => "finding",
            Emit::Findings => "findings",
            Emit::All | Emit::Unknown if self.n_rows == 1 => "row",
            Emit::All | Emit::Unknown => "rows",
        };
        format!("{} {noun}: {}", thousands(self.n_rows), parts.join(", "))
    }
}

/// A finding as one line: `malicious  Win32.Trojan.Generic  /srv/a.exe`.
pub fn finding_line(names: &ListNames, row: &Row) -> String {
    let mut words: Vec<String> = row.verdict().map(|verdict| verdict.to_string()).into_iter().collect();
    if let Some(settled) = &row.answer {
        words.extend(settled.answer.threat_name.as_ref().map(|name| safe::terminal(name.as_bytes())));
    }
    words.push(safe::terminal(&names.path(row)));
    if row.answer.as_ref().is_some_and(|settled| settled.source == Source::Simulator) {
        words.push("(simulator)".to_owned());
    }
    words.join("  ")
}

fn nothing(emit: Emit) -> &'static str {
    match emit {
        Emit::All => "There are no rows.",
        Emit::Findings => {
            "Nothing was called malicious or suspicious. The summary says what was not looked at or not answered."
        }
        Emit::Unknown => {
            "Nothing was called unknown. The summary says what was not looked at or not answered."
        }
    }
}

fn line(row: &Row, names: &ListNames) -> Line {
    let path = names.path(row).into_owned();
    let answer = row.answer.as_ref().map(|settled| &settled.answer);
    let absent = || "-".to_owned();
    let threat = match answer {
        Some(answer) => answer.threat_name.as_ref().or(answer.reason.as_ref()),
        None => row.reason.as_ref(),
    };
    let level = answer.and_then(|answer| answer.threat_level);
    let engines = answer.and_then(|answer| answer.scanner_match.zip(answer.scanner_count));
    Line {
        cells: [
            row.verdict().map_or(row.outcome.name(), Verdict::name).to_ascii_uppercase(),
            threat.map_or_else(absent, |text| safe::terminal(text.as_bytes())),
            level.map_or_else(absent, |level| format!("{level}/5")),
            engines.map_or_else(absent, |(hits, all)| format!("{hits}/{all}")),
            safe::terminal(&path),
        ],
        key: (Reverse(row.verdict()), Reverse(level), path),
    }
}

/// ANSI colours, or nothing. What is painted says the same in words.
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    pub(crate) fn bold(&self, text: &str) -> String {
        self.with("1", text)
    }

    pub(crate) fn warning(&self, text: &str) -> String {
        self.with("1;33", text)
    }

    pub(crate) fn alarm(&self, text: &str) -> String {
        self.with("1;31", text)
    }

    pub(crate) fn fine(&self, text: &str) -> String {
        self.with("32", text)
    }

    pub(crate) fn verdict(&self, verdict: Option<Verdict>, text: &str) -> String {
        match verdict {
            Some(Verdict::Malicious) => self.alarm(text),
            Some(Verdict::Suspicious) => self.with("33", text),
            Some(Verdict::Known) => self.fine(text),
            Some(Verdict::Unknown) | None => text.to_owned(),
        }
    }

    fn with(&self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1B[{code}m{text}\x1B[0m") } else { text.to_owned() }
    }
}
