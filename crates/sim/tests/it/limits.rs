//! Rate and quota, in memory: the moment is an argument, so a day passes in no time.

use crate::client::{BULK, Client, body, reply, sha1s};
use hashsweep_sim::{Account, Moment, Request, Response, Service, Witness, World};
use reqwest::Method;
use std::time::Duration;

const DAY: u64 = 86_400;

fn ask(service: &Service, n_hashes: usize, now: Moment) -> Response {
    service.answer(&Request::post(BULK, body("sha1", &sha1s(0..n_hashes))), now)
}

fn at(since_start: Duration) -> Moment {
    Moment { since_start, unix_seconds: 1_000 * DAY + since_start.as_secs() }
}

#[test]
fn more_than_the_rate_is_answered_with_the_message() {
    let world = World { rate_limit_rps: Some(3), ..World::default() };
    let service = Service::new(world.clone());
    for _ in 0..3 {
        assert_eq!(ask(&service, 1, at(Duration::ZERO)).status, 200);
    }
    let refused = ask(&service, 1, at(Duration::from_millis(999)));
    assert_eq!(refused.status, 429);
    assert_eq!(refused.body, br#"{"message":"Rate limit exceeded"}"#);
    assert!(refused.headers.iter().all(|(name, _)| name != "retry-after"));
    assert_eq!(ask(&service, 1, at(Duration::from_secs(1))).status, 200);
    assert_eq!(service.witness().charged(), 4);

    let service = Service::new(World { retry_after: Some(Duration::from_secs(7)), ..world });
    for _ in 0..3 {
        assert_eq!(ask(&service, 1, at(Duration::ZERO)).status, 200);
    }
    let refused = ask(&service, 1, at(Duration::ZERO));
    assert!(refused.headers.contains(&("retry-after".to_owned(), "7".to_owned())));
}

/// The vendor says so of its usage and limits.
#[test]
fn monitoring_is_not_held_against_the_rate() {
    let service = Service::new(World { rate_limit_rps: Some(2), ..World::default() });
    let limits = || Request::get("/api/customer_usage/v1/limits");
    for _ in 0..2 {
        assert_eq!(service.answer(&limits(), at(Duration::ZERO)).status, 200);
        assert_eq!(ask(&service, 1, at(Duration::ZERO)).status, 200);
    }
    assert_eq!(ask(&service, 1, at(Duration::ZERO)).status, 429);
    assert_eq!(service.answer(&limits(), at(Duration::ZERO)).status, 200);
}

#[test]
fn the_default_rate_is_the_documented_one_and_can_be_off() {
    let count = |world: World| {
        let service = Service::new(world);
        (0..600).filter(|_| ask(&service, 1, at(Duration::ZERO)).status == 200).count()
    };
    assert_eq!(count(World::default()), 500);
    assert_eq!(count(World { rate_limit_rps: None, ..World::default() }), 600);
}

#[test]
fn a_spent_quota_is_answered_without_a_body_until_midnight() {
    let account = |name: &str, quota| Account {
        username: name.to_owned(),
        password: "p".to_owned(),
        daily_quota: quota,
    };
    let world = World { accounts: vec![account("u", Some(250)), account("v", None)], ..World::default() };
    let service = Service::new(world);
    let ask = |credentials: &str, n: usize, unix_seconds: u64| {
        let request =
            Request::post(BULK, body("sha1", &sha1s(0..n))).with_header("Authorization", credentials);
        service.answer(&request, Moment { since_start: Duration::ZERO, unix_seconds })
    };
    let (u, v) = ("Basic dTpw", "Basic djpw");
    assert_eq!(ask(u, 100, DAY).status, 200);
    assert_eq!(ask(u, 100, DAY).status, 200);
    let refused = ask(u, 51, DAY);
    assert_eq!((refused.status, refused.body.len()), (429, 0));
    assert_eq!(ask(u, 50, 2 * DAY - 1).status, 200);
    assert_eq!(ask(u, 1, 2 * DAY - 1).status, 429);
    assert_eq!(ask(v, 100, 2 * DAY - 1).status, 200);
    assert_eq!(ask(u, 100, 2 * DAY).status, 200);

    let Witness { accounts, by_status, total, .. } = service.witness();
    assert_eq!((accounts["u"].charged, accounts["v"].charged, total.charged), (350, 100, 450));
    assert_eq!((accounts["u"].sent, accounts["u"].returned), (402, 350));
    assert_eq!((by_status[&200], by_status[&429]), (5, 2));
}

#[tokio::test]
async fn both_kinds_of_429_look_as_they_should_on_the_wire() {
    let account = Account { username: "u".into(), password: "p".into(), daily_quota: Some(1) };
    let world = World { accounts: vec![account], rate_limit_rps: Some(2), ..World::default() };
    let client = Client::of(world).await;
    let ask = || {
        let request = client.request(Method::POST, BULK).body(body("sha1", &sha1s(0..2)));
        reply(request.basic_auth("u", Some("p")))
    };
    let replies = [ask().await.unwrap(), ask().await.unwrap(), ask().await.unwrap()];
    // A machine that needs a second for three requests on loopback sees no third refusal for rate.
    let arrivals = client.sim.witness().arrivals;
    assert_eq!((replies[0].status.as_u16(), replies[0].body.len()), (429, 0));
    assert_eq!(replies[0].headers["content-length"], "0");
    if arrivals[2] < arrivals[0] + Duration::from_secs(1) {
        assert_eq!(replies[2].json()["message"], "Rate limit exceeded");
    }
}
