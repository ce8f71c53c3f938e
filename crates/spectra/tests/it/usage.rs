//! Usage and limits.

use crate::server::{Act, Server, response};
use crate::{Says, check_fault, settings};
use hashsweep_spectra::{Amount, Booking, Client, Date, Limit, Month, Period, Remedy, Scope, Usage};

async fn served(body: &str) -> (Server, Client) {
    let server = Server::start(Act::Say(response("200 OK", &[], body))).await;
    let client = Client::new(settings(&server.url())).unwrap();
    (server, client)
}

async fn usage(body: &str) -> Usage {
    let (_server, client) = served(body).await;
    client.usage(Period::Today, Scope::Own).await.unwrap()
}

#[tokio::test]
async fn each_period_and_scope_has_its_address() {
    let day = |text: &str| text.parse::<Date>().unwrap();
    let month = |text: &str| text.parse::<Month>().unwrap();
    for (period, scope, path) in [
        (Period::Today, Scope::Own, "daily?format=json"),
        (Period::Today, Scope::Company, "company/daily?format=json"),
        (Period::Day(day("2026-02-01")), Scope::Own, "daily?format=json&date=2026-02-01"),
        (
            Period::Days(day("2026-01-31"), day("2026-02-28")),
            Scope::Own,
            "daily?format=json&from=2026-01-31&to=2026-02-28",
        ),
        (Period::ThisMonth, Scope::Own, "monthly?format=json"),
        (Period::Month(month("2026-02")), Scope::Company, "company/monthly?format=json&month=2026-02"),
        (
            Period::Months(month("2025-12"), month("2026-02")),
            Scope::Own,
            "monthly?format=json&from=2025-12&to=2026-02",
        ),
        (Period::Contract, Scope::Own, "date_range?format=json"),
    ] {
        let (server, client) = served(r#"{"rl":{"usage_report":[]}}"#).await;
        assert_eq!(client.usage(period, scope).await.unwrap().n_queries("TCA-0101"), 0);
        let [request] = &server.requests()[..] else { panic!("one request was expected") };
        assert_eq!(request.line, format!("GET /api/customer_usage/v1/usage/{path} HTTP/1.1"));
        assert!(request.header("authorization").is_some());
    }
    for (scope, path) in [(Scope::Own, "limits"), (Scope::Company, "limits/company")] {
        let (server, client) = served(r#"{"rl":{"limits":[]}}"#).await;
        assert_eq!(client.limits(scope).await.unwrap(), []);
        assert_eq!(
            server.requests()[0].line,
            format!("GET /api/customer_usage/v1/{path}?format=json HTTP/1.1")
        );
    }
}

#[tokio::test]
async fn a_product_is_found_by_its_code() {
    let got = usage(
        r#"{"rl":{"date":"2026-02-01","usage_report":[
            {"product":"TCA-0101 File Reputation","number_of_queries":37},
            {"product":"tca-0101","number_of_queries":"5"},
            {"product":"TCA-01012","number_of_queries":1000},
            {"product":"TCA-0104","number_of_queries":7,"used_bytes":12,"new":[1]},
            {"product":null,"number_of_queries":null}]}}"#,
    )
    .await;
    assert_eq!((got.n_queries("TCA-0101"), got.n_queries("TCA-0104"), got.n_queries("TCA-9")), (42, 7, 0));
    let [report] = &got.reports[..] else { panic!("{got:?}") };
    assert_eq!((report.date.as_deref(), report.month.as_deref()), (Some("2026-02-01"), None));
    assert_eq!((report.products[3].used_bytes, report.products.len()), (Some(12), 5));
}

#[tokio::test]
async fn a_span_has_a_report_for_each_part() {
    let got = usage(
        r#"{"rl":{"usage_reports":[{"month":"2026-01","usage_report":[{"product":"TCA-0101","number_of_queries":1}]},
            {"month":"2026-02","usage_report":null},
            {"month":"2026-03","usage_report":[{"product":"TCA-0101","number_of_queries":2}]}]}}"#,
    )
    .await;
    assert_eq!((got.reports.len(), got.n_queries("TCA-0101")), (3, 3));
}

#[tokio::test]
async fn limits_are_read_with_what_is_there() {
    let (_server, client) = served(
        r#"{"rl":{"limits":[
            {"limit_type":"daily","limit":100000,"limit_exceeded":true,
             "products":["TCA-0101 File Reputation","TCA-0104"],"users":["u/company/user"],"free_flex":{}},
            {"limit_type":"date_range","limit_exceeded":false,"products":["TCA-0402"],"users":[],
             "limit_size":{"value":5,"unit":"GB"},"start_date":"2026-01-01","end_date":"2026-12-31"},
            {}]}}"#,
    )
    .await;
    let limits = client.limits(Scope::Own).await.unwrap();
    let [queries, size, empty] = &limits[..] else { panic!("{limits:?}") };
    assert!(queries.covers("TCA-0101") && !size.covers("TCA-0101"));
    assert_eq!((queries.limit, queries.is_exceeded), (Some(100_000), Some(true)));
    assert_eq!(queries.users, ["u/company/user"]);
    assert_eq!(size.limit_size, Some(Amount { value: Some(5), unit: Some("GB".into()) }));
    assert_eq!(
        (size.start_date.as_deref(), size.end_date.as_deref()),
        (Some("2026-01-01"), Some("2026-12-31"))
    );
    assert_eq!(empty, &Limit::default());
}

#[tokio::test]
async fn a_refusal_or_a_broken_answer_is_a_fault() {
    let server = Server::start(Act::Say(response("403 Forbidden", &[], ""))).await;
    let client = Client::new(settings(&server.url())).unwrap();
    let says = Says(Remedy::Halt, Booking::Nothing, "403", "TCA-9999 for usage");
    check_fault(&client.usage(Period::Today, Scope::Own).await, says);
    check_fault(&client.limits(Scope::Own).await, says);
    for body in [
        "",
        "{}",
        "[]",
        r#"{"rl":{}}"#,
        r#"{"rl":{"limits":{}}}"#,
        r#"{"rl":{"usage_report":7}}"#,
        "<rl/>",
        r#"{"rl":[[]]}"#,
        r#"[{"limits":[],"usage_report":[]}]"#,
        r#"{"rl":{"limits":[[]],"usage_report":[[]]}}"#,
    ] {
        let (_server, client) = served(body).await;
        let says = Says(Remedy::Again, Booking::Charged, "broken body", "broken");
        check_fault(&client.usage(Period::Today, Scope::Own).await, says);
        check_fault(&client.limits(Scope::Own).await, says);
    }
}

#[test]
fn dates_are_of_the_calendar() {
    for text in ["2026-02-01", "2024-02-29", "2000-02-29", "2026-12-31"] {
        assert_eq!(text.parse::<Date>().unwrap().to_string(), text);
    }
    for text in [
        "2026-02-29",
        "1900-02-29",
        "2026-13-01",
        "2026-1-01",
        "26-01-01",
        "2026-01-00",
        "2026-01",
        "",
        "+026-01-01",
    ] {
        assert!(text.parse::<Date>().is_err(), "{text}");
    }
    assert_eq!("2026-11".parse::<Month>().unwrap().to_string(), "2026-11");
    assert!("2026-00".parse::<Month>().is_err() && "2026-11-01".parse::<Month>().is_err());
}
