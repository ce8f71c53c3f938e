//! What an answer says, in every reading of the documents.

use crate::client::{BULK, Client, SINGLE, body, sha1s, sorted, with_status};
use hashsweep_sim::{ChargeMode, InvalidMode, Status, UnknownMode, Verdicts, World};
use serde_json::{Value, json};

#[tokio::test]
async fn a_batch_of_100_has_an_entry_for_each_hash() {
    let client = Client::of(World::default()).await;
    let hashes = sha1s(0..100);
    let reply = client.bulk(&hashes).await;
    let verdicts = Verdicts::default();
    assert_eq!(sorted(reply.answered()), hashes);
    for entry in reply.entries() {
        let hash = entry["query_hash"]["sha1"].as_str().unwrap();
        let status = verdicts.status_of(hash).unwrap().name();
        assert_eq!(entry, json!({"status": status, "query_hash": {"sha1": hash}}));
    }
    assert_eq!(reply.json()["rl"].as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn every_kind_is_answered_under_its_own_name() {
    let client = Client::of(World::default()).await;
    for (kind, n) in [("md5", 32), ("sha1", 40), ("sha256", 64)] {
        let hash = "7".repeat(n);
        let reply = client.post(BULK, body(kind, std::slice::from_ref(&hash))).await;
        assert_eq!(reply.entries()[0]["query_hash"], json!({kind: hash}));
    }
}

#[tokio::test]
async fn detail_comes_when_it_is_asked_for_in_any_case() {
    let client = Client::of(World::default()).await;
    let bad = with_status(Status::Malicious, 1);
    let check = async |query: &str, extended: bool, show_hashes: bool| {
        let reply = client.post(&format!("{BULK}?{query}"), body("sha1", &bad)).await;
        let entry = &reply.entries()[0];
        assert_eq!(entry["status"], "MALICIOUS");
        assert_eq!(entry.get("threat_name").is_some(), extended, "{query}");
        assert_eq!(entry.get("sha256").is_some(), show_hashes, "{query}");
    };
    check("", false, false).await;
    check("extended=true", true, false).await;
    check("extended=false&show_hashes=True", false, true).await;
    check("extended=TRUE&show_hashes=TRUE&format=json", true, true).await;

    let reply = client.post(&format!("{BULK}?extended=true&show_hashes=true"), body("sha1", &bad)).await;
    let entry = &reply.entries()[0];
    assert_eq!(entry["sha1"], Value::String(bad[0].clone()));
    assert_eq!((entry["md5"].as_str().unwrap().len(), entry["sha256"].as_str().unwrap().len()), (32, 64));
    let keys: Vec<&str> = entry.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "classification",
        "first_seen",
        "last_seen",
        "md5",
        "query_hash",
        "reason",
        "scanner_count",
        "scanner_match",
        "scanner_percent",
        "sha1",
        "sha256",
        "status",
        "threat_level",
        "threat_name",
        "trust_factor",
    ];
    assert_eq!(sorted(keys.into_iter().map(str::to_owned).collect()), expected);
}

#[tokio::test]
async fn a_listed_file_is_the_same_by_each_of_its_digests() {
    let client = Client::of(World { verdicts: Verdicts::demo(), ..World::default() }).await;
    let list = include_str!("../../../../fixtures/demo-verdicts.csv");
    let cells: Vec<&str> = list.lines().nth(1).unwrap().split(',').collect();
    for (kind, hash) in [("md5", cells[0]), ("sha1", cells[1]), ("sha256", cells[2])] {
        let reply =
            client.get(&format!("{SINGLE}/{kind}/{hash}?extended=true&show_hashes=true&format=json")).await;
        let mut entry = reply.json()["rl"]["malware_presence"].clone();
        assert_eq!(entry["query_hash"], json!({kind: hash}));
        assert_eq!(
            (&entry["md5"], &entry["sha1"], &entry["sha256"]),
            (&json!(cells[0]), &json!(cells[1]), &json!(cells[2]))
        );
        assert_eq!((&entry["status"], &entry["threat_name"]), (&json!(cells[3]), &json!(cells[4])));
        entry["query_hash"] = Value::Null;
        let percent = entry["scanner_percent"].as_f64().unwrap();
        assert!((percent - 5200.0 / 58.0).abs() < 0.001);
    }
}

#[tokio::test]
async fn unknown_hashes_appear_as_the_world_says() {
    let known = with_status(Status::Known, 2);
    let unknown = with_status(Status::Unknown, 3);
    let mixed = [known.clone(), unknown.clone()].concat();
    let check = async |unknown_mode, n_entries: usize, n_listed: usize, alone: u16, single: u16| {
        let client = Client::of(World { unknown_mode, ..World::default() }).await;
        let reply = client.bulk(&mixed).await;
        assert_eq!(reply.entries().len(), n_entries, "{unknown_mode:?}");
        let listed = &reply.json()["rl"]["unknown_hashes"];
        assert_eq!(listed.as_array().map_or(0, Vec::len), n_listed, "{unknown_mode:?}");
        let reply = client.bulk(&unknown).await;
        assert_eq!(reply.status, alone, "{unknown_mode:?}");
        assert_eq!(reply.body.is_empty(), alone == 404);
        let reply = client.get(&format!("{SINGLE}/sha1/{}", unknown[0])).await;
        assert_eq!(reply.status, single, "{unknown_mode:?}");
        assert_eq!(client.get(&format!("{SINGLE}/sha1/{}", known[0])).await.status, 200);
    };
    check(UnknownMode::Entry, 5, 0, 200, 200).await;
    check(UnknownMode::Omit, 2, 0, 200, 404).await;
    check(UnknownMode::List, 2, 3, 200, 200).await;
    check(UnknownMode::Http404IfAll, 2, 0, 404, 404).await;
}

#[tokio::test]
async fn malformed_hashes_appear_as_the_world_says_and_cost_nothing() {
    let good = sha1s(0..2);
    let malformed = vec!["zz".to_owned(), "7".repeat(64)];
    let mixed = [good.clone(), malformed.clone()].concat();
    let check = async |invalid_mode, expected: u16, listed: &Value| {
        let client = Client::of(World { invalid_mode, ..World::default() }).await;
        let reply = client.bulk(&mixed).await;
        assert_eq!(reply.status, expected);
        if expected == 200 {
            assert_eq!(sorted(reply.answered()), good);
            assert_eq!(&reply.json()["rl"]["invalid_hashes"], listed);
            let reply = client.bulk(&malformed).await;
            assert_eq!(reply.entries().len(), 0);
        }
        let witness = client.sim.witness();
        assert_eq!(witness.charged(), if expected == 200 { 2 } else { 0 });
        assert_eq!(client.get(&format!("{SINGLE}/sha1/zz")).await.status, 400);
    };
    check(InvalidMode::List, 200, &json!(malformed)).await;
    check(InvalidMode::Omit, 200, &Value::Null).await;
    check(InvalidMode::Http400, 400, &Value::Null).await;
}

#[tokio::test]
async fn each_reading_of_the_price_has_its_own() {
    let known = with_status(Status::Known, 2);
    let unknown = with_status(Status::Unknown, 3);
    // Five hashes, one of them twice, and one that is none.
    let batch = [known.clone(), unknown, vec![known[0].clone(), "zz".to_owned()]].concat();
    let check = async |charge_mode, unknown_mode, expected: u64| {
        let client = Client::of(World { charge_mode, unknown_mode, ..World::default() }).await;
        assert_eq!(client.bulk(&batch).await.status, 200);
        assert_eq!(client.sim.witness().charged(), expected, "{charge_mode:?} {unknown_mode:?}");
    };
    check(ChargeMode::Sent, UnknownMode::Entry, 6).await;
    check(ChargeMode::Sent, UnknownMode::Omit, 6).await;
    check(ChargeMode::ReturnedAll, UnknownMode::Entry, 5).await;
    check(ChargeMode::ReturnedAll, UnknownMode::Omit, 2).await;
    check(ChargeMode::ReturnedFound, UnknownMode::Entry, 2).await;
    check(ChargeMode::ReturnedFound, UnknownMode::List, 2).await;
}

#[tokio::test]
async fn the_order_is_another_but_always_the_same() {
    let hashes = sha1s(0..50);
    let backwards: Vec<String> = hashes.iter().rev().cloned().collect();
    let client = Client::of(World::default()).await;
    let shuffled = client.bulk(&hashes).await.answered();
    assert!(shuffled != hashes && shuffled != backwards);
    assert_eq!(client.bulk(&backwards).await.answered(), shuffled);

    let client = Client::of(World { shuffle: false, ..World::default() }).await;
    assert_eq!(client.bulk(&hashes).await.answered(), hashes);
    assert_eq!(client.bulk(&backwards).await.answered(), backwards);
}

#[tokio::test]
async fn a_repeated_hash_is_answered_once_in_its_first_letters() {
    let client = Client::of(World::default()).await;
    let upper = "AB".repeat(20);
    let reply = client.bulk(&[upper.clone(), upper.to_lowercase()]).await;
    assert_eq!(reply.answered(), std::slice::from_ref(&upper));
    assert_eq!(client.sim.witness().hashes[&upper.to_lowercase()], 2);
}

#[tokio::test]
async fn an_appliance_has_nulls() {
    let client = Client::of(World { null_fields: true, ..World::default() }).await;
    let bad = with_status(Status::Malicious, 1);
    let reply = client.post(&format!("{BULK}?extended=true"), body("sha1", &bad)).await;
    let entry = &reply.entries()[0];
    assert_eq!(entry.get("threat_name"), Some(&Value::Null));
    assert!(entry["threat_level"].is_u64());
}
