//! What was said about a digest, and when it still counts.

use crate::{World, everything, files, sha1};
use hashsweep_case::{CaseError, Fate, Freshness, Only, Order};
use hashsweep_model::{Answer, Digests, HashKind, Outcome, Row, Source, Stamp, Verdict};

fn fresh(verdict: Verdict, since: i64) -> Freshness {
    let mut fresh = Freshness::NOTHING;
    fresh.accept(verdict, Stamp(since)..=Stamp(i64::MAX));
    fresh
}

fn rows(world: &World) -> Vec<Row> {
    let mut rows = Vec::new();
    let each = |row| {
        rows.push(row);
        Ok::<_, CaseError>(())
    };
    world.case.rows(world.sweep, Only::All, Order::Arrival, each).unwrap();
    rows
}

#[test]
fn an_answer_comes_back_as_it_went_in() {
    let mut world = World::new();
    world.record(&files(1..2));
    let claimed = world.claim(1, 100, true).remove(0);
    let full = Answer {
        digest: sha1(1),
        verdict: Verdict::Malicious,
        reason: Some("antivirus".into()),
        threat_name: Some("Win32.Trojan.Ünïcode'\"\n".into()),
        threat_level: Some(5),
        trust_factor: Some(0),
        scanner_match: Some(44),
        scanner_count: Some(47),
        first_seen: Some("2010-08-10T12:00:00".into()),
        last_seen: None,
        sample: Digests::default().with(HashKind::Md5.empty_input()).with(sha1(1)),
    };
    world.settle(&claimed, &[(sha1(1), Fate::Answered(full.clone()))], Stamp(77));
    let row = rows(&world).remove(0);
    let settled = row.answer.unwrap();
    assert_eq!((settled.answered_at, settled.source), (Stamp(77), Source::Service));
    // What a sample's other digests are for, a report does not need.
    assert_eq!(settled.answer, Answer { sample: Digests::default(), ..full });
    assert_eq!((row.outcome, row.reason.as_deref()), (Outcome::Answered, Some("antivirus")));
    let md5: Vec<u8> = world.by_hand().query_row("SELECT md5 FROM answer", [], |row| row.get(0)).unwrap();
    assert_eq!(md5, HashKind::Md5.empty_input().as_bytes());
}

#[test]
fn answers_are_only_added_and_a_sweep_keeps_its_own() {
    let mut world = World::new();
    world.record(&files(0..3));
    world.answer_all(Verdict::Known, Stamp(100));
    let first = world.sweep;
    let before = rows(&world);
    world.next_sweep();
    world.record(&files(0..3));
    world.answer_all(Verdict::Malicious, Stamp(200));
    assert!(rows(&world).iter().all(|row| row.verdict() == Some(Verdict::Malicious)));
    world.sweep = first;
    assert_eq!(rows(&world), before);
    let n: i64 = world.by_hand().query_row("SELECT count(*) FROM answer", [], |row| row.get(0)).unwrap();
    assert_eq!(n, 6);
}

/// An answer with `verdict` given at 100, and a freshness: whether it still counts.
#[track_caller]
fn check(verdict: Verdict, fresh: Freshness, counts: bool) {
    let mut world = World::new();
    world.record(&files(0..1));
    world.answer_all(verdict, Stamp(100));
    world.next_sweep();
    let joined = world.record_fresh(&files(0..1), &fresh);
    assert_eq!(joined, u64::from(!counts));
    assert_eq!(world.digests_of(Outcome::Cached), u64::from(counts));
    let row = rows(&world).remove(0);
    assert_eq!(row.verdict(), counts.then_some(verdict));
    world.case.tally(world.sweep).unwrap().check().unwrap();
}

#[test]
fn an_earlier_answer_counts_as_long_as_its_verdict_keeps() {
    for verdict in Verdict::WORST_FIRST {
        check(verdict, Freshness::NOTHING, false);
        check(verdict, fresh(verdict, 100), true);
        check(verdict, fresh(verdict, 101), false);
        for other in Verdict::WORST_FIRST.into_iter().filter(|other| *other != verdict) {
            check(verdict, fresh(other, 0), false);
        }
    }
}

#[test]
fn an_answer_from_the_future_is_as_if_it_had_not_been_given() {
    let until = |until| {
        let mut fresh = Freshness::NOTHING;
        fresh.accept(Verdict::Known, Stamp(50)..=Stamp(until));
        fresh
    };
    check(Verdict::Known, until(100), true);
    check(Verdict::Known, until(99), false);
    // It does not hide the one before it either.
    let mut world = World::new();
    for at in [60, 100] {
        world.next_sweep();
        world.record(&files(0..1));
        world.answer_all(Verdict::Known, Stamp(at));
    }
    world.next_sweep();
    assert_eq!(world.record_fresh(&files(0..1), &until(99)), 0);
    assert_eq!(rows(&world)[0].answer.as_ref().unwrap().answered_at, Stamp(60));
}

#[test]
fn the_newest_answer_decides_even_where_an_older_one_would_keep() {
    let mut world = World::new();
    for (verdict, at) in [(Verdict::Known, 100), (Verdict::Malicious, 200)] {
        world.next_sweep();
        world.record(&files(0..1));
        world.answer_all(verdict, Stamp(at));
    }
    world.next_sweep();
    assert_eq!(world.record_fresh(&files(0..1), &fresh(Verdict::Known, 0)), 1);
}

#[test]
fn a_failure_is_never_an_earlier_answer() {
    let mut world = World::new();
    world.record(&files(0..1));
    let claimed = world.claim(1, 1, true).remove(0);
    world.settle(&claimed, &[(sha1(0), Fate::Failed("timeout".into()))], Stamp(5));
    world.next_sweep();
    assert_eq!(world.record_fresh(&files(0..1), &everything()), 1);
}

#[test]
fn a_reopened_sweep_takes_what_another_has_learned_since() {
    let mut world = World::new();
    world.record(&files(0..3));
    let first = world.sweep;
    world.case.group(|group| group.defer_rest(first, "offline", &Freshness::NOTHING)).unwrap();
    world.next_sweep();
    world.record(&files(1..2));
    world.answer_all(Verdict::Known, Stamp(100));
    world.sweep = first;
    let waiting = world.case.group(|group| group.reopen(first, &fresh(Verdict::Known, 100))).unwrap();
    assert_eq!((waiting, world.digests_of(Outcome::Cached)), (2, 1));
    let row = rows(&world).remove(1);
    assert_eq!((row.outcome, row.reason, row.answer.is_some()), (Outcome::Cached, None, true));
    world.case.tally(first).unwrap().check().unwrap();
}

#[test]
fn that_unknowns_are_said_aloud_is_remembered() {
    let mut world = World::new();
    assert!(!world.case.unknowns_are_reported().unwrap());
    world
        .case
        .group(|group| {
            group.remember_unknowns_are_reported()?;
            group.remember_unknowns_are_reported()
        })
        .unwrap();
    assert!(world.killed().case.unknowns_are_reported().unwrap());
}
