//! The simulator as a server: TLS, its clock, and what it says about itself.

use crate::client::{BULK, Client, body, reply, sha1s};
#[cfg(feature = "tls")]
use crate::client::{SINGLE, http};
use hashsweep_sim::{ADVANCE_PATH, Account, OPENAPI_PATH, World};
#[cfg(feature = "tls")]
use hashsweep_sim::{Listen, Simulator};
use reqwest::Method;
use serde_json::Value;
use std::time::Duration;

#[cfg(feature = "tls")]
#[tokio::test]
async fn tls_is_spoken_to_those_who_trust_the_authority() {
    let listen = Listen { tls: true, ..Listen::default() };
    let sim = Simulator::start_on(World::default(), listen).await.unwrap();
    assert!(sim.url().starts_with("https://127.0.0.1:"));
    let target = format!("{}{SINGLE}/sha1/{}", sim.url(), sha1s(0..1)[0]);
    // Making a client installs the provider that this one needs too.
    assert!(http().get(&target).send().await.is_err());
    let root = reqwest::Certificate::from_pem(sim.ca_pem().unwrap().as_bytes()).unwrap();
    let trusting = reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().unwrap();
    for target in [target.clone(), target.replace("127.0.0.1", "localhost")] {
        assert_eq!(reply(trusting.get(&target)).await.unwrap().status, 200, "{target}");
    }
    assert!(reply(trusting.get(target.replace("https", "http"))).await.is_err());
    // One that never shakes hands keeps nobody waiting.
    let silent = tokio::net::TcpStream::connect(sim.url().replace("https://", "")).await.unwrap();
    assert_eq!(reply(trusting.get(&target)).await.unwrap().status, 200);
    drop(sim);
    drop(silent);
    while trusting.get(&target).send().await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[cfg(not(feature = "tls"))]
#[tokio::test]
async fn tls_that_was_not_built_is_refused() {
    let listen = hashsweep_sim::Listen { tls: true, ..Default::default() };
    let refused = hashsweep_sim::Simulator::start_on(World::default(), listen).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::Unsupported);
}

#[tokio::test]
async fn the_clock_starts_where_the_world_says_and_can_be_moved() {
    let account = Account { username: "u".into(), password: "p".into(), daily_quota: Some(2) };
    // An hour before the end of 2026-02-28.
    let starts_at = Some(20_513 * 86_400 - 3_600);
    let client = Client::of(World { accounts: vec![account], starts_at, ..World::default() }).await;
    let ask = async || {
        let request = client.request(Method::POST, BULK).body(body("sha1", &sha1s(0..2)));
        reply(request.basic_auth("u", Some("p"))).await.unwrap().status.as_u16()
    };
    assert_eq!((ask().await, ask().await), (200, 429));
    client.sim.advance(Duration::from_secs(3_600));
    assert_eq!((ask().await, ask().await), (200, 429));
    let moved = client.post(&format!("{ADVANCE_PATH}?seconds=86400"), "").await.json();
    assert!((20_514 * 86_400..20_515 * 86_400).contains(&moved["unix_seconds"].as_u64().unwrap()));
    assert_eq!(ask().await, 200);
    let usage =
        client.request(Method::GET, "/api/customer_usage/v1/usage/daily?from=2026-02-28&to=2026-03-02");
    let report = reply(usage.basic_auth("u", Some("p"))).await.unwrap().json();
    for day in report["rl"]["usage_reports"].as_array().unwrap() {
        assert_eq!(day["usage_report"][0]["number_of_queries"], 2, "{day}");
    }
    assert_eq!(client.post(ADVANCE_PATH, "").await.status, 400);
    assert_eq!(client.get(ADVANCE_PATH).await.status, 405);
    assert_eq!(client.sim.witness().requests, 6);
}

#[tokio::test]
async fn the_description_names_what_is_there() {
    let client = Client::of(World { dialects: hashsweep_sim::Dialects::Both, ..World::default() }).await;
    let description = client.get(OPENAPI_PATH).await.json();
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = description["paths"].as_object().unwrap();
    assert!(paths.len() >= 20, "{}", paths.len());
    for (path, operations) in paths {
        let target = path
            .replace("{hash_type}", "sha1")
            .replace("{hash}", &sha1s(0..1)[0])
            .replace("{root}", "ransomware-api-root")
            .replace("{collection}", "f0997a32-b823-562d-9856-c754ac5e1159");
        assert!(!target.contains('{'), "{target}");
        let methods: Vec<&String> =
            operations.as_object().unwrap().keys().filter(|key| *key != "parameters").collect();
        // Whatever the path, the wrong method is refused there and the right one is the one described.
        let refused = reply(client.request(Method::DELETE, &target)).await.unwrap();
        assert_eq!(refused.status, 405, "{target}");
        assert_eq!(refused.headers["allow"].to_str().unwrap().to_lowercase(), methods[0].as_str());
        assert_eq!(methods.len(), 1, "{target}");
        let Value::Object(responses) = &operations[methods[0]]["responses"] else { panic!("{target}") };
        assert!(responses.contains_key("200") || responses.contains_key("201"), "{target}");
    }
    assert_eq!(client.get("/_sim/nothing").await.status, 404);
    assert_eq!(client.post(OPENAPI_PATH, "").await.status, 405);
}
