//! What a comparison came to, for a person and as JSON.

use super::{Change, Counts};
use crate::figures::thousands;
use crate::findings::Paint;
use crate::{SIMULATED, jsonl, safe};
use hashsweep_model::Verdict;
use serde_json::{Map, Value, json};
use std::io::{self, Write};

/// Which sweep was compared.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Its number.
    pub sweep: i64,
    /// When it began, for people.
    pub started: String,
    /// What it went over, as given. Raw bytes of the file system.
    pub roots: Vec<Vec<u8>>,
    /// Whether its intake reached the end.
    pub intake_finished: bool,
}

/// The summary of one comparison.
pub struct DifferenceSummary<'a> {
    /// What it came to.
    pub counts: &'a Counts,
    /// What was held against.
    pub old: &'a Compared,
    /// What was asked about.
    pub new: &'a Compared,
}

/// Roots shown in a line before the rest is counted. One line of a screen; a guess, unmeasured.
const MAX_ROOTS: usize = 3;

impl DifferenceSummary<'_> {
    /// Writes it for a person.
    pub fn write(&self, out: &mut impl Write, colour: bool) -> io::Result<()> {
        out.write_all(self.text(&Paint(colour)).as_bytes())
    }

    fn text(&self, paint: &Paint) -> String {
        let counts = self.counts;
        let mut lines = vec![self.bottom_line(paint), self.wholeness(paint)];
        if counts.simulated {
            lines.push(paint.warning(SIMULATED));
        }
        lines.push(String::new());
        lines.push(self.books());
        if !counts.unseen.is_empty() {
            let reasons: Vec<String> =
                counts.unseen.iter().map(|(reason, n)| format!("{reason} ×{}", thousands(*n))).collect();
            let n_unseen = thousands(counts.of(Change::Unseen));
            lines.push(format!("unseen {n_unseen}: {}", reasons.join(", ")));
        }
        if counts.ambiguous > 0 {
            let n_ambiguous = thousands(counts.ambiguous);
            lines.push(format!(
                "moved {n_ambiguous} where several paths share a content: one way of pairing them"
            ));
        }
        lines.push(sweep_line("old", self.old));
        lines.push(sweep_line("new", self.new));
        if !counts.is_balanced() {
            lines.push(paint.alarm("THE SUM DOES NOT ADD UP: a fault in hashsweep; do not rely on this"));
        }
        lines.join("\n") + "\n"
    }

    /// `1 flipped, 2 new, 1 changed, 1 moved, 1 gone: 1 malicious among what is new`
    fn bottom_line(&self, paint: &Paint) -> String {
        let parts: Vec<String> = Change::ALL
            .into_iter()
            .filter(|change| *change != Change::Unseen)
            .map(|change| (change, self.counts.of(change)))
            .filter(|(_, n)| *n > 0)
            .map(|(change, n)| format!("{} {}", thousands(n), change.name()))
            .collect();
        if parts.is_empty() {
            return paint.bold("no difference");
        }
        let bad: Vec<String> = [Verdict::Malicious, Verdict::Suspicious]
            .into_iter()
            .map(|verdict| (verdict, self.counts.new_with(verdict)))
            .filter(|(_, n)| *n > 0)
            .map(|(verdict, n)| format!("{} {verdict}", thousands(n)))
            .collect();
        let line = parts.join(", ");
        if bad.is_empty() {
            return paint.bold(&line);
        }
        format!("{}; {}", paint.bold(&line), paint.alarm(&format!("now {}", bad.join(", "))))
    }

    /// Whether every path of two finished sweeps could be compared, and everything read has a verdict.
    pub fn is_whole(&self) -> bool {
        self.counts.is_whole() && self.old.intake_finished && self.new.intake_finished
    }

    fn wholeness(&self, paint: &Paint) -> String {
        let counts = self.counts;
        if self.is_whole() {
            return paint.fine("COMPARED IN FULL");
        }
        let mut parts = Vec::new();
        for (which, sweep) in [("old", self.old), ("new", self.new)] {
            if !sweep.intake_finished {
                parts.push(format!("the {which} sweep did not reach its end"));
            }
        }
        match counts.of(Change::Unseen) {
            0 => {}
            1 => parts.push("1 path could not be compared".to_owned()),
            n => parts.push(format!("{} paths could not be compared", thousands(n))),
        }
        if counts.without_verdict > 0 {
            parts.push(format!("{} without a verdict in the new sweep", thousands(counts.without_verdict)));
        }
        paint.alarm(&format!("NOT COMPARED IN FULL: {}", parts.join(", ")))
    }

    /// Every path of both sweeps has exactly one class; the sum proves it.
    fn books(&self) -> String {
        let counts = self.counts;
        let mut parts: Vec<String> = Change::ALL
            .into_iter()
            .map(|change| match change {
                Change::Moved => format!("2 × {} moved", thousands(counts.of(change))),
                _ => format!("{} {}", thousands(counts.of(change)), change.name()),
            })
            .collect();
        parts.push(format!("{} the same", thousands(counts.same)));
        parts.push(format!("{} our own", thousands(counts.own)));
        format!("paths {} = {}", thousands(counts.places), parts.join(" + "))
    }

    /// The same facts as one JSON object, without a line end.
    pub fn json(&self) -> String {
        let counts = self.counts;
        let verdict_word = |verdict: Option<Verdict>| verdict.map_or("none", Verdict::name);
        let changes: Map<String, Value> = Change::ALL
            .into_iter()
            .map(|change| (change.name().to_owned(), counts.of(change).into()))
            .collect();
        let mut verdicts = Map::new();
        for ((change, verdict), n) in &counts.changes {
            let of = verdicts.entry(change.name()).or_insert_with(|| json!({}));
            of[verdict_word(*verdict)] = (*n).into();
        }
        let new: Map<String, Value> = Verdict::WORST_FIRST
            .into_iter()
            .map(|verdict| (verdict.name().to_owned(), counts.new_with(verdict).into()))
            .collect();
        let unseen: Map<String, Value> =
            counts.unseen.iter().map(|(reason, n)| ((*reason).to_owned(), (*n).into())).collect();
        jsonl::to_text(&json!({
            "old": sweep_json(self.old),
            "new": sweep_json(self.new),
            "whole": self.is_whole(),
            "balanced": counts.is_balanced(),
            "simulated": counts.simulated,
            "paths": counts.places,
            "changes": changes,
            "same": counts.same,
            "own": counts.own,
            "something_new": new,
            "verdicts": verdicts,
            "unseen": unseen,
            "without_verdict": counts.without_verdict,
            "ambiguous_moves": counts.ambiguous,
        }))
    }
}

fn sweep_line(which: &str, sweep: &Compared) -> String {
    let mut roots: Vec<String> =
        sweep.roots.iter().take(MAX_ROOTS).map(|root| safe::terminal(root)).collect();
    if sweep.roots.len() > MAX_ROOTS {
        roots.push(format!("{} more", thousands((sweep.roots.len() - MAX_ROOTS) as u64)));
    }
    format!("{which}: sweep {} of {}, {}", sweep.sweep, sweep.started, roots.join(", "))
}

fn sweep_json(sweep: &Compared) -> Value {
    json!({ "sweep": sweep.sweep, "intake_finished": sweep.intake_finished })
}
