//! Findings, said with their paths while a sweep is still at work.
//!
//! The pipeline knows digests and not where they lie; the case knows both, so it is read, by a thread and on a
//! connection of its own that holds nobody up. A look goes through all rows of the sweep. That is why one is taken only
//! when the service has found something, and why the next waits twenty times as long as the last one took.

use super::written::names;
use hashsweep_case::{Case, CaseError, Only, Order, SweepId};
use hashsweep_model::{Outcome, Place};
use hashsweep_pipeline::Gauges;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// As many as the table at the end shows: more would be a report that scrolls away.
const MOST: usize = 50;

/// Between two looks at the least.
const REST: Duration = Duration::from_secs(1);

/// A look may take one part in so many of the time.
const SHARE: u32 = 20;

/// Says each finding once. Dropping it waits for the look at hand, so that nobody reads a case that is put away.
pub(crate) struct Herald {
    case: PathBuf,
    sweep: SweepId,
    n_found: u64,
    not_before: Option<Instant>,
    state: State,
}

enum State {
    Resting(Said),
    Looking(JoinHandle<(Said, Vec<String>)>),
    /// Enough was said.
    Done,
}

/// Where the findings lie that were said.
type Said = HashSet<(u32, Place)>;

impl Herald {
    pub(crate) fn new(case: PathBuf, sweep: SweepId) -> Herald {
        Herald { case, sweep, n_found: 0, not_before: None, state: State::Resting(Said::new()) }
    }

    /// Whether there will be something to say soon.
    pub(crate) fn is_looking(&self) -> bool {
        matches!(self.state, State::Looking(_))
    }

    /// What there is to say now. Never waits.
    #[expect(clippy::disallowed_methods, reason = "a display rests, and nothing else depends on it")]
    pub(crate) fn news(&mut self, gauges: &Gauges) -> Vec<String> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Resting(said) => {
                let n_found = gauges.found.load(Relaxed);
                let is_early = self.not_before.is_some_and(|at| Instant::now() < at);
                if n_found == self.n_found || is_early {
                    self.state = State::Resting(said);
                    return Vec::new();
                }
                self.n_found = n_found;
                // When this began. What it took is known when it ends.
                self.not_before = Some(Instant::now());
                let (case, sweep) = (self.case.clone(), self.sweep);
                self.state = State::Looking(std::thread::spawn(move || look(case, sweep, said)));
                Vec::new()
            }
            State::Looking(look) if !look.is_finished() => {
                self.state = State::Looking(look);
                Vec::new()
            }
            State::Looking(look) => {
                let (said, news) = look.join().expect("a look does not panic");
                let took = self.not_before.map_or(REST, |began| began.elapsed());
                self.not_before = Some(Instant::now() + REST.max(took * SHARE));
                self.state = if said.len() < MOST { State::Resting(said) } else { State::Done };
                news
            }
            State::Done => Vec::new(),
        }
    }
}

impl Drop for Herald {
    fn drop(&mut self) {
        if let State::Looking(look) = std::mem::replace(&mut self.state, State::Done) {
            // Nobody is told any more: the report says it all.
            let _ = look.join();
        }
    }
}

/// The findings of this sweep's own asking that have not been said. What cannot be read now is read at the end.
fn look(case: PathBuf, sweep: SweepId, mut said: Said) -> (Said, Vec<String>) {
    let mut news = Vec::new();
    let looked = Case::open_to_read(&case).and_then(|case| {
        let names = names(&case.sweep(Some(sweep))?);
        case.rows(sweep, Only::Findings, Order::Arrival, |row| {
            if row.outcome == Outcome::Answered
                && said.len() < MOST
                && said.insert((row.root, row.place.clone()))
            {
                news.push(hashsweep_report::finding_line(&names, &row));
                if said.len() == MOST {
                    news.push("more findings are not said here; the report has them all".to_owned());
                }
            }
            Ok::<_, CaseError>(())
        })
    });
    if let Err(error) = looked {
        tracing::debug!("findings could not be read while at work: {error}");
    }
    (said, news)
}
