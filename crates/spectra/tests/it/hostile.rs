//! A server that means harm costs bounded time and memory.

use crate::server::{Act, NOTHING, Server, response};
use crate::{IMPATIENCE, Says, ask, check_fault, settings};
use flate2::{Compression, write::GzEncoder};
use hashsweep_spectra::{Booking, Fault, Format, Remedy, Settings};
use std::fmt::Write as _;
use std::io::Write as _;

const BROKEN: &str = "broken body";

pub(crate) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

async fn asked(act: Act) -> Result<hashsweep_spectra::Reply, Fault> {
    let server = Server::start(act).await;
    ask(Settings { timeout: IMPATIENCE, ..settings(&server.url()) }).await
}

async fn check_broken(body: impl AsRef<[u8]>, headers: &[(&str, &str)], why: &'static str) {
    let server = Server::start(Act::Say(response("200 OK", headers, body))).await;
    let got = ask(settings(&server.url())).await;
    check_fault(&got, Says(Remedy::Again, Booking::Charged, BROKEN, why));
}

#[tokio::test]
async fn a_body_that_announces_too_much_is_not_read() {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", (16 << 20) + 1);
    // Nothing follows: only a client that does not wait for it ends before the time limit.
    let got = asked(Act::Stall(head.into_bytes())).await;
    check_fault(&got, Says(Remedy::Again, Booking::Charged, BROKEN, "larger than 16777216 bytes"));
}

#[tokio::test]
async fn a_byte_now_and_then_ends_at_the_time_limit() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_vec();
    let got = asked(Act::Drip(head)).await;
    check_fault(&got, Says(Remedy::Again, Booking::Charged, BROKEN, "time limit"));
    let got = asked(Act::Drip(b"HTTP/1.1 200 OK\r\nX-Slow: ".to_vec())).await;
    check_fault(&got, Says(Remedy::Again, Booking::InDoubt, "timeout", "--timeout raises it"));
    let refusal = b"HTTP/1.1 429 Q\r\nContent-Length: 100000\r\n\r\n".to_vec();
    let got = asked(Act::Drip(refusal)).await;
    check_fault(&got, Says(Remedy::Quota, Booking::Nothing, "429 quota", "quota"));
}

#[tokio::test]
async fn a_head_of_ten_megabytes_is_not_swallowed() {
    let one = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\n\r\n{NOTHING}", "a".repeat(10 << 20));
    let mut many = "HTTP/1.1 200 OK\r\n".to_owned();
    for n in 0..100_000 {
        write!(many, "X-{n}: {}\r\n", "b".repeat(90)).unwrap();
    }
    many.push_str("\r\n{}");
    for head in [one, many] {
        let server = Server::start(Act::Say(head.into_bytes())).await;
        let got = ask(settings(&server.url())).await;
        check_fault(&got, Says(Remedy::Again, Booking::InDoubt, "connection lost", "before an answer came"));
    }
}

#[tokio::test]
async fn the_body_of_a_refusal_is_read_where_it_says_something_and_only_its_start() {
    let long = format!("{}Rate limit exceeded", " ".repeat(64 << 10));
    let got = asked(Act::Say(response("429 Too Many Requests", &[], &long))).await;
    assert_eq!(got, Err(Fault::QuotaOrUnclear { retry_after: None }));
    let got = asked(Act::Say(response("404 Not Found", &[], &long))).await;
    assert_eq!(got, Err(Fault::NotFound { looks_like_the_api: false }));
    // A 404 whose body breaks off proves nothing.
    let cut = b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n{}".to_vec();
    assert_eq!(asked(Act::Say(cut)).await, Err(Fault::NotFound { looks_like_the_api: false }));
    // Of any other refusal not a byte: it would never come.
    for (status, word) in [("401 Unauthorized", "401"), ("500 Internal Server Error", "500")] {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: 10\r\n\r\n").into_bytes();
        assert_eq!(asked(Act::Stall(head)).await.unwrap_err().word(), word);
    }
}

#[tokio::test]
async fn gzip_is_read() {
    let server = Server::start(Act::Say(response(
        "200 OK",
        &[("Content-Encoding", "gzip")],
        gzip(NOTHING.as_bytes()),
    )))
    .await;
    assert!(ask(settings(&server.url())).await.is_ok());
    assert!(server.requests()[0].header("accept-encoding").is_some_and(|value| value.contains("gzip")));

    let rate = gzip(br#"{"message": "Rate limit exceeded"}"#);
    let got = asked(Act::Say(response("429 Q", &[("Content-Encoding", "gzip")], rate))).await;
    assert_eq!(got, Err(Fault::RateLimited { retry_after: None }));
}

#[tokio::test]
async fn gzip_that_is_not_or_breaks_off_is_broken() {
    let packed = gzip(NOTHING.as_bytes());
    let headers = [("Content-Encoding", "gzip")];
    check_broken(&packed[..packed.len() - 4], &headers, "it was cut").await;
    check_broken(&packed[..packed.len() / 2], &headers, "it was cut").await;
    check_broken(NOTHING, &headers, "it was cut").await;
}

/// 64 MiB of blanks travel as 64 kB.
#[tokio::test]
async fn a_gzip_bomb_ends_at_the_size_limit() {
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    check_broken(&bomb, &[("Content-Encoding", "gzip")], "larger than 16777216 bytes").await;
    let got = asked(Act::Say(response("404 N", &[("Content-Encoding", "gzip")], &bomb))).await;
    assert_eq!(got, Err(Fault::NotFound { looks_like_the_api: false }));
}

#[tokio::test]
async fn deep_nesting_is_broken_or_passed_over_in_either_language() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let deep = format!("{}1{}", open.repeat(1_000_000), close.repeat(1_000_000));
        check_broken(&deep, &[], "").await;
        // In a field that nobody reads it costs what its bytes cost.
        let body = format!(r#"{{"rl":{{"entries":[],"new":{deep}}}}}"#);
        let server = Server::start(Act::Say(response("200 OK", &[], body))).await;
        assert!(ask(settings(&server.url())).await.is_ok());
    }
    let xml =
        format!("<rl><entries>{}{}</entries></rl>", "<item>".repeat(500_000), "</item>".repeat(500_000));
    check_broken(&xml, &[], "deeper than 32").await;
    check_broken("<rl>".repeat(1_000_000), &[], "deeper than 32").await;
}

/// An entry takes hundreds of bytes of memory, so sixteen megabytes of the smallest would be gigabytes.
#[tokio::test]
async fn a_flood_of_tiny_entries_is_broken() {
    for (tiny, list) in [("0", "entries"), ("{}", "entries"), ("\"\"", "unknown_hashes")] {
        let flood = vec![tiny; 3_000_000].join(",");
        check_broken(format!(r#"{{"rl":{{"{list}":[{flood}]}}}}"#), &[], "a list of more than 10000").await;
    }
}

#[tokio::test]
async fn hostile_xml_is_broken() {
    let laughs = r#"<?xml version="1.0"?><!DOCTYPE rl [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]>
        <rl><entries><item><status>&b;</status></item></entries></rl>"#;
    let file = r#"<?xml version="1.0"?><!DOCTYPE rl [<!ENTITY x SYSTEM "file:///etc/hostname">]>
        <rl><entries><item><status>&x;</status></item></entries></rl>"#;
    for body in [laughs, file] {
        check_broken(body, &[], "declares a document type").await;
    }
    check_broken("<rl><entries><item>&nbsp;</item></entries></rl>", &[], "names an entity").await;
    let many = format!("<rl><entries>{}</entries></rl>", "<item/>".repeat(200_000));
    check_broken(&many, &[], "more than 100000 elements").await;
    let long = format!("<rl><a>{}</a></rl>", "b".repeat(16 << 20));
    check_broken(&long, &[], "larger than 16777216 bytes").await;
    check_broken(b"<rl><entries>\xff</entries></rl>", &[], "utf-8").await;
}

#[tokio::test]
async fn an_endless_answer_in_xml_ends_at_the_size_limit_too() {
    let server = Server::start(Act::Pour).await;
    let got = ask(Settings { format: Format::Xml, ..settings(&server.url()) }).await;
    check_fault(&got, Says(Remedy::Again, Booking::Charged, BROKEN, "larger than 16777216 bytes"));
}
