//! Who is let in, through which door and with what in hand.

use crate::client::{BULK, Client, SINGLE, body, reply, sha1s};
use hashsweep_sim::{Account, World};
use reqwest::Method;
use serde_json::json;

fn guarded() -> World {
    let account = Account { username: "u/acme/ana".into(), password: "s3cret".into(), daily_quota: None };
    World { accounts: vec![account], ..World::default() }
}

#[tokio::test]
async fn only_the_right_credentials_open_a_guarded_service() {
    let client = Client::of(guarded()).await;
    let target = format!("{SINGLE}/sha1/{}", sha1s(0..1)[0]);
    let check = async |credentials: Option<(&str, &str)>, target: &str, expected: u16| {
        let mut request = client.request(Method::GET, target);
        if let Some((username, password)) = credentials {
            request = request.basic_auth(username, Some(password));
        }
        let answer = reply(request).await.unwrap();
        assert_eq!(answer.status, expected, "{credentials:?}");
        if expected == 401 {
            assert_eq!(answer.headers["www-authenticate"], r#"Basic realm="Spectra Intelligence""#);
        }
    };
    check(Some(("u/acme/ana", "s3cret")), &target, 200).await;
    check(Some(("u/acme/ana", "S3cret")), &target, 401).await;
    check(Some(("u/acme/bea", "s3cret")), &target, 401).await;
    check(Some(("", "")), &target, 401).await;
    check(None, &target, 401).await;
    check(None, "/nowhere", 401).await;
    check(Some(("u/acme/ana", "s3cret")), "/nowhere", 404).await;

    let bearer = client.request(Method::GET, &target).header("authorization", "Bearer dTpw");
    assert_eq!(reply(bearer).await.unwrap().status, 401);

    let witness = client.sim.witness();
    assert_eq!(witness.usernames, ["", "u/acme/ana", "u/acme/bea"].map(str::to_owned).into());
    assert_eq!(witness.accounts.keys().collect::<Vec<_>>(), ["u/acme/ana"]);
    assert_eq!((witness.charged(), witness.accounts["u/acme/ana"].charged), (1, 1));
    let printed = format!("{witness:?}");
    assert!(!printed.contains("3cret"), "{printed}");
}

#[tokio::test]
async fn an_open_service_takes_anybody() {
    let client = Client::of(World::default()).await;
    let hashes = sha1s(0..3);
    assert_eq!(client.bulk(&hashes).await.status, 200);
    let named =
        client.request(Method::POST, BULK).basic_auth("u/x/y", Some("any")).body(body("sha1", &hashes));
    assert_eq!(reply(named).await.unwrap().status, 200);
    let witness = client.sim.witness();
    assert_eq!(witness.accounts["anonymous"].charged, 3);
    assert_eq!(witness.accounts["u/x/y"].charged, 3);
}

#[tokio::test]
async fn each_door_has_its_method_and_there_are_no_others() {
    let client = Client::of(World::default()).await;
    let single = format!("{SINGLE}/sha1/{}", sha1s(0..1)[0]);
    let check = async |method: Method, target: &str, expected: u16, allow: Option<&str>| {
        let answer = reply(client.request(method.clone(), target)).await.unwrap();
        assert_eq!(answer.status, expected, "{method} {target}");
        assert_eq!(answer.headers.get("allow").map(|value| value.to_str().unwrap()), allow);
    };
    check(Method::GET, BULK, 405, Some("POST")).await;
    check(Method::PUT, BULK, 405, Some("POST")).await;
    check(Method::POST, &single, 405, Some("GET")).await;
    check(Method::DELETE, &single, 405, Some("GET")).await;
    check(Method::GET, "/", 404, None).await;
    check(Method::POST, "/api/databrowser/malware_presence/bulk_query/yaml", 404, None).await;
    check(Method::GET, "/api/databrowser/malware_presence/query/crc32/00", 404, None).await;
    assert_eq!(client.sim.witness().charged(), 0);
}

#[tokio::test]
async fn a_hundred_hashes_pass_and_one_more_does_not() {
    let client = Client::of(World::default()).await;
    assert_eq!(client.bulk(&sha1s(0..100)).await.status, 200);
    assert_eq!(client.bulk(&sha1s(0..101)).await.status, 413);
    assert_eq!(client.bulk(&[]).await.status, 400);
    assert_eq!(client.sim.witness().charged(), 100);
}

#[tokio::test]
async fn a_body_may_be_a_mebibyte_and_no_more() {
    let client = Client::of(World::default()).await;
    let padded = |n: usize| {
        let mut body = body("sha1", &sha1s(0..1));
        body.resize(n, b' ');
        body
    };
    assert_eq!(client.post(BULK, padded(1 << 20)).await.status, 200);
    assert_eq!(client.post(BULK, padded((1 << 20) + 1)).await.status, 413);
    assert_eq!(client.post(BULK, padded(5 << 20)).await.status, 413);
}

#[tokio::test]
async fn the_content_type_may_be_json_octets_or_missing() {
    let client = Client::of(World::default()).await;
    let check = async |content_type: Option<&str>, expected: u16| {
        let mut request = client.request(Method::POST, BULK).body(body("sha1", &sha1s(0..1)));
        if let Some(value) = content_type {
            request = request.header("content-type", value);
        }
        assert_eq!(reply(request).await.unwrap().status, expected, "{content_type:?}");
    };
    check(None, 200).await;
    check(Some("application/json"), 200).await;
    check(Some("application/octet-stream"), 200).await;
    check(Some("text/xml"), 400).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_400() {
    let client = Client::of(World::default()).await;
    let good = body("sha1", &sha1s(0..1));
    let wrong_key = serde_json::to_vec(&json!({"rl": {"query": {"hash_type": "sha1", "hash": []}}})).unwrap();
    let not_ascii = String::from_utf8(good.clone()).unwrap().replace("rl", "rł").into_bytes();
    for bad in [Vec::new(), good[..good.len() - 1].to_vec(), wrong_key, not_ascii, vec![0xff; 40]] {
        assert_eq!(client.post(BULK, bad.clone()).await.status, 400, "{}", String::from_utf8_lossy(&bad));
    }
    assert_eq!(client.post(&format!("{BULK}?extended=yes"), good).await.status, 400);
    let witness = client.sim.witness();
    assert_eq!((witness.charged(), witness.by_status[&400], witness.batch_sizes.len()), (0, 6, 0));
}
