//! A service with bad days: what is asked again, how often, what it costs, and that no fault becomes a verdict.

use crate::memory::Memory;
use crate::scene::{self, Scene, hashes};
use hashsweep_model::{Outcome, Quota};
use hashsweep_pipeline::HaltKind;
use hashsweep_sim::{Cue, Fault, When, World};
use hashsweep_spectra as spectra;
use std::sync::Arc;
use std::time::Duration;

fn status(code: u16) -> Fault {
    Fault::Status { code, body: String::new(), headers: Vec::new() }
}

fn rate() -> Fault {
    let body = r#"{"message": "Rate limit exceeded"}"#.to_owned();
    Fault::Status { code: 429, body, headers: Vec::new() }
}

fn scripted(when: When, fault: Fault) -> World {
    World { latency: Duration::from_millis(100), ..scene::scripted(vec![Cue::new(when, fault)]) }
}

#[tokio::test(start_paused = true)]
async fn until_the_first_answer_one_request_travels_and_it_is_the_same_one() {
    let bad_beginnings = [
        vec![],
        vec![status(500)],
        vec![status(503)],
        vec![Fault::ShortBody, Fault::BadJson],
        vec![status(502), Fault::ResetMidBody, rate(), Fault::HangAfterCharge],
    ];
    for beginning in bad_beginnings {
        let mut scene = Scene::recorded(&hashes(1000)).await;
        let n_bad = beginning.len();
        let script = (1..).zip(beginning).map(|(n, fault)| Cue::new(When::Listed(vec![n]), fault)).collect();
        let world = World { latency: Duration::from_millis(100), ..scene::scripted(script) };
        let service = Arc::new(Memory::new(world));
        scene.ask(&service).await.is_whole();
        assert_eq!(service.before_an_answer(), 1);
        assert!(service.witness().max_concurrent > 1);
        let departures = service.departures();
        assert!(departures[..=n_bad].iter().all(|(_, first)| *first == departures[0].1), "{departures:?}");
    }
}

/// A first request that ends so ends the run.
async fn hopeless(service: Memory, kind: HaltKind, word: &str) {
    let mut scene = Scene::recorded(&hashes(300)).await;
    let service = Arc::new(service);
    let seen = scene.ask(&service).await;
    let halt = seen.halt.as_ref().expect(word);
    assert_eq!((halt.kind, halt.after_an_answer), (kind, false), "{word}");
    assert!(halt.kind.is_fatal());
    assert_eq!(service.departures().len(), 1, "{word}");
    assert_eq!(seen.because(Outcome::Deferred, word), 300);
    assert_eq!(seen.tally.quota, Quota::default());
    assert_eq!(service.witness().charged(), 0);
    assert_eq!(service.elapsed(), Duration::ZERO, "nobody waits for it");
}

#[tokio::test(start_paused = true)]
async fn a_hopeless_first_request_is_the_last() {
    let first = |fault| {
        let script = vec![Cue::new(When::Listed(vec![1]), fault)];
        Memory::new(scene::scripted(script))
    };
    let html = || Fault::Status { code: 404, body: "<html>".to_owned(), headers: Vec::new() };
    hopeless(first(status(401)), HaltKind::Credentials, "credentials").await;
    hopeless(first(status(403)), HaltKind::Credentials, "credentials").await;
    hopeless(first(html()), HaltKind::WrongEndpoint, "wrong endpoint").await;
    hopeless(first(status(404)), HaltKind::WrongEndpoint, "wrong endpoint").await;
    let elsewhere = Fault::Redirect { to: "https://elsewhere.example".to_owned() };
    hopeless(first(elsewhere), HaltKind::WrongEndpoint, "wrong endpoint").await;
    hopeless(first(status(400)), HaltKind::Refused, "refused by the service").await;
    hopeless(first(status(405)), HaltKind::Refused, "refused by the service").await;
    for fault in [spectra::Fault::Refused, spectra::Fault::Dns, spectra::Fault::ConnectTimeout] {
        let dead = Memory::over(move |_, _| Some(fault.clone()), World::default());
        hopeless(dead, HaltKind::Unreachable, "service unreachable").await;
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_refused_later_keep_what_was_answered_before() {
    let mut scene = Scene::recorded(&hashes(2000)).await;
    let service = Arc::new(Memory::new(scripted(When::From(4), status(401))));
    let seen = scene.ask(&service).await;
    let halt = seen.halt.as_ref().unwrap();
    assert_eq!((halt.kind, halt.after_an_answer), (HaltKind::Credentials, true));
    assert_eq!((seen.answered(), seen.because(Outcome::Deferred, "credentials")), (300, 1700));
    assert!(service.witness().bulk_requests <= 3 + 8);
}

#[tokio::test(start_paused = true)]
async fn a_404_with_a_page_for_people_ends_the_run_even_late() {
    let mut scene = Scene::recorded(&hashes(1000)).await;
    let page = Fault::Status { code: 404, body: "<html>".to_owned(), headers: Vec::new() };
    let service = Arc::new(Memory::new(scripted(When::From(4), page)));
    let seen = scene.ask(&service).await;
    assert_eq!(seen.halt.as_ref().unwrap().kind, HaltKind::WrongEndpoint);
    assert_eq!((seen.answered(), seen.because(Outcome::Deferred, "wrong endpoint")), (300, 700));
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_any_fault_passes_and_everything_is_answered() {
    let bursts = [
        status(500),
        status(502),
        status(503),
        status(504),
        rate(),
        Fault::ResetMidBody,
        Fault::ShortBody,
        Fault::BadJson,
        Fault::NotJson { body: "<html>".to_owned(), content_type: "text/html".to_owned() },
        Fault::HangBeforeCharge,
        Fault::HangAfterCharge,
        Fault::GatewayTimeoutAfterCharge,
        Fault::Delay(Duration::from_secs(61)),
    ];
    for fault in bursts {
        let name = format!("{fault:?}");
        let mut scene = Scene::recorded(&hashes(2000)).await;
        let service = Arc::new(Memory::new(scripted(When::Between(3, 8), fault)));
        let seen = scene.ask(&service).await;
        assert_eq!(seen.answered(), 2000, "{name}: {:?}", seen.tally.reasons);
        // Each of the six is asked again; what a smaller batch may spare the service, in up to four pieces.
        let most = 20 + if shrinks(&name) { 6 * 4 } else { 6 };
        assert!(service.witness().bulk_requests <= most, "{name}: {}", service.witness().bulk_requests);
    }
}

/// Whether a batch that meets this is asked again in smaller ones: 503 and timeouts.
fn shrinks(fault: &str) -> bool {
    fault.contains("503") || fault.contains("Hang") || fault.starts_with("Delay")
}

/// The first batch is answered; the other two meet this fault whenever they are asked.
async fn budget(fault: Fault, n_asks: u64, word: &str, quota: fn(u64) -> Quota) {
    let mut scene = Scene::recorded(&hashes(300)).await;
    // Timeouts one after another outlast the usual patience.
    scene.asking.give_up_after = Duration::from_secs(7200);
    let service = Arc::new(Memory::new(scripted(When::From(2), fault)));
    let seen = scene.ask(&service).await;
    let witness = service.witness();
    if word == "timeout" {
        // Once for each batch as it was, then in pieces: two halves, or four quarters after the other's.
        assert!(
            (1 + 2 * n_asks..=1 + 2 * n_asks * 4).contains(&witness.bulk_requests),
            "{}",
            witness.bulk_requests
        );
        assert!(witness.batch_sizes.iter().any(|size| *size < 100), "{:?}", witness.batch_sizes);
    } else {
        assert_eq!(witness.bulk_requests, 1 + 2 * n_asks, "{word}");
    }
    assert_eq!((seen.answered(), seen.because(Outcome::Failed, word)), (100, 200), "{word}");
    assert_eq!(seen.halt, None, "{word}");
    let Quota { charged_max, in_doubt, .. } = seen.tally.quota;
    let expected = quota(200 * n_asks);
    assert_eq!((charged_max, in_doubt), (100 + expected.charged_max, expected.in_doubt), "{word}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_meets_nothing_but_faults_spends_its_budget_and_fails() {
    let free = |_| Quota::default();
    let charged = |n| Quota { charged_max: n, ..Quota::default() };
    let in_doubt = |n| Quota { in_doubt: n, ..Quota::default() };
    budget(status(500), 5, "500", free).await;
    budget(status(502), 5, "502", in_doubt).await;
    budget(status(504), 5, "504", in_doubt).await;
    budget(Fault::GatewayTimeoutAfterCharge, 5, "504", in_doubt).await;
    budget(Fault::ShortBody, 3, "broken body", charged).await;
    budget(Fault::BadJson, 3, "broken body", charged).await;
    budget(Fault::ResetMidBody, 3, "broken body", charged).await;
    budget(Fault::HangAfterCharge, 3, "timeout", in_doubt).await;
    budget(Fault::HangBeforeCharge, 3, "timeout", in_doubt).await;
}

#[tokio::test(start_paused = true)]
async fn a_413_is_asked_in_halves() {
    let mut scene = Scene::recorded(&hashes(300)).await;
    let service = Arc::new(Memory::new(scripted(When::Listed(vec![1]), status(413))));
    scene.ask(&service).await.is_whole();
    let mut sizes = service.witness().batch_sizes;
    sizes.sort_unstable();
    assert_eq!(sizes, [50, 50, 100, 100, 100]);
}

#[tokio::test(start_paused = true)]
async fn a_spent_quota_defers_the_rest_and_passes_no_limit() {
    let account =
        hashsweep_sim::Account { username: "u".to_owned(), password: "p".to_owned(), daily_quota: Some(550) };
    let mut scene = Scene::recorded(&hashes(2000)).await;
    let world = World { accounts: vec![account], latency: Duration::from_millis(100), ..World::default() };
    let service = Arc::new(Memory::new(world));
    let seen = scene.ask(&service).await;
    let halt = seen.halt.as_ref().unwrap();
    assert_eq!((halt.kind, halt.after_an_answer), (HaltKind::Quota, true));
    assert_eq!((seen.answered(), seen.because(Outcome::Deferred, "quota")), (550, 1450));
    assert_eq!((service.witness().charged(), service.witness().bulk_by_status.get(&429)), (550, None));
    assert_eq!(seen.tally.quota.charged_max, 550);
}
