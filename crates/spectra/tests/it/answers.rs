//! A 200, whole and broken.

use crate::server::{Act, NOTHING, Server, response};
use crate::{IMPATIENCE, Says, ask, batch, check_fault, settings};
use hashsweep_model::Verdict;
use hashsweep_spectra::{Booking, Client, Entry, Remedy, Settings};

const SHA1: &str = "0101010101010101010101010101010101010101";

fn known() -> String {
    format!(r#"{{"rl":{{"entries":[{{"status":"KNOWN","query_hash":{{"sha1":"{SHA1}"}}}}]}}}}"#)
}

fn chunked(body: &str, ending: &str) -> Vec<u8> {
    let n_bytes = body.len();
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{n_bytes:x}\r\n{body}\r\n{ending}").into()
}

async fn check_broken(act: Act, why: &'static str) {
    let server = Server::start(act).await;
    let got = ask(settings(&server.url())).await;
    check_fault(&got, Says(Remedy::Again, Booking::Charged, "broken body", why));
}

#[tokio::test]
async fn a_whole_answer_is_read_in_every_framing() {
    let known = known();
    for bytes in [
        response("200 OK", &[], &known),
        response("200 OK", &[("Content-Type", "text/plain")], &known),
        chunked(&known, "0\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{known}").into_bytes(),
        format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{known}")
            .into_bytes(),
    ] {
        let server = Server::start(Act::Say(bytes)).await;
        let reply = ask(settings(&server.url())).await.unwrap();
        let [Entry::Answer(answer)] = &reply.entries[..] else { panic!("{reply:?}") };
        assert_eq!((answer.digest.to_string().as_str(), answer.verdict), (SHA1, Verdict::Known));
    }
}

#[tokio::test]
async fn a_200_that_is_no_answer_is_broken_and_charged() {
    let say = |body: &str| Act::Say(response("200 OK", &[], body));
    check_broken(say(""), "EOF").await;
    check_broken(say("<html><body>Please log in</body></html>"), "of 'html' and not of 'rl'").await;
    check_broken(say("Please log in"), "expected value").await;
    check_broken(say(r#"{"rl":{"entries":[}}"#), "expected value").await;
    check_broken(say(&known()[..30]), "EOF").await;
    check_broken(say(r#"{"message":"ok"}"#), "no 'rl' object").await;
    check_broken(say(r#"{"rl":{"malware_presence":{}}}"#), "no 'rl.entries' list").await;
    for by_position in [r#"{"rl":[[]]}"#, r#"[{"entries":[]}]"#, "[[[]]]"] {
        check_broken(say(by_position), "expected an object").await;
    }
    check_broken(say(r#"{"rl":"\u001b[2J"}"#), "invalid type").await;
    check_broken(say(&"[".repeat(100_000)), "broken").await;
}

#[tokio::test]
async fn a_200_that_is_cut_is_broken_even_where_its_json_is_whole() {
    let whole = NOTHING;
    let short = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{whole}", whole.len() + 1);
    check_broken(Act::Say(short.into_bytes()), "it was cut").await;
    check_broken(Act::Say(chunked(whole, "")), "it was cut").await;
    check_broken(Act::Say(chunked(whole, "5\r\nab")), "it was cut").await;
    check_broken(Act::Say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_vec()), "it was cut").await;
}

#[tokio::test]
async fn an_endless_200_ends_at_the_size_limit() {
    let server = Server::start(Act::Pour).await;
    let got = ask(settings(&server.url())).await;
    check_fault(&got, Says(Remedy::Again, Booking::Charged, "broken body", "larger than 16777216 bytes"));
    // What was read, and what the sockets between hold.
    assert!(server.bytes_written() < 40 << 20, "{} bytes", server.bytes_written());
}

#[tokio::test]
async fn a_200_that_stops_coming_is_broken_and_charged() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec();
    let server = Server::start(Act::Stall(head)).await;
    let got = ask(Settings { timeout: IMPATIENCE, ..settings(&server.url()) }).await;
    check_fault(&got, Says(Remedy::Again, Booking::Charged, "broken body", "time limit"));
}

#[tokio::test]
async fn one_client_asks_many_times_over_one_connection() {
    let server = Server::start(Act::SayAndStay(response("200 OK", &[], NOTHING))).await;
    let client = Client::new(settings(&server.url())).unwrap();
    for _ in 0..20 {
        client.ask(&batch()).await.unwrap();
    }
    assert_eq!((server.requests().len(), server.n_connections()), (20, 1));
}
