use super::*;
use hashsweep_model::Verdict;
use proptest::prelude::*;

const JSON: Form =
    Form { dialect: Dialect::MalwarePresence, format: Format::Json, content_type: ContentType::Json };
const XML: Form = Form { format: Format::Xml, ..JSON };
const QUICK: Form = Form { dialect: Dialect::QuickStart, ..JSON };

/// A recorded shape.
fn fixture(name: &str) -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/wire");
    std::fs::read(folder.join(name)).unwrap()
}

fn reply(body: &[u8]) -> Result<Reply, String> {
    JSON.reply(body, HashKind::Sha1)
}

const SHA1: &str = "3395856ce81f2b7382dee72602f798b642f14140";

fn one(entry: &str) -> Entry {
    let body = format!(r#"{{"rl":{{"entries":[{entry}]}}}}"#);
    reply(body.as_bytes()).unwrap().entries.remove(0)
}

fn answer(entry: &str) -> Answer {
    match one(entry) {
        Entry::Answer(answer) => answer,
        malformed @ Entry::Malformed { .. } => panic!("{malformed:?}"),
    }
}

#[test]
fn the_question_is_what_the_vendor_documents() {
    let batch = Batch::new(vec![SHA1.parse().unwrap()]).unwrap();
    assert_eq!(
        String::from_utf8(JSON.question(&batch)).unwrap(),
        format!(r#"{{"rl":{{"query":{{"hash_type":"sha1","hashes":["{SHA1}"]}}}}}}"#)
    );
}

#[test]
fn a_full_entry_is_read() {
    let got = answer(&format!(
        r#"{{"status":"MALICIOUS","query_hash":{{"sha1":"{SHA1}"}},"md5":"44d88612fea8a8f36de82e1278abb02f",
        "threat_level":2,"trust_factor":5,"threat_name":"Text.Malware.Sample","reason":"antivirus",
        "classification":{{"platform":"Text","is_generic":false}},"scanner_count":47,"scanner_match":44,
        "scanner_percent":93.61701965332031,"first_seen":"2010-08-10T12:00:00","last_seen":null,"new":[{{}}]}}"#
    ));
    assert_eq!(got.verdict, Verdict::Malicious);
    assert_eq!(got.digest.to_string(), SHA1);
    assert_eq!((got.threat_level, got.trust_factor), (Some(2), Some(5)));
    assert_eq!((got.scanner_match, got.scanner_count), (Some(44), Some(47)));
    assert_eq!(got.threat_name.as_deref(), Some("Text.Malware.Sample"));
    assert_eq!(got.reason.as_deref(), Some("antivirus"));
    assert_eq!((got.first_seen.as_deref(), got.last_seen), (Some("2010-08-10T12:00:00"), None));
    assert!(got.sample.md5.is_some());
}

#[test]
fn odd_spellings_are_understood() {
    let upper = SHA1.to_uppercase();
    let got = answer(&format!(r#"{{"status":"goodware","query_hash":{{"SHA1":"{upper}"}}}}"#));
    assert_eq!((got.verdict, got.digest.to_string().as_str()), (Verdict::Known, SHA1));
    let got =
        answer(&format!(r#"{{"status":"known","query_hash":null,"sha1":"{SHA1}","trust_factor":1.0}}"#));
    assert_eq!((got.digest.to_string().as_str(), got.trust_factor), (SHA1, Some(1)));
    let got = answer(&format!(
        r#"{{"status":"Unknown","query_hash":{{"sha1":"{SHA1}"}},"threat_level":"3","threat_name":7,"scanner_count":[1]}}"#
    ));
    assert_eq!((got.reason.as_deref(), got.threat_level), (Some("reported"), Some(3)));
    assert_eq!((got.threat_name, got.scanner_count), (None, None));
}

#[test]
fn a_bad_entry_costs_itself() {
    let why = |entry: &str| match one(entry) {
        Entry::Malformed { about, why } => (about.is_some(), why),
        Entry::Answer(answer) => panic!("{answer:?}"),
    };
    assert_eq!(why("7"), (false, "it is not an object".to_owned()));
    assert_eq!(why("[]"), (false, "it is not an object".to_owned()));
    assert_eq!(why(r#"{"status":"KNOWN"}"#), (false, "it names no sha1".to_owned()));
    assert_eq!(why(&format!(r#"{{"sha1":"{SHA1}"}}"#)), (true, "it has no status".to_owned()));
    assert_eq!(
        why(&format!(r#"{{"sha1":"{SHA1}","status":"ODD"}}"#)),
        (true, "its status is 'ODD'".to_owned())
    );
}

#[test]
fn a_bad_envelope_is_a_broken_body() {
    for body in
        ["", "[]", "{}", r#"{"rl":{}}"#, r#"{"rl":{"entries":{}}}"#, r#"{"rl":{"entries":[]"#, "<html>"]
    {
        assert!(reply(body.as_bytes()).is_err(), "{body}");
    }
    assert!(reply(b"{\"rl\":{\"entries\":[]}}\xff").is_err());
    let deep = format!(r#"{{"rl":{{"entries":[{}"#, "[".repeat(100_000));
    assert!(reply(deep.as_bytes()).is_err());
    assert_eq!(reply(br#"{"rl":{"entries":[]}}"#), Ok(Reply::default()));
}

#[test]
fn a_message_repeats_little_of_the_body() {
    let long = "\u{1b}[31mä".repeat(10_000);
    let body = serde_json::to_vec(&std::collections::BTreeMap::from([("rl", &long)])).unwrap();
    let why = reply(&body).unwrap_err();
    assert!(why.chars().count() < 300 && why.contains("column"), "{why}");
    let status = serde_json::to_string(&long).unwrap();
    let Entry::Malformed { why, .. } = one(&format!(r#"{{"sha1":"{SHA1}","status":{status}}}"#)) else {
        panic!("a malformed entry was expected")
    };
    assert!(why.chars().count() < 300, "{why}");
}

#[test]
fn lists_of_unknown_and_invalid_hashes_are_read() {
    let body = br#"{"rl":{"unknown_hashes":["a",1],"invalid_hashes":["b"]}}"#;
    let got = reply(body).unwrap();
    assert_eq!(
        (got.unknown_hashes, got.invalid_hashes),
        (vec!["a".to_owned(), String::new()], vec!["b".to_owned()])
    );
}

proptest! {
    #[test]
    fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = reply(&body);
    }

    #[test]
    fn a_cut_body_is_never_a_reply(cut in 0usize..60) {
        let whole = format!(r#"{{"rl":{{"entries":[{{"status":"KNOWN","query_hash":{{"sha1":"{SHA1}"}}}}]}}}}"#);
        let end = whole.len() - 1 - cut;
        prop_assert!(reply(&whole.as_bytes()[..end]).is_err());
    }
}

#[test]
fn the_same_answer_in_xml_is_the_same_reply() {
    for (name, n_entries) in [("bulk", 3), ("bulk-nulls", 1), ("bulk-lists", 1)] {
        let json = JSON.reply(&fixture(&format!("{name}.json")), HashKind::Sha1).unwrap();
        let xml = XML.reply(&fixture(&format!("{name}.xml")), HashKind::Sha1).unwrap();
        assert_eq!(json, xml, "{name}");
        assert_eq!(json.entries.len(), n_entries);
        assert!(json.entries.iter().all(|entry| matches!(entry, Entry::Answer(_))), "{json:?}");
    }
    let single = |form: Form, name| form.single_reply(&fixture(name), HashKind::Sha1).unwrap();
    let json = single(JSON, "single.json");
    assert_eq!(json, single(XML, "single.xml"));
    let bulk = reply(&fixture("bulk.json")).unwrap();
    assert_eq!(json.entries, bulk.entries[..1], "an entry is the same object in both");
}

#[test]
fn the_quick_starts_words_are_mapped() {
    let reply = QUICK.reply(&fixture("quick-start.json"), HashKind::Sha1).unwrap();
    let read: Vec<_> = reply
        .entries
        .iter()
        .map(|entry| match entry {
            Entry::Answer(a) => (a.verdict, a.threat_level, a.trust_factor, a.reason.as_deref()),
            Entry::Malformed { .. } => panic!("{entry:?}"),
        })
        .collect();
    assert_eq!(
        read,
        [
            (Verdict::Malicious, Some(5), None, None),
            (Verdict::Known, None, None, None),
            (Verdict::Unknown, None, None, Some("reported")),
        ]
    );
    // The usual dialect does not take it for an answer, nor the other way round for the classification.
    let usual = reply_of("quick-start.json");
    assert!(usual.iter().all(|entry| matches!(entry, Entry::Malformed { about: None, .. })), "{usual:?}");
}

fn reply_of(name: &str) -> Vec<Entry> {
    reply(&fixture(name)).unwrap().entries
}

fn check_xml(inside_entries: &str, expected: Result<(Verdict, Option<i64>), &str>) {
    let body = format!("<rl><entries>{inside_entries}</entries></rl>");
    let got = XML.reply(body.as_bytes(), HashKind::Sha1).map(|mut reply| match reply.entries.pop() {
        Some(Entry::Answer(answer)) => Ok((answer.verdict, answer.threat_level)),
        Some(Entry::Malformed { why, .. }) => Err(why),
        None => Err("no entry".to_owned()),
    });
    match (got.and_then(|got| got), expected) {
        (Ok(got), Ok(expected)) => assert_eq!(got, expected, "for {inside_entries}"),
        (Err(why), Err(part)) => assert!(why.contains(part), "{why:?} lacks {part:?}"),
        (got, _) => panic!("{got:?} for {inside_entries}"),
    }
}

#[test]
fn an_entry_in_xml_is_read_as_forgivingly_as_in_json() {
    let item = |inside: &str| format!("<item><sha1>{SHA1}</sha1>{inside}</item>");
    check_xml(&item("<status>KNOWN</status>"), Ok((Verdict::Known, None)));
    check_xml(&item("\n <status>\n Malicious </status>"), Ok((Verdict::Malicious, None)));
    check_xml(
        &item("<status>malicious</status><threat_level>5.0</threat_level>"),
        Ok((Verdict::Malicious, Some(5))),
    );
    check_xml(&item("<status>KNOWN</status><threat_level/>"), Ok((Verdict::Known, None)));
    check_xml(
        &item("<status>KNOWN</status><threat_level><a>1</a></threat_level>"),
        Ok((Verdict::Known, None)),
    );
    check_xml(&item("<status><![CDATA[KNO]]>&#87;&#x4E;</status>"), Ok((Verdict::Known, None)));
    check_xml(&item("<a:status xmlns:a='b'>KNOWN</a:status>"), Ok((Verdict::Known, None)));
    check_xml(&item("<status>ODD</status>"), Err("its status is 'ODD'"));
    check_xml(&item(""), Err("it has no status"));
    check_xml("<item><status>KNOWN</status></item>", Err("it names no sha1"));
    check_xml("<item>text</item>", Err("it is not an object"));
    check_xml("<item/>", Err("it names no sha1"));
    check_xml("", Err("no entry"));
    check_xml("<entry/>", Err("'entries' is not a list of items"));
    check_xml("none", Err("'entries' is not a list of items"));
}

#[test]
fn a_bad_document_is_a_broken_body() {
    for (body, part) in [
        ("<rl/>", "no 'rl.entries' list"),
        ("<rl><entries/><entries/></rl>", "twice"),
        ("<RL><entries/></RL>", "of 'RL'"),
        ("<rl><entries></rl>", ""),
        ("<rl><entries/></rl><rl/>", "not one XML document"),
        ("<rl><entries/></rl>x", "not one XML document"),
        ("<rl><entries/>", "within an element"),
        ("</rl>", ""),
        ("<", ""),
        ("<rl><entries/>&</rl>", ""),
        ("<!DOCTYPE rl><rl><entries/></rl>", "document type"),
        ("<rl><entries/>&#x110000;</rl>", ""),
    ] {
        let why = XML.reply(body.as_bytes(), HashKind::Sha1).expect_err(body);
        assert!(why.contains(part), "{why:?} for {body}");
    }
    let whole = fixture("bulk.xml");
    for end in 0..whole.len() - 2 {
        assert!(XML.reply(&whole[..end], HashKind::Sha1).is_err(), "cut at {end}");
    }
}
