//! Old sweeps go, and nothing that anybody needs goes with them.

use crate::{PLAIN, World, begin, everything, files, sha1};
use hashsweep_case::{Case, CaseError, Dropped, Fate, Only, Order, Retention, SweepId};
use hashsweep_model::{
    Answer, Digests, HashKind, Outcome, Place, Seen, Sighting, Skip, SkipKind, Stamp, Trace, Verdict,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What a night finds at a path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found {
    Nothing,
    File(u32),
    Unreadable,
}

/// The rows of one night over some paths.
pub(crate) fn night(found: &[Found]) -> Vec<Sighting> {
    let row = |(path, found): (usize, &Found)| {
        let seen = match found {
            Found::Nothing => return None,
            Found::Unreadable => Seen::Skipped(Skip::new(SkipKind::Unreadable)),
            Found::File(content) => Seen::Read {
                size: 7,
                digests: Digests::default().with(sha1(*content)),
                asked: HashKind::Sha1,
                suspicion: PLAIN,
                trace: Some(Trace {
                    device: 1 << 63,
                    inode: path as u64,
                    size: 7,
                    modified_ns: 5,
                    changed_ns: i64::from(*content),
                    born_ns: None,
                    is_trusted: true,
                }),
                contradicts: false,
            },
        };
        Some(Sighting { root: 0, place: Place::Path(format!("r/{path}").into()), seen })
    };
    found.iter().enumerate().filter_map(row).collect()
}

/// Every sweep with all that its rows say.
pub(crate) fn sweeps(case: &Case) -> BTreeMap<i64, (String, Vec<String>)> {
    let mut all = BTreeMap::new();
    for sweep in case.sweep_ids().unwrap() {
        let mut rows = Vec::new();
        case.rows(sweep, Only::All, Order::Path, |row| {
            rows.push(format!("{row:?}"));
            Ok::<_, CaseError>(())
        })
        .unwrap();
        all.insert(sweep.0, (format!("{:?}", case.tally(sweep).unwrap()), rows));
    }
    all
}

pub(crate) fn assert_sound(case: &Case) {
    let broken: Vec<_> = case.verify().unwrap().into_iter().filter(|check| check.n_broken > 0).collect();
    assert_eq!(broken, []);
}

impl World {
    /// Ends the run at work, as a process does.
    pub(crate) fn end(&mut self) {
        let (sweep, run) = self.at();
        self.case
            .group(|group| {
                group.defer_rest(sweep, "offline", &everything(), Stamp(90))?;
                group.end_run(run, Stamp(91), Some(0))
            })
            .unwrap();
    }

    fn prune(&mut self, sweeps: &[SweepId]) -> Dropped {
        self.case.group(|group| group.prune(sweeps, Stamp(1000))).unwrap()
    }

    fn findings(&self) -> BTreeSet<(Vec<u8>, Vec<u8>)> {
        let by_hand = self.by_hand();
        let mut findings = by_hand
            .prepare(
                "SELECT path, sighting.sha1 FROM sighting JOIN answer ON sighting.kind = answer.kind AND digest = sighting.sha1
                 WHERE verdict IN ('malicious', 'suspicious') UNION
                 SELECT path, sha1 FROM sighting WHERE note IS NOT NULL",
            )
            .unwrap();
        let findings = findings.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        findings.map(Result::unwrap).collect()
    }
}

#[test]
fn what_is_pruned_is_gone_and_says_so() {
    let mut world = World::new();
    world.record(&files(0..20));
    world.answer_all(Verdict::Known, Stamp(5));
    let first = world.sweep;
    world.case.group(|group| group.finish_intake(first, 0, &everything(), Stamp(6))).unwrap();
    world.end();
    world.next_sweep();
    let second = world.sweep;
    assert!(world.case.owing(&[first]).unwrap().is_empty());
    let planned = world.case.group(|group| group.prunable(&[first])).unwrap();
    let quota = world.case.quota(hashsweep_case::Scope::Case).unwrap();
    assert_eq!(world.prune(&[first]), planned);
    assert_eq!(planned, Dropped { rows: 20, fates: 20, rows_left: 0 });
    assert_eq!(world.case.quota(hashsweep_case::Scope::Case).unwrap(), quota, "the ledger stays");
    assert_eq!(world.case.sweep_ids().unwrap(), [second]);
    let refused = world.case.tally(first).unwrap_err().to_string();
    assert!(refused.starts_with("sweep 1 was pruned on 1970-01-01; what it cost"), "{refused}");
    assert_eq!(world.case.info().unwrap().answers.n_digests, 20, "and so do the answers");
    assert_sound(&world.case);
    assert_eq!(world.prune(&[]), Dropped::default());
}

#[test]
fn a_finding_outlives_its_sweep() {
    let mut world = World::new();
    world.record(&files(0..3));
    world.answer_all(Verdict::Malicious, Stamp(5));
    let sweep = world.sweep;
    world.case.group(|group| group.finish_intake(sweep, 0, &everything(), Stamp(6))).unwrap();
    world.end();
    world.next_sweep();
    world.record(&files(5..7));
    let findings = world.findings();
    assert_eq!(findings.len(), 3);
    assert_eq!(world.prune(&[sweep]), Dropped { rows: 0, fates: 0, rows_left: 3 });
    assert_eq!(world.findings(), findings);
    assert_sound(&world.case);
}

#[test]
fn what_a_sweep_owes_is_said_before_it_goes_and_dropped_if_it_goes() {
    let mut world = World::new();
    world.record(&files(0..1000));
    let owing = world.case.owing(&[world.sweep]).unwrap();
    assert_eq!((owing[0].n_digests, owing[0].intake_finished), (1000, false));
    assert_eq!(world.claim(1, 100, false).len(), 1);
    let sweep = world.sweep;
    let mut other = Case::open(&world.path).unwrap();
    let (_, _) = begin(&mut other);
    let refused = other.group(|group| group.prune(&[sweep], Stamp(9))).unwrap_err();
    assert!(matches!(refused, CaseError::InUse(_)), "{refused}");
    drop(other);
    let path = world.path.clone();
    let world = world.killed();
    let mut case = Case::open(&path).unwrap();
    case.group(|group| group.prune(&[sweep], Stamp(9))).unwrap();
    assert_eq!(case.info().unwrap().n_owed, 0);
    assert_eq!(case.quota(hashsweep_case::Scope::Case).unwrap().in_doubt, 0, "it never left");
    assert_sound(&world.case);
}

#[test]
fn keep_counts_sweeps_over_the_same_roots_that_came_to_their_end() {
    let mut world = World::new();
    let mut ids = Vec::new();
    for is_finished in [true, false, true, true] {
        let sweep = world.sweep;
        if is_finished {
            world.case.group(|group| group.finish_intake(sweep, 0, &everything(), Stamp(6))).unwrap();
        }
        ids.push(sweep);
        world.next_sweep();
    }
    let keep = |n| world.case.outlived(Retention::Latest(n)).unwrap();
    assert_eq!(keep(1), ids[..3]);
    assert_eq!(keep(2), ids[..2]);
    assert_eq!(keep(3), []);
    assert_eq!(world.case.outlived(Retention::Since(Stamp(2))).unwrap().len(), 5);
    assert_eq!(world.case.outlived(Retention::Since(Stamp(1))).unwrap(), []);
}

#[derive(Clone, Debug)]
enum Step {
    Night { found: Vec<Found>, asks: bool },
    Interrupted(Vec<Found>),
    List(std::ops::Range<u32>),
    Prune(u64),
}

fn found() -> impl Strategy<Value = Vec<Found>> {
    let one = prop_oneof![
        2 => Just(Found::Nothing),
        9 => (0u32..6).prop_map(Found::File),
        1 => Just(Found::Unreadable),
    ];
    prop::collection::vec(one, 8)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (found(), prop::bool::weighted(0.8)).prop_map(|(found, asks)| Step::Night { found, asks }),
        1 => found().prop_map(Step::Interrupted),
        1 => (0u32..6, 0u32..6).prop_map(|(a, b)| Step::List(a.min(b)..a.max(b))),
        3 => (0u64..4).prop_map(Step::Prune),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_pruned_the_rest_says_what_it_said(steps in prop::collection::vec(step(), 1..20), bad in 0u32..6) {
        let mut world = World::new();
        world.end();
        for (n, step) in (0i64..).zip(steps) {
            match step {
                Step::Night { found, asks } => {
                    world.begin_night();
                    world.walk_on(&night(&found), asks);
                    if asks {
                        answer(&mut world, bad, n);
                    }
                    world.end();
                }
                Step::Interrupted(found) => {
                    world.begin_night();
                    world.record(&night(&found));
                    world.end();
                }
                Step::List(numbers) => {
                    world.next_sweep();
                    world.record(&files(numbers));
                    answer(&mut world, bad, n);
                    let sweep = world.sweep;
                    world.case.group(|group| group.finish_intake(sweep, 0, &everything(), Stamp(6))).unwrap();
                    world.end();
                }
                Step::Prune(keep) => {
                    let (before, findings) = (sweeps(&world.case), world.findings());
                    let cost = world.case.quota(hashsweep_case::Scope::Case).unwrap();
                    let mut going = world.case.outlived(Retention::Latest(keep)).unwrap();
                    let owing = world.case.owing(&going).unwrap();
                    for sweep in &owing {
                        let tally = world.case.tally(sweep.sweep).unwrap();
                        prop_assert!(!tally.intake_finished || tally.digests_of(Outcome::Deferred) == sweep.n_digests);
                    }
                    if keep > 0 {
                        going.retain(|sweep| owing.iter().all(|owing| owing.sweep != *sweep));
                    }
                    let planned = world.case.group(|group| group.prunable(&going)).unwrap();
                    prop_assert_eq!(world.prune(&going), planned);
                    let mut kept = before;
                    kept.retain(|sweep, _| !going.contains(&SweepId(*sweep)));
                    prop_assert_eq!(sweeps(&world.case), kept);
                    prop_assert_eq!(world.findings(), findings);
                    prop_assert_eq!(world.case.quota(hashsweep_case::Scope::Case).unwrap(), cost);
                }
            }
            assert_sound(&world.case);
        }
    }
}

/// Everything that waits, at this moment. One digest is bad news from some night on.
pub(crate) fn answer(world: &mut World, bad: u32, n: i64) {
    for claimed in world.claim(1000, 100, true) {
        let fate = |digest: &hashsweep_model::Digest| {
            let verdict = if *digest == sha1(bad) && n > 3 { Verdict::Malicious } else { Verdict::Known };
            (*digest, Fate::Answered(Answer::bare(*digest, verdict)))
        };
        let fates: Vec<_> = claimed.batch.digests().iter().map(fate).collect();
        world.settle(&claimed, &fates, Stamp(100 + n));
    }
}
