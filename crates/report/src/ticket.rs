//! The summary of a sweep as Markdown, to be pasted into a ticket.
//!
//! Every hostile text stands in a code span of its own, in which Markdown means nothing: no link, no picture, no
//! markup, no mention. Findings are a list and not a table, whose cells no code span protects from a bar.

use crate::columns::when;
use crate::figures::thousands;
use crate::{Figures, ListNames, Record, SIMULATED, Summary, safe};
use hashsweep_model::{Row, Tally, Verdict};
use std::cmp::Reverse;
use std::io::{self, Write};

/// Findings that a ticket lists; who needs more needs the page.
const MAX_LISTED: usize = 50;

/// Findings kept beyond those before the milder ones are dropped, so that dropping is rare. A guess, unmeasured.
const SLACK: usize = 1000;

/// A ticket's text being made.
pub struct Ticket {
    names: ListNames,
    n_findings: u64,
    worst: Vec<(Key, String)>,
}

/// Worst first, then by path.
type Key = (Reverse<Option<Verdict>>, Reverse<Option<i64>>, Vec<u8>);

impl Ticket {
    /// Of no findings yet. Rows of lists are called by these names.
    pub fn new(names: ListNames) -> Ticket {
        Ticket { names, n_findings: 0, worst: Vec::new() }
    }

    /// Takes a row in, if it is a finding. The order does not matter.
    pub fn add(&mut self, row: &Row) {
        let Some(settled) =
            row.answer.as_ref().filter(|settled| settled.answer.verdict >= Verdict::Suspicious)
        else {
            return;
        };
        self.n_findings += 1;
        let path = self.names.path(row).into_owned();
        let answer = &settled.answer;
        let mut line = format!("- **{}** {}", answer.verdict, code(&path));
        if let Some(threat) = &answer.threat_name {
            line = format!("{line}, {}", code(threat.as_bytes()));
        }
        if let Some(level) = answer.threat_level {
            line = format!("{line}, level {level}/5");
        }
        line =
            format!("{line}, {} {}", answer.digest.kind().name(), code(answer.digest.to_string().as_bytes()));
        self.worst.push(((Reverse(row.verdict()), Reverse(answer.threat_level), path), line));
        if self.worst.len() > MAX_LISTED + SLACK {
            self.keep();
        }
    }

    /// Writes it.
    pub fn write(mut self, out: &mut impl Write, record: &Record, tally: &Tally) -> io::Result<()> {
        self.keep();
        let roots: Vec<String> = record.roots.iter().map(|root| code(root)).collect();
        writeln!(out, "## hashsweep: {} of {}\n", record.command, roots.join(", "))?;
        if record.simulated {
            writeln!(out, "> **{SIMULATED}**\n")?;
        }
        writeln!(
            out,
            "Sweep {} of the case {}, began {}.\n",
            record.sweep,
            code(&record.case_name),
            when(record.started_at)
        )?;
        let figures = Figures {
            what: record.what,
            remarks: Vec::new(),
            speed: None,
            simulated: record.simulated,
            interrupted: !tally.intake_finished,
            next_step: Some(record.next_step.clone()),
            case_path: None,
        };
        writeln!(out, "```text\n{}```\n", Summary::new(tally, &figures))?;
        match self.n_findings {
            0 => writeln!(out, "No findings.")?,
            _ => writeln!(out, "### Findings\n")?,
        }
        for (_, line) in &self.worst {
            writeln!(out, "{line}")?;
        }
        let n_more = self.n_findings - self.worst.len() as u64;
        if n_more > 0 {
            writeln!(out, "\n… and {} more, worst first.", thousands(n_more))?;
        }
        out.flush()
    }

    fn keep(&mut self) {
        self.worst.sort();
        self.worst.truncate(MAX_LISTED);
    }
}

/// A code span: its fence is longer than any run of backticks in it.
fn code(bytes: &[u8]) -> String {
    let text = safe::terminal(bytes);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    // A blank on either side is not shown, and keeps backticks apart. A span of blanks alone is shown as it is.
    let needs_room = text.is_empty() || text.starts_with([' ', '`']) || text.ends_with([' ', '`']);
    if needs_room { format!("{fence} {text} {fence}") } else { format!("{fence}{text}{fence}") }
}

#[cfg(test)]
mod tests {
    use super::code;

    #[test]
    fn a_code_span_is_longer_than_what_is_in_it() {
        let check = |text: &str, expected: &str| assert_eq!(code(text.as_bytes()), expected);
        check("plain|name*_[x](y)<b>@ana", "`plain|name*_[x](y)<b>@ana`");
        check("a`b``c", "```a`b``c```");
        check("`x", "`` `x ``");
        check("x\n# y", "`x\\x0A# y`");
        check("", "`  `");
    }
}
