//! What a run says at its end: the bottom line, whether it is all, and the books with their figures.
//!
//! The reader is tired and has one screen. The first line answers the question, the second says whether the answer
//! is whole, and every other line is a sum that can be checked by eye. It does not know what happened in the run:
//! it reads a [`Tally`], which was read from the case, and the caller's [`Figures`].

use crate::columns::when;
use crate::figures::{bytes, bytes_rate, duration, per_second, rate, thousands};
use crate::findings::Paint;
use crate::{SIMULATED, jsonl, safe};
use hashsweep_model::{Outcome, Skip, Tally, Verdict};
use serde_json::{Map, Value, json};
use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

/// What one row of the sweep is, in the reader's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Entries of a walk.
    Files,
    /// Rows of a list.
    Rows,
}

impl What {
    fn of(self, n: u64) -> String {
        let noun = match (self, n) {
            (What::Files, 1) => "file",
            (What::Files, _) => "files",
            (What::Rows, 1) => "row",
            (What::Rows, _) => "rows",
        };
        format!("{} {noun}", thousands(n))
    }

    const fn name(self) -> &'static str {
        match self {
            What::Files => "files",
            What::Rows => "rows",
        }
    }
}

/// What a tally cannot tell.
#[derive(Clone, Debug)]
pub struct Figures {
    /// What the rows are.
    pub what: What,
    /// What the run that read them has to say beside, a line each. File names in them are as they were found.
    pub remarks: Vec<String>,
    /// How fast this run was; `None` where nothing was run, as in a report.
    pub speed: Option<Speed>,
    /// Whether the answers are the simulator's.
    pub simulated: bool,
    /// Whether somebody stopped the run before its end.
    pub interrupted: bool,
    /// What to do when something is missing, in one line: a command, most likely.
    pub next_step: Option<String>,
    /// Where the case is, as the user would write it. Raw bytes of the file system.
    pub case_path: Option<Vec<u8>>,
}

/// What this run did and how long it took. A tally counts the whole sweep, which may have taken several runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Speed {
    /// Files read to their end, or rows of a list read, in this run.
    pub n_read: u64,
    /// Files that were not read, because an earlier sweep's row of theirs still holds.
    pub n_unchanged: u64,
    /// Bytes in those that were read; of no interest for a list.
    pub bytes_read: u64,
    /// From the first to the last of them.
    pub reading: Duration,
    /// Digests that left in requests of this run.
    pub n_asked: u64,
    /// From the first request to the last answer.
    pub asking: Duration,
    /// From start to end.
    pub elapsed: Duration,
}

/// The summary of one sweep.
pub struct Summary<'a> {
    tally: &'a Tally,
    figures: &'a Figures,
}

/// Reasons shown in a line before the rest is added up. One line of a screen; a guess, unmeasured.
const MAX_REASONS: usize = 6;

impl<'a> Summary<'a> {
    /// A summary of these totals.
    pub fn new(tally: &'a Tally, figures: &'a Figures) -> Summary<'a> {
        Summary { tally, figures }
    }

    /// Writes it for a person.
    pub fn write(&self, out: &mut impl Write, colour: bool) -> io::Result<()> {
        out.write_all(self.text(&Paint(colour)).as_bytes())
    }

    /// The same facts as one JSON object, without a line end.
    pub fn json(&self) -> String {
        let Tally { rows, duplicates, distinct, excluded, bytes, requests, quota, .. } = self.tally;
        let tally = self.tally;
        let mut object = json!({
            "what": self.figures.what.name(),
            "complete": self.is_complete(),
            "interrupted": self.figures.interrupted,
            "intake_finished": tally.intake_finished,
            "simulated": self.figures.simulated,
            "rows": rows,
            "outcomes": by_name(&Outcome::ALL, Outcome::name, |outcome| tally.rows_of(outcome)),
            "verdicts": by_name(&Verdict::WORST_FIRST, Verdict::name, |verdict| tally.rows_with(verdict)),
            "without_verdict": self.without_verdict(),
            "skipped": {
                "nothing_to_read": counts(self.skipped(false)),
                "not_looked_at": counts(self.skipped(true)),
            },
            "reasons": {
                "local": counts(self.reasons(Outcome::Local)),
                "deferred": counts(self.reasons(Outcome::Deferred)),
                "failed": counts(self.reasons(Outcome::Failed)),
                "invalid": counts(self.reasons(Outcome::Invalid)),
            },
            "distinct": distinct,
            "digests": by_name(&Outcome::ALL, Outcome::name, |outcome| tally.digests_of(outcome)),
            "asked": tally.asked(),
            "learned": tally.learned,
            "duplicates": duplicates,
            "excluded": excluded,
            "bytes": bytes,
            "contradictions": tally.contradictions,
            "requests": requests,
            "quota": {
                "charged_max": quota.charged_max,
                "charged_min": quota.charged_min,
                "in_doubt": quota.in_doubt,
            },
            "balanced": tally.check().is_ok(),
        });
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                object[key] = value;
            }
        };
        put("imbalance", tally.check().err().map(|imbalance| imbalance.to_string().into()));
        put("oldest_cached", tally.oldest_cached.map(|at| when(at).into()));
        put("run", self.figures.speed.map(|speed| speed.json()));
        put("next_step", self.next_step().map(Into::into));
        put("case", self.figures.case_path.as_ref().map(|path| safe::text(path).into()));
        jsonl::to_text(&object)
    }

    /// `COMPLETE`, or what is missing.
    pub(crate) fn completeness_line(&self) -> String {
        self.completeness(&Paint(false))
    }

    fn text(&self, paint: &Paint) -> String {
        let mut lines = vec![self.bottom_line(paint), self.completeness(paint)];
        if self.tally.contradictions > 0 {
            lines.push(paint.alarm(&format!(
                "{} changed behind unchanged metadata: nothing but their content tells of it. Look at the disk, or for somebody who hides a change.",
                self.figures.what.of(self.tally.contradictions)
            )));
        }
        if self.figures.simulated {
            lines.push(paint.warning(SIMULATED));
        }
        if let Err(imbalance) = self.tally.check() {
            lines.push(paint.alarm(&format!(
                "DO NOT RELY ON THESE FIGURES: {imbalance}. This is a fault in hashsweep; please report it."
            )));
        }
        lines.push(String::new());
        lines.push(self.rows());
        lines.push(self.digests());
        lines.extend(self.oldest_cached());
        lines.push(self.asked());
        lines.extend(self.skipped_line());
        lines.extend(
            [Outcome::Deferred, Outcome::Failed, Outcome::Invalid, Outcome::Local]
                .map(|outcome| self.reasons_line(outcome))
                .into_iter()
                .flatten(),
        );
        lines.push(self.others());
        lines.extend(self.figures.remarks.iter().map(|remark| safe::terminal(remark.as_bytes())));
        lines.push(self.requests());
        lines.extend(self.figures.speed.map(|speed| speed.line(self.figures.what)));
        lines.extend(self.figures.case_path.as_ref().map(|path| format!("case {}", safe::terminal(path))));
        lines.extend(
            self.next_step().map(|step| paint.bold(&format!("next: {}", safe::terminal(step.as_bytes())))),
        );
        lines.push(String::new());
        lines.join("\n")
    }

    /// `3 malicious, 1 suspicious, 5 unknown, 8 known in 17 files`
    fn bottom_line(&self, paint: &Paint) -> String {
        let mut parts: Vec<String> = Verdict::WORST_FIRST
            .iter()
            .map(|&verdict| {
                let n = self.tally.rows_with(verdict);
                let text = format!("{} {verdict}", thousands(n));
                if n > 0 { paint.verdict(Some(verdict), &text) } else { text }
            })
            .collect();
        let without = self.without_verdict();
        if without > 0 {
            parts.push(format!("{} without a verdict", thousands(without)));
        }
        format!("{} in {}", parts.join(", "), self.figures.what.of(self.tally.rows))
    }

    fn completeness(&self, paint: &Paint) -> String {
        if self.is_complete() {
            return paint.fine("COMPLETE");
        }
        let tally = self.tally;
        let not_looked_at: u64 = tally.not_looked_at().map(|(_, n)| n).sum();
        let mut parts = Vec::new();
        let mut count = |n: u64, words: &str| {
            if n > 0 {
                parts.push(format!("{} {words}", thousands(n)));
            }
        };
        count(not_looked_at, if not_looked_at == 1 { "row not looked at" } else { "rows not looked at" });
        count(tally.rows_of(Outcome::Deferred), "deferred");
        count(tally.rows_of(Outcome::Failed), "failed");
        if !tally.intake_finished {
            parts.push("not everything was read".to_owned());
        }
        if self.figures.interrupted {
            parts.push("interrupted".to_owned());
        }
        if tally.check().is_err() {
            parts.push("the books do not balance".to_owned());
        }
        paint.warning(&format!("INCOMPLETE: {}", parts.join(", ")))
    }

    /// `rows 17 = 12 answered + 3 cached + 1 local + …`
    fn rows(&self) -> String {
        let sum = sum(Outcome::ALL.map(|outcome| (self.tally.rows_of(outcome), outcome.name())));
        format!("rows {} = {sum}", thousands(self.tally.rows))
    }

    /// `digests 12 distinct = 3 cached + 1 local + 8 asked + 0 deferred`, with `learned` between them where
    /// answers came that the sweep had not asked for.
    fn digests(&self) -> String {
        let tally = self.tally;
        let mut parts = vec![
            (tally.digests_of(Outcome::Cached).saturating_sub(tally.learned), "cached"),
            (tally.digests_of(Outcome::Local), "local"),
            (tally.asked(), "asked"),
            (tally.digests_of(Outcome::Deferred), "deferred"),
        ];
        if tally.learned > 0 {
            parts.insert(1, (tally.learned, "learned"));
        }
        // A skipped row offers no digest; were there one, the sum must still add up on the screen.
        let skipped = tally.digests_of(Outcome::Skipped);
        if skipped > 0 {
            parts.push((skipped, "skipped"));
        }
        format!("digests {} distinct = {}", thousands(tally.distinct), sum(parts))
    }

    /// `oldest earlier answer 2026-11-15T04:00:00Z`
    fn oldest_cached(&self) -> Option<String> {
        self.tally.oldest_cached.map(|at| format!("oldest earlier answer {}", when(at)))
    }

    /// `asked 8 = 8 answered + 0 failed + 0 invalid`
    fn asked(&self) -> String {
        let outcomes = [Outcome::Answered, Outcome::Failed, Outcome::Invalid];
        let sum = sum(outcomes.map(|outcome| (self.tally.digests_of(outcome), outcome.name())));
        format!("asked {} = {sum}", thousands(self.tally.asked()))
    }

    /// `skipped 5: 3 with nothing to read (symbolic link 2, fifo 1), 2 not looked at (unreadable 2)`
    fn skipped_line(&self) -> Option<String> {
        let n_skipped = self.tally.rows_of(Outcome::Skipped);
        if n_skipped == 0 && self.tally.skipped.is_empty() {
            return None;
        }
        let part = |not_looked_at: bool, words: &str| {
            let reasons: Vec<(&str, u64)> = self.skipped(not_looked_at).collect();
            let n: u64 = reasons.iter().map(|(_, n)| n).sum();
            (n > 0).then(|| format!("{} {words} ({})", thousands(n), listed(reasons)))
        };
        let parts: Vec<String> = [part(true, "not looked at"), part(false, "with nothing to read")]
            .into_iter()
            .flatten()
            .collect();
        Some(format!("skipped {}: {}", thousands(n_skipped), parts.join(", ")))
    }

    /// `deferred 40: quota 40`
    fn reasons_line(&self, outcome: Outcome) -> Option<String> {
        let reasons: Vec<(&str, u64)> = self.reasons(outcome).collect();
        let n = self.tally.rows_of(outcome);
        match (n, reasons.is_empty()) {
            (0, true) => None,
            (_, true) => Some(format!("{outcome} {}: no reason on record", thousands(n))),
            (_, false) => Some(format!("{outcome} {}: {}", thousands(n), listed(reasons))),
        }
    }

    fn others(&self) -> String {
        format!(
            "duplicates {}, excluded by filters {}",
            thousands(self.tally.duplicates),
            thousands(self.tally.excluded)
        )
    }

    fn requests(&self) -> String {
        let quota = &self.tally.quota;
        format!(
            "requests {}, quota charged at most {}, at least {}, in doubt {}",
            thousands(self.tally.requests),
            thousands(quota.charged_max),
            thousands(quota.charged_min),
            thousands(quota.in_doubt)
        )
    }

    fn is_complete(&self) -> bool {
        self.tally.is_complete() && self.tally.check().is_ok() && !self.figures.interrupted
    }

    /// The hint is about what is owed; what could not be looked at is not to be had that way.
    fn next_step(&self) -> Option<&str> {
        self.figures.next_step.as_deref().filter(|_| self.tally.owes_something())
    }

    fn without_verdict(&self) -> u64 {
        let judged: u64 = self.tally.verdicts.values().sum();
        self.tally.rows.saturating_sub(judged)
    }

    /// `skipped` rows by reason: those that nobody looked at, or those with nothing to read.
    pub(crate) fn skipped(&self, not_looked_at: bool) -> impl Iterator<Item = (&str, u64)> {
        self.tally
            .skipped
            .iter()
            .filter(move |(reason, _)| is_not_looked_at(reason) == not_looked_at)
            .map(|(reason, n)| (reason.as_str(), *n))
    }

    pub(crate) fn reasons(&self, outcome: Outcome) -> impl Iterator<Item = (&str, u64)> {
        self.tally
            .reasons
            .iter()
            .filter(move |((of, _), _)| *of == outcome)
            .map(|((_, reason), n)| (reason.as_str(), *n))
    }
}

/// As [`Tally::not_looked_at`] decides: a reason that this version does not know counts as one.
fn is_not_looked_at(reason: &str) -> bool {
    reason.parse::<Skip>().map_or(true, |skip| skip.kind.is_not_looked_at())
}

/// Without colour.
impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(&Paint(false)))
    }
}

impl Speed {
    /// `hashed 17 files, 4.2 GB in 3.1 s (5,400 files/s, 1.35 GB/s), 900 unchanged, 2,300 hashes/s asked, elapsed 3.4 s`
    fn line(&self, what: What) -> String {
        let mut parts = Vec::new();
        if self.n_read > 0 || self.n_unchanged > 0 {
            let (verb, size) = match what {
                What::Files => ("hashed", format!(", {}", bytes(self.bytes_read))),
                What::Rows => ("read", String::new()),
            };
            let rates: Vec<String> = [
                per_second(self.n_read, self.reading).map(|rate| format!("{rate} {}/s", what.name())),
                bytes_rate(self.bytes_read, self.reading).filter(|_| what == What::Files),
            ]
            .into_iter()
            .flatten()
            .collect();
            let rates = if rates.is_empty() { String::new() } else { format!(" ({})", rates.join(", ")) };
            parts.push(if self.n_read > 0 {
                format!("{verb} {}{size} in {}{rates}", what.of(self.n_read), duration(self.reading))
            } else {
                format!("{verb} {}", what.of(0))
            });
        }
        if self.n_unchanged > 0 {
            parts.push(format!("{} unchanged", thousands(self.n_unchanged)));
        }
        if self.n_asked > 0
            && let Some(rate) = per_second(self.n_asked, self.asking)
        {
            parts.push(format!("{rate} hashes/s asked"));
        }
        parts.push(format!("elapsed {}", duration(self.elapsed)));
        parts.join(", ")
    }

    fn json(&self) -> Value {
        let mut run = json!({
            "read": self.n_read,
            "unchanged": self.n_unchanged,
            "bytes_read": self.bytes_read,
            "reading_seconds": self.reading.as_secs_f64(),
            "asked": self.n_asked,
            "asking_seconds": self.asking.as_secs_f64(),
            "elapsed_seconds": self.elapsed.as_secs_f64(),
        });
        for (key, rate) in [
            ("read_per_second", rate(self.n_read, self.reading)),
            ("bytes_per_second", rate(self.bytes_read, self.reading)),
            ("asked_per_second", rate(self.n_asked, self.asking)),
        ] {
            if let Some(rate) = rate {
                run[key] = rate.into();
            }
        }
        run
    }
}

/// `12 answered + 3 cached`
fn sum<'a>(parts: impl IntoIterator<Item = (u64, &'a str)>) -> String {
    let parts: Vec<String> = parts.into_iter().map(|(n, word)| format!("{} {word}", thousands(n))).collect();
    parts.join(" + ")
}

/// `symbolic link 2, fifo 1`, the commonest first.
fn listed(mut reasons: Vec<(&str, u64)>) -> String {
    reasons.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let rest: u64 = reasons.iter().skip(MAX_REASONS).map(|(_, n)| n).sum();
    let mut parts: Vec<String> = reasons
        .iter()
        .take(MAX_REASONS)
        .map(|(reason, n)| format!("{} ×{}", safe::terminal(reason.as_bytes()), thousands(*n)))
        .collect();
    if rest > 0 {
        parts.push(format!("other reasons ×{}", thousands(rest)));
    }
    parts.join(", ")
}

fn by_name<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str, count: impl Fn(T) -> u64) -> Value {
    all.iter().map(|&one| (name(one).to_owned(), Value::from(count(one)))).collect::<Map<_, _>>().into()
}

fn counts<'a>(reasons: impl Iterator<Item = (&'a str, u64)>) -> Value {
    reasons.map(|(reason, n)| (reason.to_owned(), Value::from(n))).collect::<Map<_, _>>().into()
}
