//! A sweep held against an earlier one while its reports are written: what has happened to each of its rows since.
//!
//! What stays in memory is what is not as it was: a quiet night costs nothing, a first scan a path for each row.

use super::diff::Pair;
use crate::args::{Emit, FailOn, FailOnDifference, Gap};
use crate::exit::Exit;
use crate::settings::Ending;
use crate::shell::{lines_safe, say};
use crate::stored::Stored;
use anyhow::bail;
use hashsweep_case::{Case, CaseError, Sweep, SweepId};
use hashsweep_model::{Place, Row, Tally};
use hashsweep_report::{Change, Counts, thousands};
use std::cell::Cell;
use std::collections::HashMap;

/// What a row is that is as it was.
const KNOWN: &str = "known";

/// An earlier sweep, and what has happened since.
pub(crate) struct Baseline {
    sweep: SweepId,
    changes: HashMap<Vec<u8>, Change>,
    /// Rows of the earlier sweep, in the order of their paths.
    gone: Vec<Row>,
    counts: Counts,
    is_whole: bool,
    /// Rows that the report that was written last leaves out because nothing has happened to them.
    n_hidden: Cell<u64>,
}

impl Baseline {
    /// Whether there is such a sweep to hold files against; better said before anything is read.
    pub(crate) fn check(case: &Case, number: Option<i64>, emit: Option<Emit>) -> anyhow::Result<()> {
        let Some(number) = number else { return needs_none(emit) };
        if case.sweep(Some(SweepId(number)))?.command == "list" {
            bail!("sweep {number} is of a list, and lists have no paths to hold files against");
        }
        Ok(())
    }

    /// The same for a sweep that was begun earlier: what it is held against may be gone.
    pub(crate) fn check_again(case: &Case, sweep: &Sweep, emit: Option<Emit>) -> anyhow::Result<()> {
        match earlier(case, sweep)? {
            Some(Ok(_)) => Ok(()),
            Some(Err(_)) | None => needs_none(emit),
        }
    }

    /// The one that a sweep was begun with, compared. Without it there is less to tell, and nothing to hold back.
    pub(crate) fn of(case: &Case, sweep: &Sweep, emit: Option<Emit>) -> anyhow::Result<Option<Baseline>> {
        let old = match earlier(case, sweep)? {
            Some(Ok(old)) => old,
            Some(Err(gone)) => {
                say(format!("what is new since then cannot be told: {}", lines_safe(&gone.to_string())));
                return needs_none(emit).map(|()| None);
            }
            None => return needs_none(emit).map(|()| None),
        };
        let number = old.id.0;
        let both_finished = old.intake_finished && sweep.intake_finished;
        let (mut changes, mut gone) = (HashMap::new(), Vec::new());
        let counts = Pair::of(old, sweep.clone())?.compare(case.path(), |difference| {
            match (&difference.row.place, difference.change) {
                (_, Change::Gone) => gone.push(difference.row.clone()),
                (Place::Path(path), change) => {
                    changes.insert(path.clone(), change);
                }
                (Place::Line(_), _) => {}
            }
            Ok(())
        })?;
        let is_whole = both_finished && counts.is_whole();
        Ok(Some(Baseline { sweep: SweepId(number), changes, gone, counts, is_whole, n_hidden: Cell::new(0) }))
    }

    /// Hands the rows of a report to `each`, each with what has happened to it; behind those of the sweep, with
    /// everything, those that are gone.
    pub(crate) fn mark<E>(
        &self,
        emit: Emit,
        mut rows: impl FnMut(&mut dyn FnMut(&Row) -> Result<(), E>) -> Result<(), E>,
        mut each: impl FnMut(&Row, &'static str) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut n_hidden = 0;
        rows(&mut |row| {
            let change = self.change_of(row);
            if emit == Emit::New && !change.is_some_and(Change::is_something_new) {
                n_hidden += 1;
                return Ok(());
            }
            each(row, change.map_or(KNOWN, Change::name))
        })?;
        self.n_hidden.set(n_hidden);
        match emit {
            Emit::All => self.gone.iter().try_for_each(|row| each(row, Change::Gone.name())),
            Emit::Findings | Emit::Unknown | Emit::New => Ok(()),
        }
    }

    fn change_of(&self, row: &Row) -> Option<Change> {
        match &row.place {
            Place::Path(path) => self.changes.get(path).copied(),
            Place::Line(_) => None,
        }
    }

    /// Incomplete as the sweep itself; else, with a baseline, by what is new, as `diff` does.
    pub(crate) fn exit(baseline: Option<&Baseline>, tally: &Tally, ending: &Ending) -> Exit {
        let of_sweep = Exit::of(tally, ending);
        let (Some(since), Exit::Clean | Exit::Findings) = (baseline, of_sweep) else { return of_sweep };
        let fail_on = match ending.fail_on {
            FailOn::Malicious => FailOnDifference::Malicious,
            FailOn::Suspicious => FailOnDifference::Suspicious,
            FailOn::Unknown => FailOnDifference::Unknown,
            FailOn::Never => FailOnDifference::Never,
        };
        let is_whole = since.is_whole || ending.incomplete_ok.contains(&Gap::All);
        match Exit::of_differences(&since.counts, is_whole, fail_on) {
            // Somebody has to look at what changed behind unchanged metadata, whatever the verdicts.
            Exit::Clean if tally.contradictions > 0 => of_sweep,
            exit => exit,
        }
    }

    /// `since sweep 3: 2 new, 1 flipped; 1,203 rows are known since then and not shown`
    pub(crate) fn words(&self, emit: Option<Emit>) -> String {
        let parts: Vec<String> = Change::ALL
            .into_iter()
            .filter(|change| self.counts.of(*change) > 0)
            .map(|change| format!("{} {}", thousands(self.counts.of(change)), change.name()))
            .collect();
        let parts = if parts.is_empty() { "nothing has changed".to_owned() } else { parts.join(", ") };
        let hidden = match (emit, self.n_hidden.get()) {
            (Some(Emit::New), n) => format!("; rows not shown by --emit new: {}", thousands(n)),
            _ => String::new(),
        };
        format!("since sweep {}: {parts}{hidden}", self.sweep.0)
    }
}

/// The sweep that another was begun with, or why it is there no more: it was pruned, or left behind when the other was
/// taken out of its case.
fn earlier(case: &Case, sweep: &Sweep) -> anyhow::Result<Option<Result<Sweep, CaseError>>> {
    let Some(number) = Stored::parse(&sweep.settings)?.baseline else { return Ok(None) };
    match case.sweep(Some(SweepId(number))) {
        Ok(old) => Ok(Some(Ok(old))),
        Err(gone @ (CaseError::Pruned { .. } | CaseError::NoSuchSweep(_))) => Ok(Some(Err(gone))),
        Err(error) => Err(error.into()),
    }
}

/// Whether what is to be written can be written without an earlier sweep.
pub(crate) fn needs_none(emit: Option<Emit>) -> anyhow::Result<()> {
    match emit {
        Some(Emit::New) => {
            bail!("--emit new shows what is new since another sweep, and --baseline names none")
        }
        Some(Emit::All | Emit::Findings | Emit::Unknown) | None => Ok(()),
    }
}
