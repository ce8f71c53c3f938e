//! What asking has cost, over which attempts.

use crate::{World, files};
use hashsweep_case::{Request, Run, Scope};
use hashsweep_model::{Quota, Stamp};

fn quota(charged_max: u64, charged_min: u64, in_doubt: u64) -> Quota {
    Quota { charged_max, charged_min, in_doubt }
}

/// Two sweeps and three runs, a reservation in each: 3 booked, 4 travelling, 5 only reserved.
fn world() -> World {
    let mut world = World::new();
    let (first, run) = world.at();
    world
        .case
        .group(|group| {
            let booked = group.reserve(run, 3, Stamp(100))?;
            group.mark_sent(booked, Stamp(101))?;
            group.book(booked, "200", quota(3, 2, 0), Stamp(102))?;
            group.end_run(run, Stamp(103), Some(3))
        })
        .unwrap();
    world.next_sweep();
    let second = world.run;
    world
        .case
        .group(|group| {
            let timeout = group.reserve(second, 7, Stamp(200))?;
            group.mark_sent(timeout, Stamp(201))?;
            group.book(timeout, "timeout", quota(0, 0, 7), Stamp(202))?;
            let third = group.begin_run(first, Stamp(300))?;
            let travelling = group.reserve(third, 4, Stamp(301))?;
            group.mark_sent(travelling, Stamp(302))?;
            group.reserve(third, 5, Stamp(303))?;
            Ok(())
        })
        .unwrap();
    world.sweep = first;
    world
}

#[test]
fn each_scope_sums_its_own_attempts_and_what_travels_is_in_doubt() {
    let mut world = world();
    let first = world.sweep;
    world.next_sweep();
    let between = |from, to| Scope::Between { from: Stamp(from), to: Stamp(to) };
    for (scope, expected, requests) in [
        (Scope::Sweep(first), quota(3, 2, 4), 2),
        (Scope::Sweep(world.sweep), quota(0, 0, 0), 0),
        (Scope::Case, quota(3, 2, 11), 3),
        (Scope::LastRun, quota(0, 0, 0), 0),
        (between(100, 200), quota(3, 2, 0), 1),
        (between(101, 201), quota(0, 0, 7), 1),
        (between(0, 1000), quota(3, 2, 11), 3),
        (between(200, 200), quota(0, 0, 0), 0),
    ] {
        assert_eq!(world.case.quota(scope).unwrap(), expected, "{scope:?}");
        assert_eq!(world.case.requests(scope).unwrap(), requests, "{scope:?}");
    }
}

#[test]
fn the_last_run_is_the_one_that_began_last_whatever_its_sweep() {
    let world = world();
    assert_eq!(world.case.quota(Scope::LastRun).unwrap(), quota(0, 0, 4));
    assert_eq!(world.case.requests(Scope::LastRun).unwrap(), 1);
}

#[test]
fn an_attempt_that_never_left_after_all_cost_nothing() {
    let mut world = World::new();
    world.record(&files(0..6));
    let claimed = world.claim(1, 100, true).remove(0);
    world.case.group(|group| group.mark_sent(claimed.attempt, Stamp(5))).unwrap();
    assert_eq!(world.case.quota(Scope::Case).unwrap(), quota(0, 0, 6));
    world.case.group(|group| group.unsend(claimed.attempt, Stamp(6))).unwrap();
    assert_eq!(world.case.quota(Scope::Case).unwrap(), Quota::default());
    assert_eq!(world.case.requests(Scope::Case).unwrap(), 0);
    let mut world = world.killed();
    let sweep = world.sweep;
    world.case.group(|group| group.begin_run(sweep, Stamp(7))).unwrap();
    assert_eq!(world.case.quota(Scope::Case).unwrap(), Quota::default());
}

#[test]
fn a_sweep_tells_its_runs_and_the_requests_they_settled() {
    let mut world = world();
    let first = world.sweep;
    let run = world.case.group(|group| {
        let run = group.begin_run(first, Stamp(400))?;
        group.bound_run(run, 50)?;
        let refused = group.reserve(run, 9, Stamp(401))?;
        group.mark_sent(refused, Stamp(402))?;
        group.book(refused, "503", quota(0, 0, 0), Stamp(403))?;
        Ok(run)
    });
    run.unwrap();
    let runs = world.case.runs(first).unwrap();
    assert_eq!(
        runs,
        [
            Run { number: 1, started_at: runs[0].started_at, ended_at: Some(Stamp(103)), budget: None },
            Run { number: 3, started_at: Stamp(300), ended_at: None, budget: None },
            Run { number: 4, started_at: Stamp(400), ended_at: None, budget: Some(50) },
        ]
    );
    let mut requests = Vec::new();
    world.case.requests_of(first, |request| requests.push(request)).unwrap();
    // What was travelling when the fourth run began is in doubt; what never left is no request.
    let request = |at, n_answered, quota| Request { settled_at: Stamp(at), n_answered, quota };
    let expected =
        [request(102, 3, quota(3, 2, 0)), request(400, 0, quota(0, 0, 4)), request(403, 0, quota(0, 0, 0))];
    assert_eq!(requests, expected);
}
