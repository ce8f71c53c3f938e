//! Attempts that see no status.

use crate::server::{Act, NOTHING, Server, response};
use crate::{IMPATIENCE, Says, ask, batch, check_fault, settings};
use hashsweep_spectra::{Booking, Client, Remedy, Settings};

const NO_COST: Remedy = Remedy::SlowDown { retry_after: None };

/// An address on which nobody listens any more.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_refused_connection_costs_nothing() {
    let got = ask(settings(&format!("http://{}", nobody()))).await;
    check_fault(&got, Says(NO_COST, Booking::Nothing, "refused", "check --api-url and --proxy"));
    assert!(got.unwrap_err().is_unreachable());
}

#[tokio::test]
async fn a_connection_that_closes_before_a_status_is_in_doubt() {
    let half = b"HTTP/1.1 200".to_vec();
    let garbage = b"SSH-2.0-OpenSSH_9.6\r\n".to_vec();
    for act in [Act::HangUp, Act::Say(half), Act::Say(garbage)] {
        let server = Server::start(act).await;
        let got = ask(settings(&server.url())).await;
        check_fault(&got, Says(Remedy::Again, Booking::InDoubt, "connection lost", "before an answer came"));
        assert_eq!(server.requests().len(), 1, "one attempt is one request");
        assert!(!got.unwrap_err().is_unreachable());
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_in_doubt_after_the_time_limit() {
    let server = Server::start(Act::Stall(Vec::new())).await;
    let got = ask(Settings { timeout: IMPATIENCE, ..settings(&server.url()) }).await;
    check_fault(&got, Says(Remedy::Again, Booking::InDoubt, "timeout", "--timeout raises it"));
}

/// A listener that accepts nobody into TLS stands for a host behind a firewall that drops packets.
#[tokio::test]
async fn connecting_that_takes_too_long_costs_nothing_however_short_the_time_limit() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let got = ask(Settings { timeout: IMPATIENCE, ..settings(&url) }).await;
    check_fault(&got, Says(NO_COST, Booking::Nothing, "connect timeout", "a firewall may drop the packets"));
    assert!(got.unwrap_err().is_unreachable());
}

#[tokio::test]
async fn a_name_that_does_not_resolve_costs_nothing() {
    let says = Says(NO_COST, Booking::Nothing, "dns", "does not resolve");
    let invalid = "https://does-not-exist.invalid";
    let proxies = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    if proxies.iter().all(|name| std::env::var_os(name).is_none()) {
        check_fault(&ask(settings(invalid)).await, says);
    }
    let proxy = Some("http://does-not-exist.invalid:3128".to_owned());
    check_fault(&ask(Settings { proxy, ..settings("https://service.invalid") }).await, says);
}

#[tokio::test]
async fn a_proxy_that_does_not_connect_us_costs_nothing() {
    let through = |proxy: String| Settings { proxy: Some(proxy), ..settings("https://service.invalid") };
    let got = ask(through(format!("http://{}", nobody()))).await;
    check_fault(&got, Says(NO_COST, Booking::Nothing, "refused", "--proxy"));
    for (status, word, hint) in [
        ("407 Proxy Authentication Required", "407", "put them into HTTPS_PROXY"),
        ("502 Bad Gateway", "proxy refused", "must allow CONNECT"),
        ("403 Forbidden", "proxy refused", "must allow CONNECT"),
    ] {
        let proxy = Server::start(Act::Say(response(status, &[], ""))).await;
        let got = ask(through(proxy.url())).await;
        check_fault(&got, Says(NO_COST, Booking::Nothing, word, hint));
        assert!(got.unwrap_err().is_unreachable());
        let [request] = &proxy.requests()[..] else { panic!("{:?}", proxy.requests()) };
        assert_eq!(request.line, "CONNECT service.invalid:443 HTTP/1.1");
        assert_eq!(request.header("authorization"), None, "credentials left in the clear");
    }
}

#[tokio::test]
async fn a_loopback_service_is_never_asked_through_a_proxy() {
    let server = Server::start(Act::Say(response("503 Service Unavailable", &[], ""))).await;
    let proxy = Some(format!("http://{}", nobody()));
    let got = ask(Settings { proxy, environment_proxy: true, ..settings(&server.url()) }).await;
    check_fault(&got, Says(NO_COST, Booking::Nothing, "503", "overloaded"));
}

/// The server does not announce it with `Connection: close`, it just closes after each answer, as at an idle limit.
/// An attempt that finds its connection closed before it has written a byte goes out on a new one. (What is written
/// while the other side closes is `Lost`, in doubt, and rightly: nobody can tell whether it was read.)
#[tokio::test]
async fn a_connection_closed_after_an_answer_costs_the_next_attempt_nothing() {
    let server = Server::start(Act::Say(response("200 OK", &[], NOTHING))).await;
    let client = Client::new(settings(&server.url())).unwrap();
    for n in 1..=100 {
        client.ask(&batch()).await.unwrap();
        assert_eq!((server.requests().len(), server.n_connections()), (n, n));
    }
}
