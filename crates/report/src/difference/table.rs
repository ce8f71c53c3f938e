//! The differences on a screen: what is worst now comes first.

use super::{Change, Difference};
use crate::SIMULATED;
use crate::columns::ListNames;
use crate::figures::thousands;
use crate::findings::Paint;
use crate::grid::{Cells, Grid};
use crate::safe;
use hashsweep_model::Verdict;
use std::cmp::Reverse;
use std::io::{self, Write};

/// How the table is to look.
#[derive(Clone, Copy, Debug)]
pub struct TableLayout {
    /// Columns of the screen; without a width nothing is cut.
    pub width: Option<usize>,
    /// Whether ANSI colours may be used. They repeat what the words say.
    pub colour: bool,
    /// How many rows are shown at most.
    pub max_rows: Option<usize>,
    /// Whether the case is a simulator's.
    pub simulated: bool,
}

/// A table being filled. No more rows are kept than are shown.
pub struct Differences {
    layout: TableLayout,
    names: ListNames,
    lines: Vec<Line>,
    n_rows: u64,
}

struct Line {
    key: Rank,
    cells: Cells,
}

/// Worst first, then what happened, then the threat level, then the path.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    verdict: Reverse<Option<Verdict>>,
    change: Change,
    level: Reverse<Option<i64>>,
    path: Vec<u8>,
}

const GRID: Grid =
    Grid { header: ["CHANGE", "VERDICT", "THREAT OR NOTE", "LEVEL", "PATH"], painted: 1, giving_way: 2 };
/// Lines kept beyond those shown before the rest is dropped, so that dropping is rare. A guess, unmeasured.
const SLACK: usize = 4096;

impl Differences {
    /// An empty table.
    pub fn new(layout: TableLayout, names: ListNames) -> Differences {
        Differences { layout, names, lines: Vec::new(), n_rows: 0 }
    }

    /// Takes a difference in. The order does not matter.
    pub fn add(&mut self, difference: &Difference) {
        self.n_rows += 1;
        self.lines.push(line(difference, &self.names));
        if let Some(max_rows) = self.layout.max_rows
            && self.lines.len() > max_rows.saturating_add(SLACK)
        {
            self.keep(max_rows);
        }
    }

    /// Writes the table, or one sentence when there is nothing in it.
    pub fn write(mut self, out: &mut impl Write) -> io::Result<()> {
        self.keep(self.layout.max_rows.unwrap_or(usize::MAX));
        let paint = Paint(self.layout.colour);
        if self.layout.simulated {
            writeln!(out, "{}", paint.warning(SIMULATED))?;
        }
        if self.n_rows == 0 {
            return writeln!(out, "Nothing is different.");
        }
        let widths = GRID.widths(self.lines.iter().map(|line| &line.cells), self.layout.width);
        writeln!(out, "{}", paint.bold(&GRID.header_line(&widths)))?;
        for line in &self.lines {
            let Reverse(verdict) = line.key.verdict;
            writeln!(out, "{}", GRID.line(&line.cells, &widths, |text| paint.verdict(verdict, &text)))?;
        }
        let n_more = self.n_rows - self.lines.len() as u64;
        if n_more > 0 {
            writeln!(out, "… and {} more (all of them: -o FILE)", thousands(n_more))?;
        }
        Ok(())
    }

    fn keep(&mut self, n_lines: usize) {
        self.lines.sort_by(|a, b| a.key.cmp(&b.key));
        self.lines.truncate(n_lines);
    }
}

fn line(difference: &Difference, names: &ListNames) -> Line {
    let row = &difference.row;
    let path = names.path(row).into_owned();
    let answer = row.answer.as_ref().map(|settled| &settled.answer);
    let level = answer.and_then(|answer| answer.threat_level);
    let note = difference.note.text();
    let threat = answer
        .and_then(|answer| answer.threat_name.as_ref().or(answer.reason.as_ref()))
        .or(row.reason.as_ref())
        .map_or("", String::as_str);
    let text = match (threat, &*note) {
        ("", "") => "-".to_owned(),
        (threat, "") => threat.to_owned(),
        // Why something cannot be compared outweighs what was known of it; otherwise the threat comes first.
        (_, note) if difference.change == Change::Unseen => note.to_owned(),
        ("", note) => note.to_owned(),
        (threat, note) => format!("{threat}; {note}"),
    };
    let mut shown = safe::terminal(&path);
    if let Some(from) = &difference.from {
        shown = format!("{shown} ← {}", safe::terminal(from));
    }
    Line {
        cells: [
            difference.change.name().to_owned(),
            verdicts(difference),
            safe::terminal(text.as_bytes()),
            level.map_or_else(|| "-".to_owned(), |level| format!("{level}/5")),
            shown,
        ],
        key: Rank {
            verdict: Reverse(difference.verdict()),
            change: difference.change,
            level: Reverse(level),
            path,
        },
    }
}

/// `known → MALICIOUS`, `MALICIOUS`, `known → -`: what is the same is said once.
fn verdicts(difference: &Difference) -> String {
    let now = difference.verdict().map(|verdict| verdict.name().to_ascii_uppercase());
    match (difference.verdict_before, now) {
        (Some(before), Some(now)) if Some(before) != difference.verdict() => format!("{before} → {now}"),
        (_, Some(now)) => now,
        (Some(before), None) => format!("{before} → -"),
        (None, None) if difference.only_before => "-".to_owned(),
        (None, None) => difference.row.outcome.name().to_ascii_uppercase(),
    }
}
