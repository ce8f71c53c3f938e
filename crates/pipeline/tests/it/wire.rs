//! The same over real HTTP, where connections break and hang. The clock runs.

use crate::scene::{self, REAL_LIMIT, Scene, Seen, hashes};
use futures::future::join_all;
use hashsweep_model::Outcome;
use hashsweep_pipeline::{HaltKind, Intake};
use hashsweep_sim::{Cue, Fault, Simulator, When, Witness, World};
use hashsweep_spectra::{Client, ContentType, Credentials, Dialect, Endpoint, Format, Secret, Settings};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

/// Long for a loopback connection, short for a test.
const TIMEOUT: Duration = Duration::from_millis(400);

fn client(url: &str) -> Arc<Client> {
    client_as(url, None, TIMEOUT)
}

/// Somebody with the account `u` and the password `p`.
pub(crate) fn insider(url: &str) -> Arc<Client> {
    let credentials = Credentials { username: "u".to_owned(), password: Secret::new("p") };
    // Nothing hangs in what is played here, and a busy machine is no timeout.
    client_as(url, Some(credentials), REAL_LIMIT)
}

fn client_as(url: &str, credentials: Option<Credentials>, timeout: Duration) -> Arc<Client> {
    let settings = Settings {
        endpoint: Endpoint::parse(url).unwrap(),
        credentials,
        ca_cert_pem: None,
        proxy: None,
        environment_proxy: false,
        timeout,
        concurrency: 8,
        dialect: Dialect::default(),
        format: Format::default(),
        content_type: ContentType::default(),
    };
    Arc::new(Client::new(settings).unwrap())
}

async fn asked(mut scene: Scene, world: World) -> (Seen, Witness) {
    scene.limit = REAL_LIMIT;
    let simulator = Simulator::start(world).await.unwrap();
    let seen = scene.run(Intake::Finished, Some(client(&simulator.url()))).await;
    let witness = simulator.witness();
    scene.balance(&seen, &witness, 0);
    (seen, witness)
}

fn scripted(when: When, fault: Fault) -> World {
    scene::scripted(vec![Cue::new(when, fault)])
}

#[tokio::test]
async fn a_steady_service_is_asked_each_hash_once() {
    let scene = Scene::recorded(&hashes(1050)).await;
    let (seen, witness) = asked(scene, World::default()).await;
    seen.is_whole();
    assert_eq!((witness.bulk_requests, witness.repeated().count(), witness.hashes.len()), (11, 0, 1050));
    assert_eq!(seen.tally.quota.charged_max, witness.charged());
}

#[tokio::test]
async fn broken_and_silent_answers_are_asked_again() {
    for fault in [
        Fault::ResetMidBody,
        Fault::ShortBody,
        Fault::BadJson,
        Fault::HangBeforeCharge,
        Fault::HangAfterCharge,
        Fault::GatewayTimeoutAfterCharge,
        Fault::Delay(2 * TIMEOUT),
    ] {
        let name = format!("{fault:?}");
        let scene = Scene::recorded(&hashes(1000)).await;
        let (seen, witness) = asked(scene, scripted(When::Between(2, 4), fault)).await;
        assert_eq!(seen.answered(), 1000, "{name}: {:?}", seen.tally.reasons);
        assert_eq!(witness.bulk_requests, 13, "{name}");
    }
}

#[tokio::test]
async fn silence_that_lasts_is_in_doubt_and_fails() {
    let scene = Scene::recorded(&hashes(200)).await;
    let (seen, witness) = asked(scene, scripted(When::From(2), Fault::HangAfterCharge)).await;
    assert_eq!((seen.answered(), seen.because(Outcome::Failed, "timeout")), (100, 100));
    assert_eq!((seen.tally.quota.charged_max, seen.tally.quota.in_doubt), (100, 300));
    assert_eq!(witness.charged(), 400);
}

#[tokio::test]
async fn nobody_at_the_address_ends_the_run_at_once() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut scene = Scene::recorded(&hashes(200)).await;
    scene.limit = REAL_LIMIT;
    let seen = scene.run(Intake::Finished, Some(client(&format!("http://{free}")))).await;
    let halt = seen.halt.as_ref().unwrap();
    assert_eq!((halt.kind, halt.after_an_answer), (HaltKind::Unreachable, false));
    assert_eq!(seen.because(Outcome::Deferred, "service unreachable"), 200);
    assert_eq!((seen.tally.requests, seen.tally.quota.at_most()), (1, 0));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Simulator::start(World::default()).await.unwrap();
    let scene = Scene::recorded(&hashes(200)).await;
    let redirect = Fault::Redirect { to: elsewhere.url() };
    let (seen, witness) = asked(scene, scripted(When::Always, redirect)).await;
    assert_eq!(seen.halt.as_ref().unwrap().kind, HaltKind::WrongEndpoint);
    assert_eq!((witness.bulk_requests, elsewhere.witness().requests), (1, 0));
}

#[tokio::test]
async fn the_rate_holds_on_the_wire_and_is_used() {
    let mut scene = Scene::recorded(&hashes(75)).await;
    scene.asking.batch_size = 1;
    scene.asking.rate = "50/s".parse().unwrap();
    let (seen, witness) = asked(scene, World::default()).await;
    seen.is_whole();
    never_above_50_a_second(&witness);
    let arrivals = witness.bulk_arrivals;
    let lasted = arrivals.last().unwrap().abs_diff(arrivals[0]);
    // How much of the rate is used is measured on the paused clock; here the machine may be busy.
    assert!(lasted <= Duration::from_millis(1500 * 3 / 2), "75 at 50 a second took {lasted:?}");
}

#[tokio::test]
async fn two_cases_of_one_account_share_its_rate_on_the_wire() {
    let dir = tempfile::tempdir().unwrap();
    let account = dir.path().join("account.db");
    let mut scenes = Vec::new();
    for _ in 0..2 {
        let mut scene = Scene::recorded(&hashes(40)).await;
        scene.asking.batch_size = 1;
        scene.asking.rate = "50/s".parse().unwrap();
        scene.limit = REAL_LIMIT;
        scene.account = Some(account.clone());
        scenes.push(scene);
    }
    let simulator = Simulator::start(World::default()).await.unwrap();
    let runs = scenes.iter_mut().map(|scene| scene.run(Intake::Finished, Some(client(&simulator.url()))));
    for seen in join_all(runs).await {
        seen.is_whole();
    }
    let witness = simulator.witness();
    assert_eq!(witness.bulk_requests, 80);
    never_above_50_a_second(&witness);
}

/// Departures are paced; on its way a request may be late by a little.
fn never_above_50_a_second(witness: &Witness) {
    let (arrivals, window) = (&witness.bulk_arrivals, Duration::from_millis(960));
    for from in arrivals {
        let n = arrivals.iter().filter(|at| (*from..*from + window).contains(*at)).count();
        assert!(n <= 51, "{n} in the second after {from:?}");
    }
}
