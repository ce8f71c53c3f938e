//! The case from outside, as the pipeline and the reports use it; what a person may do to its file is done with
//! SQLite by hand.

#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

mod account;
mod answers;
mod beside;
mod bridges;
mod carrying;
mod claims;
mod classes;
mod damage;
mod joining;
mod law;
mod ledger;
mod merging;
mod opening;
mod pruning;
mod rows;
mod stretches;
mod verify;

use hashsweep_case::{Case, Claim, Claimed, Fate, Freshness, NewRoot, NewSweep, RunId, SweepId};
use hashsweep_model::{
    Answer, Class, Content, Digest, Digests, HashKind, Location, Outcome, Place, Quota, Seen, Sighting,
    Source, Stamp, Suspicion, Verdict,
};
use std::path::PathBuf;
use tempfile::TempDir;

/// A case in a directory of its own, with one sweep and its first run.
struct World {
    /// Dropping it deletes the case.
    directory: TempDir,
    path: PathBuf,
    case: Case,
    sweep: SweepId,
    run: RunId,
}

impl World {
    fn new() -> World {
        // What is proved here does not hang on a disk, and thousands of transactions would each wait for it.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let path = directory.path().join("a.case");
        let mut case = Case::open(&path).unwrap();
        let (sweep, run) = begin(&mut case);
        World { directory, path, case, sweep, run }
    }

    fn at(&self) -> (SweepId, RunId) {
        (self.sweep, self.run)
    }

    /// What a kill leaves behind, opened again.
    fn killed(self) -> World {
        let World { directory, path, case, sweep, run } = self;
        drop(case);
        World { case: Case::open(&path).unwrap(), directory, path, sweep, run }
    }

    /// Another sweep, at work from now on.
    fn next_sweep(&mut self) {
        (self.sweep, self.run) = begin(&mut self.case);
    }

    fn record(&mut self, rows: &[Sighting]) -> u64 {
        self.record_fresh(rows, &Freshness::NOTHING)
    }

    fn record_fresh(&mut self, rows: &[Sighting], fresh: &Freshness) -> u64 {
        let sweep = self.sweep;
        self.case
            .group(|group| Ok(group.record(sweep, rows, fresh)? + group.catch_up(sweep, fresh)?))
            .unwrap()
    }

    /// With no budget and down to the last class.
    fn claim(&mut self, n_batches: usize, batch_size: usize, also_partial: bool) -> Vec<Claimed> {
        self.claim_as(Claim {
            n_batches,
            batch_size,
            also_partial,
            most_digests: u64::MAX,
            up_to: Class::Last,
        })
    }

    fn claim_as(&mut self, claim: Claim) -> Vec<Claimed> {
        let at = self.at();
        self.case.group(|group| group.claim(at, claim, &Freshness::NOTHING, Stamp(10))).unwrap().batches
    }

    /// Everything that waits, answered with one verdict at one moment.
    fn answer_all(&mut self, verdict: Verdict, now: Stamp) {
        for claimed in self.claim(1000, 100, true) {
            let fates: Vec<_> = claimed
                .batch
                .digests()
                .iter()
                .map(|digest| (*digest, Fate::Answered(Answer::bare(*digest, verdict))))
                .collect();
            self.settle(&claimed, &fates, now);
        }
    }

    fn settle(&mut self, claimed: &Claimed, fates: &[(Digest, Fate)], now: Stamp) {
        let at = self.at();
        let n = claimed.batch.len() as u64;
        self.case
            .group(|group| {
                group.mark_sent(claimed.attempt, now)?;
                group.book(
                    claimed.attempt,
                    "200",
                    Quota { charged_max: n, charged_min: 0, in_doubt: 0 },
                    now,
                )?;
                group.settle(at, claimed.attempt, fates, Source::Service, now)
            })
            .unwrap();
    }

    /// Distinct digests with this outcome.
    fn digests_of(&self, outcome: Outcome) -> u64 {
        self.case.tally(self.sweep).unwrap().digests_of(outcome)
    }

    /// The same file by hand.
    fn by_hand(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(&self.path).unwrap()
    }
}

fn begin(case: &mut Case) -> (SweepId, RunId) {
    let new = NewSweep {
        command: "scan".into(),
        settings: "{}".into(),
        roots: vec![NewRoot { given: b"/x".to_vec(), opened: "/x".into() }],
    };
    case.group(|group| {
        let sweep = group.begin_sweep(&new, Stamp(1))?;
        Ok((sweep, group.begin_run(sweep, Stamp(2))?))
    })
    .unwrap()
}

/// Every earlier answer counts.
fn everything() -> Freshness {
    Freshness::ANYTHING
}

/// Never the same for two numbers.
fn digest(kind: HashKind, n: u32) -> Digest {
    let mut bytes = vec![0; kind.n_bytes()];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    Digest::from_bytes(&bytes).unwrap()
}

fn sha1(n: u32) -> Digest {
    digest(HashKind::Sha1, n)
}

/// Of no interest: [`Class::Last`].
const PLAIN: Suspicion = Suspicion { content: Content::Data, location: Location::Ordinary, is_recent: false };

fn file(path: &str, digest: Digest) -> Sighting {
    let digests = Digests::default().with(digest);
    let seen = Seen::Read {
        size: 7,
        digests,
        asked: digest.kind(),
        suspicion: PLAIN,
        trace: None,
        contradicts: false,
    };
    Sighting { root: 0, place: Place::Path(path.as_bytes().to_vec()), seen }
}

/// One file for each number.
fn files(numbers: std::ops::Range<u32>) -> Vec<Sighting> {
    numbers.map(|n| file(&format!("/x/{n}"), sha1(n))).collect()
}
