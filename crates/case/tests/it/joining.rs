//! Rows are stored at once; their digests join the queue many at a time while enough others wait.

use crate::{World, digest, everything, file, files, sha1};
use hashsweep_case::{Case, CaseError, Claim, Fate, Freshness, Only, Order};
use hashsweep_model::{Answer, Class, HashKind, Outcome, Stamp, Verdict};

/// As many as make new ones wait before they join.
const ENOUGH: u32 = 20_000;

fn finish(world: &mut World) -> u64 {
    let sweep = world.sweep;
    world.case.group(|group| group.finish_intake(sweep, 0, &Freshness::NOTHING, Stamp(9))).unwrap()
}

#[test]
fn every_digest_joins_once_however_many_wait() {
    let mut world = World::new();
    assert_eq!(world.record(&files(0..ENOUGH)), u64::from(ENOUGH), "nobody else waits");
    assert_eq!(world.record(&files(ENOUGH - 10..ENOUGH + 10)), 0, "enough wait");
    let tally = world.case.tally(world.sweep).unwrap();
    tally.check().unwrap();
    assert_eq!((tally.rows, tally.distinct), (u64::from(ENOUGH) + 20, u64::from(ENOUGH) + 10));
    assert_eq!(tally.digests_of(Outcome::Deferred), u64::from(ENOUGH) + 10, "on their way is waiting too");
    assert_eq!(finish(&mut world), 10);
    assert_eq!(finish(&mut world), 0);
    let mut claimed = 0;
    loop {
        let batches = world.claim(100, 100, true);
        if batches.is_empty() {
            break;
        }
        claimed += batches.iter().map(|claimed| claimed.batch.len()).sum::<usize>();
    }
    assert_eq!(claimed, ENOUGH as usize + 10);
}

#[test]
fn where_nobody_is_asked_digests_join_at_the_end() {
    let mut world = World::new();
    world
        .case
        .group(|group| {
            group.ask_nobody();
            Ok(())
        })
        .unwrap();
    assert_eq!(world.record(&files(0..ENOUGH + 1)), 0);
    let waiting = world.case.tally(world.sweep).unwrap();
    waiting.check().unwrap();
    assert_eq!(waiting.digests_of(Outcome::Deferred), u64::from(ENOUGH) + 1);
    assert_eq!(finish(&mut world), u64::from(ENOUGH) + 1);
    world.case.tally(world.sweep).unwrap().check().unwrap();
    let mut world = world.killed();
    world.next_sweep();
    assert_eq!(world.record(&files(0..3)), 3, "another process may ask somebody");
}

#[test]
fn those_on_their_way_join_when_the_others_have_left() {
    let mut world = World::new();
    world.record(&files(0..ENOUGH));
    world.record(&files(ENOUGH..ENOUGH + 5));
    world.claim(1, 10, false);
    assert_eq!(world.record(&files(ENOUGH + 5..ENOUGH + 6)), 6);
}

#[test]
fn a_kill_or_a_stop_loses_none_of_those_on_their_way() {
    let mut world = World::new();
    world.record(&files(0..ENOUGH));
    world.record(&files(ENOUGH..ENOUGH + 3));
    let mut world = world.killed();
    let read = Case::open_to_read(&world.path).unwrap();
    let mut last = Vec::new();
    read.rows(world.sweep, Only::All, Order::Arrival, |row| {
        if row.digests.sha1 == Some(sha1(ENOUGH + 1)) {
            last.push((row.outcome, row.reason));
        }
        Ok::<_, CaseError>(())
    })
    .unwrap();
    assert_eq!(last, [(Outcome::Deferred, Some("interrupted".to_owned()))]);
    let by_view: (String, String) = world
        .by_hand()
        .query_row("SELECT outcome, reason FROM result ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(by_view, ("deferred".to_owned(), "interrupted".to_owned()));

    let sweep = world.sweep;
    let waiting = world
        .case
        .group(|group| {
            group.begin_run(sweep, Stamp(20))?;
            group.reopen(sweep, &Freshness::NOTHING)
        })
        .unwrap();
    assert_eq!(waiting, u64::from(ENOUGH) + 3);
    world.record(&files(ENOUGH + 3..ENOUGH + 7));
    let deferred = world
        .case
        .group(|group| group.defer_rest(sweep, "interrupted", &Freshness::NOTHING, Stamp(7)))
        .unwrap();
    assert_eq!(deferred, u64::from(ENOUGH) + 7);
    world.case.tally(sweep).unwrap().check().unwrap();
}

#[test]
fn a_run_that_ends_early_tells_what_the_case_knew_of_rows_on_their_way() {
    let mut world = World::new();
    world.record(&files(0..1));
    world.answer_all(Verdict::Malicious, Stamp(100));
    world.next_sweep();
    world.record_fresh(&files(1..ENOUGH + 1), &everything());
    assert_eq!(world.record_fresh(&files(0..1), &everything()), 0, "on its way");
    let sweep = world.sweep;
    let deferred =
        world.case.group(|group| group.defer_rest(sweep, "interrupted", &everything(), Stamp(7))).unwrap();
    assert_eq!(deferred, u64::from(ENOUGH));
    let tally = world.case.tally(sweep).unwrap();
    tally.check().unwrap();
    assert_eq!((tally.digests_of(Outcome::Cached), tally.verdicts[&Verdict::Malicious]), (1, 1));
}

/// What a group took up or settled is undone with it.
#[test]
fn a_group_that_fails_leaves_the_queue_as_it_was() {
    let mut world = World::new();
    world.record(&files(0..30));
    let first = world.claim(1, 10, true).remove(0);
    let at = world.at();
    let all = Claim {
        n_batches: 9,
        batch_size: 10,
        also_partial: true,
        most_digests: u64::MAX,
        up_to: Class::Last,
    };
    let failed: Result<(), CaseError> = world.case.group(|group| {
        let fates: Vec<_> = first
            .batch
            .digests()
            .iter()
            .map(|digest| (*digest, Fate::Answered(Answer::bare(*digest, Verdict::Known))))
            .collect();
        group.settle(at, first.attempt, &fates, hashsweep_model::Source::Service, Stamp(5))?;
        assert_eq!(group.claim(at, all, &Freshness::NOTHING, Stamp(6))?.batches.len(), 2);
        Err(CaseError::NoSweep)
    });
    assert!(failed.is_err());
    let again = world.claim(9, 10, true);
    assert_eq!(again.iter().map(|claimed| claimed.batch.len()).collect::<Vec<_>>(), [10, 10]);
    assert_eq!(again[0].batch.digests()[0], sha1(10), "the first ten are still held");
}

#[test]
fn a_digest_of_two_kinds_of_row_joins_once_for_each_kind_it_is_asked_by() {
    let mut world = World::new();
    let rows = [file("/a", sha1(1)), file("/b", digest(HashKind::Md5, 1)), file("/c", sha1(1))];
    assert_eq!(world.record(&rows), 2);
}
