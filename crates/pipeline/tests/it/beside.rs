//! Several runs at one case at the same time, measured at the service: no digest is asked by two of them.

use crate::memory::Memory;
use crate::scene::{Scene, hashes};
use hashsweep_case::{Case, Claim, Freshness, Scope};
use hashsweep_model::{Class, Outcome, Stamp};
use hashsweep_pipeline::Intake;
use hashsweep_sim::World;
use std::sync::Arc;
use std::time::Duration;

const OTHER_HANDS: &str = "in the hands of another process";

fn service(latency_ms: u64) -> Arc<Memory> {
    let world =
        World { latency: Duration::from_millis(latency_ms), rate_limit_rps: None, ..World::default() };
    Arc::new(Memory::new(world))
}

/// Our books over all runs against the service's.
fn balance(scene: &Scene, service: &Memory) {
    let ledger = scene.case().quota(Scope::Case).unwrap();
    assert!(ledger.at_most() >= service.witness().charged(), "{ledger:?}");
}

#[tokio::test(start_paused = true)]
async fn two_runs_share_a_sweep() {
    let mut first = Scene::recorded(&hashes(20_000)).await;
    let mut second = first.beside();
    let service = service(500);
    let (one, other) = tokio::join!(
        first.run(Intake::Finished, Some(Arc::clone(&service))),
        second.run(Intake::Finished, Some(Arc::new(service.again())))
    );
    one.is_whole();
    other.is_whole();
    other.is_honest();
    assert_eq!(service.witness().repeated().count(), 0);
    assert_eq!(service.witness().total.sent, 20_000);
    for gauges in [&first.gauges, &second.gauges] {
        let answered = gauges.answered.load(std::sync::atomic::Ordering::Relaxed);
        assert!((2_000..=18_000).contains(&answered), "{answered} asked by one of two");
    }
    balance(&first, &service);
}

#[tokio::test(start_paused = true)]
async fn a_run_learns_what_another_sweep_is_told_at_the_same_time() {
    let lines = hashes(4000);
    let mut first = Scene::recorded(&lines[..3000]).await;
    let mut second = first.beside_with(&lines[1000..]);
    let service = service(500);
    let lists = second.lists();
    let (one, other) = tokio::join!(
        first.run(Intake::Finished, Some(Arc::clone(&service))),
        second.run(lists, Some(Arc::new(service.again())))
    );
    for seen in [&one, &other] {
        assert_eq!(seen.tally.rows_of(Outcome::Answered) + seen.tally.rows_of(Outcome::Cached), 3000);
        assert!(seen.tally.is_complete());
        seen.is_honest();
    }
    assert_eq!(one.tally.asked() + other.tally.asked(), 4000);
    assert!(one.tally.learned + other.tally.learned > 0, "{:?}", other.tally);
    assert_eq!(service.witness().repeated().count(), 0);
    balance(&first, &service);
}

#[tokio::test(start_paused = true)]
async fn two_intakes_of_one_sweep_record_each_row_once() {
    let mut first = Scene::listing(&hashes(3000));
    let mut second = first.beside();
    let service = service(20);
    let (lists, again) = (first.lists(), second.lists());
    let (one, other) = tokio::join!(
        first.run(lists, Some(Arc::clone(&service))),
        second.run(again, Some(Arc::new(service.again())))
    );
    for seen in [&one, &other] {
        assert_eq!(seen.tally.rows, 3000);
        seen.is_whole();
    }
    assert_eq!(service.witness().repeated().count(), 0);
}

/// Dropped in the middle, as a kill does it: nothing is settled, and its session is over. There is more in the queue
/// than one of them may take at once, so that both have requests on their way whoever comes first.
#[tokio::test(start_paused = true)]
async fn a_run_takes_over_what_a_dead_one_left() {
    let mut first = Scene::recorded(&hashes(20_000)).await;
    let mut second = first.beside();
    let service = service(500);
    let killed = Duration::from_millis(2700);
    let dying = service.again();
    let (died, seen) = tokio::join!(
        tokio::time::timeout(killed, first.attempt(Intake::Finished, Some(Arc::new(dying)))),
        second.run(Intake::Finished, Some(Arc::clone(&service)))
    );
    assert!(died.is_err(), "it was done before it was killed");
    seen.is_whole();
    seen.is_honest();
    let witness = service.witness();
    let repeated = witness.repeated().count();
    assert!((1..=800).contains(&repeated), "{repeated}: all that was on its way, and nothing else");
    let ledger = second.case().quota(Scope::Case).unwrap();
    assert!(ledger.in_doubt >= repeated as u64);
    balance(&second, &service);
}

/// Nothing waits when it begins, and yet there is something to wait for.
#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "time passes on the paused clock")]
async fn a_run_that_finds_everything_in_other_hands_is_not_done() {
    let mut first = Scene::recorded(&hashes(500)).await;
    let mut second = first.beside();
    let service = service(500);
    let (died, seen) = tokio::join!(
        tokio::time::timeout(
            Duration::from_millis(1300),
            first.attempt(Intake::Finished, Some(Arc::new(service.again())))
        ),
        async {
            // By now the first knows its service and its limits, and has claimed all that there is.
            tokio::time::sleep(Duration::from_millis(1200)).await;
            second.run(Intake::Finished, Some(Arc::clone(&service))).await
        }
    );
    assert!(died.is_err(), "it was done before it was killed");
    seen.is_whole();
    balance(&second, &service);
}

/// Another process that has claimed something and does nothing with it: stopped, or at a service that hangs.
fn still(scene: &Scene, n_batches: usize) -> Case {
    let mut case = Case::open(&scene.case_path()).unwrap();
    case.group(|group| {
        let run = group.begin_run(scene.sweep, Stamp(1))?;
        let claim = Claim {
            n_batches,
            batch_size: 100,
            also_partial: true,
            most_digests: u64::MAX,
            up_to: Class::Last,
        };
        group.reopen(scene.sweep, &Freshness::NOTHING)?;
        group.claim((scene.sweep, run), claim, &Freshness::NOTHING, Stamp(2))
    })
    .unwrap();
    case
}

#[tokio::test(start_paused = true)]
async fn what_a_process_holds_that_stands_still_is_left_to_it_and_said_so() {
    let mut scene = Scene::recorded(&hashes(1000)).await;
    // The 300 that will be held, and 500 of its own.
    let mut other = scene.beside_with(&[&hashes(300)[..], &hashes(1500)[1000..]].concat());
    let stopped = still(&scene, 3);
    let service = service(20);
    let before = service.elapsed();
    let seen = scene.run(Intake::Finished, Some(Arc::clone(&service))).await;
    assert_eq!((seen.answered(), seen.because(Outcome::Deferred, OTHER_HANDS)), (700, 300));
    assert!(!seen.tally.is_complete());
    let waited = service.elapsed().saturating_sub(before);
    assert!((scene.asking.patience..2 * scene.asking.patience).contains(&waited), "{waited:?}");
    // So is what another sweep wants of it.
    let lists = other.lists();
    let seen = other.run(lists, Some(Arc::new(service.again()))).await;
    assert_eq!((seen.tally.asked(), seen.because(Outcome::Deferred, OTHER_HANDS)), (500, 300));
    // At its end it is anybody's.
    drop(stopped);
    let (one, other) = tokio::join!(
        scene.run(Intake::Finished, Some(Arc::clone(&service))),
        other.run(Intake::Finished, Some(Arc::new(service.again())))
    );
    assert!(one.tally.is_complete(), "{:?}", one.tally);
    assert!(other.tally.is_complete(), "{:?}", other.tally);
    // What both wanted was asked by one of them.
    assert_eq!((service.witness().total.sent, service.witness().repeated().count()), (1500, 0));
}
