//! Usage and limits: the truth about the simulator's own ledger, by UTC day and month.

#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

use crate::client::{BULK, body, sha1s};
use hashsweep_sim::{Account, Moment, Period, Product, Quota, Request, Response, Service, World};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

/// 2026-02-28, a Saturday, and the last day of its month.
const LAST_OF_FEBRUARY: u64 = 20_512 * 86_400;
const DAY: u64 = 86_400;

struct Company(Service);

/// Two of one company and one of another; the password of each is `p`.
fn world() -> World {
    let account = |username: &str, daily_quota| Account {
        username: username.into(),
        password: "p".into(),
        daily_quota,
    };
    World {
        accounts: vec![account("u/a/x", Some(250)), account("u/a/y", None), account("u/b/z", None)],
        ..World::default()
    }
}

impl Company {
    fn ask(&self, user: &str, request: Request, unix_seconds: u64) -> Response {
        let credentials = match user {
            "u/a/x" => "dS9hL3g6cA==",
            "u/a/y" => "dS9hL3k6cA==",
            "u/b/z" => "dS9iL3o6cA==",
            other => panic!("nobody is called {other}"),
        };
        let request = request.with_header("authorization", &format!("Basic {credentials}"));
        self.0.answer(&request, Moment { since_start: Duration::ZERO, unix_seconds })
    }

    fn look_up(&self, user: &str, n: usize, unix_seconds: u64) -> u16 {
        self.ask(user, Request::post(BULK, body("sha1", &sha1s(0..n))), unix_seconds).status
    }

    fn report(&self, user: &str, page: &str, unix_seconds: u64) -> Value {
        let response = self.ask(user, Request::get(&format!("/api/customer_usage/v1/{page}")), unix_seconds);
        assert_eq!(response.status, 200, "{page}");
        serde_json::from_slice::<Value>(&response.body).unwrap()["rl"].take()
    }
}

fn lookups(n: u64) -> Value {
    json!({"product": "TCA-0101 File Reputation", "number_of_queries": n})
}

fn monitoring(n: u64) -> Value {
    json!({"product": "TCA-9999 Customer Usage", "number_of_queries": n})
}

#[test]
fn usage_is_the_ledgers_by_day_and_by_month() {
    let company = Company(Service::new(world()));
    assert_eq!(company.look_up("u/a/x", 100, LAST_OF_FEBRUARY), 200);
    assert_eq!(company.look_up("u/a/x", 101, LAST_OF_FEBRUARY), 413);
    assert_eq!(company.look_up("u/a/y", 7, LAST_OF_FEBRUARY + DAY - 1), 200);
    assert_eq!(company.look_up("u/b/z", 50, LAST_OF_FEBRUARY), 200);
    assert_eq!(company.look_up("u/a/x", 3, LAST_OF_FEBRUARY + DAY), 200);

    let report = |page: &str| company.report("u/a/x", page, LAST_OF_FEBRUARY + DAY);
    let first = "2026-03-01";
    assert_eq!(report("usage/daily?format=json"), json!({"date": first, "usage_report": [lookups(3)]}));
    // The first request for usage shows in the second.
    assert_eq!(report("usage/daily"), json!({"date": first, "usage_report": [lookups(3), monitoring(1)]}));
    assert_eq!(
        report("usage/daily?date=2026-02-28"),
        json!({"date": "2026-02-28", "usage_report": [lookups(100)]})
    );
    assert_eq!(
        report("usage/company/daily?date=2026-02-28"),
        json!({"date": "2026-02-28", "usage_report": [lookups(107)]})
    );
    assert_eq!(
        report("usage/daily?from=2026-02-27&to=2026-03-01"),
        json!({"usage_reports": [
            {"date": "2026-02-27", "usage_report": []},
            {"date": "2026-02-28", "usage_report": [lookups(100)]},
            {"date": first, "usage_report": [lookups(3), monitoring(4)]},
        ]})
    );
    assert_eq!(
        report("usage/monthly?month=2026-02"),
        json!({"month": "2026-02", "usage_report": [lookups(100)]})
    );
    assert_eq!(
        report("usage/company/monthly?from=2026-02&to=2026-03"),
        json!({"usage_reports": [
            {"month": "2026-02", "usage_report": [lookups(107)]},
            {"month": "2026-03", "usage_report": [lookups(3), monitoring(6)]},
        ]})
    );
    assert_eq!(report("usage/date_range"), json!({"usage_report": []}));
    assert_eq!(
        company.report("u/b/z", "usage/company/monthly", LAST_OF_FEBRUARY)["usage_report"],
        json!([lookups(50)])
    );

    // Monitoring costs no quota.
    let witness = company.0.witness();
    assert_eq!((witness.charged(), witness.accounts["u/a/x"].charged), (160, 103));
    assert_eq!(witness.usage["u/a/x"], [(Product::FileReputation, 103), (Product::CustomerUsage, 8)].into());
}

#[test]
fn usage_comes_in_xml_when_it_is_asked_for() {
    let company = Company(Service::new(world()));
    company.look_up("u/b/z", 5, LAST_OF_FEBRUARY);
    let request = Request::get("/api/customer_usage/v1/usage/daily?format=xml");
    let response = company.ask("u/b/z", request, LAST_OF_FEBRUARY);
    assert_eq!(
        String::from_utf8(response.body).unwrap(),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><rl><date>2026-02-28</date><usage_report><item>\
         <product>TCA-0101 File Reputation</product><number_of_queries>5</number_of_queries></item></usage_report></rl>"
    );
}

#[test]
fn requests_for_usage_are_read_or_refused() {
    let company = Company(Service::new(world()));
    let check = |page: &str, expected: u16| {
        let request = Request::get(&format!("/api/customer_usage/v1/{page}"));
        assert_eq!(company.ask("u/a/x", request, LAST_OF_FEBRUARY).status, expected, "{page}");
    };
    check("usage/daily?from=2025-03-01&to=2026-02-28", 200);
    check("usage/daily?from=2025-02-28&to=2026-02-28", 400);
    check("usage/daily?from=2026-02-28&to=2026-02-27", 400);
    check("usage/daily?from=2026-02-28", 400);
    check("usage/daily?date=2026-02-28&from=2026-02-28&to=2026-02-28", 400);
    check("usage/daily?date=2026-02-29", 400);
    check("usage/daily?date=2026-02", 400);
    check("usage/daily?format=csv", 400);
    check("usage/monthly?month=2026-02-28", 400);
    check("usage/monthly?from=0001-01&to=2026-02", 400);
    check("usage/monthly?from=1970-01&to=9999-12", 400);
    check("usage/weekly", 404);
    check("usage", 404);
    check("limits/nobody", 404);
    check("", 404);
    let post = Request::post("/api/customer_usage/v1/limits", "");
    assert_eq!(company.ask("u/a/x", post, LAST_OF_FEBRUARY).status, 405);
}

#[test]
fn limits_say_which_quota_a_429_was() {
    let shared = Quota {
        products: vec![Product::FileReputation],
        users: vec!["u/a/x".into(), "u/a/y".into()],
        period: Period::Month,
        limit: 300,
    };
    let company = Company(Service::new(World { quotas: vec![shared], ..world() }));
    let exceeded = |user: &str, unix_seconds| -> Vec<(String, bool)> {
        let limits = company.report(user, "limits", unix_seconds);
        let row = |it: &Value| {
            (it["limit_type"].as_str().unwrap().to_owned(), it["limit_exceeded"].as_bool().unwrap())
        };
        limits["limits"].as_array().unwrap().iter().map(row).collect()
    };
    let both = |daily, monthly| vec![("daily".to_owned(), daily), ("monthly".to_owned(), monthly)];
    assert_eq!(exceeded("u/a/x", LAST_OF_FEBRUARY), both(false, false));
    assert_eq!(company.look_up("u/a/x", 100, LAST_OF_FEBRUARY), 200);
    assert_eq!(company.look_up("u/a/x", 100, LAST_OF_FEBRUARY), 200);
    assert_eq!(exceeded("u/a/x", LAST_OF_FEBRUARY), both(false, false));
    // Fifty units are left of the day, and the whole batch is refused.
    assert_eq!(company.look_up("u/a/x", 100, LAST_OF_FEBRUARY), 429);
    assert_eq!(exceeded("u/a/x", LAST_OF_FEBRUARY), both(true, false));
    assert_eq!(company.look_up("u/a/y", 100, LAST_OF_FEBRUARY), 200);
    assert_eq!(company.look_up("u/a/y", 1, LAST_OF_FEBRUARY), 429);
    assert_eq!(exceeded("u/a/y", LAST_OF_FEBRUARY), [("monthly".to_owned(), true)]);
    assert_eq!(exceeded("u/b/z", LAST_OF_FEBRUARY), []);
    let company_wide = company.report("u/a/y", "limits/company", LAST_OF_FEBRUARY);
    assert_eq!(
        company_wide,
        json!({"limits": [
            {"limit_type": "daily", "limit": 250, "limit_exceeded": true,
             "products": ["TCA-0101 File Reputation"], "users": ["u/a/x"]},
            {"limit_type": "monthly", "limit": 300, "limit_exceeded": true,
             "products": ["TCA-0101 File Reputation"], "users": ["u/a/x", "u/a/y"]},
        ]})
    );
    // The next day is the first of March.
    assert_eq!(exceeded("u/a/x", LAST_OF_FEBRUARY + DAY), both(false, false));
    assert_eq!(company.look_up("u/a/y", 100, LAST_OF_FEBRUARY + DAY), 200);
}

#[test]
fn what_is_not_bought_is_answered_403_and_costs_nothing() {
    let only = |products: &[Product]| products.iter().copied().collect::<BTreeSet<_>>();
    let company = Company(Service::new(World {
        entitlements: [
            ("u/a/x".to_owned(), only(&[Product::CustomerUsage])),
            ("u/a/y".to_owned(), only(&[Product::FileReputation])),
        ]
        .into(),
        ..world()
    }));
    let check = |user: &str, target: &str, expected: u16| {
        let response = company.ask(user, Request::get(target), 0);
        assert_eq!(response.status, expected, "{user} {target}");
        assert!(expected == 200 || response.body.is_empty());
    };
    assert_eq!(company.look_up("u/a/x", 1, 0), 403);
    assert_eq!(company.look_up("u/a/y", 1, 0), 200);
    check("u/a/x", "/api/customer_usage/v1/limits", 200);
    check("u/a/y", "/api/customer_usage/v1/limits", 403);
    check("u/a/y", "/api/taxii/taxii2/", 403);
    check("u/b/z", "/api/taxii/taxii2/", 200);
    assert_eq!(company.0.witness().charged(), 1);
}
