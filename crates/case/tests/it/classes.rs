//! Best first: which digests a claim takes when it does not take all.

use crate::pruning::{Found, answer, night};
use crate::{World, digest, everything, file, sha1};
use hashsweep_case::{Claim, Claimed, Fate, Freshness, Planned};
use hashsweep_model::{
    Answer, Class, Content, Digest, Digests, HashKind, Location, Place, Seen, Sighting, Stamp, Suspicion,
    Verdict,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// One suspicion of each class.
fn of_class(class: Class) -> Suspicion {
    let (content, location) = match class {
        Class::First => (Content::Script, Location::Startup),
        Class::Second => (Content::Executable, Location::Ordinary),
        Class::Third => (Content::Archive, Location::Ordinary),
        Class::Last => (Content::Media, Location::Writable),
    };
    Suspicion { content, location, is_recent: false }
}

fn seen(class: Class, digest: Digest) -> Sighting {
    let mut row = file("/x", digest);
    if let Seen::Read { suspicion, .. } = &mut row.seen {
        *suspicion = of_class(class);
    }
    row
}

const ALL: Claim =
    Claim { n_batches: 9, batch_size: 10, also_partial: true, most_digests: u64::MAX, up_to: Class::Last };

/// The numbers of the digests of each batch, with the first letter of their kind.
fn told(claimed: &[Claimed]) -> Vec<String> {
    claimed
        .iter()
        .map(|claimed| {
            let numbers: Vec<String> = claimed
                .batch
                .digests()
                .iter()
                .map(|digest| u32::from_be_bytes(digest.as_bytes()[..4].try_into().unwrap()).to_string())
                .collect();
            format!("{}:{}", claimed.batch.kind(), numbers.join(","))
        })
        .collect()
}

/// Digests of these kinds, numbers and classes wait; one claim.
#[track_caller]
fn check(waiting: &[(HashKind, std::ops::Range<u32>, Class)], claim: Claim, expected: &[&str]) {
    let mut world = World::new();
    for (kind, numbers, class) in waiting {
        let rows: Vec<_> = numbers.clone().map(|n| seen(*class, digest(*kind, n))).collect();
        world.record(&rows);
    }
    assert_eq!(told(&world.claim_as(claim)), expected);
}

use Class::{First, Last, Second, Third};
use HashKind::{Md5, Sha1, Sha256};

#[test]
fn the_best_class_leaves_first_and_within_a_class_the_lowest_digest() {
    let waiting = [(Sha1, 0..3, Last), (Sha1, 3..6, Second), (Sha1, 6..8, First), (Sha1, 8..9, Third)];
    let by_two = Claim { batch_size: 2, ..ALL };
    check(&waiting, by_two, &["sha1:6,7", "sha1:3,4", "sha1:5,8", "sha1:0,1", "sha1:2"]);
    check(&waiting, Claim { n_batches: 2, ..by_two }, &["sha1:6,7", "sha1:3,4"]);
    check(&waiting, Claim { also_partial: false, batch_size: 9, ..ALL }, &["sha1:0,1,2,3,4,5,6,7,8"]);
}

#[test]
fn a_better_class_of_one_kind_leaves_before_a_worse_class_of_another() {
    let waiting = [(Md5, 0..4, Last), (Sha1, 0..4, Third), (Sha256, 0..2, First), (Sha256, 2..4, Third)];
    let by_two = Claim { batch_size: 2, ..ALL };
    let order = ["sha256:0,1", "sha1:0,1", "sha1:2,3", "sha256:2,3", "md5:0,1", "md5:2,3"];
    check(&waiting, by_two, &order);
    check(&waiting, Claim { n_batches: 1, ..by_two }, &order[..1]);
    // One that is all of the first class before one that is filled up with the last.
    let waiting = [(Md5, 0..1, First), (Md5, 1..9, Last), (Sha1, 0..3, First)];
    check(&waiting, Claim { batch_size: 3, n_batches: 2, ..ALL }, &["sha1:0,1,2", "md5:0,1,2"]);
}

#[test]
fn worse_classes_stay_when_only_better_ones_may_leave() {
    let waiting = [(Sha1, 0..3, Last), (Sha1, 3..6, Second), (Sha1, 6..8, First)];
    check(&waiting, Claim { up_to: First, ..ALL }, &["sha1:6,7"]);
    check(&waiting, Claim { up_to: Second, ..ALL }, &["sha1:3,4,5,6,7"]);
    check(&waiting, Claim { up_to: First, also_partial: false, ..ALL }, &[]);
    check(&waiting, Claim { up_to: Second, also_partial: false, batch_size: 4, ..ALL }, &["sha1:3,4,6,7"]);
}

#[test]
fn a_budget_is_spent_to_the_last_digest_and_on_the_best() {
    let waiting = [(Sha1, 0..30, Last), (Sha1, 30..33, First)];
    let claim = |most_digests, also_partial| Claim { most_digests, also_partial, ..ALL };
    // More waits than may be asked: nothing is gained by waiting for a fuller batch.
    check(&waiting, claim(4, false), &["sha1:0,30,31,32"]);
    check(&waiting, claim(2, false), &["sha1:30,31"]);
    check(&waiting, claim(12, false), &["sha1:0,1,2,3,4,5,6,30,31,32", "sha1:7,8"]);
    check(&waiting, claim(0, true), &[]);
    // The budget would take more than there is: a batch may still become full.
    check(
        &waiting,
        claim(34, false),
        &[
            "sha1:0,1,2,3,4,5,6,30,31,32",
            "sha1:7,8,9,10,11,12,13,14,15,16",
            "sha1:17,18,19,20,21,22,23,24,25,26",
        ],
    );
    // Fewer batches than the budget would pay for.
    check(&waiting, Claim { n_batches: 1, ..claim(12, false) }, &["sha1:0,1,2,3,4,5,6,30,31,32"]);
}

#[test]
fn a_budget_goes_to_the_best_of_all_kinds() {
    let waiting = [(Md5, 0..1, First), (Md5, 1..9, Last), (Sha1, 0..9, Second), (Sha256, 0..2, First)];
    let claim = Claim { most_digests: 5, also_partial: false, ..ALL };
    check(&waiting, claim, &["md5:0", "sha256:0,1", "sha1:0,1"]);
}

#[test]
fn what_an_earlier_run_put_off_comes_first_within_its_class() {
    let mut world = World::new();
    world.record(&[seen(Third, sha1(8)), seen(Third, sha1(9)), seen(Last, sha1(7))]);
    let failed = world.claim(1, 1, true).remove(0);
    world.settle(&failed, &[(sha1(8), Fate::Failed("504".into()))], Stamp(3));
    let sweep = world.sweep;
    world.case.group(|group| group.defer_rest(sweep, "quota", &Freshness::NOTHING, Stamp(7))).unwrap();
    world.case.group(|group| group.reopen(sweep, &Freshness::NOTHING)).unwrap();
    world.record(&[seen(Third, sha1(0)), seen(First, sha1(1)), seen(Last, sha1(2))]);
    let one_by_one = Claim { batch_size: 1, ..ALL };
    let order = ["sha1:1", "sha1:9", "sha1:0", "sha1:8", "sha1:7", "sha1:2"];
    assert_eq!(told(&world.claim_as(one_by_one)), order);
}

#[test]
fn rows_of_a_list_are_all_of_one_class() {
    let mut world = World::new();
    let listed = |n: u32| {
        let seen = Seen::Listed { digests: Digests::default().with(sha1(n)), asked: Sha1 };
        Sighting { root: 0, place: Place::Line(u64::from(n)), seen }
    };
    world.record(&[listed(2), listed(1)]);
    assert_eq!(told(&world.claim_as(Claim { up_to: First, ..ALL })), ["sha1:1,2"]);
}

#[test]
fn a_plan_says_what_is_asked_when_and_why() {
    let mut world = World::new();
    world.record(&[seen(Last, sha1(1)), seen(Last, sha1(2))]);
    world.answer_all(Verdict::Known, Stamp(5));
    world.next_sweep();
    let mut rows = vec![seen(Last, sha1(1)), seen(Last, Sha1.empty_input()), seen(Third, digest(Md5, 4))];
    rows.extend((5..9).map(|n| seen(First, sha1(n))));
    rows.extend([seen(Second, sha1(9)), seen(First, sha1(9)), seen(Last, sha1(10))]);
    world.record_fresh(&rows, &everything());
    let line = |class, kind, why: &str, (to_ask, cached, local)| Planned {
        class,
        kind,
        suspicion: Some(why.to_owned()),
        to_ask,
        cached,
        local,
    };
    let plan = [
        line(First, Sha1, "script, startup place", (5, 0, 0)),
        line(Third, Md5, "archive", (1, 0, 0)),
        line(Last, Sha1, "media, writable place", (1, 1, 1)),
    ];
    let sweep = world.sweep;
    assert_eq!(world.case.plan(sweep).unwrap(), plan);
    world.case.group(|group| group.defer_rest(sweep, "offline", &Freshness::NOTHING, Stamp(7))).unwrap();
    assert_eq!(world.case.plan(sweep).unwrap(), plan, "what was put off is still to ask");
    world.case.group(|group| group.reopen(sweep, &Freshness::NOTHING)).unwrap();
    for claimed in world.claim(9, 10, true) {
        let fates: Vec<_> =
            claimed.batch.digests().iter().map(|d| (*d, Fate::Answered(Answer::absent(*d)))).collect();
        world.settle(&claimed, &fates, Stamp(9));
    }
    assert_eq!(world.case.plan(sweep).unwrap(), [line(Last, Sha1, "media, writable place", (0, 1, 1))]);
}

/// Every digest that waits or is being asked, with the class that it stands in.
fn waiting_or_claimed(world: &World) -> Vec<(Vec<u8>, i64)> {
    let by_hand = world.by_hand();
    let mut rows = by_hand
        .prepare(
            "SELECT digests, class, NULL FROM queue JOIN block ON block.id = queue.block
             UNION ALL SELECT digests, NULL, ranks FROM claim",
        )
        .unwrap();
    let mut rows = rows.query([]).unwrap();
    let mut found = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let (digests, class): (Vec<u8>, Option<i64>) = (row.get(0).unwrap(), row.get(1).unwrap());
        let ranks: Option<Vec<u8>> = row.get(2).unwrap();
        for (n, digest) in digests.chunks(20).enumerate() {
            let class = class.unwrap_or_else(|| i64::from(ranks.as_ref().unwrap()[n]) / 2);
            found.push((digest.to_vec(), class));
        }
    }
    found.sort_unstable();
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_class_never_falls_and_its_reason_is_that_of_the_best_sighting(
        groups in prop::collection::vec(
            prop::collection::vec((0u32..12, prop::sample::select(Class::ALL.to_vec())), 0..12),
            1..8,
        ),
        settle_after in 0usize..8,
    ) {
        let mut world = World::new();
        let mut best: BTreeMap<u32, Class> = BTreeMap::new();
        for (nth, group) in groups.into_iter().enumerate() {
            let rows: Vec<_> = group.iter().map(|(n, class)| seen(*class, sha1(*n))).collect();
            world.record(&rows);
            for (n, class) in group {
                let entry = best.entry(n).or_insert(class);
                *entry = class.min(*entry);
            }
            if nth == settle_after {
                world.claim(1, 3, true);
            }
            let stored = waiting_or_claimed(&world);
            let expected: Vec<(Vec<u8>, i64)> =
                best.iter().map(|(n, class)| (sha1(*n).as_bytes().to_vec(), *class as i64 + 1)).collect();
            prop_assert_eq!(stored, expected);
            let mut planned: BTreeMap<String, u64> = BTreeMap::new();
            for class in best.values() {
                *planned.entry(of_class(*class).to_string()).or_default() += 1;
            }
            let plan = world.case.plan(world.sweep).unwrap();
            let plan = plan.into_iter().map(|line| (line.suspicion.unwrap(), line.to_ask)).collect();
            prop_assert_eq!(planned, plan);
        }
    }

    #[test]
    fn every_claim_takes_the_best_that_wait_and_never_more_than_the_budget(
        waiting in prop::collection::btree_map(
            (prop::sample::select(HashKind::ALL.to_vec()), 0u32..40),
            prop::sample::select(Class::ALL.to_vec()),
            0..60,
        ),
        (n_batches, batch_size, also_partial) in (0usize..6, 1usize..9, any::<bool>()),
        most_digests in prop_oneof![Just(u64::MAX), 0u64..50],
        up_to in prop::sample::select(Class::ALL.to_vec()),
    ) {
        let mut world = World::new();
        let rows: Vec<_> = waiting.iter().map(|((kind, n), class)| seen(*class, digest(*kind, *n))).collect();
        world.record(&rows);
        let claimed =
            world.claim_as(Claim { n_batches, batch_size, also_partial, most_digests, up_to });
        prop_assert!(claimed.len() <= n_batches);
        let class_of: BTreeMap<Digest, Class> =
            waiting.iter().map(|((kind, n), class)| (digest(*kind, *n), *class)).collect();
        let taken: Vec<Digest> = claimed.iter().flat_map(|c| c.batch.digests().to_vec()).collect();
        prop_assert!(taken.len() as u64 <= most_digests);
        prop_assert!(taken.iter().all(|digest| class_of[digest] <= up_to));
        // Within a kind nothing stays that is better than something taken.
        for kind in HashKind::ALL {
            let worst = taken.iter().filter(|d| d.kind() == kind).map(|d| (class_of[d], *d)).max();
            let best_left = class_of
                .iter()
                .filter(|(d, _)| d.kind() == kind && !taken.contains(d))
                .map(|(d, class)| (*class, *d))
                .min();
            if let (Some(worst), Some(left)) = (worst, best_left) {
                prop_assert!(worst < left);
            }
        }
        // Everything that may leave leaves, as far as batches and budget reach.
        let may_leave = class_of.values().filter(|class| **class <= up_to).count();
        if also_partial && n_batches * batch_size >= 60 + 3 * batch_size {
            prop_assert_eq!(taken.len() as u64, most_digests.min(may_leave as u64));
        }
        let n_full = claimed.iter().filter(|c| c.batch.len() == batch_size).count();
        let room = (n_batches * batch_size) as u64;
        let is_budget_spent = most_digests < room && may_leave as u64 >= most_digests;
        if !also_partial && !is_budget_spent {
            prop_assert_eq!(n_full, claimed.len());
        }
    }
}

/// What a scan took over with an answer that counts has no fate of its own, and is not asked.
#[test]
fn the_page_shows_what_is_still_to_be_asked() {
    let page = include_str!("../../../../docs/order-of-asking.md");
    let query = page.split("```sql\n").nth(1).and_then(|rest| rest.split_once(';')).unwrap().0;
    let mut world = World::new();
    world.end();
    let mut asked = |found: &[Found], is_answered: bool| -> Vec<(i64, i64)> {
        world.begin_night();
        world.walk_on(&night(found), is_answered);
        if is_answered {
            answer(&mut world, 9, 1);
        }
        let case = world.by_hand();
        let mut lines = case.prepare(query).unwrap();
        let lines = lines.query_map([], |row| Ok((row.get(0)?, row.get(2)?))).unwrap();
        let lines = lines.map(Result::unwrap).collect();
        world.end();
        lines
    };
    let found = [Found::File(1), Found::File(2), Found::File(3)];
    assert_eq!(asked(&found, true), []);
    assert_eq!(asked(&found, false), []);
    let more = [Found::File(1), Found::File(2), Found::File(3), Found::File(4)];
    let waiting = asked(&more, false);
    assert_eq!(waiting.iter().map(|(_, n)| n).sum::<i64>(), 1, "{waiting:?}");
}
