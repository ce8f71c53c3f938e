//! The scenario files, each carried out in memory on a paused clock and measured at the simulator.
//!
//! Besides what its file expects, every scenario must leave books that balance: conservation in the tally, honest
//! verdicts, a ledger (the cases' and the account's) that is never below what the service charged, never more
//! requests in any window than the rate allows, and nothing asked before the first answer but one.

use crate::memory::Memory;
use crate::pauses::stop_after;
use crate::scenario::{Bound, Expect, Intake, Run, Scenario, folder};
use crate::scene::{REAL_LIMIT, Scene, Seen, hashes};
use crate::wire;
use futures::future::join_all;
use hashsweep_case::{Account, Scope, day_of};
use hashsweep_model::{Outcome, Quota, Stamp, Verdict};
use hashsweep_pipeline as pipeline;
use hashsweep_sim::{Simulator, Witness};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

/// Long enough for every reset that a scenario waits for; nothing but a hang gets there.
const LIMIT: Duration = Duration::from_secs(100 * 86_400);

/// What broke, in sentences; a file with five wrong bounds says all five.
#[derive(Default)]
struct Complaints {
    sentences: Vec<String>,
    /// On a real clock nothing about times is held against a file, and nothing that depends on them.
    untimed: bool,
}

impl Complaints {
    #[expect(clippy::cast_precision_loss, reason = "counts of a test are small")]
    fn count(&mut self, what: &str, found: u64, bound: Bound) {
        self.number(what, found as f64, bound);
    }

    fn seconds(&mut self, what: &str, found: Duration, bound: Bound) {
        if !self.untimed {
            self.number(what, found.as_secs_f64(), bound);
        }
    }

    fn number(&mut self, what: &str, found: f64, bound: Bound) {
        self.require(bound.holds(found), || format!("{what}: {found}, not {bound}"));
    }

    /// What is not expected must not be there.
    fn table(&mut self, what: &str, found: &BTreeMap<String, u64>, bounds: &BTreeMap<String, Bound>) {
        let names: BTreeSet<&String> = found.keys().chain(bounds.keys()).collect();
        for name in names {
            let bound = bounds.get(name).copied().unwrap_or(Bound::Exactly(0.0));
            self.count(&format!("{what} {name}"), found.get(name).copied().unwrap_or(0), bound);
        }
    }

    fn require(&mut self, holds: bool, complaint: impl FnOnce() -> String) {
        if !holds {
            self.sentences.push(complaint());
        }
    }

    fn end(self, name: &str) {
        assert!(self.sentences.is_empty(), "{name}:\n  {}", self.sentences.join("\n  "));
    }
}

/// Carries a scenario out in memory and holds everything against its file.
async fn play(name: &str) {
    let scenario = Scenario::read(name);
    let mut complaints = Complaints::default();
    let (dir, mut scenes) = stage(&scenario).await;
    let first = Memory::over(scenario.link(), scenario.world());
    let began = first.clock().now();
    for visit in scenario.colleague.clone() {
        let memory = first.again();
        later(visit.at_s, move || memory.colleague_asks(visit.hashes));
    }
    let mut lost = 0;
    for (n, run) in scenario.run.iter().enumerate() {
        pass(run.after_s).await;
        let clients: Vec<Arc<Memory>> = scenes.iter().map(|_| Arc::new(first.again())).collect();
        let began = Instant::now();
        let seen = join_all(scenes.iter_mut().zip(&clients).map(|(scene, client)| {
            let intake = match scenario.work.intake {
                Intake::List if n == 0 => scene.lists(),
                Intake::List | Intake::Recorded => pipeline::Intake::Finished,
            };
            carry_out(run, scene, first.clock(), Arc::clone(client), intake)
        }))
        .await;
        complaints.seconds(&format!("run {} lasts", n + 1), began.elapsed(), run.lasts_s);
        for client in &clients {
            lost += client.lost();
            let alone = client.before_an_answer();
            complaints.require(alone <= 1, || format!("{alone} at once before the first answer"));
        }
        check_run(n + 1, run, &seen, &mut complaints);
    }
    let witness = first.witness();
    check_service(&scenario, &witness, lost, &mut complaints);
    let lived = began..first.clock().now();
    check_ledger(&scenario.expect, &scenes, (dir.path(), lived), &witness, lost, &mut complaints);
    complaints.end(name);
}

/// The same over real HTTP, for a scenario whose one run takes a moment. Times are not held against the file; all
/// else is.
async fn play_on_the_wire(name: &str) {
    let scenario = Scenario::read(name);
    assert!(scenario.run.len() == 1 && scenario.link.is_empty() && scenario.colleague.is_empty());
    let mut complaints = Complaints { untimed: true, ..Complaints::default() };
    let (dir, mut scenes) = stage(&scenario).await;
    let world = scenario.world();
    let begins = world.starts_at.map_or(pipeline::now(), |at| Stamp(i64::try_from(at).unwrap() * 1000));
    let clock = pipeline::Clock::starting_at(begins);
    let simulator = Simulator::start(world).await.unwrap();
    let run = &scenario.run[0];
    let seen = join_all(scenes.iter_mut().map(|scene| {
        scene.limit = REAL_LIMIT;
        carry_out(run, scene, clock, wire::insider(&simulator.url()), pipeline::Intake::Finished)
    }))
    .await;
    check_run(1, run, &seen, &mut complaints);
    let witness = simulator.witness();
    check_service(&scenario, &witness, 0, &mut complaints);
    check_ledger(&scenario.expect, &scenes, (dir.path(), begins..clock.now()), &witness, 0, &mut complaints);
    complaints.end(name);
}

/// The cases with their work, not begun, and where their account is.
async fn stage(scenario: &Scenario) -> (TempDir, Vec<Scene>) {
    let dir = tempfile::tempdir().unwrap();
    let lines = hashes(scenario.work.hashes);
    let mut scenes = Vec::new();
    for _ in 0..scenario.work.cases {
        let mut scene = match scenario.work.intake {
            Intake::Recorded => Scene::recorded(&lines).await,
            Intake::List => Scene::listing(&lines),
        };
        scene.asking = scenario.client.asking();
        scene.limit = LIMIT;
        scene.account = Some(account_in(dir.path()));
        scenes.push(scene);
    }
    (dir, scenes)
}

fn account_in(dir: &Path) -> PathBuf {
    dir.join("account.db")
}

async fn carry_out<S: pipeline::Service>(
    run: &Run,
    scene: &mut Scene,
    clock: pipeline::Clock,
    client: Arc<S>,
    intake: pipeline::Intake,
) -> Seen {
    scene.clock = Some(clock);
    scene.stop = tokio_util::sync::CancellationToken::new();
    if let Some(after) = run.stop_after_s {
        stop_after(Duration::from_secs_f64(after), scene.stop.clone());
    }
    scene.stop_at = run.stop_at_s.map(|after| {
        Stamp(clock.now().0 + i64::try_from(Duration::from_secs_f64(after).as_millis()).unwrap())
    });
    scene.run(intake, Some(client)).await
}

fn check_run(n: usize, run: &Run, seen: &[Seen], complaints: &mut Complaints) {
    let mut found: BTreeMap<(Outcome, String), u64> = BTreeMap::new();
    let mut unknown = BTreeSet::new();
    for seen in seen {
        seen.is_honest();
        let halt = seen.halt.as_ref().map(|halt| halt.kind.word());
        complaints.require(halt == run.halt.as_deref(), || {
            format!("run {n} halted for {:?}, not {:?}", seen.halt, run.halt)
        });
        let interrupted = seen.interrupted;
        complaints.require(interrupted == run.interrupted, || format!("run {n} interrupted: {interrupted}"));
        for row in &seen.rows {
            let reason = if row.outcome == Outcome::Answered { None } else { row.reason.clone() };
            *found.entry((row.outcome, reason.unwrap_or_default())).or_default() += 1;
            if row.verdict() == Some(Verdict::Unknown) {
                unknown.insert(row.reason.clone().unwrap_or_default());
            }
        }
    }
    complaints.require(unknown.iter().all(|why| *why == run.unknown), || {
        format!("run {n} has unknown rows because of {unknown:?}, not {:?}", run.unknown)
    });
    let of = |outcome| -> BTreeMap<String, u64> {
        let those = found.iter().filter(|((it, _), _)| *it == outcome);
        those.map(|((_, reason), n)| (reason.clone(), *n)).collect()
    };
    complaints.count(&format!("run {n} answered"), of(Outcome::Answered).values().sum(), run.answered);
    for (outcome, bounds) in
        [(Outcome::Deferred, &run.deferred), (Outcome::Failed, &run.failed), (Outcome::Invalid, &run.invalid)]
    {
        complaints.table(&format!("run {n} {outcome}"), &of(outcome), bounds);
    }
}

/// The simulator's own figures, against the file and against what no file may allow.
fn check_service(scenario: &Scenario, witness: &Witness, lost: u64, complaints: &mut Complaints) {
    let Scenario { client, work, expect, .. } = scenario;
    complaints.count("requests", witness.bulk_requests, expect.requests);
    let statuses = witness.bulk_by_status.iter().map(|(status, n)| (status.to_string(), *n)).collect();
    complaints.table("status", &statuses, &expect.statuses);
    complaints.count("unanswered", witness.unanswered, expect.unanswered);
    complaints.count("lost", lost, expect.lost);
    complaints.count("monitoring", witness.requests - witness.lookups, expect.monitoring);
    let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
    for size in &witness.batch_sizes {
        *sizes.entry(size.to_string()).or_default() += 1;
    }
    complaints.table("batches of", &sizes, &expect.batches);
    complaints.count("repeated", witness.repeated().count() as u64, expect.repeated);
    complaints.count("charged", charged(witness), expect.charged);

    let arrivals = &witness.bulk_arrivals;
    let at_once = witness.max_concurrent;
    let asking = client.asking();
    // The server counts requests for the limits too.
    let allowed = (asking.concurrency + usize::from(complaints.untimed)) * work.cases;
    complaints.require(at_once <= allowed, || format!("{at_once} at once, {allowed} allowed"));
    let largest = witness.max_batch();
    complaints.require(largest <= asking.batch_size, || format!("a batch of {largest}"));
    if complaints.untimed {
        return;
    }
    let gaps = arrivals.windows(2).map(|pair| pair[1].abs_diff(pair[0]));
    complaints.seconds("the longest gap", gaps.max().unwrap_or_default(), expect.gap_s);
    let spread =
        arrivals.last().zip(arrivals.first()).map_or(Duration::ZERO, |(last, first)| last.abs_diff(*first));
    complaints.seconds("the spread", spread, expect.spread_s);
    complaints.count("in a second", fullest(arrivals, Duration::from_secs(1)), expect.in_1_s);
    complaints.count("in ten seconds", fullest(arrivals, Duration::from_secs(10)), expect.in_10_s);
    complaints.count("at once", at_once as u64, expect.at_once);
    if let Some((rate, burst)) = client.pace() {
        for window in [1, 2, 5, 10, 60, 600] {
            let found = fullest(arrivals, Duration::from_secs(window));
            let bound = Bound::Between([0.0, rate * Duration::from_secs(window).as_secs_f64() + burst]);
            complaints.count(&format!("above the rate in {window} s"), found, bound);
        }
    }
}

fn check_ledger(
    expect: &Expect,
    scenes: &[Scene],
    (dir, lived): (&Path, Range<Stamp>),
    witness: &Witness,
    lost: u64,
    complaints: &mut Complaints,
) {
    let mut ledger = Quota::default();
    let mut requests = 0;
    for scene in scenes {
        ledger += scene.case().quota(Scope::Case).unwrap();
        requests += scene.case().requests(Scope::Case).unwrap();
    }
    complaints.count("our charged_max", ledger.charged_max, expect.ledger.charged_max);
    complaints.count("our in_doubt", ledger.in_doubt, expect.ledger.in_doubt);
    let arrived = witness.bulk_requests + lost;
    complaints.require(requests == arrived, || format!("{requests} requests booked, {arrived} left"));
    let charged = charged(witness);
    complaints
        .require(ledger.at_most() >= charged, || format!("{charged} charged, our ledger has {ledger:?}"));
    let account = Account::open(&account_in(dir)).unwrap();
    let spent = |during: Range<Stamp>| account.spent("TCA-0101", &during).unwrap();
    let mut day = day_of(lived.start);
    for (n, bound) in expect.by_day.iter().enumerate() {
        complaints.count(&format!("our ledger of day {}", n + 1), spent(day.clone()).at_most(), *bound);
        day = day_of(day.end);
    }
    let spent = spent(lived);
    complaints.require(spent == ledger, || format!("the account has {spent:?}, the cases {ledger:?}"));
    complaints
        .require(spent.at_most() >= charged, || format!("{charged} charged, the account has {spent:?}"));
}

/// What our account paid. Only a colleague has another.
fn charged(witness: &Witness) -> u64 {
    let colleague = witness.accounts.get("v").map_or(0, |account| account.charged);
    witness.charged() - colleague
}

/// The most arrivals in any window of this length, its end excluded.
fn fullest(arrivals: &[Duration], window: Duration) -> u64 {
    let mut most = 0;
    let mut oldest = 0;
    for (newest, at) in arrivals.iter().enumerate() {
        while arrivals[oldest] + window <= *at {
            oldest += 1;
        }
        most = most.max(newest - oldest + 1);
    }
    most as u64
}

#[expect(clippy::disallowed_methods, reason = "time passes on the paused clock")]
async fn pass(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

fn later(after: f64, deed: impl FnOnce() + Send + 'static) {
    tokio::spawn(async move {
        pass(after).await;
        deed();
    });
}

/// A test for each file, one that no file is forgotten, and the decisive ones over HTTP as well.
macro_rules! scenarios {
    ($($name:ident),* $(,)? ; on the wire: $($wired:ident),* $(,)?) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $name() {
                play(&stringify!($name).replace('_', "-")).await;
            }
        )*

        mod on_the_wire {
            $(
                #[tokio::test]
                async fn $wired() {
                    super::play_on_the_wire(&stringify!($wired).replace('_', "-")).await;
                }
            )*
        }

        #[test]
        fn every_file_is_played() {
            let played: BTreeSet<String> =
                [$(stringify!($name)),*].into_iter().map(|name| name.replace('_', "-") + ".toml").collect();
            let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name());
            let files: BTreeSet<String> =
                files.map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(".toml")).collect();
            assert_eq!(played, files);
        }
    };
}

scenarios! {
    aloud_then_omits,
    appliance_past_its_licence,
    appliance_without_limits,
    big_batches_time_out,
    broken_bodies,
    budget_spent_on_a_retry,
    burst_of_503,
    captive_portal,
    captive_portal_redirect,
    cheaper_than_booked,
    credentials_revoked,
    culprit_400,
    daily_quota_mid_run,
    deadline,
    doubt_counts_against_quota,
    drops_unknowns,
    gateway_after_charge,
    general_outage,
    in_doubt_storm,
    in_doubt_storm_hold,
    limits_not_entitled,
    limits_page_hangs,
    list_while_reading,
    max_quota,
    midnight_at_speed,
    monthly_quota,
    outage_that_ends,
    proxy_413,
    quota_across_midnight,
    quota_at_the_turn_of_the_day,
    quota_nearly_spent,
    quota_spent_elsewhere,
    quota_spent_elsewhere_wait,
    rate_knee,
    reserve,
    reset_that_brings_nothing,
    retry_across_midnight,
    retry_after,
    slow_link,
    slow_rate_of_two,
    steady_service,
    stopped_while_waiting,
    two_cases_of_one_account,
    two_cases_one_quota,
    unclear_429,
    unclear_429_for_good,
    ;
    on the wire:
    aloud_then_omits,
    appliance_without_limits,
    broken_bodies,
    captive_portal,
    captive_portal_redirect,
    credentials_revoked,
    culprit_400,
    drops_unknowns,
    gateway_after_charge,
    limits_not_entitled,
    proxy_413,
    quota_nearly_spent,
    reserve,
    two_cases_one_quota,
    unclear_429,
}

#[test]
fn the_fullest_window_leaves_out_its_end() {
    let at = [0, 0, 400, 999, 1000, 1400].map(Duration::from_millis);
    assert_eq!(fullest(&at, Duration::from_secs(1)), 4);
    assert_eq!(fullest(&at[2..], Duration::from_secs(1)), 3);
    assert_eq!(fullest(&[], Duration::from_secs(1)), 0);
}
