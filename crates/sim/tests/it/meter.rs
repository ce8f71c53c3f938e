//! The simulator's own meter, by which clients are measured.

use crate::client::{BULK, Client, SINGLE, body, sha1s, until};
use hashsweep_sim::{Cue, Fault, LEDGER_PATH, Request, Service, When, World};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn the_witness_has_seen_everything() {
    let client = Client::of(World::default()).await;
    client.bulk(&sha1s(0..7)).await;
    client.bulk(&[sha1s(5..10), vec!["zz".to_owned()]].concat()).await;
    client.bulk(&sha1s(0..101)).await;
    client.get(&format!("{SINGLE}/sha1/{}", sha1s(0..1)[0])).await;
    client.get("/nowhere").await;
    client.get(BULK).await;

    let witness = client.sim.witness();
    assert_eq!((witness.requests, witness.bulk_requests, witness.lookups), (6, 4, 5));
    assert_eq!(witness.bulk_by_status, [(200, 2), (405, 1), (413, 1)].into());
    assert_eq!(witness.bulk_arrivals.len(), 4);
    assert_eq!(witness.batch_sizes, [7, 6, 101]);
    assert_eq!(witness.max_batch(), 101);
    assert_eq!(witness.by_status, [(200, 3), (404, 1), (405, 1), (413, 1)].into());
    assert_eq!((witness.hashes.len(), witness.malformed), (101, 1));
    let times = |n: usize| witness.hashes[&sha1s(n..n + 1)[0]];
    assert_eq!((times(0), times(1), times(5), times(50)), (3, 2, 3, 1));
    assert_eq!(witness.repeated().count(), 10);
    assert_eq!(witness.arrivals.len(), 6);
    assert!(witness.arrivals.is_sorted());
    assert_eq!((witness.max_concurrent, witness.unanswered), (1, 0));
    assert_eq!((witness.total.sent, witness.total.returned, witness.charged()), (114, 13, 13));
    assert!(witness.usernames.is_empty());
}

#[tokio::test]
async fn requests_at_once_are_counted() {
    let script = vec![Cue::new(When::Between(1, 4), Fault::HangBeforeCharge)];
    let client = Client::of(World { script, ..World::default() }).await;
    let hanging: Vec<_> = (0..4)
        .map(|n| {
            let request = client.http.post(format!("{}{BULK}", client.sim.url()));
            tokio::spawn(request.body(body("sha1", &sha1s(n..n + 1))).send())
        })
        .collect();
    until(|| client.sim.witness().unanswered == 4).await;
    assert_eq!(client.sim.witness().max_concurrent, 4);
    // The simulator's own page is no request to the service.
    client.get(LEDGER_PATH).await;
    assert_eq!(client.sim.witness().max_concurrent, 4);
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn the_ledger_page_shows_the_totals_and_is_not_in_them() {
    let client = Client::of(World::default()).await;
    client.bulk(&sha1s(0..7)).await;
    client.bulk(&sha1s(0..101)).await;
    client.get(LEDGER_PATH).await;
    assert_eq!(
        client.get(LEDGER_PATH).await.json(),
        json!({
            "requests": 2, "by_status": {"200": 1, "413": 1}, "unanswered": 0,
            "bulk_requests": 2, "max_batch": 101, "distinct_hashes": 101, "malformed": 0, "max_concurrent": 1,
            "sent": 108, "returned": 7, "charged": 7,
            "accounts": {"anonymous": {"requests": 2, "sent": 108, "returned": 7, "charged": 7}},
            "usage": {"anonymous": {"TCA-0101": 7}},
        })
    );
}

#[test]
fn visits_are_counted_without_a_server_too() {
    let service = Service::new(World::default());
    let (first, second) = (service.visit(), service.visit());
    drop(first);
    let third = service.visit();
    assert_eq!(service.witness().max_concurrent, 2);
    drop((second, third));
}

/// Whatever comes, there is an answer to it.
#[test]
fn odd_requests_are_answered() {
    let service = Service::new(World::default());
    let moment = hashsweep_sim::Moment { since_start: Duration::ZERO, unix_seconds: u64::MAX };
    let long = "/".repeat(100_000);
    for target in
        ["", "?", "//", "\u{0}", SINGLE, &long, &format!("{SINGLE}/sha1/é"), &format!("{BULK}?=&&=%")]
    {
        let get = Request::get(target).with_header("authorization", "Basic \u{fffd}");
        assert!(service.answer(&get, moment).status >= 400, "{target}");
        let post = Request::post(target, "{\"rl\":{\"query\":{\"hash_type\":\"\",\"hashes\":[]}}}");
        assert!(service.answer(&post, moment).status >= 400, "{target}");
    }
}
