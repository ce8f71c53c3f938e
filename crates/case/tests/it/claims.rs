//! The queue: what is taken out of it, in which order, and what comes back.

use crate::{World, digest, file, files, sha1};
use hashsweep_case::{Claimed, Fate, Freshness, Scope};
use hashsweep_model::{Digest, HashKind, Outcome, Quota, Stamp};
use std::collections::BTreeSet;

fn digests(claimed: &[Claimed]) -> Vec<Digest> {
    claimed.iter().flat_map(|claimed| claimed.batch.digests().to_vec()).collect()
}

/// `waiting` SHA-1 digests, one claim: the sizes of its batches.
#[track_caller]
fn check(waiting: u32, (n, size, also_partial): (usize, usize, bool), expected: &[usize]) {
    let mut world = World::new();
    world.record(&files(0..waiting));
    let claimed = world.claim(n, size, also_partial);
    let sizes: Vec<usize> = claimed.iter().map(|claimed| claimed.batch.len()).collect();
    assert_eq!(sizes, expected);
    let taken = digests(&claimed);
    let first: Vec<Digest> = (0..waiting).map(sha1).take(taken.len()).collect();
    assert_eq!(taken, first, "not in key order");
}

#[test]
fn a_claim_takes_full_batches_and_parts_only_when_told_to() {
    check(0, (5, 100, true), &[]);
    check(99, (5, 100, false), &[]);
    check(99, (5, 100, true), &[99]);
    check(250, (5, 100, false), &[100, 100]);
    check(250, (5, 100, true), &[100, 100, 50]);
    check(250, (1, 100, true), &[100]);
    check(250, (0, 100, true), &[]);
    check(3, (5, 1, false), &[1, 1, 1]);
    check(250, (2, 1000, true), &[100, 100]);
    check(2, (1, 0, true), &[1]);
}

#[test]
fn kinds_never_share_a_batch_and_nothing_is_claimed_twice() {
    let mut world = World::new();
    let kinds = HashKind::ALL;
    let rows: Vec<_> =
        (0..120u32).map(|n| file(&format!("/{n}"), digest(kinds[n as usize % 3], n / 2))).collect();
    let offered: BTreeSet<Digest> = (0..120u32).map(|n| digest(kinds[n as usize % 3], n / 2)).collect();
    assert_eq!(world.record(&rows), offered.len() as u64);
    let mut taken = Vec::new();
    loop {
        let claimed = world.claim(2, 7, true);
        assert!(claimed.len() <= 2);
        if claimed.is_empty() {
            break;
        }
        for claimed in &claimed {
            assert!(claimed.batch.digests().iter().all(|digest| digest.kind() == claimed.batch.kind()));
        }
        taken.extend(digests(&claimed));
    }
    assert_eq!(taken, offered.into_iter().collect::<Vec<_>>());
}

#[test]
fn a_part_of_one_kind_does_not_hide_the_full_batches_of_the_next() {
    let mut world = World::new();
    let rows: Vec<_> = (0..5)
        .map(|n| file("/m", digest(HashKind::Md5, n)))
        .chain((0..10).map(|n| file("/s", digest(HashKind::Sha256, n))))
        .collect();
    world.record(&rows);
    let claimed = world.claim(1, 10, false);
    assert_eq!((claimed.len(), claimed[0].batch.kind()), (1, HashKind::Sha256));
}

#[test]
fn a_sweep_claims_only_its_own() {
    let mut world = World::new();
    world.record(&files(0..10));
    world.next_sweep();
    world.record(&files(5..7));
    assert_eq!(digests(&world.claim(5, 100, true)), [sha1(5), sha1(6)]);
}

#[test]
fn what_a_killed_run_had_sent_is_in_doubt_and_waits_again() {
    let mut world = World::new();
    world.record(&files(0..25));
    let claimed = world.claim(3, 10, true);
    world.case.group(|group| group.mark_sent(claimed[0].attempt, Stamp(20))).unwrap();
    world.settle(&claimed[2], &[], Stamp(21));
    let mut world = world.killed();
    let sweep = world.sweep;
    world.run = world.case.group(|group| group.begin_run(sweep, Stamp(30))).unwrap();
    let quota = world.case.quota(Scope::Sweep(sweep)).unwrap();
    assert_eq!(quota, Quota { charged_max: 5, charged_min: 0, in_doubt: 10 });
    assert_eq!(world.case.requests(Scope::Case).unwrap(), 2, "what was only reserved never left");
    assert_eq!(world.claim(3, 10, true).len(), 3);
}

#[test]
fn what_is_deferred_waits_again_only_when_the_sweep_is_reopened() {
    let mut world = World::new();
    world.record(&files(0..4));
    let claimed = world.claim(1, 2, true).remove(0);
    let fates = [(sha1(0), Fate::Failed("504".into())), (sha1(1), Fate::Invalid("by its word".into()))];
    world.settle(&claimed, &fates, Stamp(5));
    let sweep = world.sweep;
    assert_eq!(world.case.group(|group| group.defer_rest(sweep, "quota", &Freshness::NOTHING)).unwrap(), 2);
    let tally = world.case.tally(sweep).unwrap();
    assert_eq!(tally.reasons[&(Outcome::Deferred, "quota".to_owned())], 2);
    assert_eq!(tally.reasons[&(Outcome::Failed, "504".to_owned())], 1);
    assert!(world.claim(5, 100, true).is_empty());
    assert_eq!(world.case.group(|group| group.reopen(sweep, &Freshness::NOTHING)).unwrap(), 3);
    assert_eq!(digests(&world.claim(5, 100, true)), [sha1(0), sha1(2), sha1(3)]);
    assert_eq!(world.digests_of(Outcome::Invalid), 1);
}

/// A claim over a long queue must not walk over all of it.
#[test]
fn a_claim_finds_the_front_of_the_queue_by_its_index() {
    let world = World::new();
    let statement = "SELECT id, digests FROM queue JOIN block ON block.id = queue.block
        WHERE sweep = 1 AND kind = 2 AND class <= 3 ORDER BY class, turn, first";
    let by_hand = world.by_hand();
    let mut plan = by_hand.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
    let plan: Vec<String> = plan.query_map([], |row| row.get(3)).unwrap().collect::<Result<_, _>>().unwrap();
    let plan = plan.join("; ");
    assert!(!plan.contains("TEMP B-TREE"), "sorted: {plan}");
    assert!(plan.contains("INDEX queue_order"), "{plan}");
}

#[test]
fn what_is_left_of_a_block_that_was_begun_is_claimed_next_and_nothing_twice() {
    let mut world = World::new();
    // Blocks of two joinings, one inside the other.
    world.record(&files(0..2000));
    world.record(&files(700..3000));
    let mut taken = Vec::new();
    loop {
        let claimed = world.claim(7, 100, true);
        if claimed.is_empty() {
            break;
        }
        taken.extend(digests(&claimed));
        assert_eq!(world.digests_of(Outcome::Deferred), 3000, "what is claimed is not settled");
    }
    taken.sort_unstable();
    assert_eq!(taken, (0..3000).map(sha1).collect::<Vec<_>>());
}

#[test]
fn a_batch_that_is_settled_in_parts_leaves_the_rest_of_it_claimed() {
    let mut world = World::new();
    world.record(&files(0..10));
    let claimed = world.claim(1, 10, true).remove(0);
    let half: Vec<_> = (0..5).map(|n| (sha1(n), Fate::Failed("504".into()))).collect();
    world.settle(&claimed, &half, Stamp(5));
    assert!(world.claim(1, 10, true).is_empty());
    world.case.tally(world.sweep).unwrap().check().unwrap();
    let mut world = world.killed();
    let sweep = world.sweep;
    world.run = world.case.group(|group| group.begin_run(sweep, Stamp(30))).unwrap();
    assert_eq!(digests(&world.claim(1, 10, true)), (5..10).map(sha1).collect::<Vec<_>>());
}
