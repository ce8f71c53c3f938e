//! Many at once.

use crate::memory::Memory;
use crate::pauses::stop_after;
use crate::scene::{Scene, hashes, scripted};
use hashsweep_model::Outcome;
use hashsweep_sim::{Cue, Fault, When, World};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

fn world(fault: Option<Fault>) -> World {
    let often = When::EveryNth(NonZeroU64::new(5).unwrap());
    World {
        rate_limit_rps: None,
        latency: Duration::from_millis(20),
        ..scripted(fault.map(|fault| Cue::new(often, fault)).into_iter().collect())
    }
}

async fn crowd(n: usize) -> Scene {
    let mut scene = Scene::recorded(&hashes(n)).await;
    scene.asking.batch_size = 1;
    scene.asking.concurrency = 64;
    scene
}

#[tokio::test(start_paused = true)]
async fn two_thousand_requests_keep_sixty_four_on_their_way() {
    let mut scene = crowd(2000).await;
    let service = Arc::new(Memory::new(world(None)));
    let seen = scene.ask(&service).await;
    seen.is_whole();
    let witness = service.witness();
    assert_eq!((witness.bulk_requests, witness.repeated().count()), (2000, 0));
    assert!((32..=64).contains(&witness.max_concurrent), "{}", witness.max_concurrent);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_with_faults_among_it_loses_nobody() {
    let unavailable = Fault::Status { code: 503, body: String::new(), headers: Vec::new() };
    let failing = Fault::Status { code: 500, body: String::new(), headers: Vec::new() };
    for fault in [failing, unavailable, Fault::ShortBody] {
        let mut scene = crowd(500).await;
        let service = Arc::new(Memory::new(world(Some(fault))));
        let seen = scene.ask(&service).await;
        assert_eq!(seen.halt, None);
        assert_eq!(seen.answered() + seen.tally.rows_of(Outcome::Failed), 500);
        assert!(seen.answered() > 450, "{}", seen.answered());
        assert!(service.witness().max_concurrent <= 64);
    }
}

#[tokio::test(start_paused = true)]
async fn a_crowd_that_is_stopped_settles_and_goes_on_later() {
    let failing = Fault::Status { code: 500, body: String::new(), headers: Vec::new() };
    let mut scene = crowd(1000).await;
    let service = Arc::new(Memory::new(world(Some(failing))));
    stop_after(Duration::from_millis(130), scene.stop.clone());
    let seen = scene.ask(&service).await;
    assert!(seen.interrupted);
    let answered = seen.answered();
    assert!(answered > 0 && answered < 1000, "{answered}");
    assert_eq!(seen.because(Outcome::Deferred, "interrupted"), 1000 - answered);
    scene.stop = tokio_util::sync::CancellationToken::new();
    let seen = scene.ask(&service).await;
    assert_eq!(seen.halt, None);
    // Every fifth request fails: now and then one batch is the fifth five times running.
    assert_eq!(seen.answered() + seen.because(Outcome::Failed, "500"), 1000);
    assert!(seen.answered() >= 990, "{}", seen.answered());
}
