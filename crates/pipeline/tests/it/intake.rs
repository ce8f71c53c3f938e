//! Reading beside asking.

use crate::memory::Memory;
use crate::scene::{REAL_LIMIT, Scene, scripted};
use hashsweep_model::{Outcome, Place};
use hashsweep_pipeline::HaltKind;
use hashsweep_sim::{Cue, Fault, When, World};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Directories of a hundred different files each.
fn plant(tree: &Path, n_directories: usize) {
    for directory in 0..n_directories {
        let directory = tree.join(format!("{directory:02}"));
        fs::create_dir(&directory).unwrap();
        for n in 0..100 {
            fs::write(directory.join(format!("{n}")), format!("{}/{n}", directory.display())).unwrap();
        }
    }
}

/// A file that no walk of this test gets to the end of.
fn plant_endless(tree: &Path) -> File {
    let endless = File::create(tree.join("endless")).unwrap();
    endless.set_len(1 << 40).unwrap();
    endless
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_walk_goes_on_where_it_was_and_has_every_file_once() {
    let mut scene = Scene::walking();
    scene.limit = REAL_LIMIT;
    plant(&scene.tree(), 6);
    let endless = plant_endless(&scene.tree());
    let stop = scene.stop.clone();
    let service = Memory::over(
        move |n, _| {
            if n == 3 {
                stop.cancel();
            }
            None
        },
        World::default(),
    );
    let service = Arc::new(service);
    let seen = scene.run(scene.walk(), Some(Arc::clone(&service))).await;
    scene.balance(&seen, &service.witness(), 0);
    assert!(seen.interrupted && !seen.tally.intake_finished);
    assert!(seen.tally.rows >= 300, "{}", seen.tally.rows);
    assert!(!seen.tally.is_complete());

    endless.set_len(3).unwrap();
    scene.stop = CancellationToken::new();
    let seen = scene.run(scene.walk(), Some(Arc::clone(&service))).await;
    let witness = service.witness();
    scene.balance(&seen, &witness, 0);
    seen.is_whole();
    assert_eq!(witness.repeated().count(), 0);
    let mut paths = BTreeMap::new();
    for row in seen.rows {
        let Place::Path(path) = row.place else { panic!("a walk has no lines") };
        *paths.entry(path).or_insert(0) += 1;
    }
    assert_eq!(paths.len(), 601);
    assert!(paths.values().all(|times| *times == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_cannot_ask_at_all_stops_reading_too() {
    let mut scene = Scene::walking();
    scene.limit = REAL_LIMIT;
    plant(&scene.tree(), 3);
    let _endless = plant_endless(&scene.tree());
    let refused = Fault::Status { code: 401, body: String::new(), headers: Vec::new() };
    let script = vec![Cue::new(When::Always, refused)];
    let service = Arc::new(Memory::new(scripted(script)));
    let seen = scene.run(scene.walk(), Some(Arc::clone(&service))).await;
    scene.balance(&seen, &service.witness(), 0);
    assert_eq!(seen.halt.as_ref().unwrap().kind, HaltKind::Credentials);
    assert!(!seen.interrupted && !seen.tally.intake_finished);
    assert_eq!(service.witness().requests, 1);
    assert_eq!(seen.because(Outcome::Deferred, "credentials"), seen.tally.rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_halt_after_an_answer_reads_on_and_defers_the_rest() {
    let mut scene = Scene::walking();
    scene.limit = REAL_LIMIT;
    plant(&scene.tree(), 6);
    let refused = Fault::Status { code: 401, body: String::new(), headers: Vec::new() };
    let script = vec![Cue::new(When::From(2), refused)];
    let service = Arc::new(Memory::new(scripted(script)));
    let seen = scene.run(scene.walk(), Some(Arc::clone(&service))).await;
    scene.balance(&seen, &service.witness(), 0);
    assert!(seen.tally.intake_finished);
    assert_eq!((seen.answered(), seen.because(Outcome::Deferred, "credentials")), (100, 500));
}
