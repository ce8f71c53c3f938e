//! The other forms of a question: XML, the quick start, one digest alone.

use crate::server::{Act, NOTHING, Request, Server, response};
use crate::{batch, settings};
use hashsweep_model::{Answer, Batch, Digest, HashKind, Verdict};
use hashsweep_spectra::{
    Booking, Client, ClientError, ContentType, Dialect, Entry, Fault, Format, Remedy, Settings,
};

const SHA1: &str = "0101010101010101010101010101010101010101";
const BULK: &str = "POST /api/databrowser/malware_presence/bulk_query/";
const QUICK_START: Shape = Shape { dialect: Dialect::QuickStart, ..Shape::USUAL };

/// What these tests turn.
#[derive(Clone, Copy)]
struct Shape {
    dialect: Dialect,
    format: Format,
    content_type: ContentType,
}

impl Shape {
    const USUAL: Shape =
        Shape { dialect: Dialect::MalwarePresence, format: Format::Json, content_type: ContentType::Json };
    const XML: Shape = Shape { format: Format::Xml, ..Shape::USUAL };

    fn at(self, url: &str) -> Settings {
        let Shape { dialect, format, content_type } = self;
        Settings { dialect, format, content_type, ..settings(url) }
    }
}

fn digest() -> Digest {
    SHA1.parse().unwrap()
}

async fn served(body: &str) -> Server {
    Server::start(Act::Say(response("200 OK", &[], body))).await
}

fn only(server: &Server) -> Request {
    let mut requests = server.requests();
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

fn one_answer(got: Result<hashsweep_spectra::Reply, Fault>) -> Answer {
    let mut reply = got.unwrap();
    assert_eq!(reply.entries.len(), 1);
    match reply.entries.remove(0) {
        Entry::Answer(answer) => answer,
        malformed @ Entry::Malformed { .. } => panic!("{malformed:?}"),
    }
}

#[tokio::test]
async fn a_bulk_question_in_xml_follows_the_item_rule() {
    let server = served("<rl><entries/></rl>").await;
    let client = Client::new(Shape::XML.at(&server.url())).unwrap();
    assert_eq!(client.ask(&batch()).await.unwrap().entries, []);
    let request = only(&server);
    assert_eq!(request.line, format!("{BULK}xml?extended=true&show_hashes=true HTTP/1.1"));
    assert_eq!(request.header("content-type"), Some("application/xml"));
    let items: String = ["01", "02", "03"].map(|byte| format!("<item>{}</item>", byte.repeat(20))).concat();
    assert_eq!(
        String::from_utf8(request.body).unwrap(),
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?><rl><query><hash_type>sha1</hash_type><hashes>{items}</hashes></query></rl>"#
        )
    );
}

#[tokio::test]
async fn the_body_can_be_called_an_octet_stream() {
    for form in [Shape::USUAL, Shape::XML, QUICK_START] {
        let server = served(NOTHING).await;
        let form = Shape { content_type: ContentType::OctetStream, ..form };
        Client::new(form.at(&server.url())).unwrap().ask(&batch()).await.unwrap();
        assert_eq!(only(&server).header("content-type"), Some("application/octet-stream"));
    }
}

#[tokio::test]
async fn an_answer_is_read_in_the_language_it_comes_in() {
    let json =
        format!(r#"{{"rl":{{"entries":[{{"status":"MALICIOUS","query_hash":{{"sha1":"{SHA1}"}}}}]}}}}"#);
    let xml = format!(
        "\u{feff}<?xml version=\"1.0\"?>\n<rl><entries><item><status>MALICIOUS</status><query_hash><sha1>{SHA1}\
         </sha1></query_hash></item></entries></rl>\n"
    );
    for form in [Shape::USUAL, Shape::XML] {
        for body in [&json, &xml] {
            let server = served(body).await;
            let got = Client::new(form.at(&server.url())).unwrap().ask(&batch()).await;
            assert_eq!(one_answer(got), Answer::bare(digest(), Verdict::Malicious));
        }
    }
}

#[tokio::test]
async fn one_digest_is_asked_in_both_languages() {
    let json = format!(
        r#"{{"rl":{{"malware_presence":{{"status":"KNOWN","query_hash":{{"sha1":"{SHA1}"}},"trust_factor":0}}}}}}"#
    );
    let xml = format!(
        "<rl><malware_presence><status>KNOWN</status><query_hash><sha1>{SHA1}</sha1></query_hash>\
         <trust_factor>0</trust_factor></malware_presence></rl>"
    );
    for (form, body, format) in [(Shape::USUAL, json, "json"), (Shape::XML, xml, "xml")] {
        let server = served(&body).await;
        let client = Client::new(form.at(&server.url())).unwrap();
        let answer = one_answer(client.ask_one(&digest()).await);
        assert_eq!((answer.verdict, answer.trust_factor), (Verdict::Known, Some(0)));
        let request = only(&server);
        let path = format!("GET /api/databrowser/malware_presence/query/sha1/{SHA1}");
        assert_eq!(request.line, format!("{path}?extended=true&show_hashes=true&format={format} HTTP/1.1"));
        assert!(request.header("authorization").is_some() && request.body.is_empty());
    }
}

#[tokio::test]
async fn a_404_for_one_digest_is_the_callers_to_judge() {
    let server = Server::start(Act::Say(response("404 Not Found", &[], ""))).await;
    let got = Client::new(settings(&server.url())).unwrap().ask_one(&digest()).await;
    assert_eq!(got, Err(Fault::NotFound { looks_like_the_api: true }));
}

#[tokio::test]
async fn a_bulk_answer_to_a_single_question_is_broken_and_the_other_way_round() {
    let single = r#"{"rl":{"malware_presence":{"status":"UNKNOWN"}}}"#;
    for (body, alone) in [(NOTHING, true), (single, false)] {
        let server = served(body).await;
        let client = Client::new(settings(&server.url())).unwrap();
        let got = if alone { client.ask_one(&digest()).await } else { client.ask(&batch()).await };
        assert_eq!(got.unwrap_err().booking(), Booking::Charged);
    }
}

#[tokio::test]
async fn the_quick_start_has_its_own_path_and_shape() {
    let entry = |n: u8, word: &str| {
        let hash = format!("{n:02x}").repeat(20);
        format!(
            r#"{{"hash_type":"sha1","hash_value":"{hash}","classification":{{"classification":"{word}","factor":{n},"scan_results":[{{}}]}}}}"#
        )
    };
    let entries = [entry(1, "GOODWARE"), entry(2, "MALICIOUS"), entry(3, "UNKNOWN")].join(",");
    let server = served(&format!(r#"{{"rl":{{"entries":[{entries}]}}}}"#)).await;
    let client = Client::new(QUICK_START.at(&server.url())).unwrap();
    let reply = client.ask(&batch()).await.unwrap();
    let read: Vec<_> = reply
        .entries
        .iter()
        .map(|entry| match entry {
            Entry::Answer(a) => (a.digest.as_bytes()[0], a.verdict, a.threat_level, a.trust_factor),
            Entry::Malformed { .. } => panic!("{entry:?}"),
        })
        .collect();
    assert_eq!(
        read,
        [
            (1, Verdict::Known, None, None),
            (2, Verdict::Malicious, Some(2), None),
            (3, Verdict::Unknown, None, None),
        ]
    );
    let request = only(&server);
    assert_eq!(request.line, "POST /api/databrowser/rl_data/query/sha1/list?format=json HTTP/1.1");
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert!(request.body.starts_with(br#"{"rl":{"query":{"hash_type":"sha1","hashes":["#));
}

#[tokio::test]
async fn the_quick_start_asks_one_digest_as_a_list_of_one() {
    let server = served(NOTHING).await;
    let client = Client::new(QUICK_START.at(&server.url())).unwrap();
    client.ask_one(&digest()).await.unwrap();
    assert!(only(&server).line.starts_with("POST /api/databrowser/rl_data/query/sha1/list"));
}

#[tokio::test]
async fn the_quick_start_never_asks_by_another_kind() {
    let server = served(NOTHING).await;
    let client = Client::new(QUICK_START.at(&server.url())).unwrap();
    for kind in [HashKind::Md5, HashKind::Sha256] {
        assert!(!client.can_ask(kind));
        let other = kind.empty_input();
        let alone = Batch::new(vec![other]).unwrap();
        for got in [client.ask(&alone).await, client.ask_one(&other).await] {
            let fault = got.unwrap_err();
            assert_eq!(fault, Fault::CannotAsk { kind });
            assert_eq!((fault.remedy(), fault.booking()), (Remedy::Halt, Booking::Nothing));
            assert!(fault.to_string().contains("sha1 only"), "{fault}");
        }
    }
    assert!(client.can_ask(HashKind::Sha1));
    assert_eq!(server.n_connections(), 0);
    let usual = Client::new(settings(&server.url())).unwrap();
    assert!(HashKind::ALL.into_iter().all(|kind| usual.can_ask(kind)));
    let xml = Shape { format: Format::Xml, ..QUICK_START };
    assert!(matches!(Client::new(xml.at(&server.url())), Err(ClientError::QuickStartXml)));
}
