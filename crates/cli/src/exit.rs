//! Exit codes: what a script learns without reading anything (docs/exit-codes.md).

use crate::args::{FailOn, FailOnDifference, Gap};
use crate::settings::Ending;
use hashsweep_model::{Outcome, Skip, SkipKind, Tally, Verdict};
use hashsweep_report::Counts;
use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Complete, nothing at or above `--fail-on`.
    Clean,
    /// Complete, findings.
    Findings,
    /// Could not run.
    CouldNotRun,
    /// Incomplete, findings or not.
    Incomplete,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Clean => 0,
            Exit::Findings => 1,
            Exit::CouldNotRun => 2,
            Exit::Incomplete => 3,
        }
    }

    /// What a sweep's totals mean for a script.
    pub(crate) fn of(tally: &Tally, ending: &Ending) -> Exit {
        if !tally.intake_finished || tally.check().is_err() || !gaps(tally).all(|gap| accepts(ending, gap)) {
            return Exit::Incomplete;
        }
        let mildest = match ending.fail_on {
            FailOn::Malicious => Verdict::Malicious,
            FailOn::Suspicious => Verdict::Suspicious,
            FailOn::Unknown => Verdict::Unknown,
            FailOn::Never => return Exit::Clean,
        };
        // Whatever the verdict will be: somebody has to look at it.
        if tally.contradictions > 0 || tally.verdicts.iter().any(|(verdict, n)| *verdict >= mildest && *n > 0)
        {
            Exit::Findings
        } else {
            Exit::Clean
        }
    }
}

impl Exit {
    /// What the differences between two sweeps mean for a script.
    pub(crate) fn of_differences(counts: &Counts, is_whole: bool, fail_on: FailOnDifference) -> Exit {
        if !is_whole || !counts.is_balanced() {
            return Exit::Incomplete;
        }
        let mildest = match fail_on {
            FailOnDifference::Malicious => Verdict::Malicious,
            FailOnDifference::Suspicious => Verdict::Suspicious,
            FailOnDifference::Unknown => Verdict::Unknown,
            FailOnDifference::Any if counts.n_differences() > 0 => return Exit::Findings,
            FailOnDifference::Any | FailOnDifference::Never => return Exit::Clean,
        };
        let fails = |verdict: &Verdict| *verdict >= mildest && counts.new_with(*verdict) > 0;
        if Verdict::WORST_FIRST.iter().any(fails) { Exit::Findings } else { Exit::Clean }
    }
}

/// The ways in which a sweep is incomplete; `None` for one that no word of the command line accepts.
fn gaps(tally: &Tally) -> impl Iterator<Item = Option<Gap>> {
    let of = |outcome, gap| (tally.rows_of(outcome) > 0).then_some(Some(gap));
    tally
        .not_looked_at()
        .map(|(reason, _)| reason.parse::<Skip>().ok().and_then(|skip| gap(skip.kind)))
        .chain(of(Outcome::Deferred, Gap::Deferred))
        .chain(of(Outcome::Failed, Gap::Failed))
        .collect::<Vec<_>>()
        .into_iter()
}

fn gap(kind: SkipKind) -> Option<Gap> {
    match kind {
        SkipKind::Unreadable | SkipKind::IoError | SkipKind::Damaged | SkipKind::Unsupported => {
            Some(Gap::Unreadable)
        }
        SkipKind::ChangedWhileReading => Some(Gap::Changed),
        SkipKind::Vanished => Some(Gap::Vanished),
        SkipKind::MissingRoot => Some(Gap::Missing),
        SkipKind::Limit => Some(Gap::Limit),
        SkipKind::Snapshots => Some(Gap::Snapshots),
        SkipKind::SymbolicLink
        | SkipKind::DanglingLink
        | SkipKind::LinkLoop
        | SkipKind::Fifo
        | SkipKind::Socket
        | SkipKind::BlockDevice
        | SkipKind::CharacterDevice
        | SkipKind::PseudoFileSystem
        | SkipKind::OwnFile
        | SkipKind::NotAFileSystem
        | SkipKind::NotRecoverable => None,
    }
}

fn accepts(ending: &Ending, gap: Option<Gap>) -> bool {
    ending.incomplete_ok.contains(&Gap::All) || gap.is_some_and(|gap| ending.incomplete_ok.contains(&gap))
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashsweep_report::Change;

    fn ending(fail_on: FailOn, incomplete_ok: &[Gap]) -> Ending {
        Ending { fail_on, incomplete_ok: incomplete_ok.to_vec() }
    }

    fn tally(outcome: Outcome, verdict: Option<Verdict>, skipped: Option<&str>) -> Tally {
        Tally {
            rows: 1,
            outcomes: [(outcome, 1)].into(),
            verdicts: verdict.map(|v| (v, 1)).into_iter().collect(),
            skipped: skipped.map(|s| (s.to_owned(), 1)).into_iter().collect(),
            intake_finished: true,
            ..Tally::default()
        }
    }

    fn check(tally: &Tally, fail_on: FailOn, ok: &[Gap], expected: Exit) {
        assert_eq!(Exit::of(tally, &ending(fail_on, ok)), expected, "{tally:?}");
    }

    #[test]
    fn verdicts_count_from_the_mildest_that_fails() {
        let suspicious = tally(Outcome::Answered, Some(Verdict::Suspicious), None);
        check(&suspicious, FailOn::Suspicious, &[], Exit::Findings);
        check(&suspicious, FailOn::Malicious, &[], Exit::Clean);
        check(&suspicious, FailOn::Never, &[], Exit::Clean);
        let unknown = tally(Outcome::Cached, Some(Verdict::Unknown), None);
        check(&unknown, FailOn::Suspicious, &[], Exit::Clean);
        check(&unknown, FailOn::Unknown, &[], Exit::Findings);
    }

    #[test]
    fn incomplete_unless_accepted() {
        let deferred = tally(Outcome::Deferred, None, None);
        check(&deferred, FailOn::Suspicious, &[], Exit::Incomplete);
        check(&deferred, FailOn::Suspicious, &[Gap::Changed], Exit::Incomplete);
        check(&deferred, FailOn::Suspicious, &[Gap::Deferred], Exit::Clean);
        check(&deferred, FailOn::Suspicious, &[Gap::All], Exit::Clean);
        let unreadable = tally(Outcome::Skipped, None, Some("unreadable"));
        check(&unreadable, FailOn::Suspicious, &[Gap::Unreadable], Exit::Clean);
        check(&unreadable, FailOn::Suspicious, &[], Exit::Incomplete);
        check(&tally(Outcome::Skipped, None, Some("fifo")), FailOn::Suspicious, &[], Exit::Clean);
        check(&tally(Outcome::Invalid, None, None), FailOn::Suspicious, &[], Exit::Clean);
    }

    #[test]
    fn differences_fail_by_what_is_new_and_by_what_could_not_be_told() {
        let counts = |change, verdict| {
            let places = if change == Change::Moved { 2 } else { 1 };
            Counts { changes: [((change, verdict), 1)].into(), places, ..Counts::default() }
        };
        let check = |counts: &Counts, fail_on, expected| {
            assert_eq!(Exit::of_differences(counts, true, fail_on), expected, "{counts:?} {fail_on:?}");
            assert_eq!(Exit::of_differences(counts, false, fail_on), Exit::Incomplete);
        };
        for change in [Change::New, Change::Changed, Change::Flipped, Change::Judged, Change::Moved] {
            let bad = counts(change, Some(Verdict::Suspicious));
            check(&bad, FailOnDifference::Suspicious, Exit::Findings);
            check(&bad, FailOnDifference::Malicious, Exit::Clean);
            check(&bad, FailOnDifference::Unknown, Exit::Findings);
            check(&counts(change, Some(Verdict::Known)), FailOnDifference::Unknown, Exit::Clean);
            check(&counts(change, None), FailOnDifference::Any, Exit::Findings);
            check(&bad, FailOnDifference::Never, Exit::Clean);
        }
        check(&counts(Change::Gone, None), FailOnDifference::Unknown, Exit::Clean);
        check(&counts(Change::Gone, None), FailOnDifference::Any, Exit::Findings);
        check(&Counts::default(), FailOnDifference::Any, Exit::Clean);
        // A path that has no class is a fault of ours, and nothing to rely on.
        let lost = Counts { places: 1, ..Counts::default() };
        assert_eq!(Exit::of_differences(&lost, true, FailOnDifference::Never), Exit::Incomplete);
    }

    #[test]
    fn an_unfinished_intake_or_wrong_books_are_never_accepted() {
        let mut open = tally(Outcome::Answered, Some(Verdict::Known), None);
        open.intake_finished = false;
        check(&open, FailOn::Suspicious, &[Gap::All], Exit::Incomplete);
        let mut lost = tally(Outcome::Answered, Some(Verdict::Known), None);
        lost.rows = 2;
        check(&lost, FailOn::Suspicious, &[Gap::All], Exit::Incomplete);
    }
}
