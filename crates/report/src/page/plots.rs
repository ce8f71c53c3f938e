//! Figures as SVG, drawn here so that a page shows them without a script.
//!
//! Places across are in percent and texts in pixels, so that a figure is as wide as its reader's screen and its words
//! stay readable. Colours are classes: the style sheet knows light, dark and paper.

use super::html::{Text, shown};
use super::places::{Part, Weights};
use super::treemap::{real, squarify};
use crate::figures::{scaled, thousands};
use crate::record::{Hashed, Progress};
use std::fmt::Write;

const PLAIN: &str = "a String takes every text";

/// One bar of parts that make a whole. A part of anything is seen, however small.
pub(super) fn shares(parts: &[(&str, u64)], label: &str) -> String {
    /// Percent; three pixels of a phone.
    const LEAST: f64 = 0.9;
    let total: u64 = parts.iter().map(|(_, n)| n).sum();
    let wide = |n: u64| if n == 0 { 0.0 } else { (real(n) / real(total.max(1)) * 100.0).max(LEAST) };
    let scale = 100.0 / parts.iter().map(|(_, n)| wide(*n)).sum::<f64>().max(1.0);
    let mut svg = open("shares", 14, label);
    let mut x = 0.0;
    for (class, n) in parts.iter().filter(|(_, n)| *n > 0) {
        let width = wide(*n) * scale;
        let name = thousands(*n);
        write!(svg, "<rect class=\"f-{class}\" x=\"{x:.3}%\" width=\"{width:.3}%\" height=\"14\"><title>{name} {class}</title></rect>")
            .expect(PLAIN);
        x += width;
    }
    svg + "</svg>"
}

/// What one bar of a list is beside its neighbours.
pub(super) fn bar(weights: Weights, most: u64) -> String {
    let width = |n: u64| real(n) / real(most.max(1)) * 100.0;
    let (bad, worse) = (width(weights.findings()), width(weights.malicious));
    format!(
        "<svg class=\"bar\" width=\"100%\" height=\"10\" aria-hidden=\"true\"><rect class=\"f-suspicious\" width=\"{bad:.3}%\" height=\"10\"/><rect class=\"f-malicious\" width=\"{worse:.3}%\" height=\"10\"/></svg>"
    )
}

/// Which files a tree map is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where {
    Findings,
    Unknowns,
}

/// Directories by how many findings or unknowns are in them.
pub(super) fn tree_map(parts: &[Part], of: Where, label: &str) -> String {
    /// Width over height on a screen of ordinary size.
    const ASPECT: f64 = 2.1;
    const HEIGHT: u32 = 280;
    let weight = |part: &Part| match of {
        Where::Findings => part.weights.findings(),
        Where::Unknowns => part.weights.unknown,
    };
    let weights: Vec<u64> = parts.iter().map(weight).collect();
    let mut svg = open("tree", HEIGHT, label);
    for (part, cell) in parts.iter().zip(squarify(&weights, ASPECT)) {
        let path = if part.path.is_empty() { b"/" } else { part.path.as_slice() };
        let rest = if part.is_rest { " (the rest)" } else { "" };
        let counts = match of {
            Where::Findings => format!(
                "{} malicious, {} suspicious",
                thousands(part.weights.malicious),
                thousands(part.weights.suspicious)
            ),
            Where::Unknowns => format!("{} unknown", thousands(part.weights.unknown)),
        };
        write!(
            svg,
            "<svg x=\"{:.3}%\" y=\"{:.3}%\" width=\"{:.3}%\" height=\"{:.3}%\" data-in=\"{}/\"><title>{}{rest}: {counts}</title>",
            cell.x * 100.0,
            cell.y * 100.0,
            cell.width * 100.0,
            cell.height * 100.0,
            shown(&part.path),
            shown(path),
        )
        .expect(PLAIN);
        match of {
            Where::Unknowns => svg.push_str("<rect class=\"f-unknown\" width=\"100%\" height=\"100%\"/>"),
            Where::Findings => {
                let worse = real(part.weights.malicious) / real(part.weights.findings().max(1)) * 100.0;
                let mild = 100.0 - worse;
                write!(svg, "<rect class=\"f-suspicious\" width=\"100%\" height=\"{mild:.3}%\"/><rect class=\"f-malicious\" width=\"100%\" y=\"{mild:.3}%\" height=\"{worse:.3}%\"/>")
                    .expect(PLAIN);
            }
        }
        svg.push_str("<rect class=\"edge\" width=\"100%\" height=\"100%\"/>");
        // In a cell that is too small a text would say nothing; one that fits on a desk may be too wide for a phone.
        if cell.width > 0.09 && cell.height > 0.1 {
            let class = if cell.width < 0.24 { " class=\"wide-only\"" } else { "" };
            let name = last_names(path);
            write!(svg, "<g{class}><text x=\"7\" y=\"17\">{}</text>", shown(name)).expect(PLAIN);
            if cell.height > 0.17 {
                write!(svg, "<text class=\"n\" x=\"7\" y=\"33\">{}{rest}</text>", thousands(weight(part)))
                    .expect(PLAIN);
            }
            svg.push_str("</g>");
        }
        svg.push_str("</svg>");
    }
    svg + "</svg>"
}

/// The last two names of a path: the last one is often `bin` or `lib`.
fn last_names(path: &[u8]) -> &[u8] {
    let mut slashes = path.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    slashes.nth(1).map_or(path, |at| &path[at + 1..])
}

/// Bars over time, malicious below suspicious. Each has a label; the first, a middle and the last are written.
pub(super) fn timeline(bars: &[(String, Weights)], label: &str) -> String {
    let most = bars.iter().map(|(_, weights)| weights.findings()).max().unwrap_or(0);
    let mut svg = open("bars", TIMELINE + AXIS, label);
    for (i, (name, weights)) in bars.iter().enumerate() {
        let height = |n: u64| real(n) / real(most.max(1)) * f64::from(TIMELINE - HEAD);
        let (worse, all) = (height(weights.malicious), height(weights.findings()));
        let title = format!(
            "{name}: {} malicious, {} suspicious",
            thousands(weights.malicious),
            thousands(weights.suspicious)
        );
        upright(
            &mut svg,
            TIMELINE,
            (i, bars.len()),
            &[("f-malicious", 0.0, worse), ("f-suspicious", worse, all)],
            &title,
        );
    }
    let names = |i: usize| bars.get(i).map_or("", |(name, _)| name.as_str());
    let middle = if bars.len() > 4 { names(bars.len() / 2) } else { "" };
    let last = if bars.len() > 1 { names(bars.len() - 1) } else { "" };
    axis(&mut svg, TIMELINE, &thousands(most), [names(0), middle, last]);
    svg + "</svg>"
}

/// Hashes answered a second, over the run.
pub(super) fn throughput(progress: &Progress, ends: [&str; 2], label: &str) -> String {
    let rate = |n: u64| real(n) * 1000.0 / real(u64::try_from(progress.slot).unwrap_or(1).max(1));
    let most = progress.slots.iter().map(|slot| slot.n_answered).max().unwrap_or(0);
    let mut svg = open("bars", THROUGHPUT + AXIS, label);
    for (i, slot) in progress.slots.iter().enumerate() {
        let height = real(slot.n_answered) / real(most.max(1)) * f64::from(THROUGHPUT - HEAD);
        let title = format!("{}/s", whole(rate(slot.n_answered)));
        upright(&mut svg, THROUGHPUT, (i, progress.slots.len()), &[("f-accent", 0.0, height)], &title);
    }
    axis(&mut svg, THROUGHPUT, &format!("{} hashes/s", whole(rate(most))), [ends[0], "", ends[1]]);
    svg + "</svg>"
}

/// Bytes hashed a second, over the run; a slot lasts so many milliseconds.
pub(super) fn hashing(slots: &[Hashed], slot: f64, ends: [&str; 2], label: &str) -> String {
    let a_second = |n: f64| n * 1000.0 / slot.max(1.0);
    let most = slots.iter().map(|hashed| hashed.n_bytes).fold(0.0, f64::max);
    let mut svg = open("bars", THROUGHPUT + AXIS, label);
    for (i, hashed) in slots.iter().enumerate() {
        let height = hashed.n_bytes / most.max(1.0) * f64::from(THROUGHPUT - HEAD);
        let title =
            format!("{}/s, {} files/s", scaled(a_second(hashed.n_bytes)), whole(a_second(hashed.n_files)));
        upright(&mut svg, THROUGHPUT, (i, slots.len()), &[("f-accent", 0.0, height)], &title);
    }
    axis(&mut svg, THROUGHPUT, &format!("{}/s", scaled(a_second(most))), [ends[0], "", ends[1]]);
    svg + "</svg>"
}

/// What was charged so far, at most and at least, and what might be.
pub(super) fn burn(progress: &Progress, limit: Option<u64>, ends: [&str; 2], label: &str) -> String {
    let (mut most, mut least) = (vec![0], vec![0]);
    for slot in &progress.slots {
        most.push(most.last().unwrap_or(&0) + slot.quota.at_most());
        least.push(least.last().unwrap_or(&0) + slot.quota.charged_min);
    }
    let top = most.last().copied().unwrap_or(0).max(limit.unwrap_or(0)).max(1);
    let y = |n: u64| 1000.0 - real(n) / real(top) * 1000.0;
    let n_steps = real(u64::try_from(most.len() - 1).unwrap_or(1).max(1));
    let points = |of: &[u64]| {
        let mut points = String::new();
        for (i, n) in (0_u32..).zip(of) {
            write!(points, "{:.1},{:.1} ", f64::from(i) / n_steps * 1000.0, y(*n)).expect(PLAIN);
        }
        points
    };
    let mut svg = open("burn", BURN + AXIS, label);
    write!(
        svg,
        "<svg y=\"{HEAD}\" width=\"100%\" height=\"{}\" viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\"><polygon class=\"doubt\" points=\"{}1000,1000 0,1000\"/><polyline class=\"most\" points=\"{}\"/><polyline class=\"least\" points=\"{}\"/>",
        BURN - HEAD,
        points(&most),
        points(&most),
        points(&least)
    )
    .expect(PLAIN);
    if let Some(limit) = limit {
        write!(svg, "<line class=\"limit\" x1=\"0\" x2=\"1000\" y1=\"{0:.1}\" y2=\"{0:.1}\"/>", y(limit))
            .expect(PLAIN);
    }
    svg.push_str("</svg>");
    let words = match limit {
        Some(limit) if limit == top => format!("{} the limit", thousands(limit)),
        _ => format!("{} hashes", thousands(top)),
    };
    axis(&mut svg, BURN, &words, [ends[0], "", ends[1]]);
    svg + "</svg>"
}

/// Pixels of a chart by its neighbours, of the line of text at its head (in it) and of the one below it.
const TIMELINE: u32 = 230;
const THROUGHPUT: u32 = 130;
const BURN: u32 = 120;
const HEAD: u32 = 20;
const AXIS: u32 = 20;

fn open(class: &str, height: u32, label: &str) -> String {
    format!(
        "<svg class=\"plot {class}\" width=\"100%\" height=\"{height}\" role=\"img\" aria-label=\"{}\">",
        Text(label)
    )
}

/// A bar of stacked parts, each with its class, where it begins and where it ends.
fn upright(svg: &mut String, foot: u32, (i, n): (usize, usize), parts: &[(&str, f64, f64)], title: &str) {
    let step = 100.0 / real(n as u64);
    let x = step * real(i as u64);
    let width = if n > 1 { step * 0.86 } else { 12.0 };
    write!(svg, "<g><title>{}</title>", Text(title)).expect(PLAIN);
    for (class, from, to) in parts.iter().filter(|(_, from, to)| to > from) {
        // What is there is seen: two pixels at least.
        let height = (to - from).max(2.0);
        write!(
            svg,
            "<rect class=\"{class}\" x=\"{x:.3}%\" width=\"{width:.3}%\" y=\"{:.2}\" height=\"{height:.2}\"/>",
            f64::from(foot) - from - height
        )
        .expect(PLAIN);
    }
    svg.push_str("</g>");
}

fn axis(svg: &mut String, foot: u32, top: &str, [first, middle, last]: [&str; 3]) {
    let y = foot + AXIS - 5;
    write!(
        svg,
        "<line class=\"axis\" x1=\"0\" x2=\"100%\" y1=\"{foot}\" y2=\"{foot}\"/><text class=\"n\" x=\"0\" y=\"12\">{}</text><text class=\"n\" x=\"0\" y=\"{y}\">{}</text><text class=\"n\" x=\"50%\" y=\"{y}\" text-anchor=\"middle\">{}</text><text class=\"n\" x=\"100%\" y=\"{y}\" text-anchor=\"end\">{}</text>",
        Text(top),
        Text(first),
        Text(middle),
        Text(last)
    )
    .expect(PLAIN);
}

/// A rate without decimals where it has enough digits.
fn whole(rate: f64) -> String {
    if rate < 10.0 {
        return format!("{rate:.1}");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate of hashes, at least ten"
    )]
    let rate = rate.round() as u64;
    thousands(rate)
}
