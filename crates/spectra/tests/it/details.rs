//! Whole reports, streamed.

use crate::hostile::gzip;
use crate::server::{Act, Server, response};
use crate::{IMPATIENCE, Says, batch, check_fault, settings};
use hashsweep_spectra::{Booking, Client, Detail, Fault, Remedy, Settings};

const SAYS: fn(&'static str) -> Says = |why| Says(Remedy::Again, Booking::Charged, "broken body", why);

fn report(n: u8) -> String {
    let sha1 = format!("{n:02x}").repeat(20);
    format!(
        r#"{{"sha1":"{sha1}","md5":null,"sample_size":7,"analysis":{{"entries":[{{"a":"]}},[\"{{"}}]}}}}"#
    )
}

fn answer(reports: &[String]) -> String {
    format!("{{ \"rl\" : {{\"x\":[1,{{}}], \"entries\" : [\n {} ], \"y\":{{}} }} }}\n", reports.join(" ,\n"))
}

/// Everything that comes, and how it ends.
async fn read(settings: Settings) -> (Vec<Detail>, Result<(), Fault>) {
    let mut details = match Client::new(settings).unwrap().details(&batch()).await {
        Ok(details) => details,
        Err(fault) => return (Vec::new(), Err(fault)),
    };
    let mut read = Vec::new();
    loop {
        match details.next().await {
            Ok(Some(detail)) => read.push(detail),
            Ok(None) => {
                assert_eq!(details.next().await, Ok(None), "an end stays the end");
                return (read, Ok(()));
            }
            Err(fault) => {
                assert_eq!(details.next().await, Err(fault.clone()), "a fault stays the end");
                return (read, Err(fault));
            }
        }
    }
}

async fn said(body: impl AsRef<[u8]>) -> (Vec<Detail>, Result<(), Fault>) {
    let server = Server::start(Act::Say(response("200 OK", &[], body))).await;
    read(settings(&server.url())).await
}

#[tokio::test]
async fn reports_come_one_by_one_as_they_were_sent() {
    let reports = [report(1), report(2), report(3)];
    let body = answer(&reports);
    let packed = response("200 OK", &[("Content-Encoding", "gzip")], gzip(body.as_bytes()));
    for bytes in [response("200 OK", &[], &body), packed] {
        let server = Server::start(Act::Say(bytes)).await;
        let (got, end) = read(settings(&server.url())).await;
        assert_eq!(end, Ok(()));
        let texts: Vec<_> = got.iter().map(|detail| detail.json.clone()).collect();
        assert_eq!(texts, reports);
        let named: Vec<_> = got.iter().filter_map(|detail| detail.sample.sha1).collect();
        assert_eq!(named, batch().digests());
        let [request] = &server.requests()[..] else { panic!("one request was expected") };
        assert_eq!(request.line, "POST /api/databrowser/rldata/bulk_query/json HTTP/1.1");
        assert!(request.body.starts_with(br#"{"rl":{"query":{"hash_type":"sha1","#));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert!(request.header("authorization").is_some());
    }
}

#[tokio::test]
async fn no_report_is_a_whole_answer_too() {
    assert_eq!(said(r#"{"rl":{"entries":[]}}"#).await, (Vec::new(), Ok(())));
}

#[tokio::test]
async fn what_came_before_a_break_stands_and_the_break_is_told() {
    let whole = answer(&[report(1), report(2)]);
    for end in 1..40 {
        let (got, end) = said(&whole[..whole.len() - end]).await;
        assert!(got.len() <= 2);
        if let Err(Fault::BrokenBody { .. }) = end {
            continue;
        }
        assert_eq!(end, Ok(()), "only the last newline may be missing");
    }
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", whole.len());
    let cut = [head.as_bytes(), &whole.as_bytes()[..whole.len() - 12]].concat();
    let server = Server::start(Act::Say(cut.clone())).await;
    let (got, end) = read(settings(&server.url())).await;
    assert_eq!(got.len(), 2);
    check_fault(&end, SAYS("it was cut"));
    let server = Server::start(Act::Stall(cut)).await;
    // The patience with reports is a multiple of that with lookups.
    let (got, end) = read(Settings { timeout: IMPATIENCE / 4, ..settings(&server.url()) }).await;
    assert_eq!(got.len(), 2);
    check_fault(&end, SAYS("time limit"));
}

#[tokio::test]
async fn an_answer_of_another_shape_is_broken() {
    for (body, why) in [
        ("", "EOF"),
        ("[]", "expected an object"),
        ("{\"rl\":[[]]}", "expected an object"),
        ("[{\"entries\":[]}]", "expected an object"),
        (r#"{"rl":{"entries":null}}"#, "null"),
        (r#"{"rl":{"entries":{}}}"#, "map"),
        (r#"{"rl":{"entries":[7]}}"#, "not an object"),
        (r#"{"rl":{"entries":[null]}}"#, "not an object"),
        (r#"{"rl":{"entries":[[{}]]}}"#, "not an object"),
        (r#"{"rl":{"entries":[{},]}}"#, "trailing comma"),
        (r#"{"rl":{"entries":[{}{}]}}"#, "invalid number"),
        (r#"{"rl":{"entries":[{"a":1]]}}"#, "broken"),
        (r#"{"rl":{"entries":[{}]},"rl":{"entries":[]}}"#, "duplicate"),
        (r#"{"rl":{"entries":[{"a"}]}}"#, "an entry is broken"),
        ("{\"rl\":{\"entries\":[{\"a\":\"\u{1}\"}]}}", "an entry is broken"),
        (r#"{"rl":{"\u0065ntries":[{}]}}"#, "map"),
        (r#"{"rl":{"entries":[{}]}} x"#, "trailing characters"),
        (r#"{"rl":{"samples":[{}]}}"#, "missing field `entries`"),
        ("<html></html>", "expected value"),
    ] {
        let (_, end) = said(body).await;
        let fault = end.expect_err(body);
        assert!(fault.to_string().contains(why), "{fault} for {body}");
    }
    let (_, end) = said(b"{\"rl\":{\"entries\":[{\"a\":\"\xff\"}]}}").await;
    check_fault(&end, SAYS("utf-8"));
    let (_, end) = said(b"{\"rl\":{\"entries\":[],\"a\":\"\xff\"}}").await;
    check_fault(&end, SAYS("utf-8"));
}

#[tokio::test]
async fn a_hostile_answer_ends_at_its_limits() {
    let deep = format!(r#"{{"rl":{{"entries":[{}"#, "[".repeat(1_000_000));
    check_fault(&said(deep).await.1, SAYS("nests deeper than 120"));
    let long = format!(r#"{{"rl":{{"entries":[{{"a":"{}"#, "a".repeat(9 << 20));
    check_fault(&said(long).await.1, SAYS("an entry is larger than 8388608 bytes"));
    let beside = format!(r#"{{"rl":{{"a":"{}"#, "a".repeat(2 << 20));
    check_fault(&said(beside).await.1, SAYS("beside its entries is larger than 1048576 bytes"));
    let many = format!(r#"{{"rl":{{"entries":[{}{{}}]}}}}"#, "{},".repeat(600_000));
    check_fault(&said(many).await.1, SAYS("beside its entries"));
}

#[tokio::test]
async fn a_refusal_is_a_fault_before_anything_is_read() {
    let server = Server::start(Act::Say(response("403 Forbidden", &[], ""))).await;
    let (_, end) = read(settings(&server.url())).await;
    check_fault(&end, Says(Remedy::Halt, Booking::Nothing, "403", "TCA-0104 for details"));
}
