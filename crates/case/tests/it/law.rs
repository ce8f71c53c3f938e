//! The conservation law, over one sweep made by hand and over many made by chance.

use crate::{World, digest, everything, file, files, sha1};
use hashsweep_case::{Claimed, Fate, Freshness};
use hashsweep_model::{
    Answer, DigestError, HashKind, Outcome, Place, Quota, Seen, Sighting, Skip, SkipKind, Stamp, Tally,
    Verdict,
};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn skipped(skip: Skip) -> Sighting {
    Sighting { root: 0, place: Place::Path(b"/skipped".to_vec()), seen: Seen::Skipped(skip) }
}

#[test]
fn the_tally_of_a_sweep_made_by_hand_is_right_to_the_row() {
    let mut world = World::new();
    world.record(&files(0..2));
    world.answer_all(Verdict::Known, Stamp(100));
    world.next_sweep();
    let sweep = world.sweep;
    let mut fresh = Freshness::NOTHING;
    fresh.accept(Verdict::Known, Stamp(0)..=Stamp(i64::MAX));
    let mut rows = files(1..7);
    // 1 is cached, 2 answered twice, 3 failed, 4 invalid by the service's word, 5 deferred, 6 left in the queue.
    rows.push(file("/copy", sha1(2)));
    rows.push(file("/empty", HashKind::Sha1.empty_input()));
    rows.push(skipped(Skip::because(SkipKind::Unreadable, "one")));
    rows.push(skipped(Skip::because(SkipKind::Unreadable, "two")));
    rows.push(skipped(Skip::new(SkipKind::Socket)));
    let invalid = Seen::Invalid(DigestError::Length { n_digits: 39 });
    rows.push(Sighting { root: 0, place: Place::Line(1), seen: invalid });
    assert_eq!(world.record_fresh(&rows, &fresh), 5);
    let claimed = world.claim(1, 4, true).remove(0);
    let fates = [
        (sha1(2), Fate::Answered(Answer::bare(sha1(2), Verdict::Malicious))),
        (sha1(3), Fate::Failed("504".into())),
        (sha1(4), Fate::Invalid("invalid".into())),
        (sha1(5), Fate::Deferred("quota".into())),
    ];
    world.settle(&claimed, &fates, Stamp(200));
    let joined = world.case.group(|group| group.finish_intake(sweep, 8, &fresh, Stamp(300))).unwrap();
    assert_eq!(joined, 0, "all had joined");

    let reason = |outcome, reason: &str, n| ((outcome, reason.to_owned()), n);
    let expected = Tally {
        contradictions: 0,
        rows: 12,
        outcomes: [
            (Outcome::Answered, 2),
            (Outcome::Cached, 1),
            (Outcome::Local, 1),
            (Outcome::Deferred, 2),
            (Outcome::Failed, 1),
            (Outcome::Invalid, 2),
            (Outcome::Skipped, 3),
        ]
        .into(),
        verdicts: [(Verdict::Malicious, 2), (Verdict::Known, 1)].into(),
        skipped: [("unreadable".to_owned(), 2), ("socket".to_owned(), 1)].into(),
        reasons: [
            reason(Outcome::Local, "empty file", 1),
            reason(Outcome::Deferred, "interrupted", 1),
            reason(Outcome::Deferred, "quota", 1),
            reason(Outcome::Failed, "504", 1),
            reason(Outcome::Invalid, "invalid", 1),
            reason(Outcome::Invalid, "39 hex digits", 1),
        ]
        .into(),
        duplicates: 1,
        distinct: 7,
        digests: [
            (Outcome::Answered, 1),
            (Outcome::Cached, 1),
            (Outcome::Local, 1),
            (Outcome::Deferred, 2),
            (Outcome::Failed, 1),
            (Outcome::Invalid, 1),
        ]
        .into(),
        learned: 0,
        oldest_cached: Some(Stamp(100)),
        excluded: 8,
        bytes: 8 * 7,
        requests: 1,
        quota: Quota { charged_max: 4, charged_min: 0, in_doubt: 0 },
        intake_finished: true,
    };
    let tally = world.case.tally(sweep).unwrap();
    assert_eq!(tally, expected);
    tally.check().unwrap();
}

#[test]
fn a_digest_deleted_by_hand_is_missed() {
    let mut world = World::new();
    world.record(&files(0..5));
    world.answer_all(Verdict::Known, Stamp(5));
    world.case.tally(world.sweep).unwrap().check().unwrap();
    let deleted =
        world.by_hand().execute("DELETE FROM want WHERE digest = ?1", [sha1(3).as_bytes()]).unwrap();
    assert_eq!(deleted, 1);
    let missed = world.case.tally(world.sweep).unwrap().check().unwrap_err();
    assert_eq!(missed.0, "5 rows in, 4 with an outcome");
}

#[test]
fn a_block_of_the_queue_deleted_by_hand_is_missed() {
    let mut world = World::new();
    world.record(&files(0..5));
    assert_eq!(world.by_hand().execute("DELETE FROM queue", []).unwrap(), 1);
    let missed = world.case.tally(world.sweep).unwrap().check().unwrap_err();
    assert_eq!(missed.0, "5 rows in, 0 with an outcome");
}

#[derive(Clone, Debug)]
enum Step {
    Record(Vec<(HashKind, u32)>),
    RecordSkipped,
    Claim {
        n: usize,
        size: usize,
        also_partial: bool,
    },
    /// The oldest claim in hand, each digest with the next of these fates.
    Settle(Vec<u8>),
    Defer,
    Reopen {
        accept_all: bool,
    },
    /// The process dies; the next one begins a run.
    Kill,
    NextSweep,
}

fn step() -> impl Strategy<Value = Step> {
    let digests = prop::collection::vec((prop::sample::select(HashKind::ALL.to_vec()), 0u32..40), 0..30);
    prop_oneof![
        4 => digests.prop_map(Step::Record),
        1 => Just(Step::RecordSkipped),
        4 => (0usize..4, 1usize..9, any::<bool>())
            .prop_map(|(n, size, also_partial)| Step::Claim { n, size, also_partial }),
        4 => prop::collection::vec(0u8..4, 1..9).prop_map(Step::Settle),
        1 => Just(Step::Defer),
        1 => any::<bool>().prop_map(|accept_all| Step::Reopen { accept_all }),
        1 => Just(Step::Kill),
        1 => Just(Step::NextSweep),
    ]
}

fn fate(n: u8, digest: hashsweep_model::Digest) -> Fate {
    match n {
        0 => Fate::Answered(Answer::absent(digest)),
        1 => Fate::Failed("timeout".into()),
        2 => Fate::Invalid("invalid".into()),
        _ => Fate::Deferred("quota".into()),
    }
}

fn take(mut world: World, step: Step, in_hand: &mut Vec<Claimed>) -> World {
    let sweep = world.sweep;
    match step {
        Step::Record(digests) => {
            let rows: Vec<_> = digests.into_iter().map(|(kind, n)| file("/x", digest(kind, n))).collect();
            world.record_fresh(&rows, &everything());
        }
        Step::RecordSkipped => {
            world.record(&[skipped(Skip::new(SkipKind::Vanished))]);
        }
        Step::Claim { n, size, also_partial } => {
            let claimed = world.claim(n, size, also_partial);
            let mut held: BTreeSet<_> =
                in_hand.iter().flat_map(|claimed| claimed.batch.digests().to_vec()).collect();
            for claimed in &claimed {
                assert!(claimed.batch.len() <= size);
                assert!(claimed.batch.len() == size || also_partial);
                assert!(claimed.batch.digests().iter().all(|digest| held.insert(*digest)), "claimed twice");
            }
            in_hand.extend(claimed);
        }
        Step::Settle(fates) => {
            if !in_hand.is_empty() {
                let claimed = in_hand.remove(0);
                let fates: Vec<_> = claimed
                    .batch
                    .digests()
                    .iter()
                    .zip(fates.iter().cycle())
                    .map(|(digest, n)| (*digest, fate(*n, *digest)))
                    .collect();
                world.settle(&claimed, &fates, Stamp(5));
            }
        }
        Step::Defer => {
            in_hand.clear();
            world
                .case
                .group(|group| group.defer_rest(sweep, "quota", &Freshness::NOTHING, Stamp(7)))
                .unwrap();
        }
        Step::Reopen { accept_all } => {
            let fresh = if accept_all { everything() } else { Freshness::NOTHING };
            in_hand.clear();
            world
                .case
                .group(|group| group.defer_rest(sweep, "quota", &Freshness::NOTHING, Stamp(7)))
                .unwrap();
            let waiting = world.case.group(|group| group.reopen(sweep, &fresh)).unwrap();
            assert_eq!(waiting, world.digests_of(Outcome::Deferred));
        }
        Step::Kill => {
            in_hand.clear();
            world = world.killed();
            world.run = world.case.group(|group| group.begin_run(sweep, Stamp(6))).unwrap();
        }
        Step::NextSweep => {
            in_hand.clear();
            world.next_sweep();
        }
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_to_a_sweep_its_books_balance(steps in prop::collection::vec(step(), 1..25)) {
        let mut world = World::new();
        let mut in_hand = Vec::new();
        for step in steps {
            world = take(world, step, &mut in_hand);
            for sweep in world.case.sweep_ids().unwrap() {
                let tally = world.case.tally(sweep).unwrap();
                prop_assert_eq!(tally.check(), Ok(()));
                prop_assert_eq!(tally.digests.values().sum::<u64>(), tally.distinct);
                let with_digest: u64 = tally.rows - tally.rows_of(Outcome::Skipped);
                prop_assert_eq!(tally.distinct + tally.duplicates, with_digest);
            }
        }
    }
}
