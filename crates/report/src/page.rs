//! The page: one HTML file that opens from anywhere and asks nobody for anything.
//!
//! ```text
//!  all rows ──► Overview ──┐
//!                          ├──► head, first screen, figures ──► findings, a block at a time ──► end
//!  Tally, Record ──────────┘
//! ```
//!
//! Rows pass by twice: once to be counted, and the findings once more to be written. A page holds findings and
//! aggregates; everything else stays in the data files beside it. Nothing hostile becomes markup ([`html`]), and the
//! content security policy allows exactly one style sheet and one script, by their hashes, and no request at all.

mod gallery;
mod html;
mod overview;
pub(crate) mod places;
mod plots;
mod sections;
mod treemap;

pub use overview::Overview;

use crate::columns::when;
use crate::{ListNames, Record, safe};
use hashsweep_model::{Digest, Row, Stamp, Tally, Verdict};
use html::json;
use serde_json::{Value, json};
use std::io::{self, Write};

const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// Findings that a page lists. Browsers draw no element higher than some 17 million pixels, which is 400,000 rows;
/// half of that filters without a pause.
const MAX_FINDINGS: u64 = 200_000;

/// Findings in one block of data, so that neither side ever holds all of them as one text.
const BLOCK: usize = 2_000;

/// A page being written. Hand in a buffered writer.
pub struct Page<W: Write> {
    out: W,
    names: ListNames,
    /// How many more malicious and suspicious files there is room for. The worst go first.
    room: [u64; 2],
    n_in_block: usize,
    foot: String,
}

impl<W: Write> Page<W> {
    /// Writes everything above the data: the first screen and the figures.
    pub fn new(
        mut out: W,
        names: ListNames,
        record: &Record,
        tally: &Tally,
        overview: &Overview,
    ) -> io::Result<Page<W>> {
        let malicious = tally.rows_with(Verdict::Malicious).min(MAX_FINDINGS);
        let suspicious = tally.rows_with(Verdict::Suspicious).min(MAX_FINDINGS - malicious);
        let story = sections::Story { record, tally, overview, n_listed: malicious + suspicious };
        let policy = format!(
            "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
            html::source_hash(STYLE),
            html::source_hash(SCRIPT)
        );
        write!(
            out,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n<meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{}",
            story.title(),
            story.body(),
        )?;
        Ok(Page { out, names, room: [malicious, suspicious], n_in_block: 0, foot: story.foot() })
    }

    /// Lists a row if it is a finding and there is room for it.
    pub fn row(&mut self, row: &Row) -> io::Result<()> {
        let code = match row.verdict() {
            Some(Verdict::Malicious) => 0,
            Some(Verdict::Suspicious) => 1,
            Some(Verdict::Unknown | Verdict::Known) | None => return Ok(()),
        };
        if self.room[code] == 0 {
            return Ok(());
        }
        self.room[code] -= 1;
        let between: &[u8] = if self.n_in_block == 0 {
            b"<script type=\"application/json\" class=\"rows\">[\n"
        } else {
            b",\n"
        };
        self.out.write_all(between)?;
        self.out.write_all(json(&self.listed(row, code)).as_bytes())?;
        self.n_in_block += 1;
        if self.n_in_block == BLOCK {
            self.end_block()?;
        }
        Ok(())
    }

    /// Writes the end, flushes, and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        if self.n_in_block > 0 {
            self.end_block()?;
        }
        write!(self.out, "{}<script>{SCRIPT}</script>\n</body>\n</html>\n", self.foot)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn end_block(&mut self) -> io::Result<()> {
        self.n_in_block = 0;
        self.out.write_all(b"\n]</script>\n")
    }

    /// In the order that the script knows. The second path is the one to copy, where it differs from the shown one.
    fn listed(&self, row: &Row, code: usize) -> Value {
        let settled = row.answer.as_ref().expect("a finding has an answer");
        let answer = &settled.answer;
        let path = self.names.path(row);
        let (shown, exact) = (safe::terminal(&path), safe::text(&path));
        let exact = (exact != shown).then_some(exact);
        let text = |text: &Option<String>| text.as_ref().map(|text| safe::terminal(text.as_bytes()));
        let hex = |digest: Option<Digest>| digest.map(|digest| digest.to_string());
        json!([
            shown,
            exact,
            code,
            text(&answer.threat_name),
            answer.threat_level,
            answer.scanner_match,
            answer.scanner_count,
            text(&answer.first_seen),
            text(&answer.last_seen),
            when(settled.answered_at),
            row.outcome.name(),
            row.size,
            hex(row.digests.md5),
            hex(row.digests.sha1),
            hex(row.digests.sha256),
            row.reason.as_ref().or(answer.reason.as_ref()).map(|reason| safe::terminal(reason.as_bytes())),
        ])
    }
}

/// `2026-11-22 15:04:05 UTC`
fn moment(stamp: Stamp) -> String {
    when(stamp).replace('T', " ").replace('Z', " UTC")
}
