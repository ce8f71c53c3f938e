//! Cases of several machines in one: everything is there, once, and says what it said.

use crate::pruning::{Found, answer, assert_sound, night, sweeps};
use crate::{World, everything, files};
use hashsweep_case::{Case, CaseError, Freshness, Maker, Merged, Reading, Retention, Scope, SweepId};
use hashsweep_model::{Outcome, Stamp, Verdict};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// A world on a machine of its own, at work on nothing.
fn machine(host: &str) -> World {
    let mut world = World::new();
    world.case.made_by(Maker { host: Some(host.to_owned()), ..Maker::default() });
    world.end();
    world
}

/// What every sweep that is whole says, by its name.
fn by_name(case: &Case) -> BTreeMap<String, (String, Vec<String>)> {
    let mut said = sweeps(case);
    let whole = case.info().unwrap().sweeps;
    whole.into_iter().filter_map(|brief| Some((brief.uid, said.remove(&brief.id.0)?))).collect()
}

/// Every row of every table, but for the moments of merges.
fn dump(path: &Path) -> Vec<String> {
    let by_hand = rusqlite::Connection::open(path).unwrap();
    let tables = [
        "meta",
        "sweep",
        "root",
        "run",
        "reading",
        "sighting",
        "stretch",
        "device",
        "answer",
        "same_file",
        "attempt",
        "want",
        "claim",
        "(SELECT id, uid FROM origin)",
        "(SELECT sweep, kind, class, turn, first, n, digests FROM queue JOIN block ON id = block)",
    ];
    let mut all = Vec::new();
    for table in tables {
        let mut rows = by_hand.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let n = rows.column_count();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<_> = (0..n).map(|i| format!("{:?}", row.get_ref(i).unwrap())).collect();
            all.push(format!("{table}: {}", values.join(" ")));
        }
    }
    all.sort();
    all
}

impl World {
    fn merge(&mut self, source: &World) -> Result<Merged, CaseError> {
        self.case.merge(&source.path, Stamp(500))
    }

    /// A night that is asked about and ends.
    fn whole_night(&mut self, found: &[Found], bad: u32, n: i64) {
        self.begin_night();
        self.walk_on(&night(found), true);
        let reading = Reading { at: Stamp(n), n_files: 7, n_bytes: 700 };
        self.case.group(|group| group.note_reading(self.run, reading)).unwrap();
        answer(self, bad, n);
        self.end();
    }
}

#[test]
fn two_machines_become_one_case_and_coming_again_adds_nothing() {
    let (mut a, mut b, mut all) = (machine("alpha"), machine("beta"), machine("desk"));
    let seen = [Found::File(1), Found::File(2), Found::Unreadable];
    for n in 0..3 {
        a.whole_night(&seen, 1, n);
        b.whole_night(&[Found::File(2), Found::File(3)], 1, n);
    }
    let own = by_name(&all.case);
    let mut expected = own.clone();
    expected.extend(by_name(&a.case));
    expected.extend(by_name(&b.case));
    let source = dump(&a.path);
    let merged = all.merge(&a).unwrap();
    // Each night asks about everything anew, and only the first writes rows.
    assert_eq!((merged.sweeps, merged.rows, merged.answers, merged.attempts), (4, 3, 6, 3));
    all.merge(&b).unwrap();
    assert_eq!(by_name(&all.case), expected);
    assert_sound(&all.case);
    let cost = |world: &World| world.case.quota(Scope::Case).unwrap();
    assert_eq!(cost(&all), cost(&a) + cost(&b));
    let before = dump(&all.path);
    assert_eq!(all.merge(&a).unwrap(), Merged::default());
    assert_eq!(all.merge(&b).unwrap(), Merged::default());
    assert_eq!(dump(&all.path), before);
    assert_eq!(dump(&a.path), source, "a source is only read");
    let readings = before.iter().filter(|line| line.starts_with("reading: "));
    assert_eq!(readings.count(), 6, "how each night's hashing went comes along");
    let hosts: Vec<_> = all.case.info().unwrap().sweeps.into_iter().filter_map(|sweep| sweep.host).collect();
    assert_eq!(hosts.iter().filter(|host| *host == "alpha").count(), 3);
}

#[test]
fn what_is_new_in_a_source_comes_when_it_comes_again_by_whichever_way() {
    let (mut a, mut between, mut all) = (machine("alpha"), machine("between"), machine("desk"));
    a.whole_night(&[Found::File(1), Found::File(2)], 9, 0);
    all.merge(&a).unwrap();
    a.whole_night(&[Found::File(1), Found::Nothing, Found::File(3)], 9, 1);
    between.merge(&a).unwrap();
    let merged = all.merge(&between).unwrap();
    assert_eq!((merged.rows, merged.answers), (1, 2));
    assert_eq!(all.merge(&a).unwrap(), Merged::default());
    let said = by_name(&all.case);
    assert!(by_name(&a.case).iter().all(|(uid, sweep)| said.get(uid) == Some(sweep)));
    assert_sound(&all.case);
}

/// Else a row that ended between two merges, and was pruned over there, would stand here for ever.
#[test]
fn what_was_pruned_over_there_has_ended_here_too() {
    let (mut a, mut all) = (machine("alpha"), machine("desk"));
    a.whole_night(&[Found::File(1), Found::File(2), Found::File(3)], 9, 0);
    all.merge(&a).unwrap();
    let first = by_name(&all.case);
    a.whole_night(&[Found::File(1), Found::Nothing, Found::File(3)], 9, 1);
    a.whole_night(&[Found::File(1), Found::Nothing, Found::File(4)], 9, 2);
    a.whole_night(&[Found::File(1)], 9, 3);
    let going = a.case.outlived(Retention::Latest(1)).unwrap();
    a.prune(&going);
    all.merge(&a).unwrap();
    let said = by_name(&all.case);
    assert!(first.iter().all(|(uid, sweep)| said.get(uid) == Some(sweep)), "the first night is whole here");
    assert!(by_name(&a.case).iter().all(|(uid, sweep)| said.get(uid) == Some(sweep)));
    assert_sound(&all.case);
    assert_eq!(all.merge(&a).unwrap(), Merged::default());
}

#[test]
fn rows_of_another_machine_never_stand_for_this_ones_files() {
    let (mut a, mut all) = (machine("alpha"), machine("desk"));
    let seen = [Found::File(1), Found::File(2)];
    a.whole_night(&seen, 9, 0);
    // The same host name, roots, inodes and times: a cloned machine.
    all.case.made_by(Maker { host: Some("alpha".to_owned()), ..Maker::default() });
    all.merge(&a).unwrap();
    all.begin_night();
    let standing = all.case.standing(all.sweep).unwrap();
    for row in night(&seen) {
        assert_eq!(standing.stand(&row), hashsweep_case::Stand::New);
    }
    all.walk_on(&night(&seen), true);
    let own: i64 = all
        .by_hand()
        .query_row("SELECT count(*) FROM sighting WHERE sweep = ?1", [all.sweep.0], |row| row.get(0))
        .unwrap();
    assert_eq!(own, 2);
}

/// The answers themselves serve everybody.
#[test]
fn what_one_machine_was_told_another_need_not_ask() {
    let (mut a, mut all) = (machine("alpha"), machine("desk"));
    a.next_sweep();
    a.record(&files(0..10));
    a.answer_all(Verdict::Known, Stamp(5));
    a.end();
    all.merge(&a).unwrap();
    all.next_sweep();
    assert_eq!(all.record_fresh(&files(0..12), &everything()), 2);
    assert_eq!(all.digests_of(Outcome::Cached), 10);
}

#[test]
fn what_a_sweep_owes_comes_with_it_and_can_be_asked_here() {
    let (mut a, mut all) = (machine("alpha"), machine("desk"));
    a.next_sweep();
    a.record(&files(0..1200));
    let sweep = a.sweep;
    a.case.group(|group| group.finish_intake(sweep, 0, &Freshness::NOTHING, Stamp(3))).unwrap();
    assert_eq!(a.claim(2, 100, false).len(), 2);
    let refused = all.merge(&a).unwrap_err();
    assert!(matches!(refused, CaseError::InUse(_)), "somebody is at work there: {refused}");
    let mut a = a.killed();
    all.merge(&a).unwrap();
    assert_sound(&all.case);
    let brought = all.case.sweep_ids().unwrap()[2];
    let sweep = all.case.sweep(Some(brought)).unwrap();
    assert!(sweep.is_brought && sweep.host.as_deref() == Some("alpha"));
    assert_eq!(all.case.tally(brought).unwrap().digests_of(Outcome::Deferred), 1200);
    (all.sweep, all.run) =
        all.case.group(|group| Ok((brought, group.begin_run(brought, Stamp(600))?))).unwrap();
    assert_eq!(all.case.group(|group| group.reopen(brought, &Freshness::NOTHING)).unwrap(), 1200);
    all.answer_all(Verdict::Known, Stamp(601));
    all.end();
    assert_eq!(all.case.tally(brought).unwrap().digests_of(Outcome::Answered), 1200);
    // What was settled here is not undone by the source, which still owes it; what it spends meanwhile is booked.
    a.run = a.case.group(|group| group.begin_run(a.sweep, Stamp(700))).unwrap();
    a.case.group(|group| group.reopen(a.sweep, &Freshness::NOTHING).map(drop)).unwrap();
    let claimed = a.claim(1, 100, false);
    let fates: Vec<_> = claimed[0]
        .batch
        .digests()
        .iter()
        .map(|digest| {
            (
                *digest,
                hashsweep_case::Fate::Answered(hashsweep_model::Answer::bare(*digest, Verdict::Malicious)),
            )
        })
        .collect();
    a.settle(&claimed[0], &fates, Stamp(701));
    a.end();
    let merged = all.merge(&a).unwrap();
    assert_eq!((merged.answers, merged.attempts, merged.rows), (100, 1, 0));
    assert_eq!(all.case.tally(brought).unwrap().verdicts[&Verdict::Known], 1200);
    assert_sound(&all.case);
    assert_eq!(all.merge(&a).unwrap(), Merged::default());
}

#[test]
fn copies_that_went_on_in_two_ways_are_refused_and_nothing_is_changed() {
    let mut a = machine("alpha");
    a.whole_night(&[Found::File(1)], 9, 0);
    let copy = a.directory.path().join("copy.db");
    a.case.export(&copy).unwrap();
    let mut other = Case::open(&copy).unwrap();
    assert_eq!(other.merge(&a.path, Stamp(500)).unwrap(), Merged::default(), "they are still the same");
    a.whole_night(&[Found::File(1), Found::File(2)], 9, 1);
    let merged = other.merge(&a.path, Stamp(500)).unwrap();
    assert_eq!((merged.sweeps, merged.rows), (1, 1), "one of them is ahead");
    assert_eq!(a.case.merge(&copy, Stamp(500)).unwrap(), Merged::default());
    assert_eq!(by_name(&other), by_name(&a.case));
    assert_sound(&other);
    crate::begin(&mut other);
    a.whole_night(&[Found::File(1)], 9, 2);
    drop(other);
    let before = dump(&a.path);
    let refused = a.case.merge(&copy, Stamp(500)).unwrap_err();
    assert!(matches!(refused, CaseError::Diverged(_)), "{refused}");
    assert_eq!(dump(&a.path), before);
}

#[test]
fn what_cannot_be_merged_is_said() {
    let (mut a, mut all) = (machine("alpha"), machine("desk"));
    a.case.belong_to("data.example").unwrap();
    all.case.belong_to("simulator").unwrap();
    let refused = all.merge(&a).unwrap_err().to_string();
    assert!(refused.contains("belongs to simulator, not to data.example"), "{refused}");
    let path = all.path.clone();
    assert!(matches!(all.case.merge(&path, Stamp(1)), Err(CaseError::IsTarget(_))));
    let other_name = all.directory.path().join("other.db");
    std::fs::hard_link(&path, &other_name).unwrap();
    assert!(matches!(all.case.merge(&other_name, Stamp(1)), Err(CaseError::IsTarget(_))));
    let none = all.directory.path().join("none.db");
    assert!(matches!(all.case.merge(&none, Stamp(1)), Err(CaseError::Missing(_))));
    std::fs::write(&none, "no case").unwrap();
    assert!(matches!(all.case.merge(&none, Stamp(1)), Err(CaseError::NotACase(_))));
    assert_eq!(std::fs::read(&none).unwrap(), b"no case");
}

/// It would spoil the case that it comes into: one answer with a verdict that there is not, and nothing of that case
/// could be counted any more.
#[test]
fn a_source_that_breaks_a_rule_stays_out() {
    let refused = |damage: &str| {
        let (mut a, mut all) = (machine("alpha"), machine("desk"));
        a.whole_night(&[Found::File(1), Found::File(2), Found::File(3)], 9, 0);
        a.by_hand().execute_batch(damage).unwrap();
        let before = dump(&all.path);
        let refused = all.merge(&a).unwrap_err();
        assert_eq!(dump(&all.path), before, "{damage}");
        refused
    };
    for damage in [
        "UPDATE answer SET verdict = 'fine' WHERE id = 2",
        "UPDATE want SET answer = 3 WHERE answer = 2",
        "UPDATE sighting SET sha1 = x'00' WHERE seq = 1",
        "UPDATE attempt SET charged_max = 9223372036854775807, n_hashes = 9223372036854775807",
        "DELETE FROM meta WHERE name = 'uid'",
        "DELETE FROM root",
        "ALTER TABLE attempt DROP COLUMN ended",
    ] {
        let refused = refused(damage);
        assert!(matches!(refused, CaseError::Unsound { .. }), "{damage}: {refused}");
    }
    for damage in [
        "CREATE TRIGGER mine AFTER INSERT ON run BEGIN DELETE FROM answer; END",
        "ALTER TABLE same_file RENAME TO mine; CREATE VIEW same_file AS
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS answer FROM n",
    ] {
        let refused = refused(damage);
        assert!(matches!(refused, CaseError::Armed { .. }), "{damage}: {refused}");
    }
}

/// Fates would go to the digests that stand at the places of others.
#[test]
fn a_source_that_lost_an_answer_that_was_brought_in_stays_out() {
    for damage in [
        "UPDATE want SET state = 'failed', answer = NULL WHERE answer = 1; DELETE FROM answer WHERE id = 1",
        "UPDATE answer SET verdict = 'malicious' WHERE id = 2",
        "UPDATE attempt SET reserved_at = 77",
    ] {
        let (mut a, mut all) = (machine("alpha"), machine("desk"));
        a.whole_night(&[Found::File(1), Found::File(2), Found::File(3)], 9, 0);
        all.merge(&a).unwrap();
        a.by_hand().execute_batch(damage).unwrap();
        let before = dump(&all.path);
        let refused = all.merge(&a).unwrap_err();
        assert!(matches!(refused, CaseError::Altered(_)), "{damage}: {refused}");
        assert_eq!(dump(&all.path), before);
    }
}

#[test]
fn a_case_that_asked_nobody_takes_no_simulated_answers() {
    let (mut a, mut all) = (machine("alpha"), machine("desk"));
    a.whole_night(&[Found::File(1)], 9, 0);
    a.by_hand().execute("UPDATE answer SET source = 'simulator'", []).unwrap();
    let refused = all.merge(&a).unwrap_err();
    assert!(matches!(refused, CaseError::Simulated(_)), "{refused}");
    all.case.belong_to("the simulator").unwrap();
    all.merge(&a).unwrap();
    let mut empty = Case::open(&all.directory.path().join("empty.db")).unwrap();
    empty.merge(&a.path, Stamp(500)).unwrap();
}

#[test]
fn a_sweep_that_is_held_against_another_is_so_by_its_new_number() {
    let (mut a, mut all) = (machine("alpha"), machine("desk"));
    a.whole_night(&[Found::File(1)], 9, 0);
    a.whole_night(&[Found::File(2)], 9, 1);
    a.by_hand().execute("UPDATE sweep SET settings = '{\"baseline\":2}' WHERE id = 3", []).unwrap();
    all.whole_night(&[Found::File(3)], 9, 0);
    for _ in 0..2 {
        all.merge(&a).unwrap();
        let settings = all.case.sweep(Some(SweepId(5))).unwrap().settings;
        assert_eq!(settings, "{\"baseline\":4}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Night { at: usize, found: Vec<Found>, asks: bool },
    Interrupted(usize, Vec<Found>),
    List(usize, std::ops::Range<u32>),
    Prune(usize, u64),
    Merge { from: usize, to: usize },
}

/// Cases 0 and 1 are machines, 2 and 3 take them in, and 3 may take in 2.
fn step() -> impl Strategy<Value = Step> {
    let one = prop_oneof![
        2 => Just(Found::Nothing),
        9 => (0u32..6).prop_map(Found::File),
        1 => Just(Found::Unreadable),
    ];
    let found = prop::collection::vec(one, 6);
    prop_oneof![
        8 => (0usize..3, found.clone(), prop::bool::weighted(0.7))
            .prop_map(|(at, found, asks)| Step::Night { at, found, asks }),
        1 => (0usize..2, found).prop_map(|(at, found)| Step::Interrupted(at, found)),
        1 => (0usize..3, 0u32..6, 0u32..6).prop_map(|(at, a, b)| Step::List(at, a.min(b)..a.max(b))),
        2 => (0usize..4, 1u64..4).prop_map(|(at, keep)| Step::Prune(at, keep)),
        5 => (0usize..3, 2usize..4).prop_filter("not into itself", |(from, to)| from != to)
            .prop_map(|(from, to)| Step::Merge { from, to }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_merged_every_sweep_says_what_it_said(steps in prop::collection::vec(step(), 1..24), bad in 0u32..6) {
        let mut worlds = ["alpha", "beta", "desk", "store"].map(machine);
        for (n, step) in (0i64..).zip(steps) {
            match step {
                Step::Night { at, found, asks } => {
                    let world = &mut worlds[at];
                    world.begin_night();
                    world.walk_on(&night(&found), asks);
                    if asks {
                        answer(world, bad, n);
                    }
                    world.end();
                }
                Step::Interrupted(at, found) => {
                    worlds[at].begin_night();
                    worlds[at].record(&night(&found));
                    worlds[at].end();
                }
                Step::List(at, numbers) => {
                    let world = &mut worlds[at];
                    world.next_sweep();
                    world.record_fresh(&files(numbers), &everything());
                    answer(world, bad, n);
                    let sweep = world.sweep;
                    world.case.group(|group| group.finish_intake(sweep, 0, &everything(), Stamp(6))).unwrap();
                    world.end();
                }
                Step::Prune(at, keep) => {
                    let world = &mut worlds[at];
                    let mut going = world.case.outlived(Retention::Latest(keep)).unwrap();
                    let owing = world.case.owing(&going).unwrap();
                    going.retain(|sweep| owing.iter().all(|owing| owing.sweep != *sweep));
                    let mut kept = sweeps(&world.case);
                    kept.retain(|sweep, _| !going.contains(&SweepId(*sweep)));
                    world.case.group(|group| group.prune(&going, Stamp(1000))).unwrap();
                    prop_assert_eq!(sweeps(&world.case), kept);
                }
                Step::Merge { from, to } => {
                    let (source, before) = (by_name(&worlds[from].case), by_name(&worlds[to].case));
                    let path = worlds[from].path.clone();
                    worlds[to].case.merge(&path, Stamp(500)).unwrap();
                    let after = by_name(&worlds[to].case);
                    let pruned: Vec<String> = worlds[to].case.info().unwrap().sweeps.into_iter()
                        .filter_map(|sweep| sweep.pruned_at.map(|_| sweep.uid)).collect();
                    for (uid, said) in &source {
                        prop_assert!(pruned.contains(uid) || after.get(uid) == Some(said) || before.contains_key(uid));
                    }
                    for (uid, said) in &before {
                        prop_assert_eq!(after.get(uid), Some(source.get(uid).filter(|_| from < 2).unwrap_or(said)));
                    }
                    let once = dump(&worlds[to].path);
                    prop_assert_eq!(worlds[to].case.merge(&path, Stamp(500)).unwrap(), Merged::default());
                    prop_assert_eq!(dump(&worlds[to].path), once);
                    assert_sound(&worlds[to].case);
                }
            }
        }
        for world in &worlds {
            assert_sound(&world.case);
        }
    }
}
