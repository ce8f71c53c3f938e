//! Pace, pauses and giving up: when requests leave, and when nobody does.

use crate::memory::Memory;
use crate::scene::{Scene, hashes, scripted};
use hashsweep_case::{Account, day_of};
use hashsweep_model::{Outcome, Stamp};
use hashsweep_pipeline::HaltKind;
use hashsweep_sim::{Cue, Fault, When, World};
use hashsweep_spectra as spectra;
use std::sync::Arc;
use std::time::Duration;

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn slow_down(after: u64) -> Fault {
    Fault::Status {
        code: 429,
        body: r#"{"message": "Rate limit exceeded"}"#.to_owned(),
        headers: vec![("retry-after".to_owned(), after.to_string())],
    }
}

fn unavailable() -> Fault {
    Fault::Status { code: 503, body: String::new(), headers: Vec::new() }
}

#[tokio::test(start_paused = true)]
async fn one_429_makes_everybody_wait_although_others_are_answered_meanwhile() {
    let mut scene = Scene::recorded(&hashes(8000)).await;
    // Requests of very different length, so that answers land throughout the pause.
    let mut script = vec![Cue::new(When::Listed(vec![6]), slow_down(30))];
    script.extend((2..10).map(|n| Cue::new(When::Listed(vec![n]), Fault::Delay(seconds(n)))));
    let world = World { latency: seconds(1), ..scripted(script) };
    let service = Arc::new(Memory::new(world));
    let seen = scene.ask(&service).await;
    seen.is_whole();
    let left: Vec<Duration> = service.departures().into_iter().map(|(at, _)| at).collect();
    let silent_from = left[5] + seconds(7);
    let during = left.iter().filter(|at| **at > silent_from && **at < silent_from + seconds(30)).count();
    assert_eq!(during, 0, "{left:?}");
    // One finds out whether it has helped; the others follow its answer.
    let after: Vec<Duration> = left.into_iter().filter(|at| *at >= silent_from + seconds(30)).collect();
    assert!(after[1] >= after[0] + seconds(1), "{after:?}");
    assert!(seen.polls < 1000, "{}", seen.polls);
}

#[tokio::test(start_paused = true)]
async fn a_client_faster_than_the_limit_backs_off_instead_of_knocking() {
    let mut scene = Scene::recorded(&hashes(10_000)).await;
    let world = World { rate_limit_rps: Some(10), latency: Duration::from_millis(50), ..World::default() };
    let service = Arc::new(Memory::new(world));
    let seen = scene.ask(&service).await;
    seen.is_whole();
    let refused = service.witness().bulk_by_status[&429];
    assert!(refused <= 150, "{refused} refusals for 100 answers");
    assert!(service.elapsed() < seconds(120), "{:?}", service.elapsed());
    assert_eq!(seen.tally.quota.at_most(), 10_000);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_stays_down_ends_the_run_in_time() {
    let mut scene = Scene::recorded(&hashes(2000)).await;
    let script = vec![Cue::new(When::From(4), unavailable())];
    let world = World { latency: Duration::from_millis(100), ..scripted(script) };
    let service = Arc::new(Memory::new(world));
    let seen = scene.ask(&service).await;
    let halt = seen.halt.as_ref().unwrap();
    assert_eq!((halt.kind, halt.after_an_answer), (HaltKind::Unavailable, true));
    assert!(!halt.kind.is_fatal());
    assert_eq!((seen.answered(), seen.because(Outcome::Deferred, "service unavailable")), (300, 1700));
    assert!((seconds(540)..seconds(601)).contains(&service.elapsed()), "{:?}", service.elapsed());
    assert!(service.witness().bulk_requests < 100, "{}", service.witness().bulk_requests);
    assert!(seen.polls < 2000, "{}", seen.polls);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_down_from_the_start_ends_the_run_in_time() {
    let mut scene = Scene::recorded(&hashes(500)).await;
    let script = vec![Cue::new(When::Always, unavailable())];
    let service = Arc::new(Memory::new(scripted(script)));
    let seen = scene.ask(&service).await;
    let halt = seen.halt.as_ref().unwrap();
    assert_eq!((halt.kind, halt.after_an_answer), (HaltKind::Unavailable, false));
    assert_eq!(seen.because(Outcome::Deferred, "service unavailable"), 500);
    assert_eq!(service.before_an_answer(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_breaks_for_five_minutes_costs_time_and_nothing_else() {
    let mut scene = Scene::recorded(&hashes(2000)).await;
    let world = World { latency: Duration::from_millis(500), ..World::default() };
    let down = seconds(1)..seconds(301);
    let service =
        Arc::new(Memory::over(move |_, at| down.contains(&at).then_some(spectra::Fault::Refused), world));
    let seen = scene.ask(&service).await;
    seen.is_whole();
    assert!(service.elapsed() < seconds(380), "{:?}", service.elapsed());
    assert!(service.lost() < 100, "{}", service.lost());
    assert_eq!(service.witness().repeated().count(), 0);
    assert_eq!(seen.tally.quota.in_doubt, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_the_end_of_a_pause() {
    let mut scene = Scene::recorded(&hashes(1000)).await;
    let script = vec![Cue::new(When::From(3), slow_down(500))];
    let service = Arc::new(Memory::new(scripted(script)));
    let stop = scene.stop.clone();
    stop_after(seconds(10), stop);
    let seen = scene.ask(&service).await;
    assert!(seen.interrupted);
    assert!(service.elapsed() < seconds(11), "{:?}", service.elapsed());
    assert_eq!((seen.answered(), seen.because(Outcome::Deferred, "interrupted")), (200, 800));
    assert!(seen.polls < 500, "{}", seen.polls);
}

#[tokio::test(start_paused = true)]
async fn requests_leave_at_the_rate_and_never_above_it() {
    let mut scene = Scene::recorded(&hashes(500)).await;
    scene.asking.batch_size = 1;
    scene.asking.concurrency = 16;
    scene.asking.rate = "50/s".parse().unwrap();
    let world = World { latency: Duration::from_millis(80), ..World::default() };
    let service = Arc::new(Memory::new(world));
    scene.ask(&service).await.is_whole();
    let arrivals = service.witness().bulk_arrivals;
    for from in &arrivals {
        let window = arrivals.iter().filter(|at| (*from..*from + seconds(1)).contains(*at)).count();
        assert!(window <= 51, "{window} in the second after {from:?}");
    }
    let lasted = *arrivals.last().unwrap();
    assert!(lasted <= seconds(11), "500 at 50 a second took {lasted:?}");
}

/// Cancels the token after that time.
#[expect(clippy::disallowed_methods, reason = "somebody presses Ctrl-C at a moment of the paused clock")]
pub(crate) fn stop_after(wait: Duration, stop: tokio_util::sync::CancellationToken) {
    tokio::spawn(async move {
        tokio::time::sleep(wait).await;
        stop.cancel();
    });
}

/// A booking counts on the day on which it was made. What a wait for the next day overtakes is booked anew.
#[tokio::test(start_paused = true)]
async fn what_waits_past_midnight_is_booked_on_the_day_on_which_it_leaves() {
    let mut scene = Scene::recorded(&hashes(3000)).await;
    let dir = tempfile::tempdir().unwrap();
    let account = dir.path().join("account.db");
    scene.account = Some(account.clone());
    scene.asking.rate = "100/s".parse().unwrap();
    scene.asking.wait_for_quota = true;
    let refused = Fault::Status { code: 429, body: String::new(), headers: Vec::new() };
    let world = World {
        latency: Duration::from_millis(100),
        // Noon, on a service that does not tell its limits.
        starts_at: Some(1_750_075_200),
        monitoring: false,
        ..scripted(vec![Cue::new(When::Listed(vec![4]), refused)])
    };
    let service = Arc::new(Memory::new(world));
    scene.clock = Some(service.clock());
    let seen = scene.ask(&service).await;
    seen.is_whole();
    let noon = seconds(12 * 3600);
    let on_the_first = service.departures().iter().filter(|(at, _)| *at < noon).count() as u64;
    let account = Account::open(&account).unwrap();
    let spent = |moment| account.spent("TCA-0101", &day_of(moment)).unwrap().at_most();
    let today = service.clock().now();
    let yesterday = Stamp(today.0 - 86_400_000);
    // All but the one that was refused were charged.
    assert_eq!((spent(yesterday), spent(today)), (100 * (on_the_first - 1), 3000 - 100 * (on_the_first - 1)));
}
