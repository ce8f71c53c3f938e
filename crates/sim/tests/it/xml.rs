//! The XML form of questions and answers, read here with a reader of its own.

#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

use crate::client::{Client, body, sha1s, with_status};
use hashsweep_sim::{InvalidMode, Status, UnknownMode, World};
use quick_xml::{Reader, events::Event};

const BULK_XML: &str = "/api/databrowser/malware_presence/bulk_query/xml";
const BULK: &str = crate::client::BULK;
const SINGLE: &str = crate::client::SINGLE;

/// Every text of a document with the path that leads to it; of an element without content the text is empty.
fn texts(xml: &[u8]) -> Vec<(String, String)> {
    let mut reader = Reader::from_str(str::from_utf8(xml).unwrap());
    let (mut path, mut found, mut text, mut is_leaf) = (Vec::new(), Vec::new(), String::new(), false);
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => {
                path.push(start.name().as_ref().to_owned());
                (text, is_leaf) = (String::new(), true);
            }
            Event::Text(piece) => text.push_str(&piece),
            Event::End(_) => {
                if is_leaf {
                    found.push((path.join("/"), std::mem::take(&mut text)));
                }
                is_leaf = false;
                path.pop();
            }
            Event::Eof => return found,
            _ => {}
        }
    }
}

fn question(kind: &str, hashes: &[String]) -> String {
    let items: String = hashes.iter().flat_map(|hash| ["<item>", hash, "</item>"]).collect();
    format!("<rl><query><hash_type>{kind}</hash_type><hashes>{items}</hashes></query></rl>")
}

/// What JSON says, flattened in the same way.
fn flatten(path: &str, value: &serde_json::Value, found: &mut Vec<(String, String)>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
    match value {
        serde_json::Value::Object(members) => {
            for (name, value) in members {
                flatten(&below(name), value, found);
            }
        }
        serde_json::Value::Array(values) if !values.is_empty() => {
            for value in values {
                flatten(&below("item"), value, found);
            }
        }
        serde_json::Value::Array(_) | serde_json::Value::Null => found.push((path.to_owned(), String::new())),
        serde_json::Value::String(text) => found.push((path.to_owned(), text.clone())),
        other => found.push((path.to_owned(), other.to_string())),
    }
}

#[tokio::test]
async fn both_forms_say_the_same() {
    let hashes =
        [with_status(Status::Malicious, 2), with_status(Status::Unknown, 3), sha1s(0..5), vec!["zz".into()]]
            .concat();
    for (unknown_mode, invalid_mode, null_fields) in [
        (UnknownMode::Entry, InvalidMode::List, false),
        (UnknownMode::List, InvalidMode::Omit, true),
        (UnknownMode::Omit, InvalidMode::List, false),
    ] {
        let client = Client::of(World { unknown_mode, invalid_mode, null_fields, ..World::default() }).await;
        let query = "?extended=true&show_hashes=true";
        let json = client.post(&format!("{BULK}{query}"), body("sha1", &hashes)).await;
        let xml = client.post(&format!("{BULK_XML}{query}"), question("sha1", &hashes)).await;
        assert_eq!(
            (xml.status.as_u16(), xml.headers["content-type"].to_str().unwrap()),
            (200, "application/xml")
        );
        let (mut expected, mut found) = (Vec::new(), texts(&xml.body));
        flatten("", &json.json(), &mut expected);
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
        assert!(found.iter().any(|(path, _)| path == "rl/entries/item/query_hash/sha1"));
    }
}

#[tokio::test]
async fn a_single_query_is_answered_in_xml_unless_it_asks_for_json() {
    let client = Client::of(World::default()).await;
    let bad = &with_status(Status::Malicious, 1)[0];
    for query in ["", "?format=xml"] {
        let reply = client.get(&format!("{SINGLE}/sha1/{bad}{query}")).await;
        let text = str::from_utf8(&reply.body).unwrap();
        assert_eq!(
            text,
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><rl><malware_presence><status>MALICIOUS</status>\
                 <query_hash><sha1>{bad}</sha1></query_hash></malware_presence></rl>"
            )
        );
    }
    let reply = client.get(&format!("{SINGLE}/sha1/{bad}?format=json")).await;
    assert_eq!(reply.json()["rl"]["malware_presence"]["query_hash"]["sha1"], bad.as_str());
    assert_eq!(client.get(&format!("{SINGLE}/sha1/{bad}?format=yaml")).await.status, 400);
    assert_eq!(client.sim.witness().charged(), 3);
}

#[tokio::test]
async fn a_question_in_xml_is_counted_as_one_in_json_is() {
    let client = Client::of(World::default()).await;
    let post = async |content_type: &str, text: String| {
        let request = client.request(reqwest::Method::POST, BULK_XML).header("content-type", content_type);
        crate::client::reply(request.body(text)).await.unwrap().status.as_u16()
    };
    assert_eq!(post("application/xml", question("sha1", &sha1s(0..100))).await, 200);
    assert_eq!(post("application/octet-stream", question("sha1", &sha1s(0..101))).await, 413);
    assert_eq!(post("text/xml", question("sha1", &[])).await, 400);
    assert_eq!(post("text/xml", "<rl>".to_owned()).await, 400);
    assert_eq!(post("application/json", question("sha1", &sha1s(0..1))).await, 400);
    let witness = client.sim.witness();
    assert_eq!((witness.bulk_requests, witness.charged(), witness.batch_sizes), (5, 100, vec![100, 101, 0]));
}
