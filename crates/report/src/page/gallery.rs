//! What stands below the findings: the figures, and the rows that were not covered.

use super::html::shown;
use super::moment;
use super::overview::{Gap, Overview};
use super::places::Weights;
use super::plots::{self, Where};
use super::sections::{MAX_PARTS, Story};
use crate::figures::thousands;
use crate::safe;
use hashsweep_model::{Outcome, Stamp};
use std::fmt::Write;

const PLAIN: &str = "a String takes every text";

/// Threats with a bar of their own: what a reader takes in at a glance. A guess, unmeasured.
const MAX_THREATS: usize = 12;
/// Slots of time that show a course. The rate over fewer is that of a request or two.
const LEAST_SLOTS: usize = 8;
/// Legs of hashing that show a course; fewer are the average that the summary has.
const LEAST_LEGS: usize = 4;
/// Bars of the timeline: five years of months.
const MAX_BARS: usize = 60;

impl Story<'_> {
    pub(super) fn figures(&self) -> String {
        let mut figures = self.threats();
        figures += &self.first_seen();
        figures += &self.tree_map(Where::Findings);
        figures += &self.tree_map(Where::Unknowns);
        figures += &self.hashing();
        figures += &self.throughput();
        if figures.is_empty() { String::new() } else { format!("<div class=\"figures\">\n{figures}</div>\n") }
    }

    fn threats(&self) -> String {
        let (threats, others) = self.overview.threats(MAX_THREATS);
        if threats.is_empty() {
            return String::new();
        }
        let most = threats.iter().map(|(_, weights)| weights.findings()).max().unwrap_or(0);
        let mut rows = String::new();
        for (name, weights) in &threats {
            let named = if name.is_empty() {
                "<em>without a name</em>".to_owned()
            } else {
                format!("<bdi>{}</bdi>", shown(name.as_bytes()))
            };
            write!(
                rows,
                "<tr><th scope=\"row\">{named}</th><td>{}</td><td>{}</td></tr>",
                plots::bar(*weights, most),
                thousands(weights.findings())
            )
            .expect(PLAIN);
        }
        if others.findings() > 0 {
            write!(
                rows,
                "<tr class=\"rest\"><th scope=\"row\">all others</th><td></td><td>{}</td></tr>",
                thousands(others.findings())
            )
            .expect(PLAIN);
        }
        figure(
            "Threats",
            &format!("{} named", thousands(self.overview.n_threats() as u64)),
            &format!("<table class=\"ranks\"><tbody>{rows}</tbody></table>"),
        )
    }

    fn first_seen(&self) -> String {
        let bars = self.overview.first_seen(MAX_BARS);
        let (Some((from, _)), Some((to, _))) = (bars.first(), bars.last()) else { return String::new() };
        let mut all = Weights::default();
        for (_, weights) in &bars {
            all.add(*weights);
        }
        let label =
            format!("When the service first saw {} findings, from {from} to {to}", thousands(all.findings()));
        let key = if from.len() > 4 { "by month" } else { "by year" };
        figure("First seen by the service", key, &plots::timeline(&bars, &label))
    }

    fn tree_map(&self, of: Where) -> String {
        let parts = match of {
            Where::Findings => self.overview.places.parts(MAX_PARTS, Weights::findings),
            Where::Unknowns => self.overview.places.parts(MAX_PARTS, |weights| weights.unknown),
        };
        let Some(heaviest) = parts.first() else { return String::new() };
        let (heading, key, what) = match of {
            Where::Findings => (
                "Where the findings are",
                "<i class=\"s-malicious\"></i>malicious <i class=\"s-suspicious\"></i>suspicious",
                "findings",
            ),
            Where::Unknowns => {
                ("Where the unknown files are", "files the service has no opinion on", "unknown files")
            }
        };
        let label =
            format!("Tree map of {what} by directory; most are in {}", safe::terminal(&heaviest.path));
        figure(heading, key, &plots::tree_map(&parts, of, &label))
    }

    fn throughput(&self) -> String {
        let progress = &self.record.progress;
        if progress.slots.len() < LEAST_SLOTS || progress.slots.iter().all(|slot| slot.n_answered == 0) {
            return String::new();
        }
        let ends = self.ends();
        let label = "Hashes answered a second, over the run";
        figure(
            "Answers over time",
            "hashes a second",
            &plots::throughput(progress, [&ends[0], &ends[1]], label),
        )
    }

    fn hashing(&self) -> String {
        let (slots, slot) = self.record.hashing.slots();
        let Some((from, to)) = self.record.hashing.span() else { return String::new() };
        if self.record.hashing.n_legs() < LEAST_LEGS || slots.iter().all(|hashed| hashed.n_bytes <= 0.0) {
            return String::new();
        }
        let ends = between(from, to);
        let label = "Bytes hashed a second, over the run";
        figure(
            "Hashing over time",
            "bytes a second",
            &plots::hashing(&slots, slot, [&ends[0], &ends[1]], label),
        )
    }

    /// The ends of the time over which there were requests: the day is said where it changes.
    pub(super) fn ends(&self) -> [String; 2] {
        let (from, to) = self.record.progress.span();
        between(from, to)
    }

    pub(super) fn gaps(&self) -> String {
        let Overview { gaps, n_gaps, .. } = self.overview;
        if gaps.is_empty() {
            return String::new();
        }
        let mut rows = String::new();
        for Gap { path, outcome, reason } in gaps {
            let of =
                if *outcome == Outcome::Skipped { "not looked at".to_owned() } else { outcome.to_string() };
            write!(
                rows,
                "<tr><td>{of}</td><td>{}</td><td><bdi>{}</bdi></td></tr>",
                shown(reason.as_bytes()),
                shown(path)
            )
            .expect(PLAIN);
        }
        let first = if *n_gaps > gaps.len() as u64 {
            format!(
                " <span class=\"key\">the first {} of {}</span>",
                thousands(gaps.len() as u64),
                thousands(*n_gaps)
            )
        } else {
            String::new()
        };
        format!(
            "<section class=\"card\" aria-labelledby=\"gaps\"><h2 id=\"gaps\">What was not covered{first}</h2><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Rows that were not covered\"><table class=\"gaps\"><thead><tr><th scope=\"col\">Outcome</th><th scope=\"col\">Reason</th><th scope=\"col\">Path</th></tr></thead><tbody>{rows}</tbody></table></div></section>\n"
        )
    }
}

/// Two moments as the ends of an axis.
fn between(from: Stamp, to: Stamp) -> [String; 2] {
    let (from, to) = (moment(from), moment(to));
    let day = |text: &str| text.split(' ').next().map(str::to_owned);
    if day(&from) == day(&to) {
        [from, to].map(|text| text.split(' ').nth(1).unwrap_or_default().to_owned())
    } else {
        [from, to].map(|text| text.get(..16).unwrap_or_default().to_owned())
    }
}

fn figure(heading: &str, key: &str, content: &str) -> String {
    format!(
        "<figure class=\"card\"><figcaption><h2>{heading}</h2><span class=\"key\">{key}</span></figcaption>{content}</figure>\n"
    )
}
