//! The user's own list, enriched.

use crate::hostile::{answered, malicious, unanswered};
use hashsweep_model::{Outcome, Row, Verdict};
use hashsweep_report::{ListCsv, ListHeader, ListJsonl};
use serde_json::Value;

fn names(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| name.as_bytes().to_vec()).collect()
}

/// What is appended to a row.
fn words(list: &ListCsv<Vec<u8>>, row: &Row) -> Vec<u8> {
    let mut words = Vec::new();
    list.words().say(row.judged(), &mut words);
    words
}

#[test]
fn the_inputs_bytes_come_first_untouched() {
    let names = names(&["Host", "sha1", "Verdict"]);
    let header = ListHeader::Columns { raw: b"\"Host\",sha1,Verdict", names: &names, delimiter: b',' };
    let mut list = ListCsv::new(Vec::new(), &header, b"\r\n").unwrap();
    let records: [(&[u8], &[u8]); 5] = [
        (b"\"web, 1\",AA,=1+1", b"\r\n"),
        (b" spaced ,\"a \"\"b\"\"\",\xFF\x1B[31m", b"\n"),
        (b"short", b"\r\n"),
        (b"web,AA,too,many", b"\r\n"),
        (b"web,AA,\"never closed", b""),
    ];
    let words = words(&list, &malicious(b"", 1, 5, "Win32.Trojan.Generic"));
    for (record, terminator) in records {
        list.row(record, terminator, &words).unwrap();
    }
    let ours = "malicious,answered,,Win32.Trojan.Generic,5,5,37,41,2019-03-01T10:00:00,2026-01-31T23:59:59,\
                2026-11-22T15:04:05Z,service";
    let mut expected =
        b"\"Host\",sha1,Verdict,hashsweep_verdict,outcome,reason,threat_name,threat_level,trust_factor,\
scanner_match,scanner_count,first_seen,last_seen,answered_at,source\r\n"
            .to_vec();
    let ends: [(&[u8], &[u8]); 5] = [
        (b"\"web, 1\",AA,=1+1,", b"\r\n"),
        (b" spaced ,\"a \"\"b\"\"\",\xFF\x1B[31m,", b"\n"),
        (b"short,,,", b"\r\n"),
        (b"web,AA,too,many,", b"\r\n"),
        (b"web,AA,\"never closed\",", b"\r\n"),
    ];
    for (start, end) in ends {
        expected.extend([start, ours.as_bytes(), end].concat());
    }
    let written = list.finish().unwrap();
    assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(&expected));
    assert_eq!(written, expected);
}

#[test]
fn another_delimiter_is_kept() {
    let names = names(&["a", "b"]);
    let header = ListHeader::Columns { raw: b"a;b", names: &names, delimiter: b';' };
    let mut list = ListCsv::new(Vec::new(), &header, b"\n").unwrap();
    let words = words(&list, &unanswered(b"", Outcome::Failed, "one; two, three"));
    list.row(b"1,5;2", b"\n", &words).unwrap();
    let text = String::from_utf8(list.finish().unwrap()).unwrap();
    assert_eq!(text.lines().nth(1).unwrap(), "1,5;2;;failed;\"one; two, three\";;;;;;;;;");
}

#[test]
fn a_text_list_gets_a_header_and_quotes_where_it_must() {
    let names = names(&["hash"]);
    let mut list = ListCsv::new(Vec::new(), &ListHeader::Cells { names: &names }, b"").unwrap();
    let words = words(&list, &unanswered(b"", Outcome::Invalid, "3 hex digits"));
    for (line, end) in [(&b"abc"[..], &b"\n"[..]), (b"a,b \"c\"", b"\n"), (b"=1", b"")] {
        list.cells(&[line], end, &words).unwrap();
    }
    insta::assert_snapshot!(String::from_utf8(list.finish().unwrap()).unwrap(), @r#"
    hash,verdict,outcome,reason,threat_name,threat_level,trust_factor,scanner_match,scanner_count,first_seen,last_seen,answered_at,source
    abc,,invalid,3 hex digits,,,,,,,,,
    "a,b ""c""",,invalid,3 hex digits,,,,,,,,,
    =1,,invalid,3 hex digits,,,,,,,,,
    "#);
}

#[test]
fn a_list_as_objects() {
    let names = names(&["hash", "SOURCE", "hash", "", "hash_2"]);
    let header = ListHeader::Columns { raw: b"", names: &names, delimiter: b',' };
    let mut list = ListJsonl::new(Vec::new(), &header);
    let row = answered(b"", 1, Verdict::Known);
    list.row(&[&b"aa"[..], b"=x", b"b\xFF", b"d", b"e", b"beyond"], &row).unwrap();
    list.row(&["only"], &row).unwrap();
    let text = String::from_utf8(list.finish().unwrap()).unwrap();
    insta::assert_snapshot!(text, @r#"
    {"hash":"aa","SOURCE":"=x","hash_3":"b\\xFF","hash_3_raw":"b%FF","column_4":"d","hash_2":"e","column_6":"beyond","verdict":"known","outcome":"answered","answered_at":"2026-11-22T15:04:05Z","hashsweep_source":"service"}
    {"hash":"only","verdict":"known","outcome":"answered","answered_at":"2026-11-22T15:04:05Z","hashsweep_source":"service"}
    "#);
    assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));

    let names = [b"hash".to_vec()];
    let mut list = ListJsonl::new(Vec::new(), &ListHeader::Cells { names: &names });
    list.row(&["aa"], &row).unwrap();
    assert!(list.finish().unwrap().starts_with(b"{\"hash\":\"aa\",\"verdict\":\"known\""));
}

#[test]
fn cells_of_a_list_that_is_no_table_are_a_csv() {
    let names = names(&["size", "sha1", "filename"]);
    let mut list = ListCsv::new(Vec::new(), &ListHeader::Cells { names: &names }, b"\n").unwrap();
    let words = words(&list, &unanswered(b"", Outcome::Invalid, "empty"));
    list.cells(&["5", "aa", "a,\"b\""], b"\n", &words).unwrap();
    list.cells(&["5"], b"", &words).unwrap();
    list.cells(&[] as &[&str], b"", &words).unwrap();
    insta::assert_snapshot!(String::from_utf8(list.finish().unwrap()).unwrap(), @r#"
    size,sha1,filename,verdict,outcome,reason,threat_name,threat_level,trust_factor,scanner_match,scanner_count,first_seen,last_seen,answered_at,source
    5,aa,"a,""b""",,invalid,empty,,,,,,,,,
    5,,,,invalid,empty,,,,,,,,,
    ,,,,invalid,empty,,,,,,,,,
    "#);
}

#[test]
fn values_of_a_json_list_keep_their_bytes_and_get_members() {
    let mut list = ListJsonl::new(Vec::new(), &ListHeader::Cells { names: &names(&["record"]) });
    let row = answered(b"", 1, Verdict::Known);
    for value in [
        &b" {\"h\" : 1.50,\n  \"\\u0076erdict\": {\"a\": []} } "[..],
        b"{ }",
        b"\"aa\"",
        b"12",
        b"{\"cut",
        b"\xFF",
        b"{\"h\":1}{",
    ] {
        list.value(value, &row).unwrap();
    }
    let text = String::from_utf8(list.finish().unwrap()).unwrap();
    insta::assert_snapshot!(text, @r#"
    {"h" : 1.50,   "\u0076erdict": {"a": []},"hashsweep_verdict":"known","outcome":"answered","answered_at":"2026-11-22T15:04:05Z","source":"service"}
    {"verdict":"known","outcome":"answered","answered_at":"2026-11-22T15:04:05Z","source":"service"}
    {"hash":"aa","verdict":"known","outcome":"answered","answered_at":"2026-11-22T15:04:05Z","source":"service"}
    {"record":"12","verdict":"known","outcome":"answered","answered_at":"2026-11-22T15:04:05Z","source":"service"}
    {"record":"{\"cut","verdict":"known","outcome":"answered","answered_at":"2026-11-22T15:04:05Z","source":"service"}
    {"record":"\\xFF","record_raw":"%FF","verdict":"known","outcome":"answered","answered_at":"2026-11-22T15:04:05Z","source":"service"}
    {"record":"{\"h\":1}{","verdict":"known","outcome":"answered","answered_at":"2026-11-22T15:04:05Z","source":"service"}
    "#);
    assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}
