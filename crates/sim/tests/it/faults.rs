//! Bad days: each fault as the client sees it, and what it cost.

use crate::client::{BULK, Client, SINGLE, body, sha1s, sorted, until};
use hashsweep_sim::{Cue, Delivery, Fault, Moment, Request, ScriptHits, Service, UnknownMode, When, World};
use serde_json::Value;
use std::{
    num::NonZeroU64,
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A world in which the first request meets the fault and every later one is fine.
fn once(fault: Fault) -> World {
    World { script: vec![Cue::new(When::Listed(vec![1]), fault)], ..World::default() }
}

fn ask(service: &Service) -> hashsweep_sim::Response {
    let moment = Moment { since_start: Duration::ZERO, unix_seconds: 0 };
    service.answer(&Request::post(BULK, body("sha1", &sha1s(0..10))), moment)
}

#[tokio::test]
async fn a_scripted_status_comes_as_written_and_costs_nothing() {
    let fault = Fault::Status {
        code: 503,
        body: "<h1>maintenance</h1>".into(),
        headers: vec![("Content-Type".into(), "text/html".into()), ("Retry-After".into(), "3".into())],
    };
    let client = Client::of(once(fault)).await;
    let reply = client.bulk(&sha1s(0..10)).await;
    assert_eq!((reply.status.as_u16(), reply.body.as_slice()), (503, b"<h1>maintenance</h1>".as_slice()));
    assert_eq!(
        (&reply.headers["content-type"], &reply.headers["retry-after"]),
        (&"text/html".parse().unwrap(), &"3".parse().unwrap())
    );
    assert_eq!(client.sim.witness().charged(), 0);
    assert_eq!(client.bulk(&sha1s(0..10)).await.status, 200);
    assert_eq!(client.sim.witness().charged(), 10);
}

#[tokio::test]
async fn a_script_that_http_cannot_say_is_answered_500() {
    for (code, headers) in [(42, Vec::new()), (200, vec![("bad name".to_owned(), "x".to_owned())])] {
        let client = Client::of(once(Fault::Status { code, body: String::new(), headers })).await;
        assert_eq!(client.bulk(&sha1s(0..1)).await.status, 500);
    }
}

#[tokio::test]
async fn a_redirect_names_its_target() {
    let client = Client::of(once(Fault::Redirect { to: "http://127.0.0.1:9/login".into() })).await;
    let reply = client.bulk(&sha1s(0..1)).await;
    assert_eq!((reply.status.as_u16(), reply.body.len()), (302, 0));
    assert_eq!(reply.headers["location"], "http://127.0.0.1:9/login");
    assert_eq!(client.sim.witness().charged(), 0);
}

#[tokio::test]
async fn an_answer_comes_late_by_the_latency_and_the_delay() {
    let world = World { latency: Duration::from_millis(60), ..once(Fault::Delay(Duration::from_millis(90))) };
    let client = Client::of(world).await;
    #[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
    let before = Instant::now();
    assert_eq!(client.bulk(&sha1s(0..1)).await.status, 200);
    assert!(before.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_hanging_request_never_ends_and_costs_as_its_name_says() {
    for (fault, expected) in [(Fault::HangBeforeCharge, 0), (Fault::HangAfterCharge, 10)] {
        let client = Client::of(once(fault)).await;
        let hashes = sha1s(0..10);
        tokio::select! {
            reply = client.try_bulk(&hashes) => panic!("{reply:?}"),
            () = until(|| client.sim.witness().unanswered == 1) => {}
        }
        let witness = client.sim.witness();
        assert_eq!((witness.charged(), witness.unanswered, witness.requests), (expected, 1, 1));
        assert!(witness.by_status.is_empty());
        assert_eq!(client.bulk(&hashes).await.status, 200);
    }
}

#[tokio::test]
async fn dropping_the_simulator_ends_what_hangs_and_closes_the_port() {
    let Client { sim, http } = Client::of(once(Fault::HangAfterCharge)).await;
    let url = format!("{}{BULK}", sim.url());
    let hanging = tokio::spawn(http.post(&url).body(body("sha1", &sha1s(0..1))).send());
    until(|| sim.witness().unanswered == 1).await;
    drop(sim);
    assert!(hanging.await.unwrap().is_err());
    // The listener goes a moment later than the connections may.
    while http.get(&url).send().await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_cut_connection_shows_the_head_and_half_the_body() {
    let client = Client::of(once(Fault::ResetMidBody)).await;
    let request = body("sha1", &sha1s(0..10));
    let address = client.sim.url().replace("http://", "");
    let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let head =
        format!("POST {BULK} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n", request.len());
    stream.write_all(&[head.as_bytes(), &request].concat()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let text = String::from_utf8(answer).unwrap();
    let (head, half) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let promised: usize = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned))
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(half.len(), promised / 2);
    assert!(half.starts_with(r#"{"rl":{"entries":["#), "{half}");

    let witness = client.sim.witness();
    assert_eq!((witness.charged(), witness.by_status[&200], witness.unanswered), (10, 1, 0));
}

#[tokio::test]
async fn a_cut_connection_is_an_error_to_a_client() {
    let client = Client::of(once(Fault::ResetMidBody)).await;
    let response = client
        .http
        .post(format!("{}{BULK}", client.sim.url()))
        .body(body("sha1", &sha1s(0..10)))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.is_err());
    assert_eq!(client.bulk(&sha1s(0..10)).await.entries().len(), 10);
}

#[tokio::test]
async fn spoiled_bodies_arrive_whole_and_are_charged() {
    let check = async |fault: Fault, is_json: bool| {
        let client = Client::of(once(fault.clone())).await;
        let reply = client.bulk(&sha1s(0..10)).await;
        assert_eq!(reply.status, 200, "{fault:?}");
        assert_eq!(reply.headers["content-length"], reply.body.len().to_string().as_str());
        assert_eq!(serde_json::from_slice::<Value>(&reply.body).is_ok(), is_json, "{fault:?}");
        assert_eq!(client.sim.witness().charged(), 10, "{fault:?}");
        let good = client.bulk(&sha1s(0..10)).await;
        assert_eq!(good.entries().len(), 10);
        (reply, good)
    };
    let (short, good) = check(Fault::ShortBody, false).await;
    assert_eq!(short.body, good.body[..good.body.len() / 2]);
    let (bad, good) = check(Fault::BadJson, false).await;
    assert_eq!(bad.body.len(), good.body.len());
    assert_eq!(bad.headers["content-type"], "application/json");
    let portal =
        Fault::NotJson { body: "<html>please log in</html>".into(), content_type: "text/html".into() };
    let (foreign, _) = check(portal, false).await;
    assert_eq!(
        (foreign.headers["content-type"].to_str().unwrap(), foreign.body.as_slice()),
        ("text/html", b"<html>please log in</html>".as_slice())
    );
}

#[tokio::test]
async fn a_gateway_may_time_out_after_the_service_has_answered() {
    let client = Client::of(once(Fault::GatewayTimeoutAfterCharge)).await;
    assert_eq!(client.bulk(&sha1s(0..10)).await.status, 504);
    let witness = client.sim.witness();
    assert_eq!((witness.charged(), witness.by_status[&504]), (10, 1));
}

#[tokio::test]
async fn entries_may_be_too_many_or_too_few() {
    let hashes = sha1s(0..10);

    let client = Client::of(once(Fault::ExtraEntry)).await;
    let reply = client.bulk(&hashes).await;
    let (entries, answered) = (reply.entries(), reply.answered());
    assert_eq!(sorted(answered[..10].to_vec()), hashes);
    assert_eq!((entries.len(), &entries[10]["status"]), (11, &Value::from("MALICIOUS")));
    assert!(answered[10].len() == 40 && !hashes.contains(&answered[10]));

    let client = Client::of(once(Fault::DoubledEntry)).await;
    let entries = client.bulk(&hashes).await.entries();
    assert_eq!((entries.len(), &entries[10]), (11, &entries[0]));

    let client = Client::of(once(Fault::OmitHashes(3))).await;
    let answered = client.bulk(&hashes).await.answered();
    assert_eq!(answered.len(), 7);
    assert!(answered.iter().all(|hash| hashes.contains(hash)));
    assert_eq!(client.sim.witness().charged(), 10);

    let world = World { unknown_mode: UnknownMode::List, ..once(Fault::OmitHashes(1000)) };
    let reply = Client::of(world).await.bulk(&hashes).await;
    assert_eq!(reply.json(), serde_json::json!({"rl": {"entries": []}}));
}

#[tokio::test]
async fn a_single_answer_has_no_list_to_spoil() {
    for fault in [Fault::ExtraEntry, Fault::DoubledEntry, Fault::OmitHashes(1)] {
        let client = Client::of(once(fault)).await;
        let reply = client.get(&format!("{SINGLE}/sha1/{}?format=json", sha1s(0..1)[0])).await;
        assert!(reply.json()["rl"]["malware_presence"]["status"].is_string());
    }
}

#[test]
fn a_fault_leaves_a_refusal_as_it_is() {
    for fault in [
        Fault::HangBeforeCharge,
        Fault::HangAfterCharge,
        Fault::ResetMidBody,
        Fault::GatewayTimeoutAfterCharge,
    ] {
        let service = Service::new(World { rate_limit_rps: Some(0), ..once(fault) });
        let response = ask(&service);
        assert_eq!((response.status, response.delivery), (429, Delivery::Whole));
        assert_eq!(service.witness().charged(), 0);
    }
}

#[test]
fn a_script_for_lookups_passes_over_everything_else() {
    let fault = |code| Fault::Status { code, body: String::new(), headers: Vec::new() };
    let service = Service::new(World {
        script: vec![Cue::new(When::Listed(vec![1, 3]), fault(503))],
        script_hits: ScriptHits::Lookups,
        ..World::default()
    });
    let moment = Moment { since_start: Duration::ZERO, unix_seconds: 0 };
    let get = |target: &str| service.answer(&Request::get(target), moment).status;
    let single = format!("{SINGLE}/sha1/{}", sha1s(0..1)[0]);
    let limits = "/api/customer_usage/v1/limits";
    let statuses =
        [get(limits), ask(&service).status, get(limits), get(&single), ask(&service).status, get("/nowhere")];
    assert_eq!(statuses, [200, 503, 200, 200, 503, 404]);
    assert_eq!(service.witness().lookups, 3);
}

#[test]
fn the_script_counts_requests_from_one() {
    let fault = |code| Fault::Status { code, body: String::new(), headers: Vec::new() };
    let service = Service::new(World {
        script: vec![
            Cue::new(When::Between(2, 3), fault(500)),
            Cue::new(When::EveryNth(NonZeroU64::new(3).unwrap()), fault(502)),
            Cue::new(When::From(7), fault(503)),
        ],
        ..World::default()
    });
    let statuses: Vec<u16> = (0..8).map(|_| ask(&service).status).collect();
    assert_eq!(statuses, [200, 500, 500, 200, 200, 502, 503, 503]);
    // What failed has arrived nevertheless, and the meter saw it.
    let witness = service.witness();
    assert!(witness.hashes.len() == 10 && witness.hashes.values().all(|&times| times == 8));
    assert_eq!((witness.total.sent, witness.charged()), (80, 30));
}
