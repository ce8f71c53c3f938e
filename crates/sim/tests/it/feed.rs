//! The TAXII feed: from discovery to the last page.

#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

use crate::client::{Client, reply};
use hashsweep_sim::{Feed, Moment, Paging, Request, Service, Verdicts, World};
use reqwest::Method;
use serde_json::Value;
use std::{collections::BTreeSet, time::Duration};

const OBJECTS: &str =
    "/api/taxii/ransomware-api-root/collections/f0997a32-b823-562d-9856-c754ac5e1159/objects/";
const NOW: u64 = 1_770_000_000;

fn page(service: &Service, query: &str, unix_seconds: u64) -> (Value, Vec<(String, String)>) {
    let moment = Moment { since_start: Duration::ZERO, unix_seconds };
    let response = service.answer(&Request::get(&format!("{OBJECTS}?{query}")), moment);
    assert_eq!(response.status, 200, "{query}");
    (serde_json::from_slice(&response.body).unwrap(), response.headers)
}

fn ids(envelope: &Value) -> Vec<String> {
    let objects = envelope["objects"].as_array().cloned().unwrap_or_default();
    objects.iter().map(|object| object["id"].as_str().unwrap().to_owned()).collect()
}

fn header(headers: &[(String, String)], wanted: &str) -> String {
    headers.iter().find(|(name, _)| name == wanted).unwrap().1.clone()
}

#[tokio::test]
async fn the_way_from_discovery_to_the_objects_is_signposted() {
    let client = Client::of(World::default()).await;
    let get = async |path: &str| {
        let request =
            client.request(Method::GET, path).header("accept", "application/taxii+json;version=2.1");
        let reply = reply(request).await.unwrap();
        assert_eq!(reply.headers["content-type"], "application/taxii+json;version=2.1", "{path}");
        serde_json::from_slice::<Value>(&reply.body).unwrap()
    };
    let root = get("/api/taxii/taxii2/").await["api_roots"][0].as_str().unwrap().to_owned();
    assert_eq!(get(&root).await["versions"][0], "application/taxii+json;version=2.1");
    let collections = get(&format!("{root}collections/")).await;
    let id = collections["collections"][0]["id"].as_str().unwrap();
    assert_eq!(format!("{root}collections/{id}/objects/"), OBJECTS);
    assert_eq!(get(&format!("{root}collections/{id}/")).await, collections["collections"][0]);
    assert_eq!(client.sim.witness().charged(), 0);
    assert_eq!(get(OBJECTS).await["objects"].as_array().unwrap().len(), 500);
    assert_eq!(client.sim.witness().charged(), 1);
    for lost in [
        "/api/taxii/",
        "/api/taxii/taxii2",
        "/api/taxii/other/",
        "/api/taxii/ransomware-api-root/collections/x/objects/",
    ] {
        assert_eq!(client.get(lost).await.status, 404, "{lost}");
    }
    for bad in ["limit=0", "limit=x", "next=x", "added_after=yesterday"] {
        assert_eq!(client.get(&format!("{OBJECTS}?{bad}")).await.status, 400, "{bad}");
    }
    assert_eq!(client.sim.witness().charged(), 1);
}

#[test]
fn pages_follow_one_another_and_each_is_charged() {
    let service = Service::new(World::default());
    let (first, headers) = page(&service, "limit=500", NOW);
    assert_eq!((first["more"].as_bool(), ids(&first).len()), (Some(true), 500));
    // The clock has gone on, but nobody loses a page for it.
    let (second, _) =
        page(&service, &format!("limit=500&next={}", first["next"].as_str().unwrap()), NOW + 3_600);
    assert_eq!((second["more"].as_bool(), second.get("next"), ids(&second).len()), (Some(false), None, 221));
    let all: BTreeSet<String> = [ids(&first), ids(&second)].concat().into_iter().collect();
    assert_eq!(all.len(), 721);
    // By date it is the same page, whether the colon is encoded or not.
    let last = header(&headers, "x-taxii-date-added-last");
    for last in [last.clone(), last.replace(':', "%3A")] {
        let (by_date, _) = page(&service, &format!("limit=500&added_after={last}"), NOW + 3_600);
        assert_eq!(ids(&by_date), ids(&second));
    }
    let (nothing, _) = page(&service, "added_after=2999-01-01T00:00:00Z", NOW);
    assert_eq!(nothing, serde_json::json!({}));
    assert_eq!(service.witness().charged(), 5);
    let (one, _) = page(&service, &format!("match[id]={}", ids(&first)[7]), NOW);
    assert_eq!(ids(&one), ids(&first)[7..8]);
}

#[test]
fn a_feed_may_leave_out_next() {
    let feed = Feed { hours: 30, paging: Paging::DateAdded };
    let service = Service::new(World { feed, ..World::default() });
    let (mut seen, mut query) = (BTreeSet::new(), "limit=20".to_owned());
    loop {
        let (envelope, headers) = page(&service, &query, NOW);
        assert_eq!(envelope.get("next"), None);
        seen.extend(ids(&envelope));
        if envelope["more"] == false {
            break;
        }
        query = format!("limit=20&added_after={}", header(&headers, "x-taxii-date-added-last"));
    }
    assert_eq!((seen.len(), service.witness().charged()), (30, 2));
}

#[test]
fn objects_have_what_a_reader_needs_and_what_it_must_skip() {
    let service = Service::new(World { verdicts: Verdicts::demo(), ..World::default() });
    let (envelope, _) = page(&service, "limit=5000", NOW);
    let objects = envelope["objects"].as_array().unwrap();
    let count = |is_so: &dyn Fn(&Value) -> bool| objects.iter().filter(|object| is_so(object)).count();
    assert_eq!(count(&|it| it["type"] == "file" && it["hashes"]["SHA-256"].is_string()), 90);
    assert_eq!(count(&|it| it["revoked"] == true), 90);
    assert_eq!(count(&|it| it["pattern"].as_str().is_some_and(|text| text.starts_with("[url:value"))), 90);
    assert_eq!(
        count(&|it| it["pattern"].as_str().is_some_and(|text| text.starts_with("[file:hashes.'SHA-1' = '"))),
        540
    );
    let listed = include_str!("../../../../fixtures/demo-verdicts.csv");
    let bad: Vec<&str> =
        listed.lines().filter(|line| line.contains(",MALICIOUS,")).map(|line| &line[33..73]).collect();
    for sha1 in bad {
        assert!(count(&|it| it["name"] == sha1) > 0, "{sha1}");
    }
    for it in objects.iter().filter(|object| object["type"] == "indicator") {
        assert!(it["valid_from"].as_str() < it["valid_until"].as_str());
        assert!((50..=100).contains(&it["confidence"].as_u64().unwrap()));
    }
}
