//! Several processes at one case: what one holds the others leave alone, what one is told the others learn, and what
//! the dead leave behind is taken over at once.

use crate::{World, begin, digest, everything, files, sha1};
use hashsweep_case::{
    Beside, Case, Claim, Claimed, Fate, Freshness, IntakeTurn, RunId, Scope, SweepId, Taken,
};
use hashsweep_model::{
    Answer, Class, Digest, HashKind, Outcome, Place, Quota, Seen, Sighting, Source, Stamp, Verdict,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const OTHER_HANDS: &str = "in the hands of another process";

/// Another process at work.
struct Process {
    case: Case,
    sweep: SweepId,
    run: RunId,
    in_hand: Vec<Claimed>,
}

impl Process {
    /// Takes up a sweep that is there.
    fn resumes(path: &Path, sweep: SweepId) -> Process {
        let mut case = Case::open(path).unwrap();
        let run = case
            .group(|group| {
                let run = group.begin_run(sweep, Stamp(20))?;
                group.reopen(sweep, &Freshness::NOTHING)?;
                Ok(run)
            })
            .unwrap();
        Process { case, sweep, run, in_hand: Vec::new() }
    }

    /// Begins a sweep of its own.
    fn begins(path: &Path, rows: &[Sighting]) -> Process {
        let mut case = Case::open(path).unwrap();
        let (sweep, run) = begin(&mut case);
        case.group(|group| {
            group.record(sweep, rows, &everything())?;
            group.catch_up(sweep, &everything())
        })
        .unwrap();
        Process { case, sweep, run, in_hand: Vec::new() }
    }

    fn claim(&mut self, n_batches: usize, batch_size: usize) -> Taken {
        let claim =
            Claim { n_batches, batch_size, also_partial: true, most_digests: u64::MAX, up_to: Class::Last };
        let at = (self.sweep, self.run);
        let taken = self
            .case
            .group(|group| {
                let taken = group.claim(at, claim, &Freshness::NOTHING, Stamp(30))?;
                for claimed in &taken.batches {
                    group.mark_sent(claimed.attempt, Stamp(30))?;
                }
                Ok(taken)
            })
            .unwrap();
        self.in_hand.extend(taken.batches.clone());
        taken
    }

    fn digests(&mut self, n_batches: usize, batch_size: usize) -> Vec<Digest> {
        let taken = self.claim(n_batches, batch_size);
        taken.batches.iter().flat_map(|claimed| claimed.batch.digests().to_vec()).collect()
    }

    /// Settles the oldest batch in hand.
    fn settle(&mut self, fate: impl Fn(Digest) -> Fate) -> Vec<Digest> {
        let claimed = self.in_hand.remove(0);
        let fates: Vec<_> = claimed.batch.digests().iter().map(|digest| (*digest, fate(*digest))).collect();
        let quota = Quota { charged_max: fates.len() as u64, ..Quota::default() };
        let at = (self.sweep, self.run);
        self.case
            .group(|group| {
                group.book(claimed.attempt, "200", quota, Stamp(40))?;
                group.settle(at, claimed.attempt, &fates, Source::Service, Stamp(40))
            })
            .unwrap();
        claimed.batch.digests().to_vec()
    }

    fn ends(&mut self, why: &str) -> u64 {
        self.in_hand.clear();
        let sweep = self.sweep;
        self.case.group(|group| group.defer_rest(sweep, why, &Freshness::NOTHING, Stamp(50))).unwrap()
    }
}

fn answered(digest: Digest) -> Fate {
    Fate::Answered(Answer::bare(digest, Verdict::Known))
}

fn failed(_: Digest) -> Fate {
    Fate::Failed("504".into())
}

/// A sweep of some files whose first process has done nothing yet.
fn world(n: u32) -> (World, Process) {
    let mut world = World::new();
    world.record(&files(0..n));
    let other = Process::resumes(&world.path, world.sweep);
    (world, other)
}

fn claims_left(world: &World) -> i64 {
    world.by_hand().query_row("SELECT count(*) FROM claim", [], |row| row.get(0)).unwrap()
}

#[test]
fn two_processes_share_a_sweep_and_each_digest_is_claimed_once() {
    let (mut world, mut other) = world(9);
    let first = world.claim(1, 3, true).remove(0);
    assert_eq!(other.digests(1, 4), (3..7).map(sha1).collect::<Vec<_>>());
    assert_eq!(world.claim(1, 9, true)[0].batch.digests(), [sha1(7), sha1(8)]);
    let taken = other.claim(5, 5);
    assert!(taken.batches.is_empty());
    assert_eq!(taken.beside.map(|beside| (beside.waiting, beside.elsewhere)), Some((0, 5)));
    world.settle(&first, &[(sha1(0), answered(sha1(0))), (sha1(1), answered(sha1(1)))], Stamp(11));
    let taken = other.claim(5, 5);
    assert_eq!(taken.beside.map(|beside| (beside.waiting, beside.elsewhere)), Some((0, 3)));
    assert!(taken.batches.is_empty(), "its claim is not settled to the last digest");
}

#[test]
fn a_claim_goes_when_its_last_digest_is_settled() {
    let (mut world, _) = world(4);
    let claimed = world.claim(2, 2, true);
    assert_eq!(claims_left(&world), 2);
    world.settle(&claimed[0], &[(sha1(1), failed(sha1(1)))], Stamp(11));
    assert_eq!(claims_left(&world), 2);
    world.settle(&claimed[0], &[(sha1(0), answered(sha1(0)))], Stamp(12));
    assert_eq!(claims_left(&world), 1);
    let sweep = world.sweep;
    world.case.group(|group| group.defer_rest(sweep, "quota", &Freshness::NOTHING, Stamp(13))).unwrap();
    assert_eq!(claims_left(&world), 0);
}

#[test]
fn the_dead_are_taken_over_at_once_and_the_living_never() {
    let (mut world, mut other) = world(6);
    let reserved = other.claim(1, 2).batches.remove(0);
    other.claim(1, 2);
    other.case.group(|group| group.unsend(reserved.attempt, Stamp(31))).unwrap();
    world.by_hand().execute("UPDATE attempt SET settled_at = NULL WHERE id = 1", []).unwrap();
    assert_eq!(world.claim(9, 9, true)[0].batch.digests(), [sha1(4), sha1(5)]);
    assert!(world.claim(9, 9, true).is_empty(), "what a living process holds was taken");
    // Its lock goes with it, as with a kill.
    drop(other);
    assert_eq!(world.claim(9, 9, true)[0].batch.digests(), (0..4).map(sha1).collect::<Vec<_>>());
    let quota = world.case.quota(Scope::Case).unwrap();
    assert_eq!(quota, Quota { in_doubt: 2, ..Quota::default() }, "reserved is released, sent is in doubt");
}

#[test]
fn both_dead_leave_everything_to_the_next() {
    let (mut world, mut other) = world(6);
    world.claim(1, 2, true);
    other.claim(1, 2);
    drop(other);
    let world = world.killed();
    let mut next = Process::resumes(&world.path, world.sweep);
    assert_eq!(next.digests(9, 9), (0..6).map(sha1).collect::<Vec<_>>());
}

#[test]
fn another_sweep_waits_for_an_answer_and_learns_it() {
    let mut world = World::new();
    world.record(&files(0..4));
    let claimed = world.claim(1, 3, true).remove(0);
    let mut other = Process::begins(&world.path, &files(1..5));
    // 1 and 2 are in hand there, 3 waits there and may be asked here.
    assert_eq!(other.digests(9, 9), [sha1(3), sha1(4)]);
    let beside = other.claim(9, 9).beside.unwrap();
    assert_eq!((beside.waiting, beside.elsewhere), (0, 2));
    assert!(world.claim(9, 9, true).is_empty(), "3 is asked there");
    let fates = [(sha1(0), answered(sha1(0))), (sha1(1), answered(sha1(1))), (sha1(2), failed(sha1(2)))];
    world.settle(&claimed, &fates, Stamp(25));
    let taken = other.claim(9, 9);
    assert_eq!(taken.learned, 1, "even where nothing else that is known counts");
    assert_eq!(taken.batches[0].batch.digests(), [sha1(2)], "what failed there is asked here");
    other.settle(answered);
    other.settle(answered);
    let tally = other.case.tally(other.sweep).unwrap();
    assert_eq!((tally.digests_of(Outcome::Cached), tally.learned), (1, 1));
    assert_eq!(tally.digests_of(Outcome::Answered), 3);
    assert_eq!(tally.check(), Ok(()));
}

#[test]
fn what_is_in_other_hands_at_the_end_is_said_to_be() {
    let mut world = World::new();
    world.record(&files(0..4));
    world.claim(1, 3, true);
    let mut other = Process::begins(&world.path, &files(1..3));
    assert!(other.digests(9, 9).is_empty());
    assert_eq!(other.ends("quota"), 2);
    let reasons = other.case.tally(other.sweep).unwrap().reasons;
    assert_eq!(reasons[&(Outcome::Deferred, OTHER_HANDS.to_owned())], 2);
    // Where something else is left too, the run's own reason stands for all.
    let mut third = Process::begins(&world.path, &files(1..7));
    assert_eq!(third.ends("quota"), 6);
    let reasons = third.case.tally(third.sweep).unwrap().reasons;
    assert_eq!(reasons[&(Outcome::Deferred, "quota".to_owned())], 6);
}

/// Who leaves a sweep that another is still at must not put off what that one will ask.
#[test]
fn who_leaves_a_shared_sweep_leaves_its_queue_to_the_other() {
    let (mut world, mut other) = world(6);
    world.claim(1, 2, true);
    assert_eq!(other.digests(1, 2), [sha1(2), sha1(3)]);
    other.ends("interrupted");
    let reasons = world.case.tally(world.sweep).unwrap().reasons;
    assert_eq!(reasons[&(Outcome::Deferred, OTHER_HANDS.to_owned())], 6);
    assert_eq!(world.claim(1, 9, true)[0].batch.digests(), (2..6).map(sha1).collect::<Vec<_>>());
    // Alone at last.
    let sweep = world.sweep;
    world.case.group(|group| group.defer_rest(sweep, "quota", &Freshness::NOTHING, Stamp(60))).unwrap();
    let reasons = world.case.tally(sweep).unwrap().reasons;
    assert_eq!(reasons, BTreeMap::from([((Outcome::Deferred, "quota".to_owned()), 6)]));
}

#[test]
fn rows_are_taken_in_by_one_process_at_a_time() {
    let (mut world, mut other) = world(1);
    let turn = |case: &mut Case, sweep, run| case.group(|g| g.take_turn(sweep, run, Stamp(9))).unwrap();
    let (sweep, run) = world.at();
    assert_eq!(turn(&mut world.case, sweep, run), IntakeTurn::Ours);
    assert_eq!(turn(&mut other.case, sweep, other.run), IntakeTurn::AnothersYet);
    assert_eq!(turn(&mut world.case, sweep, run), IntakeTurn::Ours);
    let world = world.killed();
    assert_eq!(turn(&mut other.case, sweep, other.run), IntakeTurn::Ours);
    other
        .case
        .group(|group| group.finish_intake(sweep, 0, &Freshness::NOTHING, Stamp(9)).map(|_| ()))
        .unwrap();
    let mut next = Process::resumes(&world.path, sweep);
    assert_eq!(turn(&mut next.case, sweep, next.run), IntakeTurn::Finished);
}

/// Who asks for the turn may be the first to see that another is dead, and has then more to ask than it knew.
#[test]
fn what_the_dead_had_claimed_is_counted_whoever_looks_for_them() {
    let (mut world, mut other) = world(6);
    world.claim(2, 2, true);
    assert_eq!(other.digests(1, 2).len(), 2);
    other.settle(answered);
    let sweep = world.sweep;
    drop(world.killed());
    let turn = other
        .case
        .group(|group| {
            let turn = group.take_turn(sweep, other.run, Stamp(45))?;
            assert_eq!((group.backlog().waiting, group.has_company()), (4, true));
            Ok(turn)
        })
        .unwrap();
    assert_eq!(turn, IntakeTurn::Ours);
}

/// Where nobody else is, nothing is counted and nothing looked up.
#[test]
fn who_is_alone_never_looks_beside() {
    let mut world = World::new();
    world.record(&files(0..4));
    drop(Case::open_to_read(&world.path).unwrap().tally(world.sweep).unwrap());
    let at = world.at();
    let claim =
        Claim { n_batches: 9, batch_size: 9, also_partial: true, most_digests: 9, up_to: Class::Last };
    let taken = world.case.group(|group| group.claim(at, claim, &everything(), Stamp(5))).unwrap();
    assert_eq!((taken.beside, taken.learned), (None::<Beside>, 0));
}

/// A link to a case leads to the same line and the same sessions.
#[test]
fn two_names_of_a_case_are_one_case() {
    let (world, mut other) = world(4);
    other.claim(1, 2);
    let link = world.directory.path().join("link.case");
    std::os::unix::fs::symlink(&world.path, &link).unwrap();
    let mut third = Process::resumes(&link, world.sweep);
    assert_eq!(third.digests(9, 9), [sha1(2), sha1(3)]);
}

#[derive(Clone, Debug)]
enum Step {
    Claim(usize, usize),
    Settle(bool),
    End,
    Kill,
    Record(Vec<u32>),
}

fn step() -> impl Strategy<Value = (usize, Step)> {
    let step = prop_oneof![
        5 => (1usize..3, 1usize..6).prop_map(|(n, size)| Step::Claim(n, size)),
        5 => any::<bool>().prop_map(Step::Settle),
        1 => Just(Step::End),
        1 => Just(Step::Kill),
        2 => prop::collection::vec(0u32..30, 1..12).prop_map(Step::Record),
    ];
    (0usize..3, step)
}

fn rows(numbers: &[u32]) -> Vec<Sighting> {
    let row = |n: &u32| {
        let digest = digest(HashKind::Sha1, *n);
        let digests = hashsweep_model::Digests::default().with(digest);
        let seen = Seen::Listed { digests, asked: HashKind::Sha1 };
        Sighting { root: 0, place: Place::Line(u64::from(*n)), seen }
    };
    numbers.iter().map(row).collect()
}

/// What is on its way and what was answered, over all processes.
#[derive(Default)]
struct Book {
    asked: BTreeSet<Digest>,
    answered: BTreeSet<Digest>,
}

fn take(processes: &mut [Process], at: usize, step: Step, path: &Path, book: &mut Book) {
    let process = &mut processes[at];
    match step {
        Step::Claim(n, size) => {
            for digest in process.digests(n, size) {
                assert!(!book.answered.contains(&digest), "asked although another process knows");
                assert!(book.asked.insert(digest), "asked by two at once");
            }
        }
        Step::Settle(well) => {
            if !process.in_hand.is_empty() {
                for digest in process.settle(if well { answered } else { failed }) {
                    book.asked.remove(&digest);
                    if well {
                        book.answered.insert(digest);
                    }
                }
            }
        }
        Step::Record(numbers) => {
            let sweep = process.sweep;
            process
                .case
                .group(|group| {
                    group.record(sweep, &rows(&numbers), &everything())?;
                    group.catch_up(sweep, &everything())
                })
                .unwrap();
        }
        Step::End | Step::Kill => {
            for claimed in &process.in_hand {
                for digest in claimed.batch.digests() {
                    book.asked.remove(digest);
                }
            }
            if matches!(step, Step::End) {
                process.ends("interrupted");
            }
            let sweep = process.sweep;
            let last = std::mem::replace(process, Process::resumes(path, sweep));
            // While its successor is there already.
            drop(last);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Two processes at one sweep and a third at another that wants the same digests.
    #[test]
    fn however_processes_take_turns_nothing_is_asked_by_two_and_the_books_balance(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut world = World::new();
        world.record(&rows(&(0..20).collect::<Vec<_>>()));
        let (path, sweep) = (world.path.clone(), world.sweep);
        let mut processes = vec![
            Process::resumes(&path, sweep),
            Process::resumes(&path, sweep),
            Process::begins(&path, &rows(&(10..30).collect::<Vec<_>>())),
        ];
        let World { directory: _directory, case, .. } = world;
        drop(case);
        let mut book = Book::default();
        for (at, step) in steps {
            take(&mut processes, at, step, &path, &mut book);
            for process in &processes {
                prop_assert_eq!(process.case.tally(process.sweep).unwrap().check(), Ok(()));
            }
        }
        // Whoever is left at the end finishes everything.
        let others: Vec<_> = [sweep, processes[2].sweep].into_iter().collect();
        drop(processes);
        for sweep in others {
            let mut last = Process::resumes(&path, sweep);
            while !last.claim(3, 7).batches.is_empty() {
                while !last.in_hand.is_empty() {
                    last.settle(answered);
                }
            }
            let tally = last.case.tally(sweep).unwrap();
            prop_assert_eq!(tally.check(), Ok(()));
            prop_assert_eq!(tally.rows_of(Outcome::Deferred) + tally.rows_of(Outcome::Failed), 0);
            last.ends("interrupted");
        }
    }
}
