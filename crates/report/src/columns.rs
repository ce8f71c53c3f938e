//! The seventeen columns and what a row puts into them: the one place where a name meets its value.
//!
//! It does not know how a value is written; CSV and JSONL each write a [`Cell`] in their own way.

use hashsweep_model::{Digest, Digests, Judged, Place, Row, Stamp};
use jiff::Timestamp;
use std::borrow::Cow;
use std::sync::Arc;

/// What identifies the content. `hashsweep hash` writes these alone.
pub(crate) const CONTENT: [&str; 5] = ["path", "size", "md5", "sha1", "sha256"];

/// What has happened to a row since an earlier sweep; the last column, where one was given to hold against.
pub(crate) const CHANGE: &str = "change";

/// What became of it. An enriched list gets these alone.
pub(crate) const JUDGED: [&str; 12] = [
    "verdict",
    "outcome",
    "reason",
    "threat_name",
    "threat_level",
    "trust_factor",
    "scanner_match",
    "scanner_count",
    "first_seen",
    "last_seen",
    "answered_at",
    "source",
];

/// The value of one column in one row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cell<'a> {
    /// Nothing to say: empty in CSV, no key in JSONL.
    Absent,
    Count(u64),
    /// The service's number, which could be anything.
    Score(i64),
    Digest(Digest),
    /// Our own word, safe as it is.
    Word(&'static str),
    /// Not ours, hostile.
    Text(&'a str),
    When(Stamp),
}

impl<'a> Cell<'a> {
    fn score(value: Option<i64>) -> Cell<'a> {
        value.map_or(Cell::Absent, Cell::Score)
    }

    fn text(value: Option<&'a str>) -> Cell<'a> {
        value.map_or(Cell::Absent, Cell::Text)
    }
}

/// The columns after `path` that [`CONTENT`] names.
pub(crate) fn content(size: Option<u64>, digests: &Digests) -> [Cell<'static>; 4] {
    let digest = |digest: Option<Digest>| digest.map_or(Cell::Absent, Cell::Digest);
    [
        size.map_or(Cell::Absent, Cell::Count),
        digest(digests.md5),
        digest(digests.sha1),
        digest(digests.sha256),
    ]
}

/// The columns that [`JUDGED`] names.
pub(crate) fn judged(of: Judged<'_>) -> [Cell<'_>; 12] {
    let outcome = Cell::Word(of.outcome.name());
    let Some(settled) = of.answer else {
        let mut cells = [Cell::Absent; 12];
        cells[1] = outcome;
        cells[2] = Cell::text(of.reason);
        return cells;
    };
    let answer = &settled.answer;
    [
        Cell::Word(answer.verdict.name()),
        outcome,
        // What we have to say about the row outweighs what the service says about the digest.
        Cell::text(of.reason.or(answer.reason.as_deref())),
        Cell::text(answer.threat_name.as_deref()),
        Cell::score(answer.threat_level),
        Cell::score(answer.trust_factor),
        Cell::score(answer.scanner_match),
        Cell::score(answer.scanner_count),
        Cell::text(answer.first_seen.as_deref()),
        Cell::text(answer.last_seen.as_deref()),
        Cell::When(settled.answered_at),
        Cell::Word(settled.source.name()),
    ]
}

/// `2026-11-22T15:04:05Z`: whole seconds, rounded down.
pub fn when(stamp: Stamp) -> String {
    // A stamp beyond the calendar can only come from a damaged case; the calendar's end is visibly wrong.
    let (first, last) = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    let second = stamp.0.div_euclid(1000).clamp(first, last);
    Timestamp::from_second(second).expect("clamped to the calendar").to_string()
}

/// The same, behind what a line has already. Made by hand within the years of four digits: every row with an answer has
/// such a moment.
pub(crate) fn push_when(line: &mut Vec<u8>, stamp: Stamp) {
    const DAY: i64 = 86_400;
    /// Of 400 years.
    const ERA: i64 = 146_097;
    let second = stamp.0.div_euclid(1000);
    if !(0..253_402_300_800).contains(&second) {
        line.extend_from_slice(when(stamp).as_bytes());
        return;
    }
    // Years begin in March here, so that a leap day is the last of one.
    let days = second / DAY + 719_468;
    let (era, day_of_era) = (days / ERA, days % ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / (ERA - 1)) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let of_day = second % DAY;
    let parts = [
        (year / 100, None),
        (year % 100, None),
        (month, Some(b'-')),
        (day, Some(b'-')),
        (of_day / 3600, Some(b'T')),
        (of_day / 60 % 60, Some(b':')),
        (of_day % 60, Some(b':')),
    ];
    for (n, before) in parts {
        line.extend(before);
        line.extend([n / 10, n % 10].map(|digit| b'0' + u8::try_from(digit).expect("it is a digit")));
    }
    line.push(b'Z');
}

/// The names of the sweep's lists, by root. Rows of a list are written `FILE:ROW`; a scan needs none.
#[derive(Clone, Debug, Default)]
pub struct ListNames(Arc<[Vec<u8>]>);

impl ListNames {
    /// The names in the order of the sweep's roots, as the user gave them.
    pub fn new(names: Vec<Vec<u8>>) -> ListNames {
        ListNames(names.into())
    }

    /// The list that a row stands in.
    pub(crate) fn list(&self, row: &Row) -> &[u8] {
        usize::try_from(row.root).ok().and_then(|root| self.0.get(root)).map_or(&[], Vec::as_slice)
    }

    /// The bytes of the `path` column.
    pub(crate) fn path<'a>(&self, row: &'a Row) -> Cow<'a, [u8]> {
        match &row.place {
            Place::Path(path) => Cow::Borrowed(path),
            Place::Line(line) => {
                let mut path = self.list(row).to_vec();
                path.extend_from_slice(format!(":{line}").as_bytes());
                Cow::Owned(path)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_moment_is_written_in_whole_seconds_of_utc() {
        let check = |millis, expected: &str| assert_eq!(when(Stamp(millis)), expected);
        check(1_795_359_845_999, "2026-11-22T15:04:05Z");
        check(0, "1970-01-01T00:00:00Z");
        check(-1, "1969-12-31T23:59:59Z");
        check(i64::MAX, "9999-12-30T22:00:00Z");
        check(i64::MIN, "-009999-01-02T01:59:59Z");
    }

    proptest! {
        #[test]
        fn a_moment_made_by_hand_is_the_calendars(
            millis in prop_oneof![any::<i64>(), -(1_i64 << 40)..1 << 48, (0_i64..3_000_000).prop_map(|day| day * 86_400_000)],
        ) {
            let mut line = b"x".to_vec();
            push_when(&mut line, Stamp(millis));
            prop_assert_eq!(String::from_utf8(line).unwrap(), format!("x{}", when(Stamp(millis))));
        }
    }
}
