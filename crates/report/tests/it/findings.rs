//! The table.

use crate::hostile::{self, answered, malicious};
use hashsweep_model::{Row, Verdict};
use hashsweep_report::{Emit, Findings, Layout, ListNames};
use proptest::prelude::*;
use unicode_width::UnicodeWidthChar;

const LAYOUT: Layout =
    Layout { width: None, colour: false, max_rows: None, emit: Emit::Findings, simulated: false };

fn table(layout: Layout, rows: &[Row]) -> String {
    let mut table = Findings::new(layout, ListNames::new(vec![b"iocs.txt".to_vec()]));
    for row in rows {
        table.add(row);
    }
    let mut out = Vec::new();
    table.write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn findings() -> Vec<Row> {
    vec![
        answered("home/日本語/naïve.doc".as_bytes(), 1, Verdict::Suspicious),
        malicious(b"home/b/dropper.exe", 2, 5, "Win32.Trojan.Emotet"),
        malicious(
            b"home/a/a/very/long/way/down/into/the/tree/of/somebody/else/dropper.exe",
            2,
            5,
            "Win32.Trojan.Emotet",
        ),
        malicious(b"home/c", 3, 2, "Script-JS.Downloader.With.A.Name.That.Nobody.Could.Remember.Heuristic"),
        answered(b"home/known", 4, Verdict::Known),
        hostile::unanswered(b"home/later", hashsweep_model::Outcome::Deferred, "quota"),
    ]
}

#[test]
fn worst_first_then_by_path() {
    insta::assert_snapshot!(table(LAYOUT, &findings()));
}

#[test]
fn a_narrow_screen_keeps_the_end_of_the_path() {
    insta::assert_snapshot!(table(Layout { width: Some(80), ..LAYOUT }, &findings()));
}

#[test]
fn colour_repeats_the_words() {
    let text = table(Layout { colour: true, ..LAYOUT }, &findings());
    insta::assert_snapshot!(text.replace('\x1B', "␛"));
}

#[test]
fn every_row_of_a_hostile_set() {
    insta::assert_snapshot!(table(Layout { emit: Emit::All, ..LAYOUT }, &hostile::rows()));
}

#[test]
fn no_more_rows_than_asked_for() {
    let rows: Vec<Row> = (0..6000u32)
        .rev()
        .map(|n| malicious(format!("path/{n:05}").as_bytes(), 1, 5, "Win32.Trojan.Generic"))
        .collect();
    insta::assert_snapshot!(table(Layout { max_rows: Some(3), ..LAYOUT }, &rows), @r"
    6,000 findings: 6,000 malicious
    VERDICT    THREAT                LEVEL  ENGINES  PATH
    MALICIOUS  Win32.Trojan.Generic  5/5    37/41    path/00000
    MALICIOUS  Win32.Trojan.Generic  5/5    37/41    path/00001
    MALICIOUS  Win32.Trojan.Generic  5/5    37/41    path/00002
    … and 5,997 more (all of them: -o FILE, or hashsweep report)
    ");
}

#[test]
fn nothing_found_is_one_sentence() {
    insta::assert_snapshot!(table(LAYOUT, &findings()[4..]), @"Nothing was called malicious or suspicious. The summary says what was not looked at or not answered.");
    let simulated = table(Layout { simulated: true, emit: Emit::Unknown, ..LAYOUT }, &[]);
    insta::assert_snapshot!(simulated, @r"
    SIMULATED VERDICTS: they say nothing about these files
    Nothing was called unknown. The summary says what was not looked at or not answered.
    ");
}

proptest! {
    #[test]
    fn no_line_is_wider_than_the_screen(
        rows in prop::collection::vec(("\\PC{0,60}", "\\PC{0,80}"), 1..5),
        width in 60usize..200,
    ) {
        let rows: Vec<Row> =
            rows.iter().map(|(path, threat)| malicious(path.as_bytes(), 1, 5, threat)).collect();
        for line in table(Layout { width: Some(width), ..LAYOUT }, &rows).lines() {
            let columns: usize = line.chars().map(|c| c.width().unwrap_or(0)).sum();
            prop_assert!(columns <= width, "{columns} columns on {width}: {line}");
        }
    }
}
