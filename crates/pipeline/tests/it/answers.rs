//! What a healthy service may say, in every form it may choose.

use crate::memory::Memory;
use crate::scene::{Scene, hash, hashes, scripted};
use hashsweep_model::{HashKind, Outcome, Verdict};
use hashsweep_sim::{Cue, Fault, InvalidMode, Status, UnknownMode, Verdicts, When, World};
use std::sync::Arc;

fn with_fault(fault: Fault) -> World {
    scripted(vec![Cue::new(When::Always, fault)])
}

fn mixed(n_each: usize) -> Vec<String> {
    HashKind::ALL.into_iter().flat_map(|kind| (0..n_each).map(move |n| hash(kind, n))).collect()
}

#[tokio::test(start_paused = true)]
async fn every_distinct_hash_is_asked_once_in_as_few_requests_as_there_can_be() {
    let mut lines = mixed(350);
    lines.extend_from_within(300..400);
    lines.extend(["not a hash".to_owned(), String::new()]);
    let mut scene = Scene::recorded(&lines).await;
    let service = Arc::new(Memory::new(World::default()));
    let seen = scene.ask(&service).await;
    let witness = service.witness();
    assert_eq!(witness.repeated().count(), 0);
    assert_eq!(witness.hashes.len(), 1050);
    assert_eq!(witness.bulk_requests, 3 * 4);
    assert_eq!((seen.answered(), seen.tally.rows_of(Outcome::Invalid)), (1150, 2));
    assert_eq!((seen.tally.distinct, seen.tally.duplicates), (1050, 100));
    assert_eq!(seen.tally.quota.charged_max, witness.charged());
    assert_eq!(seen.halt, None);
}

#[tokio::test(start_paused = true)]
async fn asking_beside_the_reading_costs_at_most_one_more_request_for_each_kind() {
    let lines = mixed(350);
    let mut scene = Scene::listing(&lines);
    let service = Arc::new(Memory::new(World::default()));
    let seen = scene.run(scene.lists(), Some(Arc::clone(&service))).await;
    let witness = service.witness();
    scene.balance(&seen, &witness, 0);
    seen.is_whole();
    assert_eq!(witness.repeated().count(), 0);
    assert!((12..=15).contains(&witness.bulk_requests), "{}", witness.bulk_requests);
}

#[tokio::test(start_paused = true)]
async fn a_hash_left_out_by_a_service_that_never_says_unknown_is_unknown() {
    let mut scene = Scene::recorded(&hashes(250)).await;
    let world = World { unknown_mode: UnknownMode::Omit, ..World::default() };
    let service = Arc::new(Memory::new(world));
    let seen = scene.ask(&service).await;
    seen.is_whole();
    assert_eq!(service.witness().bulk_requests, 3);
    let unknown: Vec<_> = seen.rows.iter().filter(|row| row.verdict() == Some(Verdict::Unknown)).collect();
    assert!(unknown.len() > 20);
    assert!(unknown.iter().all(|row| row.reason.as_deref() == Some("absent")));
}

#[tokio::test(start_paused = true)]
async fn a_hash_left_out_by_a_service_that_says_unknown_is_asked_once_more_then_failed() {
    let mut scene = Scene::recorded(&hashes(100)).await;
    let service = Arc::new(Memory::new(with_fault(Fault::OmitHashes(3))));
    let seen = scene.ask(&service).await;
    let witness = service.witness();
    assert_eq!(witness.batch_sizes, [100, 3]);
    assert_eq!(witness.repeated().count(), 3);
    assert!(witness.hashes.values().all(|times| *times <= 2));
    assert_eq!((seen.answered(), seen.because(Outcome::Failed, "omitted")), (97, 3));
    assert_eq!(seen.tally.quota.charged_max, 103);

    // That the service says so is remembered over runs, and a failed hash gets a new chance in each.
    let seen = scene.ask(&service).await;
    assert_eq!(service.witness().batch_sizes, [100, 3, 3, 3]);
    assert_eq!(seen.because(Outcome::Failed, "omitted"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_hash_left_out_once_is_answered_the_second_time() {
    let mut scene = Scene::recorded(&hashes(100)).await;
    let script = vec![Cue::new(When::Listed(vec![1]), Fault::OmitHashes(3))];
    let service = Arc::new(Memory::new(scripted(script)));
    scene.ask(&service).await.is_whole();
    assert_eq!(service.witness().repeated().count(), 3);
}

#[tokio::test(start_paused = true)]
async fn unknown_hashes_may_stand_in_a_list_of_their_own() {
    let mut scene = Scene::recorded(&hashes(250)).await;
    let world = World { unknown_mode: UnknownMode::List, ..World::default() };
    let service = Arc::new(Memory::new(world));
    let seen = scene.ask(&service).await;
    seen.is_whole();
    assert_eq!(service.witness().repeated().count(), 0);
    let unknown = seen.rows.iter().filter(|row| row.verdict() == Some(Verdict::Unknown));
    assert!(unknown.into_iter().all(|row| row.reason.as_deref() == Some("reported")));
}

#[tokio::test(start_paused = true)]
async fn a_404_for_a_batch_of_strangers_means_that_none_is_known() {
    let truth = Verdicts::default();
    let is_unknown = |hash: &String| truth.status_of(hash) == Some(Status::Unknown);
    // In key order the first batch is answered, and so proves the service; the others are all strangers.
    let first: Vec<String> = hashes(1000).into_iter().filter(|hash| !is_unknown(hash)).take(100).collect();
    let strangers = (1_000_000..).map(|n| hash(HashKind::Sha1, n)).filter(is_unknown).take(300);
    let lines: Vec<String> = first.into_iter().chain(strangers).collect();
    let mut scene = Scene::recorded(&lines).await;
    let world = World { unknown_mode: UnknownMode::Http404IfAll, ..World::default() };
    let service = Arc::new(Memory::new(world));
    let seen = scene.ask(&service).await;
    seen.is_whole();
    assert_eq!(seen.tally.rows_with(Verdict::Unknown), 300);
    assert_eq!(service.witness().bulk_by_status[&404], 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_hash_is_never_sent_whatever_the_service_makes_of_it() {
    for invalid_mode in [InvalidMode::List, InvalidMode::Omit, InvalidMode::Http400] {
        let mut lines = hashes(50);
        lines.extend(["zz".repeat(20), "0a".repeat(19)]);
        let mut scene = Scene::recorded(&lines).await;
        let service = Arc::new(Memory::new(World { invalid_mode, ..World::default() }));
        let seen = scene.ask(&service).await;
        assert_eq!((seen.answered(), seen.tally.rows_of(Outcome::Invalid)), (50, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn entries_are_matched_by_hash_whatever_else_the_answer_holds() {
    let worlds = [
        with_fault(Fault::DoubledEntry),
        with_fault(Fault::ExtraEntry),
        World { null_fields: true, ..World::default() },
        World { shuffle: false, ..World::default() },
    ];
    for world in worlds {
        let lines = hashes(250);
        let mut scene = Scene::recorded(&lines).await;
        let service = Arc::new(Memory::in_upper_case(world));
        let seen = scene.ask(&service).await;
        seen.is_whole();
        assert_eq!(service.witness().bulk_requests, 3);
        // Each row has the answer about itself, and a stranger's has nowhere to go.
        for (row, line) in seen.rows.iter().zip(&lines) {
            assert_eq!(row.answer.as_ref().unwrap().answer.digest.to_string(), *line);
        }
    }
}
