//! The seventeen columns, as CSV and as JSONL.

use crate::hostile;
use hashsweep_model::{Digest, Digests, HashKind, Outcome, Place, Row, Verdict};
use hashsweep_report::{CsvReport, Emit, JsonlReport, ListNames, safe};
use proptest::prelude::*;
use serde_json::Value;

fn names() -> ListNames {
    ListNames::new(vec![b"iocs,\xFF.txt".to_vec()])
}

fn csv_of(rows: &[Row]) -> Vec<u8> {
    let mut report = CsvReport::new(Vec::new(), names()).unwrap();
    for row in rows {
        report.row(row).unwrap();
    }
    report.finish().unwrap()
}

fn jsonl_of(rows: &[Row]) -> String {
    let mut report = JsonlReport::new(Vec::new(), names());
    for row in rows {
        report.row(row).unwrap();
    }
    String::from_utf8(report.finish().unwrap()).unwrap()
}

#[test]
fn hostile_rows_as_csv() {
    insta::assert_snapshot!(String::from_utf8(csv_of(&hostile::rows())).unwrap());
}

#[test]
fn hostile_rows_as_jsonl() {
    insta::assert_snapshot!(jsonl_of(&hostile::rows()));
}

#[test]
fn a_sweep_of_nothing_still_has_a_header() {
    assert_eq!(
        String::from_utf8(csv_of(&[])).unwrap(),
        "path,size,md5,sha1,sha256,verdict,outcome,reason,threat_name,threat_level,trust_factor,scanner_match,\
         scanner_count,first_seen,last_seen,answered_at,source\n"
    );
    assert_eq!(jsonl_of(&[]), "");
}

#[test]
fn which_rows_are_wanted() {
    let wanted = |emit: Emit| hostile::rows().iter().filter(|row| emit.wants(row)).count();
    assert_eq!(wanted(Emit::All), 10);
    assert_eq!(wanted(Emit::Findings), 3);
    assert_eq!(wanted(Emit::Unknown), 1);
}

fn row() -> impl Strategy<Value = Row> {
    let path = prop::collection::vec(
        prop_oneof![any::<u8>(), prop::sample::select(b",\"\n\r\\x4f=-+@;\t\xC2\x85".to_vec())],
        0..20,
    );
    (path, any::<Option<u64>>(), "\\PC{0,8}", any::<(i64, bool)>()).prop_map(
        |(path, size, text, (number, bare))| {
            let mut row = hostile::malicious(&path, 9, number, &text);
            row.size = size;
            row.digests = Digests::default().with(HashKind::Md5.empty_input()).with(hostile::sha1(9));
            if bare {
                row.answer = None;
                row.outcome = Outcome::Failed;
                row.reason = Some(format!("={text}\u{9B}\r\n"));
            }
            row
        },
    )
}

proptest! {
    #[test]
    fn a_csv_reader_gets_every_field_back(rows in prop::collection::vec(row(), 0..6)) {
        let csv = csv_of(&rows);
        let mut reader = csv::Reader::from_reader(csv.as_slice());
        let records: Vec<csv::StringRecord> = reader.records().map(|record| record.unwrap()).collect();
        prop_assert_eq!(records.len(), rows.len());
        for (record, row) in records.iter().zip(&rows) {
            prop_assert_eq!(record.len(), 17);
            for cell in record {
                prop_assert!(!cell.contains(|c: char| c.is_control() && c != '\t' && c != '\n'));
            }
            for text in [0, 7, 8] {
                prop_assert!(!record[text].starts_with(['=', '+', '-', '@', '\t', '\r', '\n']));
            }
            let Place::Path(path) = &row.place else { panic!("no list here") };
            prop_assert_eq!(&safe::decode(&record[0]), path);
            prop_assert_eq!(&record[1], row.size.map(|n| n.to_string()).unwrap_or_default());
            prop_assert_eq!(record[2].parse::<Digest>().unwrap(), HashKind::Md5.empty_input());
            prop_assert_eq!(&record[5], row.verdict().map_or("", Verdict::name));
            prop_assert_eq!(&record[6], row.outcome.name());
            prop_assert_eq!(safe::decode(&record[7]), row.reason.clone().unwrap_or_default().into_bytes());
            let threat = row.answer.as_ref().and_then(|settled| settled.answer.threat_name.clone());
            prop_assert_eq!(safe::decode(&record[8]), threat.unwrap_or_default().into_bytes());
        }
    }

    #[test]
    fn a_json_reader_gets_every_value_back(rows in prop::collection::vec(row(), 0..6)) {
        let text = jsonl_of(&rows);
        prop_assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
        prop_assert_eq!(text.lines().count(), rows.len());
        for (line, row) in text.lines().zip(&rows) {
            let object: Value = serde_json::from_str(line).unwrap();
            let Place::Path(path) = &row.place else { panic!("no list here") };
            let read = match object.get("path_raw") {
                Some(raw) => percent_encoding::percent_decode_str(raw.as_str().unwrap()).collect(),
                None => object["path"].as_str().unwrap().as_bytes().to_vec(),
            };
            prop_assert_eq!(&read, path);
            prop_assert_eq!(object.get("size").and_then(Value::as_u64), row.size);
            prop_assert_eq!(object.get("reason").and_then(Value::as_str), row.reason.as_deref());
            let level = row.answer.as_ref().and_then(|settled| settled.answer.threat_level);
            prop_assert_eq!(object.get("threat_level").and_then(Value::as_i64), level);
            prop_assert!(object.get("sha256").is_none());
        }
    }
}
