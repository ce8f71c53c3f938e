//! Every status and the fault it becomes.

use crate::server::{Act, NOTHING, Server, response};
use crate::{Says, ask, check_fault, settings};
use hashsweep_spectra::{Booking, Fault, Remedy};
use std::time::Duration;

async fn check(status: &str, headers: &[(&str, &str)], body: &str, says: Says) {
    let server = Server::start(Act::Say(response(status, headers, body))).await;
    check_fault(&ask(settings(&server.url())).await, says);
    assert_eq!(server.requests().len(), 1, "one attempt is one request");
}

fn slow_down(seconds: Option<u64>) -> Remedy {
    Remedy::SlowDown { retry_after: seconds.map(Duration::from_secs) }
}

#[tokio::test]
async fn each_status_says_what_to_do_and_what_it_cost() {
    use Booking::{InDoubt, Nothing};
    for (status, says) in [
        ("400 Bad Request", Says(Remedy::Split, Nothing, "400", "malformed")),
        ("401 Unauthorized", Says(Remedy::Halt, Nothing, "401", "check user name and password")),
        ("403 Forbidden", Says(Remedy::Halt, Nothing, "403", "TCA-0101")),
        ("404 Not Found", Says(Remedy::Judge404, Nothing, "404", "check --api-url")),
        ("405 Method Not Allowed", Says(Remedy::Halt, Nothing, "405", "does not take this method")),
        ("407 Proxy Authentication Required", Says(slow_down(None), Nothing, "407", "HTTPS_PROXY")),
        ("408 Request Timeout", Says(Remedy::Again, InDoubt, "408", "--batch-size")),
        ("409 Conflict", Says(Remedy::Halt, Nothing, "409", "in conflict with its state")),
        ("413 Content Too Large", Says(Remedy::Split, Nothing, "413", "too large")),
        ("415 Unsupported Media Type", Says(Remedy::Halt, Nothing, "415", "content type is a setting")),
        ("422 Unprocessable Content", Says(Remedy::Halt, Nothing, "422", "check --dialect")),
        ("418 I'm a teapot", Says(Remedy::Halt, Nothing, "418", "unexpected status (418)")),
        ("429 Too Many Requests", Says(Remedy::Quota, Nothing, "429 quota", "licence of an appliance")),
        ("500 Internal Server Error", Says(Remedy::Again, Nothing, "500", "the service failed (500)")),
        ("501 Not Implemented", Says(Remedy::Again, Nothing, "501", "the service failed (501)")),
        ("502 Bad Gateway", Says(Remedy::Again, InDoubt, "502", "--batch-size")),
        ("503 Service Unavailable", Says(slow_down(None), Nothing, "503", "maintenance")),
        ("504 Gateway Timeout", Says(Remedy::Again, InDoubt, "504", "--batch-size")),
    ] {
        check(status, &[], "", says).await;
    }
}

#[tokio::test]
async fn a_2xx_that_is_not_a_200_is_no_answer() {
    let says = Says(Remedy::Halt, Booking::Nothing, "202", "without an answer (202)");
    check("202 Accepted", &[], NOTHING, says).await;
}

#[tokio::test]
async fn a_429_is_about_the_rate_only_if_it_says_so() {
    let rate = Says(slow_down(None), Booking::Nothing, "429 rate", "slow down");
    let quota = Says(Remedy::Quota, Booking::Nothing, "429 quota", "quota is used up");
    for body in [
        r#"{"message": "Rate limit exceeded"}"#,
        r#"{"Message":"RATE LIMIT EXCEEDED."}"#,
        "rAtE lImIt ExCeEdEd",
    ] {
        check("429 Too Many Requests", &[], body, rate).await;
    }
    for body in ["", "  ", r#"{"message": "Quota exceeded"}"#, "<html>slow down</html>"] {
        check("429 Too Many Requests", &[], body, quota).await;
    }
}

#[tokio::test]
async fn retry_after_is_honoured_in_both_forms_up_to_a_cap() {
    let rate = r#"{"message": "Rate limit exceeded"}"#;
    let now = "Wed, 21 Oct 2015 07:28:00 GMT";
    for (date, value, seconds) in [
        (now, "Wed, 21 Oct 2015 07:28:30 GMT", Some(30)),
        (now, "Wednesday, 21-Oct-15 07:29:00 GMT", Some(60)),
        (now, "Wed Oct 21 07:28:05 2015", Some(5)),
        (now, "Wed, 21 Oct 2015 07:00:00 GMT", Some(0)),
        (now, "Wed, 21 Oct 2065 07:28:00 GMT", Some(900)),
        (now, "Thu, 32 Oct 2015 07:28:00 GMT", None),
        (now, "tomorrow", None),
        ("yesterday", "Wed, 21 Oct 2015 07:28:30 GMT", None),
    ] {
        let headers = [("Date", date), ("Retry-After", value)];
        let slow = |word| Says(slow_down(seconds), Booking::Nothing, word, "");
        check("429 Too Many Requests", &headers, rate, slow("429 rate")).await;
        check("503 Service Unavailable", &headers, "", slow("503")).await;
    }
}

#[tokio::test]
async fn retry_after_needs_no_date_for_seconds() {
    let rate = r#"{"message": "Rate limit exceeded"}"#;
    for (value, seconds) in [
        ("7", Some(7)),
        ("0", Some(0)),
        (" 12 ", Some(12)),
        ("86400", Some(900)),
        ("18446744073709551615", Some(900)),
        ("-1", None),
        ("1.5", None),
        // A date that nothing can be held against.
        ("Wed, 21 Oct 2065 07:28:00 GMT", None),
    ] {
        let headers = [("Retry-After", value)];
        let slow = |word| Says(slow_down(seconds), Booking::Nothing, word, "");
        check("429 Too Many Requests", &headers, rate, slow("429 rate")).await;
        check("503 Service Unavailable", &headers, "", slow("503")).await;
    }
    let server = Server::start(Act::Say(response("429 Q", &[("Retry-After", "60")], ""))).await;
    let quota = Fault::QuotaOrUnclear { retry_after: Some(Duration::from_mins(1)) };
    assert_eq!(ask(settings(&server.url())).await, Err(quota));
}

#[tokio::test]
async fn a_404_looks_like_the_api_when_its_body_is_empty_or_json() {
    for (body, looks_like_the_api) in [
        ("", true),
        (" \r\n", true),
        (r#"{"message":"not found"}"#, true),
        ("<rl><message>not found</message></rl>", true),
        ("<?xml version=\"1.0\"?>\n<rl/>", true),
        ("<rl>", false),
        ("<html><body>Please log in</body></html>", false),
        ("null", true),
        ("<html>Please log in</html>", false),
        ("Not Found", false),
        (r#"{"message":"#, false),
    ] {
        let server = Server::start(Act::Say(response("404 Not Found", &[], body))).await;
        let got = ask(settings(&server.url())).await;
        assert_eq!(got, Err(Fault::NotFound { looks_like_the_api }), "for {body:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_named_and_not_followed() {
    let elsewhere = Server::start(Act::Say(response("200 OK", &[], NOTHING))).await;
    let url = elsewhere.url();
    for status in
        ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        let target = format!("{url}/login?session=s3ss10n#access_token=t0k3n");
        let server = Server::start(Act::Say(response(status, &[("Location", &target)], ""))).await;
        let got = ask(settings(&server.url())).await;
        check_fault(&got, Says(Remedy::Halt, Booking::Nothing, "redirect", "give it as --api-url"));
        assert_eq!(got, Err(Fault::Redirect { to: format!("{url}/login") }));
    }
    assert_eq!(elsewhere.n_connections(), 0, "a redirect was followed");
}

#[tokio::test]
async fn a_redirects_target_is_made_fit_for_a_message() {
    let long = format!("https://portal.example/{}", "a".repeat(5000));
    for (target, named) in [
        ("https://u:p4ss@portal.example/x?y", "https://[redacted]@portal.example/x"),
        ("//u:p4ss@portal.example", "//[redacted]@portal.example"),
        ("https://portal.example/@somebody", "https://portal.example/@somebody"),
        ("/relative?token=1", "/relative"),
        ("?only=query", ""),
        (long.as_str(), &long[..300]),
    ] {
        let server = Server::start(Act::Say(response("302 Found", &[("Location", target)], ""))).await;
        assert_eq!(ask(settings(&server.url())).await, Err(Fault::Redirect { to: named.to_owned() }));
    }
    let server = Server::start(Act::Say(response("302 Found", &[], ""))).await;
    check_fault(
        &ask(settings(&server.url())).await,
        Says(Remedy::Halt, Booking::Nothing, "redirect", "an address it does not name"),
    );
}

#[test]
fn behind_a_proxy_any_5xx_is_in_doubt() {
    let unavailable = |proxied| Fault::Unavailable { retry_after: None, proxied };
    for (proxied, booking) in [(true, Booking::InDoubt), (false, Booking::Nothing)] {
        assert_eq!(Fault::Server { status: 500, proxied }.booking(), booking);
        assert_eq!(unavailable(proxied).booking(), booking);
    }
}
