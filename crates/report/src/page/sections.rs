//! The words and tables of a page, from its first screen to its last line.

use super::html::{Text, shown};
use super::moment;
use super::overview::Overview;
use super::places::Weights;
use super::plots;
use crate::figures::{bytes, thousands};
use crate::summary::Summary;
use crate::{Figures, Record, SIMULATED, What, safe};
use hashsweep_model::{Outcome, Tally, Verdict};
use std::fmt::Write;

const PLAIN: &str = "a String takes every text";

/// Cells of a tree map; with more their names no longer fit.
pub(super) const MAX_PARTS: usize = 36;

pub(super) struct Story<'a> {
    pub(super) record: &'a Record,
    pub(super) tally: &'a Tally,
    pub(super) overview: &'a Overview,
    pub(super) n_listed: u64,
}

impl Story<'_> {
    pub(super) fn title(&self) -> String {
        let roots = self.roots();
        format!("{}: {} · hashsweep", self.headline(), shown(roots.as_bytes()))
    }

    pub(super) fn body(&self) -> String {
        [
            "<a class=\"skip\" href=\"#findings\">Go to the findings</a>\n".to_owned(),
            self.header(),
            "<main>\n".to_owned(),
            self.banners(),
            "<div class=\"first\">\n".to_owned(),
            self.verdict(),
            self.coverage(),
            self.quota(),
            "</div>\n".to_owned(),
            self.findings(),
            self.figures(),
            self.gaps(),
            "</main>\n".to_owned(),
        ]
        .concat()
    }

    pub(super) fn foot(&self) -> String {
        format!(
            "<footer><p>{simulated}Written by hashsweep {} from sweep {} of the case {}. <i>Known</i> means seen and nothing bad found, not clean; <i>unknown</i> means that the service has no opinion. A file without a verdict was not judged at all. All rows: <code>hashsweep report --case CASE --sweep {} -o rows.csv</code></p></footer>\n",
            env!("CARGO_PKG_VERSION"),
            self.record.sweep,
            shown(&self.record.case_name),
            self.record.sweep,
            simulated = if self.record.simulated { format!("<b>{SIMULATED}.</b> ") } else { String::new() },
        )
    }

    /// The bottom line in a word or two.
    fn headline(&self) -> String {
        match (self.n_findings(), self.is_complete()) {
            (0, true) => "No findings".to_owned(),
            (0, false) => "No findings so far".to_owned(),
            (1, _) => "1 finding".to_owned(),
            (n, _) => format!("{} findings", thousands(n)),
        }
    }

    fn header(&self) -> String {
        let record = self.record;
        let mut facts = vec![format!("began {}", moment(record.started_at))];
        facts.extend(self.overview.ended_at(record).map(|at| format!("ended {}", moment(at))));
        if record.runs.len() > 1 {
            facts.push(format!("{} runs", record.runs.len()));
        }
        facts.push(match &record.service {
            Some(service) => format!("asked {}", safe::terminal(service.as_bytes())),
            None => "nobody was asked".to_owned(),
        });
        format!(
            "<header><p class=\"brand\">hashsweep <span>{}, sweep {}</span></p><h1><bdi>{}</bdi></h1><p class=\"facts\">{}</p></header>\n",
            Text(&record.command),
            record.sweep,
            shown(self.roots().as_bytes()),
            Text(&facts.join(" · "))
        )
    }

    fn roots(&self) -> String {
        const MOST: usize = 4;
        let roots = &self.record.roots;
        let mut shown: Vec<String> = roots.iter().take(MOST).map(|root| safe::terminal(root)).collect();
        if roots.len() > MOST {
            shown.push(format!("{} more", thousands((roots.len() - MOST) as u64)));
        }
        shown.join(", ")
    }

    fn banners(&self) -> String {
        let simulated = format!(
            "<p class=\"banner simulated\"><b>Simulated verdicts.</b> They were made up from the digits of the hashes and say nothing about these {}.</p>\n",
            self.noun()
        );
        let imbalance = self.tally.check().err().map(|imbalance| {
            format!(
                "<p class=\"banner alarm\"><b>Do not rely on these figures:</b> {}. This is a fault in hashsweep; please report it.</p>\n",
                Text(&imbalance.to_string())
            )
        });
        let go_on = if self.tally.owes_something() {
            format!(" To go on:</p><code>{}</code>", shown(self.record.next_step.as_bytes()))
        } else {
            "</p>".to_owned()
        };
        let incomplete = format!(
            "<div class=\"banner incomplete\"><p><b>Incomplete.</b> {} What is missing could be anything.{go_on}</div>\n",
            Text(&self.missing())
        );
        [self.record.simulated.then_some(simulated), imbalance, (!self.is_complete()).then_some(incomplete)]
            .into_iter()
            .flatten()
            .collect()
    }

    /// What is not covered, in sentences.
    fn missing(&self) -> String {
        let tally = self.tally;
        let mut parts = Vec::new();
        let mut count = |n: u64, words: &str| {
            if n > 0 {
                parts.push(format!("{} {words}", thousands(n)));
            }
        };
        count(tally.not_looked_at().map(|(_, n)| n).sum(), "not looked at");
        count(tally.rows_of(Outcome::Deferred), "deferred");
        count(tally.rows_of(Outcome::Failed), "failed");
        let mut text = String::new();
        if !parts.is_empty() {
            text = format!("Of {} {}: {}.", thousands(tally.rows), self.noun(), parts.join(", "));
        }
        if !tally.intake_finished {
            text += if text.is_empty() { "" } else { " " };
            text += "Reading was interrupted, so there are more than these figures show.";
        }
        text
    }

    fn verdict(&self) -> String {
        let tally = self.tally;
        let (malicious, suspicious) =
            (tally.rows_with(Verdict::Malicious), tally.rows_with(Verdict::Suspicious));
        let (unknown, known) = (tally.rows_with(Verdict::Unknown), tally.rows_with(Verdict::Known));
        let without = tally.rows.saturating_sub(tally.verdicts.values().sum());
        let tone = match (malicious, suspicious, self.is_complete()) {
            (1.., _, _) => "malicious",
            (0, 1.., _) => "suspicious",
            (0, 0, true) => "fine",
            (0, 0, false) => "open",
        };
        let state = if self.is_complete() { "complete" } else { "incomplete" };
        let say = match (malicious, suspicious) {
            (0, 0) => format!(
                "None of {} {} is called malicious or suspicious. {} unknown to the service: nothing is known for or against {}.",
                thousands(tally.rows),
                self.noun(),
                if unknown == 1 { "1 is".to_owned() } else { format!("{} are", thousands(unknown)) },
                if unknown == 1 { "it" } else { "them" },
            ),
            _ => format!(
                "among {} {}, {} distinct hashes",
                thousands(tally.rows),
                self.noun(),
                thousands(tally.distinct)
            ),
        };
        let tiles = [
            ("malicious", "malicious", malicious),
            ("suspicious", "suspicious", suspicious),
            ("unknown", "unknown", unknown),
            ("known", "known", known),
            ("none", "without a verdict", without),
        ];
        let shares = tiles.map(|(class, _, n)| (class, n));
        let label = tiles.map(|(_, words, n)| format!("{} {words}", thousands(n))).join(", ");
        let tiles = tiles.map(|(class, words, n)| {
            format!(
                "<li class=\"k-{class}{}\"><b>{}</b> <span>{words}</span></li>",
                if n == 0 { " zero" } else { "" },
                thousands(n)
            )
        });
        format!(
            "<section class=\"card verdict t-{tone}\" aria-labelledby=\"headline\"><p class=\"state {state}\">{state}</p><h2 id=\"headline\">{}</h2><p>{}</p><ul class=\"tiles\">{}</ul>{}{}</section>\n",
            self.headline(),
            Text(&say),
            tiles.concat(),
            plots::shares(&shares, &label),
            self.worst(),
        )
    }

    /// What to look at first: the worst threats, and where most findings are.
    fn worst(&self) -> String {
        const MOST: usize = 3;
        let (mut threats, _) = self.overview.threats(usize::MAX);
        threats.sort_by_key(|(_, weights)| std::cmp::Reverse((weights.malicious, weights.suspicious)));
        let parts = self.overview.places.parts(MAX_PARTS, Weights::findings);
        let item = |name: &[u8], weights: &Weights| {
            format!("<li><bdi>{}</bdi> <b>{}</b></li>", shown(name), thousands(weights.findings()))
        };
        let threats = threats.iter().take(MOST).map(|(name, weights)| {
            item(if name.is_empty() { b"without a name" } else { name.as_bytes() }, weights)
        });
        let places = parts.iter().filter(|part| !part.is_rest).take(MOST);
        let places =
            places.map(|part| item(if part.path.is_empty() { b"/" } else { &part.path }, &part.weights));
        let block = |heading: &str, items: String| {
            if items.is_empty() { items } else { format!("<div><h3>{heading}</h3><ol>{items}</ol></div>") }
        };
        let blocks = block("Worst threats", threats.collect()) + &block("Most findings in", places.collect());
        if blocks.is_empty() { blocks } else { format!("<div class=\"worst\">{blocks}</div>") }
    }

    fn coverage(&self) -> String {
        let tally = self.tally;
        let figures = Figures {
            what: self.record.what,
            remarks: Vec::new(),
            speed: None,
            simulated: self.record.simulated,
            interrupted: false,
            next_step: None,
            case_path: None,
        };
        let summary = Summary::new(tally, &figures);
        let reasons = |outcome| listed(summary.reasons(outcome).collect());
        let skipped = |not_looked_at| {
            let reasons: Vec<(&str, u64)> = summary.skipped(not_looked_at).collect();
            (reasons.iter().map(|(_, n)| n).sum::<u64>(), listed(reasons))
        };
        let (nothing_to_read, why_nothing) = skipped(false);
        let (not_looked_at, why_not) = skipped(true);
        let lines = [
            ("Answered by the service", tally.rows_of(Outcome::Answered), String::new(), false),
            ("Answered earlier, still fresh", tally.rows_of(Outcome::Cached), String::new(), false),
            ("Decided on this machine", tally.rows_of(Outcome::Local), reasons(Outcome::Local), false),
            ("Nothing to read", nothing_to_read, why_nothing, false),
            ("Not a hash", tally.rows_of(Outcome::Invalid), reasons(Outcome::Invalid), false),
            ("Not looked at", not_looked_at, why_not, true),
            ("Deferred, not asked yet", tally.rows_of(Outcome::Deferred), reasons(Outcome::Deferred), true),
            ("Failed, no usable answer", tally.rows_of(Outcome::Failed), reasons(Outcome::Failed), true),
        ];
        let mut rows = String::new();
        for (name, n, why, is_gap) in lines {
            // A zero where something could be missing is worth a line; elsewhere it is noise.
            if n == 0 && !is_gap {
                continue;
            }
            let class = match (is_gap, n) {
                (true, 1..) => " class=\"gap\"",
                (true, 0) => " class=\"none\"",
                (false, _) => "",
            };
            let why = if why.is_empty() { String::new() } else { format!("<small>{}</small>", Text(&why)) };
            write!(rows, "<tr{class}><th scope=\"row\">{name}{why}</th><td>{}</td></tr>", thousands(n))
                .expect(PLAIN);
        }
        let excluded = match tally.excluded {
            0 => String::new(),
            n => format!(" Your filters left out {} more.", thousands(n)),
        };
        let size = if self.record.what == What::Files && tally.bytes > 0 {
            format!(" Those with a hash hold {}.", bytes(tally.bytes))
        } else {
            String::new()
        };
        format!(
            "<section class=\"card\" aria-labelledby=\"coverage\"><h2 id=\"coverage\">What was covered</h2><table class=\"sums\"><tbody>{rows}</tbody><tfoot><tr><th scope=\"row\">{}</th><td>{}</td></tr></tfoot></table><p class=\"note\">Each stands in exactly one line.{size}{excluded}</p></section>\n",
            if self.record.what == What::Files { "Files" } else { "Rows" },
            thousands(tally.rows)
        )
    }

    fn quota(&self) -> String {
        let (tally, record) = (self.tally, self.record);
        let quota = tally.quota;
        let limit = record.budget();
        let mut lines = vec![
            ("Charged at most", quota.charged_max),
            ("Charged at least", quota.charged_min),
            ("In doubt", quota.in_doubt),
        ];
        lines.extend(limit.map(|limit| ("Allowed (--max-quota)", limit)));
        let row = |(name, n): &(&str, u64)| {
            format!("<tr><th scope=\"row\">{name}</th><td>{}</td></tr>", thousands(*n))
        };
        let rows: String = lines.iter().map(row).collect();
        let chart = if record.progress.slots.is_empty() {
            String::new()
        } else {
            let label = format!(
                "Quota charged over the run, in the end at most {} hashes",
                thousands(quota.at_most())
            );
            let ends = self.ends();
            format!(
                "<figure><figcaption>Charged over time<span class=\"key\"><i class=\"s-most\"></i>at most <i class=\"s-least\"></i>at least{}</span></figcaption>{}</figure>",
                if limit.is_some() { " <i class=\"s-limit\"></i>limit" } else { "" },
                plots::burn(&record.progress, limit, [&ends[0], &ends[1]], &label)
            )
        };
        format!(
            "<section class=\"card\" aria-labelledby=\"quota\"><h2 id=\"quota\">Quota</h2><table class=\"sums\"><tbody>{rows}</tbody></table><p class=\"note\">In hashes, over {} {}.{}</p>{chart}</section>\n",
            thousands(tally.requests),
            if tally.requests == 1 { "request" } else { "requests" },
            match tally.duplicates {
                0 => String::new(),
                1 => " 1 duplicate cost nothing.".to_owned(),
                n => format!(" {} duplicates cost nothing.", thousands(n)),
            }
        )
    }

    fn findings(&self) -> String {
        let (n, listed) = (self.n_findings(), self.n_listed);
        if n == 0 {
            return "<section class=\"card\" id=\"findings\" aria-labelledby=\"list\"><h2 id=\"list\">Findings</h2><p class=\"note\">There are none.</p></section>\n".to_owned();
        }
        let cut = if listed < n {
            format!(
                "<p class=\"banner incomplete\">The first {} are listed, malicious ones before suspicious. All are in <code>hashsweep report --emit findings -o findings.csv</code>.</p>",
                thousands(listed)
            )
        } else {
            String::new()
        };
        let chip = |class: &str, verdict: Verdict| {
            format!(
                "<label class=\"chip k-{class}\"><input type=\"checkbox\" name=\"verdict\" value=\"{}\" checked>{class} <b>{}</b></label>",
                u8::from(verdict != Verdict::Malicious),
                thousands(self.tally.rows_with(verdict))
            )
        };
        format!(
            "<section class=\"card\" id=\"findings\" aria-labelledby=\"list\"><h2 id=\"list\">Findings</h2>{cut}<form class=\"tools\" role=\"search\" aria-label=\"Search the findings\"><label class=\"search\"><span class=\"hidden\">Search paths, threats and hashes</span><input id=\"q\" type=\"search\" placeholder=\"Search paths, threats, hashes\" autocomplete=\"off\" spellcheck=\"false\"></label><fieldset class=\"chips\"><legend class=\"hidden\">Verdicts</legend>{}{}</fieldset><label class=\"select\">Group by <select id=\"group\"><option value=\"threat\">threat</option><option value=\"directory\">directory</option><option value=\"none\">nothing</option></select></label><label class=\"select sort\">Sort by <select id=\"sort\"><option value=\"verdict\">verdict</option><option value=\"threat\">threat</option><option value=\"path\">path</option><option value=\"size\">size</option><option value=\"engines\">engines</option><option value=\"first\">first seen</option></select></label><button type=\"button\" id=\"copyall\">Copy hashes</button></form><p id=\"count\" class=\"note\" role=\"status\"></p><noscript><p class=\"banner incomplete\">The list needs the script in this page, which your browser does not run. The figures above and below do not; and all findings are in <code>hashsweep report --emit findings -o findings.csv</code>.</p></noscript><div id=\"table\"></div></section>\n<dialog id=\"detail\" aria-labelledby=\"detailname\"></dialog>\n",
            chip("malicious", Verdict::Malicious),
            chip("suspicious", Verdict::Suspicious),
        )
    }

    fn n_findings(&self) -> u64 {
        self.tally.rows_with(Verdict::Malicious) + self.tally.rows_with(Verdict::Suspicious)
    }

    fn is_complete(&self) -> bool {
        self.tally.is_complete() && self.tally.check().is_ok()
    }

    fn noun(&self) -> &'static str {
        match (self.record.what, self.tally.rows) {
            (What::Files, 1) => "file",
            (What::Files, _) => "files",
            (What::Rows, 1) => "row",
            (What::Rows, _) => "rows",
        }
    }
}

/// `symbolic link 2, fifo 1`, the commonest first.
fn listed(mut reasons: Vec<(&str, u64)>) -> String {
    const MOST: usize = 6;
    reasons.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let rest: u64 = reasons.iter().skip(MOST).map(|(_, n)| n).sum();
    let mut parts: Vec<String> = reasons
        .iter()
        .take(MOST)
        .map(|(reason, n)| format!("{} {}", safe::terminal(reason.as_bytes()), thousands(*n)))
        .collect();
    if rest > 0 {
        parts.push(format!("other reasons {}", thousands(rest)));
    }
    parts.join(", ")
}
