//! The table on a screen: worst first, then by path, as wide as the screen and no wider.
//!
//! It does not know whether there is a screen: the width, the colour and the number of rows are given. Every text
//! passes through [`safe::terminal`], so a row is one line. No more rows are kept in memory than are shown, so the
//! findings of a fleet can be poured through it.

use crate::columns::ListNames;
use crate::figures::thousands;
use crate::{Emit, SIMULATED, safe};
use hashsweep_model::{Row, Source, Verdict};
use std::cmp::Reverse;
use std::io::{self, Write};
use unicode_width::UnicodeWidthChar;

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
    cells: [String; N_COLUMNS],
}

const N_COLUMNS: usize = 5;
const HEADER: [&str; N_COLUMNS] = ["VERDICT", "THREAT", "LEVEL", "ENGINES", "PATH"];
const GAP: &str = "  ";
/// Threat names beyond this give way to the path on a screen too narrow for both. A guess, unmeasured.
const THREAT_WIDTH: usize = 40;
/// What a narrow screen leaves to a threat name and to a path: less says nothing.
const MIN_WIDTH: usize = 12;
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
        let widths = widths(&self.lines, self.layout.width);
        let header = HEADER.map(str::to_owned);
        writeln!(out, "{}", paint.bold(&laid_out(&header, &widths, |verdict| verdict)))?;
        for line in &self.lines {
            let Reverse(verdict) = line.key.0;
            writeln!(out, "{}", laid_out(&line.cells, &widths, |text| paint.verdict(verdict, &text)))?;
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

/// The width of each column but the last needs its padding; the last needs its limit.
fn widths(lines: &[Line], screen: Option<usize>) -> [usize; N_COLUMNS] {
    let mut widths = HEADER.map(width);
    for line in lines {
        for (widest, cell) in widths.iter_mut().zip(&line.cells) {
            *widest = (*widest).max(width(cell));
        }
    }
    let Some(screen) = screen else { return widths };
    let [verdict, threat, level, engines, path] = widths;
    let others = verdict + level + engines + GAP.len() * (N_COLUMNS - 1);
    let room = screen.saturating_sub(others);
    if threat + path > room {
        // The path identifies, so the threat name gives way first; two fifths leave it 20 columns of 80.
        let wanted = threat.min(THREAT_WIDTH);
        let threat = wanted.min((room * 2 / 5).max(MIN_WIDTH)).max(wanted.min(room.saturating_sub(path)));
        widths[1] = threat;
        widths[4] = room.saturating_sub(threat).max(MIN_WIDTH).min(path);
    }
    widths
}

/// One line of the table. Only the first cell is painted, after it was measured.
fn laid_out(
    cells: &[String; N_COLUMNS],
    widths: &[usize; N_COLUMNS],
    paint: impl Fn(String) -> String,
) -> String {
    let mut text = String::new();
    for (i, (cell, &limit)) in cells.iter().zip(widths).enumerate() {
        let cell = cut(cell, limit);
        let padding = " ".repeat(limit - width(&cell));
        if i == 0 {
            text.push_str(&paint(cell));
        } else {
            text.push_str(GAP);
            text.push_str(&cell);
        }
        if i + 1 < N_COLUMNS {
            text.push_str(&padding);
        }
    }
    text
}

/// Takes the middle out of a text that is too wide. Two thirds of what stays is its end: that is where a file's
/// name is.
fn cut(text: &str, limit: usize) -> String {
    if width(text) <= limit {
        return text.to_owned();
    }
    let room = limit.saturating_sub(1);
    let head = fitting(text.chars(), room / 3);
    let tail = fitting(text.chars().rev(), room - width(&head));
    let tail: String = tail.chars().rev().collect();
    format!("{head}…{tail}")
}

fn fitting(chars: impl Iterator<Item = char>, limit: usize) -> String {
    let mut used = 0;
    chars
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= limit
        })
        .collect()
}

/// Columns on a screen, character by character as terminals count.
fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_end_of_a_long_path_stays() {
        assert_eq!(cut("/home/user/very/long/way/down/evil.exe", 20), "/home/…down/evil.exe");
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("日本語日本語", 7), "日…本語");
        assert_eq!(cut("abc", 1), "…");
    }

    proptest! {
        #[test]
        fn what_is_cut_fits(text in "\\PC{0,40}", limit in 1usize..30) {
            prop_assert!(width(&cut(&text, limit)) <= limit);
        }
    }
}
