//! Runs that end before their work does, and the runs that go on with it.

use crate::memory::Memory;
use crate::pauses::stop_after;
use crate::scene::{Scene, hashes};
use hashsweep_case::Case;
use hashsweep_model::Outcome;
use hashsweep_pipeline::{Intake, PipelineError};
use hashsweep_sim::World;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[tokio::test(start_paused = true)]
async fn a_stopped_run_settles_what_travels_and_a_second_run_asks_only_the_rest() {
    let mut scene = Scene::recorded(&hashes(3000)).await;
    let world = World { latency: Duration::from_secs(1), ..World::default() };
    let service = Arc::new(Memory::new(world));
    stop_after(Duration::from_millis(3500), scene.stop.clone());
    let seen = scene.ask(&service).await;
    assert!(seen.interrupted);
    assert_eq!(seen.halt, None);
    // One alone, a second for the limits, eight, and the eight that were on their way.
    assert_eq!((seen.answered(), seen.because(Outcome::Deferred, "interrupted")), (1700, 1300));
    assert_eq!(service.witness().bulk_requests, 17);

    scene.stop = CancellationToken::new();
    scene.ask(&service).await.is_whole();
    assert_eq!(service.witness().bulk_requests, 30);
    assert_eq!(service.witness().repeated().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_before_it_begins_asks_nothing() {
    let mut scene = Scene::recorded(&hashes(300)).await;
    let service = Arc::new(Memory::new(World::default()));
    scene.stop.cancel();
    let seen = scene.ask(&service).await;
    assert_eq!((seen.because(Outcome::Deferred, "interrupted"), service.witness().bulk_requests), (300, 0));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_cannot_be_read_ends_the_run_with_its_error() {
    let mut scene = Scene::listing(&hashes(300));
    std::fs::remove_file(scene.list()).unwrap();
    let service = Arc::new(Memory::new(World::default()));
    let (ended, _) = scene.attempt(scene.lists(), Some(service)).await;
    assert!(matches!(ended, Err(PipelineError::List(_))), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_root_that_is_gone_ends_the_run_with_its_error() {
    let mut scene = Scene::walking();
    std::fs::remove_dir(scene.tree()).unwrap();
    let service = Arc::new(Memory::new(World::default()));
    let (ended, _) = scene.attempt(scene.walk(), Some(service)).await;
    assert!(matches!(ended, Err(PipelineError::Walk(_))), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_case_that_cannot_be_written_ends_the_run_with_its_error() {
    let mut scene = Scene::recorded(&hashes(3000)).await;
    let path = scene.case_path();
    scene.case_mut().be_patient_for(std::time::Duration::from_millis(50)).unwrap();
    // Another process stops in the middle of a transaction once the first request has left.
    let (gone, wait) = mpsc::sync_channel::<()>(0);
    let wait = std::sync::Mutex::new(Some(wait));
    let service = Memory::over(
        move |n, _| {
            if let Some(wait) = (n == 2).then(|| wait.lock().unwrap().take()).flatten() {
                let mut other = Case::open(&path).unwrap();
                let (held, holds) = mpsc::sync_channel(0);
                std::thread::spawn(move || {
                    other.group(|_| {
                        held.send(()).unwrap();
                        let _ = wait.recv();
                        Ok(())
                    })
                });
                holds.recv().unwrap();
            }
            None
        },
        World::default(),
    );
    let (ended, _) = scene.attempt(Intake::Finished, Some(Arc::new(service))).await;
    assert!(matches!(ended, Err(PipelineError::Case(_))), "{ended:?}");
    drop(gone);
}
