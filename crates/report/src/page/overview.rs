//! What a page says about all rows: counted while they pass by, in memory that does not grow with them.

use crate::page::places::{Places, Weights};
use crate::{ListNames, Record};
use hashsweep_model::{Outcome, Place, Row, Skip, Stamp, Verdict};
use std::collections::{BTreeMap, HashMap};

/// Names of threats that are told apart. The service knows tens of thousands of families; one that answers with more
/// names than this is not telling them apart either.
const MAX_THREATS: usize = 20_000;

/// Rows that nobody looked at or answered for, listed one by one. Enough to see where they lie.
const MAX_GAPS: usize = 200;

/// Counts over all rows of a sweep.
#[derive(Debug, Default)]
pub struct Overview {
    names: ListNames,
    pub(super) places: Places,
    threats: HashMap<String, Weights>,
    /// Findings of threats beyond [`MAX_THREATS`].
    others: Weights,
    unnamed: Weights,
    first_seen: BTreeMap<(u16, u8), Weights>,
    pub(super) gaps: Vec<Gap>,
    pub(super) n_gaps: u64,
    last_answer: Option<Stamp>,
}

/// A row that nobody looked at, or that has no answer yet.
#[derive(Debug)]
pub(super) struct Gap {
    pub(super) path: Vec<u8>,
    pub(super) outcome: Outcome,
    pub(super) reason: String,
}

impl Overview {
    /// Of nothing yet. Rows of lists are called by these names.
    pub fn new(names: ListNames) -> Overview {
        Overview { names, ..Overview::default() }
    }

    /// Counts a row.
    pub fn add(&mut self, row: &Row) {
        self.note_gap(row);
        let Some(settled) = &row.answer else { return };
        self.last_answer = self.last_answer.max(Some(settled.answered_at));
        let verdict = settled.answer.verdict;
        if verdict == Verdict::Known {
            return;
        }
        if let Place::Path(path) = &row.place {
            self.places.add(path, verdict);
        }
        if verdict >= Verdict::Suspicious {
            let weights = Weights::of(verdict);
            self.threat(settled.answer.threat_name.as_deref()).add(weights);
            if let Some(month) = settled.answer.first_seen.as_deref().and_then(month) {
                self.first_seen.entry(month).or_default().add(weights);
            }
        }
    }

    fn threat(&mut self, name: Option<&str>) -> &mut Weights {
        match name.filter(|name| !name.is_empty()) {
            None => &mut self.unnamed,
            Some(name) if self.threats.contains_key(name) => {
                self.threats.get_mut(name).expect("it was there a moment ago")
            }
            Some(name) if self.threats.len() < MAX_THREATS => {
                self.threats.entry(name.to_owned()).or_default()
            }
            Some(_) => &mut self.others,
        }
    }

    fn note_gap(&mut self, row: &Row) {
        let reason = row.reason.as_deref().unwrap_or_default();
        let is_gap = match row.outcome {
            Outcome::Skipped => reason.parse::<Skip>().map_or(true, |skip| skip.kind.is_not_looked_at()),
            Outcome::Deferred | Outcome::Failed => true,
            Outcome::Answered | Outcome::Cached | Outcome::Local | Outcome::Invalid => false,
        };
        if is_gap {
            self.n_gaps += 1;
            if self.gaps.len() < MAX_GAPS {
                let (path, reason) = (self.names.path(row).into_owned(), reason.to_owned());
                self.gaps.push(Gap { path, outcome: row.outcome, reason });
            }
        }
    }

    /// The most frequent threats and how many findings the others have, most frequent first.
    pub(super) fn threats(&self, most: usize) -> (Vec<(String, Weights)>, Weights) {
        let mut threats: Vec<(&str, Weights)> =
            self.threats.iter().map(|(name, weights)| (name.as_str(), *weights)).collect();
        if self.unnamed.findings() > 0 {
            threats.push(("", self.unnamed));
        }
        let key = |weights: &Weights| (weights.findings(), weights.malicious);
        threats.sort_by(|(a_name, a), (b_name, b)| key(b).cmp(&key(a)).then_with(|| a_name.cmp(b_name)));
        let mut others = self.others;
        threats.iter().skip(most).for_each(|(_, weights)| others.add(*weights));
        threats.truncate(most);
        (threats.into_iter().map(|(name, weights)| (name.to_owned(), weights)).collect(), others)
    }

    /// Different threats that were named.
    pub(super) fn n_threats(&self) -> usize {
        self.threats.len()
    }

    /// Findings by when the service saw them first: by month, or by year where months would be too many. The label
    /// is `2024-03` or `2024`; what lies between is there, however empty.
    pub(super) fn first_seen(&self, most: usize) -> Vec<(String, Weights)> {
        let (Some((&(y0, m0), _)), Some((&(y1, m1), _))) =
            (self.first_seen.first_key_value(), self.first_seen.last_key_value())
        else {
            return Vec::new();
        };
        let at = |year: u16, month: u8| usize::from(year) * 12 + usize::from(month) - 1;
        let (from, to) = (at(y0, m0), at(y1, m1));
        let by_month = to - from < most;
        let step = if by_month { 1 } else { 12 };
        let n = if by_month { to - from + 1 } else { usize::from(y1 - y0) + 1 };
        let label = |i: usize| {
            if by_month {
                format!("{:04}-{:02}", (from + i) / 12, (from + i) % 12 + 1)
            } else {
                (usize::from(y0) + i).to_string()
            }
        };
        let mut bars: Vec<(String, Weights)> = (0..n).map(|i| (label(i), Weights::default())).collect();
        let start = if by_month { from } else { usize::from(y0) * 12 };
        for (&(year, month), weights) in &self.first_seen {
            bars[(at(year, month) - start) / step].1.add(*weights);
        }
        bars
    }

    /// The last moment on record: the end of a run, or else an answer.
    pub(super) fn ended_at(&self, record: &Record) -> Option<Stamp> {
        record.ended_at().or(self.last_answer)
    }
}

/// Year and month of a moment as services write them, `2019-03-01T10:00:00`. What cannot be a moment of any sample's
/// life has none.
fn month(text: &str) -> Option<(u16, u8)> {
    let year: u16 = text.get(..4)?.parse().ok()?;
    let month: u8 = text.get(4..7)?.strip_prefix('-')?.parse().ok()?;
    ((1980..2100).contains(&year) && (1..=12).contains(&month)).then_some((year, month))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashsweep_model::{Answer, Dates, Digest, Digests, Settled, Source};

    fn finding(threat: Option<&str>, first_seen: &str) -> Row {
        let digest = Digest::from_bytes(&[7; 20]).unwrap();
        let answer = Answer {
            threat_name: threat.map(str::to_owned),
            first_seen: Some(first_seen.to_owned()),
            ..Answer::bare(digest, Verdict::Malicious)
        };
        Row {
            root: 0,
            place: Place::Path(b"a".to_vec()),
            size: None,
            digests: Digests::default().with(digest),
            dates: Dates::default(),
            outcome: Outcome::Answered,
            reason: None,
            answer: Some(Settled { answer, answered_at: Stamp(1), source: Source::Service }),
        }
    }

    #[test]
    fn threats_beyond_the_limit_are_counted_together() {
        let mut overview = Overview::default();
        for n in 0..MAX_THREATS + 5 {
            overview.add(&finding(Some(&format!("T{n}")), ""));
        }
        overview.add(&finding(Some("T0"), ""));
        overview.add(&finding(None, ""));
        let (threats, others) = overview.threats(2);
        assert_eq!(threats[0], ("T0".to_owned(), Weights { malicious: 2, ..Weights::default() }));
        assert_eq!(threats[1].0, "");
        assert_eq!(others.findings(), MAX_THREATS as u64 + 5 - 1);
    }

    #[test]
    fn months_become_years_when_there_are_too_many() {
        let bars = |moments: &[&str]| {
            let mut overview = Overview::default();
            for moment in moments {
                overview.add(&finding(None, moment));
            }
            let bars = overview.first_seen(24);
            bars.into_iter().map(|(label, weights)| (label, weights.malicious)).collect::<Vec<_>>()
        };
        let bar = |label: &str, n| (label.to_owned(), n);
        let few = bars(&["2025-11-30T00:00:00", "2026-01-02 10:00:00", "2026-01-09"]);
        assert_eq!(few, [bar("2025-11", 1), bar("2025-12", 0), bar("2026-01", 2)]);
        let many = bars(&["2019-12-01", "2019-01-01", "2022-03-01"]);
        assert_eq!(many, [bar("2019", 2), bar("2020", 0), bar("2021", 0), bar("2022", 1)]);
        assert_eq!(bars(&["", "0001-01-01", "2026-13-01", "2026", "éé-03-01", "soon"]), []);
    }
}
