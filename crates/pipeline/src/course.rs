//! How hashing goes over a run, written into the case now and then, so that a report can show it in a year.

use crate::Gauges;
use hashsweep_case::Reading;
use hashsweep_model::Stamp;
use std::sync::atomic::Ordering::Relaxed;

/// Between two notes at the least, in milliseconds: what a short run is worth.
const SHORTEST: i64 = 100;

/// Of the time that has passed, between two notes of a long run: as fine as the bars of a page.
const SHARE: i64 = 100;

/// When to write down next how far hashing has come: the longer it takes, the further apart, so that a minute leaves
/// some two hundred notes and a night not a thousand.
#[derive(Debug, Default)]
pub(crate) struct Course {
    began: Option<Stamp>,
    noted: Option<Reading>,
}

impl Course {
    /// What is to be written down now, if anything. The end of the intake always is.
    pub(crate) fn due(&mut self, now: Stamp, gauges: &Gauges, is_end: bool) -> Option<Reading> {
        let began = *self.began.get_or_insert(now);
        let (n_files, n_bytes) =
            (gauges.source.files_hashed.load(Relaxed), gauges.source.bytes_hashed.load(Relaxed));
        let last = self.noted.unwrap_or(Reading { at: began, n_files: 0, n_bytes: 0 });
        let between = (now.0.saturating_sub(began.0) / SHARE).max(SHORTEST);
        let is_due = is_end || now.0.saturating_sub(last.at.0) >= between;
        if !is_due || (n_files, n_bytes) == (last.n_files, last.n_bytes) {
            return None;
        }
        self.noted = Some(Reading { at: now, n_files, n_bytes });
        self.noted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_night_leaves_few_notes_and_the_last_one_is_whole() {
        let (gauges, mut course) = (Gauges::default(), Course::default());
        let mut notes = Vec::new();
        let night = 8 * 3600 * 10;
        for tenth in 0..=night {
            gauges.source.files_hashed.fetch_add(3, Relaxed);
            notes.extend(course.due(Stamp(5_000 + tenth * 100), &gauges, tenth == night));
        }
        assert!((500..1000).contains(&notes.len()), "{}", notes.len());
        assert_eq!(notes.last().unwrap().n_files, 3 * (night.unsigned_abs() + 1));
        assert!(notes.is_sorted_by(|one, next| one.at < next.at && one.n_files < next.n_files));
        assert_eq!(course.due(Stamp(i64::MAX), &gauges, true), None, "nothing has gone on");
        gauges.source.files_hashed.fetch_add(1, Relaxed);
        assert_eq!(course.due(Stamp(0), &gauges, false), None, "by a clock that was set back");
    }
}
