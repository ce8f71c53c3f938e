//! The switches that the vendor's documents leave open, one after the other.

use crate::client::{BULK, Client, SINGLE, body, reply, sha1s, sorted, with_status};
use flate2::read::GzDecoder;
use hashsweep_sim::{
    Dialects, Duplicates, InvalidMode, Moment, OverLimit, Period, Quota, Request, RetryAfterForm, Service,
    Status, UnknownMode, Uppercase, World,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{io::Read, time::Duration};

const QUICKSTART: &str = "/api/databrowser/rl_data/query/sha1/list?format=json";

#[tokio::test]
async fn a_repeated_hash_is_answered_once_or_each_time() {
    let hashes = [sha1s(0..3), sha1s(1..2), sha1s(1..2)].concat();
    let check = async |duplicates, expected: usize| {
        let client = Client::of(World { duplicates, ..World::default() }).await;
        assert_eq!(client.bulk(&hashes).await.entries().len(), expected);
        assert_eq!(client.sim.witness().charged(), 5);
    };
    check(Duplicates::Once, 3).await;
    check(Duplicates::Each, 5).await;
}

#[tokio::test]
async fn upper_case_is_a_hash_or_malformed() {
    let upper = "AB".repeat(20);
    let hashes = [sha1s(0..1), vec![upper.clone()]].concat();
    let client = Client::of(World::default()).await;
    assert_eq!(sorted(client.bulk(&hashes).await.answered()), sorted(hashes.clone()));

    let client = Client::of(World { uppercase: Uppercase::Invalid, ..World::default() }).await;
    let reply = client.bulk(&hashes).await;
    assert_eq!(reply.answered(), sha1s(0..1));
    assert_eq!(reply.json()["rl"]["invalid_hashes"], json!([upper]));
    assert_eq!(client.get(&format!("{SINGLE}/sha1/{upper}?format=json")).await.status, 400);
    let witness = client.sim.witness();
    assert_eq!((witness.charged(), witness.malformed), (1, 2));
}

#[tokio::test]
async fn a_hash_that_the_service_dislikes_is_malformed_to_it() {
    let hashes = sha1s(0..3);
    let disliked = [hashes[1].clone()].into();
    let world = World { disliked, ..World::default() };
    let client = Client::of(world.clone()).await;
    let reply = client.bulk(&hashes).await;
    assert_eq!(sorted(reply.answered()), [hashes[0].clone(), hashes[2].clone()]);
    assert_eq!(reply.json()["rl"]["invalid_hashes"], json!([hashes[1]]));
    assert_eq!(client.sim.witness().charged(), 2);

    let client = Client::of(World { invalid_mode: InvalidMode::Http400, ..world }).await;
    assert_eq!(client.bulk(&hashes).await.status, 400);
    assert_eq!(client.bulk(&hashes[2..]).await.status, 200);
    assert_eq!(client.sim.witness().charged(), 1);
}

#[tokio::test]
async fn a_proxy_lets_small_bodies_through() {
    let fits = body("sha1", &sha1s(0..50));
    let client = Client::of(World { proxy_body_limit: Some(fits.len()), ..World::default() }).await;
    assert_eq!(client.post(BULK, fits).await.status, 200);
    let refused = client.bulk(&sha1s(0..51)).await;
    assert_eq!((refused.status.as_u16(), refused.body.len()), (413, 0));
    let witness = client.sim.witness();
    assert_eq!((witness.charged(), witness.batch_sizes), (50, vec![50, 51]));
}

#[tokio::test]
async fn monitoring_may_not_be_there() {
    let client = Client::of(World { monitoring: false, ..World::default() }).await;
    assert_eq!(client.get("/api/customer_usage/v1/limits").await.status, 404);
    assert_eq!(client.bulk(&sha1s(0..1)).await.status, 200);
}

#[test]
fn an_answer_may_take_longer_for_each_hash() {
    let world = World {
        latency: Duration::from_millis(5),
        latency_per_hash: Duration::from_millis(10),
        ..World::default()
    };
    let service = Service::new(world);
    let moment = Moment { since_start: Duration::ZERO, unix_seconds: 0 };
    for (n, milliseconds) in [(1, 15), (100, 1005)] {
        let response = service.answer(&Request::post(BULK, body("sha1", &sha1s(0..n))), moment);
        assert_eq!(response.delay, Duration::from_millis(milliseconds));
    }
}

#[tokio::test]
async fn too_many_are_refused_or_the_first_hundred_answered() {
    let mut hashes = sha1s(0..103);
    hashes[50] = "zz".to_owned();
    hashes[101] = "yy".to_owned();
    let world = World { over_limit: OverLimit::Truncate, shuffle: false, ..World::default() };
    let client = Client::of(world).await;
    let reply = client.bulk(&hashes).await;
    assert_eq!(reply.answered(), [&hashes[..50], &hashes[51..100]].concat());
    assert_eq!(reply.json()["rl"]["invalid_hashes"], json!(["zz"]));
    let witness = client.sim.witness();
    assert_eq!((witness.charged(), witness.total.sent, witness.max_batch()), (99, 101, 103));
}

#[test]
fn the_last_unit_lets_a_batch_through_where_the_world_says_so() {
    let quota = Quota { products: Vec::new(), users: Vec::new(), period: Period::Day, limit: 10 };
    let check = |allow_last, expected: [u16; 3]| {
        let service = Service::new(World { quotas: vec![quota.clone()], allow_last, ..World::default() });
        let ask = |n| {
            let request = Request::post(BULK, body("sha1", &sha1s(0..n)));
            service.answer(&request, Moment { since_start: Duration::ZERO, unix_seconds: 0 }).status
        };
        assert_eq!([ask(9), ask(5), ask(1)], expected);
    };
    check(false, [200, 429, 200]);
    check(true, [200, 200, 429]);
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let check = |retry_after_form, expected: &str| {
        let world = World {
            rate_limit_rps: Some(0),
            retry_after: Some(Duration::from_secs(90)),
            retry_after_form,
            ..World::default()
        };
        let request = Request::post(BULK, body("sha1", &sha1s(0..1)));
        let moment = Moment { since_start: Duration::ZERO, unix_seconds: 784_111_687 };
        let response = Service::new(world).answer(&request, moment);
        assert!(response.headers.contains(&("retry-after".to_owned(), expected.to_owned())), "{response:?}");
    };
    check(RetryAfterForm::Seconds, "90");
    check(RetryAfterForm::Date, "Sun, 06 Nov 1994 08:49:37 GMT");
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_take_it() {
    let hashes = sha1s(0..100);
    let ask = async |gzip, accepted: &str| {
        let client = Client::of(World { gzip, ..World::default() }).await;
        let request = client.request(Method::POST, BULK).header("accept-encoding", accepted);
        reply(request.body(body("sha1", &hashes))).await.unwrap()
    };
    let plain = ask(false, "gzip").await;
    assert!(!plain.headers.contains_key("content-encoding"));
    let declined = ask(true, "identity").await;
    assert_eq!((&declined.body, declined.headers.contains_key("content-encoding")), (&plain.body, false));
    let packed = ask(true, "gzip, deflate").await;
    assert_eq!(packed.headers["content-encoding"], "gzip");
    assert!(packed.body.len() < plain.body.len() / 2);
    let mut text = Vec::new();
    GzDecoder::new(packed.body.as_slice()).read_to_end(&mut text).unwrap();
    assert_eq!(text, plain.body);
}

#[tokio::test]
async fn the_quick_start_has_its_own_words() {
    let [bad, known, unknown] =
        [Status::Malicious, Status::Known, Status::Unknown].map(|status| with_status(status, 1)[0].clone());
    let hashes = [bad.clone(), known, unknown, "zz".to_owned()];
    let world = World { dialects: Dialects::Both, shuffle: false, ..World::default() };
    let client = Client::of(world).await;
    let reply = client.post(QUICKSTART, body("sha1", &hashes)).await;
    let entries = reply.entries();
    let words: Vec<&Value> = entries.iter().map(|entry| &entry["classification"]["classification"]).collect();
    assert_eq!(words, [&json!("MALICIOUS"), &json!("GOODWARE"), &json!("UNKNOWN")]);
    assert_eq!((&entries[0]["hash_type"], &entries[0]["hash_value"]), (&json!("sha1"), &json!(bad)));
    for entry in &entries {
        assert!((1..=5).contains(&entry["classification"]["factor"].as_u64().unwrap()));
        assert_eq!(entry["classification"]["scan_results"], json!([]));
    }
    assert_eq!(reply.json()["rl"]["invalid_hashes"], json!(["zz"]));
    assert_eq!(client.post(QUICKSTART, body("md5", &["0".repeat(32)])).await.status, 400);
    assert_eq!(client.bulk(&hashes).await.status, 200);
    let witness = client.sim.witness();
    assert_eq!((witness.charged(), witness.bulk_requests), (6, 3));

    let client = Client::of(World::default()).await;
    assert_eq!(client.post(QUICKSTART, body("sha1", &hashes)).await.status, 404);
    let client = Client::of(World { dialects: Dialects::Quickstart, ..World::default() }).await;
    assert_eq!(client.post(QUICKSTART, body("sha1", &hashes)).await.status, 200);
    assert_eq!(client.bulk(&hashes).await.status, 404);
}

#[tokio::test]
async fn reports_are_there_for_files_that_were_seen() {
    const BASE: &str = "/api/databrowser/rldata";
    let [bad, unknown] = [Status::Malicious, Status::Unknown].map(|status| with_status(status, 1)[0].clone());
    let mixed = [bad.clone(), unknown.clone(), "zz".to_owned()];
    let check = async |unknown_mode, listed: &Value, alone: u16| {
        let world = World { unknown_mode, invalid_mode: InvalidMode::List, ..World::default() };
        let client = Client::of(world).await;
        let reply = client.post(&format!("{BASE}/bulk_query/json"), body("sha1", &mixed)).await;
        let entries = reply.entries();
        assert_eq!((entries.len(), &entries[0]["sha1"]), (1, &json!(bad)));
        assert_eq!(&reply.json()["rl"]["unknown_hashes"], listed);
        assert_eq!(
            client.post(&format!("{BASE}/bulk_query/json"), body("sha1", &mixed[1..2])).await.status,
            alone
        );
        assert_eq!(client.get(&format!("{BASE}/query/sha1/{unknown}?format=json")).await.status, 404);
        let single = client.get(&format!("{BASE}/query/sha1/{bad}?format=json")).await.json();
        assert_eq!(single["rl"]["sample"], entries[0]);
        let witness = client.sim.witness();
        // Its hashes are not those of file reputation, and neither is its price.
        assert!(witness.hashes.is_empty() && witness.batch_sizes.is_empty() && witness.bulk_requests == 0);
        assert_eq!(witness.usage["anonymous"].values().sum::<u64>(), witness.charged());
    };
    check(UnknownMode::Entry, &Value::Null, 200).await;
    check(UnknownMode::List, &json!([unknown]), 200).await;
    check(UnknownMode::Http404IfAll, &Value::Null, 404).await;

    let client = Client::of(World::default()).await;
    let report =
        client.get(&format!("{BASE}/query/sha1/{bad}?format=json")).await.json()["rl"]["sample"].take();
    for (pointer, is_right) in [
        ("/sample_size", Value::is_u64 as fn(&Value) -> bool),
        ("/sha512", Value::is_string),
        ("/relationships/parent_sample_sha1", Value::is_array),
        ("/analysis/entries/0/tc_report/info/file/file_type", Value::is_string),
        ("/xref/entries/0/scanners/0/result", Value::is_string),
        ("/sources/entries/0/domain/name", Value::is_string),
        ("/dynamic_analysis/entries", Value::is_array),
    ] {
        assert!(report.pointer(pointer).is_some_and(is_right), "{pointer}");
    }
    assert!(report.get("status").is_none() && report.to_string().len() < 8_000);
}
