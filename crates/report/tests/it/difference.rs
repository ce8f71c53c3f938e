//! Two sweeps held against one another.

use crate::hostile::{answered, malicious, sha1, unanswered};
use hashsweep_model::{Digest, Digests, HashKind, Outcome, Place, Row, Verdict};
use hashsweep_report::{
    Change, Compared, Counts, Difference, DifferenceCsv, DifferenceJsonl, DifferenceSummary, Differences,
    LeftOut, ListNames, Side, TableLayout, compare,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

fn side() -> Side {
    Side { roots: vec![b"t".to_vec()], intake_finished: true, left_out: LeftOut::Nothing }
}

fn known(path: &str, content: u8) -> Row {
    answered(path.as_bytes(), content, Verdict::Known)
}

fn skipped(path: &str, reason: &str) -> Row {
    unanswered(path.as_bytes(), Outcome::Skipped, reason)
}

fn between(old: Side, new: Side, before: Vec<Row>, now: Vec<Row>) -> (Counts, Vec<Difference>) {
    let by_path = |mut rows: Vec<Row>| {
        rows.sort_by(|a, b| a.place.cmp(&b.place));
        rows.into_iter().map(Ok::<_, Infallible>)
    };
    let mut found = Vec::new();
    let Ok(counts) = compare(old, new, by_path(before), by_path(now), |difference| {
        found.push(difference.clone());
        Ok(())
    });
    assert!(counts.is_balanced(), "{counts:?}");
    (counts, found)
}

/// `change path`, `change path ← from`, each with its note.
fn told(old: Side, new: Side, before: Vec<Row>, now: Vec<Row>) -> Vec<String> {
    let line = |difference: &Difference| {
        let Place::Path(path) = &difference.row.place else { panic!("no list here") };
        let mut line = format!("{} {}", difference.change.name(), String::from_utf8_lossy(path));
        if let Some(from) = &difference.from {
            line = format!("{line} ← {}", String::from_utf8_lossy(from));
        }
        match &*difference.note.text() {
            "" => line,
            note => format!("{line} ({note})"),
        }
    };
    between(old, new, before, now).1.iter().map(line).collect()
}

#[track_caller]
fn check(before: Vec<Row>, now: Vec<Row>, expected: &[&str]) {
    assert_eq!(told(side(), side(), before, now), expected);
}

#[test]
fn each_kind_of_difference_is_told_from_the_others() {
    check(
        vec![
            known("t/changed", 1),
            answered(b"t/flipped", 2, Verdict::Unknown),
            known("t/gone", 3),
            unanswered(b"t/judged", Outcome::Deferred, "quota"),
            known("t/moved", 5),
            known("t/same", 6),
        ]
        .into_iter()
        .map(|mut row| {
            if row.place == Place::Path(b"t/judged".to_vec()) {
                row.digests = Digests::default().with(sha1(4));
            }
            row
        })
        .collect(),
        vec![
            known("t/changed", 11),
            malicious(b"t/flipped", 2, 5, "Win32.Trojan.Late"),
            known("t/judged", 4),
            known("t/else/moved", 5),
            known("t/new", 7),
            known("t/same", 6),
        ],
        &[
            "changed t/changed",
            "flipped t/flipped",
            "judged t/judged",
            "moved t/else/moved ← t/moved",
            "gone t/gone",
            "new t/new",
        ],
    );
}

#[test]
fn what_was_not_looked_at_is_neither_gone_nor_new() {
    let dark = "unreadable: permission denied";
    // A directory that cannot be opened, with a name between it and what is below it in the order of paths.
    check(
        vec![known("t/d-x", 1), known("t/d/a", 2), known("t/d/e/b", 3), known("t/d0", 4), known("t/z", 9)],
        vec![skipped("t/d", dark), known("t/z", 9)],
        &[
            "unseen t/d (not looked at in the new sweep: unreadable: permission denied)",
            "unseen t/d/a (below t/d, which the new sweep did not look at: unreadable: permission denied)",
            "unseen t/d/e/b (below t/d, which the new sweep did not look at: unreadable: permission denied)",
            "gone t/d-x",
            "gone t/d0",
        ],
    );
    // The same the other way round: what comes to light is not new.
    check(
        vec![skipped("t/d", "i/o error")],
        vec![known("t/d/a", 2), known("t/n", 3)],
        &[
            "unseen t/d (not looked at in the old sweep: i/o error)",
            "unseen t/d/a (below t/d, which the old sweep did not look at: i/o error)",
            "new t/n",
        ],
    );
    check(
        vec![known("t/f", 1), skipped("t/g", dark), known("t/l/a", 3)],
        vec![skipped("t/f", dark), known("t/g", 2), skipped("t/l", "symbolic link"), known("t/m", 3)],
        &[
            "unseen t/f (not looked at in the new sweep: unreadable: permission denied)",
            "unseen t/g (not looked at in the old sweep: unreadable: permission denied)",
            "unseen t/l/a (below t/l, which the new sweep did not look at: symbolic link)",
            "new t/l",
            "new t/m",
        ],
    );
}

#[test]
fn a_root_that_is_missing_or_empty_never_looks_like_deletion() {
    let before = || vec![known("t/a", 1), known("t/b", 2)];
    check(
        before(),
        vec![skipped("t", "missing root: no such file or directory")],
        &[
            "unseen t (not looked at in the new sweep: missing root: no such file or directory)",
            "unseen t/a (below t, which the new sweep did not look at: missing root: no such file or directory)",
            "unseen t/b (below t, which the new sweep did not look at: missing root: no such file or directory)",
        ],
    );
    let empty = "nothing at all was below its root in the new sweep: is it mounted?";
    check(before(), vec![], &[&format!("unseen t/a ({empty})"), &format!("unseen t/b ({empty})")]);
    // Of two roots, each speaks for itself; and the root of everything is one too.
    let two = Side { roots: vec![b"t/".to_vec(), b"/".to_vec()], ..side() };
    let mut there = known("/x", 3);
    there.root = 1;
    let found = told(two.clone(), two, vec![known("t/a", 1), there.clone(), known("/y", 4)], vec![there]);
    assert_eq!(found, ["gone /y".to_owned(), format!("unseen t/a ({empty})")]);
    // What is new in an empty root is new.
    check(vec![], vec![known("t/a", 1)], &["new t/a"]);
}

#[test]
fn what_one_sweep_could_not_have_seen_is_unseen() {
    let (gone, new) = (vec![known("t/k", 9), known("t/a", 1)], vec![known("t/k", 9), known("t/b", 2)]);
    let told = |old: Side, of_new: Side| told(old, of_new, gone.clone(), new.clone());
    let unfinished = || Side { intake_finished: false, ..side() };
    assert_eq!(told(side(), unfinished()), ["unseen t/a (the new sweep did not reach its end)", "new t/b"]);
    assert_eq!(told(unfinished(), side()), ["unseen t/b (the old sweep did not reach its end)", "gone t/a"]);
    let elsewhere = || Side { roots: vec![b"t/k".to_vec(), b"t-a".to_vec()], ..side() };
    assert_eq!(told(side(), elsewhere()), ["unseen t/a (outside the roots of the new sweep)", "new t/b"]);
    let filtered = |left_out| Side { left_out, ..side() };
    assert_eq!(
        told(side(), filtered(LeftOut::Anything)),
        ["unseen t/a (the filters of the new sweep may have left it out)", "new t/b"]
    );
    assert_eq!(
        told(filtered(LeftOut::ByFile), filtered(LeftOut::ByFile)),
        [
            "unseen t/a (the filters of the new sweep may have left it out)",
            "new t/b (or left out before by the filters on size or age)"
        ]
    );
}

#[test]
fn digests_of_different_kinds_say_nothing_unless_the_sizes_do() {
    let md5 = |path: &str, size| {
        let mut row = known(path, 1);
        row.size = Some(size);
        row.digests = Digests::default().with(HashKind::Md5.empty_input());
        row
    };
    check(
        vec![known("t/a", 1), known("t/b", 1)],
        vec![md5("t/a", 1000), md5("t/b", 1001)],
        &["unseen t/a (the sweeps have no kind of digest in common)", "changed t/b"],
    );
    // A collision of the weaker kind is no move, and no same content.
    let with = |path: &str, sha256: u8| {
        let mut row = known(path, 1);
        row.digests = row.digests.with(Digest::from_bytes(&[sha256; 32]).unwrap());
        row
    };
    check(vec![with("t/a", 1)], vec![with("t/a", 2)], &["changed t/a"]);
    check(
        vec![with("t/a", 1), known("t/b", 1), known("t/k", 3)],
        vec![with("t/c", 2), known("t/k", 3)],
        &["gone t/a", "gone t/b", "new t/c"],
    );
}

#[test]
fn links_pipes_and_files_of_our_own() {
    check(
        vec![
            skipped("t/fifo", "fifo"),
            known("t/file", 1),
            skipped("t/link", "symbolic link"),
            skipped("t/old.csv", "own file"),
            skipped("t/out.csv", "own file"),
            known("t/report", 2),
            skipped("t/socket", "socket"),
        ],
        vec![
            skipped("t/.new.partial", "own file"),
            skipped("t/fifo", "fifo"),
            skipped("t/file", "symbolic link"),
            known("t/link", 1),
            known("t/old.csv", 3),
            skipped("t/report", "own file"),
            skipped("t/socket", "fifo"),
        ],
        &[
            "changed t/file (before: a file)",
            "changed t/link (before: symbolic link)",
            "new t/old.csv (it was a file of our own before)",
            "changed t/socket (before: socket)",
        ],
    );
}

#[test]
fn where_several_paths_share_a_content_names_decide_and_it_is_said() {
    let pairing = "(one way of pairing: 3 paths with this content went, 4 came)";
    check(
        vec![known("t/a/x", 1), known("t/a/y", 1), known("t/a/z", 1), known("t/e/empty", 2)],
        vec![
            known("t/b/0", 1),
            known("t/b/new", 1),
            known("t/b/y", 1),
            known("t/c/y", 1),
            known("t/e/other", 2),
        ]
        .into_iter()
        .map(|mut row| {
            if row.place == Place::Path(b"t/e/other".to_vec()) {
                row.digests = Digests::default().with(HashKind::Sha1.empty_input());
            }
            row
        })
        .collect(),
        &[
            &format!("moved t/b/0 ← t/a/x {pairing}"),
            &format!("moved t/b/new ← t/a/z {pairing}"),
            &format!("moved t/b/y ← t/a/y {pairing}"),
            "new t/c/y",
            "gone t/e/empty",
            "new t/e/other",
        ],
    );
    let empty = |path: &str| {
        let mut row = known(path, 0);
        row.digests = Digests::default().with(HashKind::Sha1.empty_input());
        row
    };
    check(vec![empty("t/a"), known("t/k", 1)], vec![empty("t/b"), known("t/k", 1)], &["gone t/a", "new t/b"]);
}

#[test]
fn a_verdict_that_is_owed_is_missed() {
    let owed = |path: &str, content: u8| {
        let mut row = unanswered(path.as_bytes(), Outcome::Deferred, "quota");
        row.digests = Digests::default().with(sha1(content));
        row
    };
    check(vec![known("t/a", 1)], vec![owed("t/a", 1)], &["unseen t/a (no verdict in the new sweep)"]);
    let (counts, found) = between(
        side(),
        side(),
        vec![owed("t/a", 1), owed("t/gone", 7)],
        vec![owed("t/a", 1), owed("t/b", 2)],
    );
    assert_eq!((counts.without_verdict, found.len(), counts.is_whole()), (2, 2, false));
}

#[test]
fn roots_that_overlap_count_a_path_once() {
    let twice = |content| vec![skipped("t/a", "i/o error"), known("t/a", content), known("t/k", 9)];
    let (counts, found) = between(side(), side(), twice(1), twice(1));
    assert_eq!((counts.places, counts.same, found.len()), (2, 2, 0));
}

#[test]
fn rows_of_lists_are_held_against_their_own_lines() {
    let line = |root: u32, line: u64, verdict| {
        let mut row = answered(b"", 1, verdict);
        (row.root, row.place) = (root, Place::Line(line));
        row
    };
    let before = vec![line(0, 2, Verdict::Known), line(0, 10, Verdict::Known), line(1, 1, Verdict::Known)];
    let now = vec![line(0, 2, Verdict::Known), line(0, 10, Verdict::Malicious), line(1, 1, Verdict::Known)];
    let rows = |rows: Vec<Row>| rows.into_iter().map(Ok::<_, Infallible>);
    let lists = || Side { roots: Vec::new(), ..side() };
    let mut csv = DifferenceCsv::new(Vec::new(), ListNames::new(vec![b"iocs.txt".to_vec()])).unwrap();
    let Ok(counts) = compare(lists(), lists(), rows(before), rows(now), |difference| {
        csv.row(difference).unwrap();
        Ok(())
    });
    assert_eq!((counts.of(Change::Flipped), counts.same), (1, 2));
    let text = String::from_utf8(csv.finish().unwrap()).unwrap();
    assert!(text.lines().nth(1).unwrap().starts_with("flipped,iocs.txt:10,,1000,,01010"), "{text}");
}

/// One of everything, with hostile names.
fn shown() -> (Counts, Vec<Difference>) {
    let mut before = vec![
        known("t/a\u{1b}[31m", 1),
        answered(b"t/flip", 2, Verdict::Unknown),
        malicious(b"t/gone", 3, 4, "Win32.Trojan.Cleaned"),
        malicious("t/=from\u{202e}".as_bytes(), 5, 5, "@SUM(1)\x1b[2J"),
        known("t/dark/x", 6),
    ];
    before.push(answered(b"t/latin-\xe9", 7, Verdict::Known));
    let mut now = vec![
        answered("t/a\u{1b}[31m".as_bytes(), 11, Verdict::Suspicious),
        malicious(b"t/flip", 2, 5, "Win32.Trojan.Late"),
        malicious(b"t/to,\"here\"", 5, 5, "@SUM(1)\x1b[2J"),
        skipped("t/dark", "unreadable: permission denied"),
        answered(b"t/new-\xff", 8, Verdict::Unknown),
    ];
    now.push(answered(b"t/latin-\xe9/deeper", 7, Verdict::Known));
    between(side(), side(), before, now)
}

#[test]
fn as_csv() {
    let mut csv = DifferenceCsv::new(Vec::new(), ListNames::default()).unwrap();
    shown().1.iter().for_each(|difference| csv.row(difference).unwrap());
    insta::assert_snapshot!(String::from_utf8(csv.finish().unwrap()).unwrap());
}

#[test]
fn as_jsonl() {
    let mut jsonl = DifferenceJsonl::new(Vec::new(), ListNames::default());
    shown().1.iter().for_each(|difference| jsonl.row(difference).unwrap());
    insta::assert_snapshot!(String::from_utf8(jsonl.finish().unwrap()).unwrap());
}

#[test]
fn as_a_table_worst_first() {
    let table = |width, max_rows| {
        let layout = TableLayout { width, colour: false, max_rows, simulated: false };
        let mut table = Differences::new(layout, ListNames::default());
        shown().1.iter().for_each(|difference| table.add(difference));
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    insta::assert_snapshot!(table(None, None));
    assert!(
        table(Some(90), None).lines().all(|line| line.chars().count() <= 90),
        "{}",
        table(Some(90), None)
    );
    assert_eq!(table(None, Some(2)).lines().last().unwrap(), "… and 6 more (all of them: -o FILE)");
}

#[test]
fn as_a_summary() {
    let compared = |sweep, intake_finished| Compared {
        sweep,
        started: format!("2026-11-2{sweep} 22:00 UTC"),
        roots: vec![b"t\x1b".to_vec()],
        intake_finished,
    };
    let summary = |counts: &Counts, finished| {
        let (old, new) = (compared(1, true), compared(2, finished));
        let summary = DifferenceSummary { counts, old: &old, new: &new };
        let mut out = Vec::new();
        summary.write(&mut out, false).unwrap();
        (String::from_utf8(out).unwrap(), summary.json())
    };
    let (text, json) = summary(&shown().0, true);
    insta::assert_snapshot!("difference_summary", format!("{text}\n{json}"));
    let same = between(side(), side(), vec![known("t/a", 1)], vec![known("t/a", 1)]).0;
    insta::assert_snapshot!("difference_of_nothing", summary(&same, true).0);
    assert!(summary(&same, false).0.contains("NOT COMPARED IN FULL: the new sweep did not reach its end"));
}

/// A few paths with few contents and verdicts, so that everything meets everything.
fn sweep() -> impl Strategy<Value = (Side, Vec<Row>)> {
    let path =
        prop::sample::select(vec!["t", "t/a", "t/a-b", "t/a/b", "t/a/c", "t/a0", "t/b", "t/b/c/d", "u/a"]);
    let row = (path, 0u8..4, 0usize..9).prop_map(|(path, content, what)| match what {
        0 => skipped(path, "unreadable"),
        1 => skipped(path, "symbolic link"),
        2 => skipped(path, "own file"),
        3 => {
            let mut row = unanswered(path.as_bytes(), Outcome::Deferred, "quota");
            row.digests = Digests::default().with(sha1(content));
            row
        }
        4 => answered(path.as_bytes(), content, Verdict::Malicious),
        _ => known(path, content),
    });
    let left_out = prop::sample::select(vec![LeftOut::Nothing, LeftOut::ByFile, LeftOut::Anything]);
    let of_side = (0u32..8, left_out).prop_map(|(finished, left_out)| Side {
        roots: vec![b"t".to_vec()],
        intake_finished: finished > 0,
        left_out,
    });
    (of_side, prop::collection::vec(row, 0..9))
}

proptest! {
    #[test]
    fn every_path_of_both_sweeps_ends_in_exactly_one_class((old, before) in sweep(), (new, now) in sweep()) {
        let paths: BTreeSet<Place> = before.iter().chain(&now).map(|row| row.place.clone()).collect();
        let (counts, found) = between(old, new, before.clone(), now.clone());
        prop_assert_eq!(counts.places, paths.len() as u64);
        let mut classes: BTreeMap<Place, u32> = BTreeMap::new();
        for difference in &found {
            let from = difference.from.iter().map(|from| Place::Path(from.clone()));
            for place in from.chain([difference.row.place.clone()]) {
                prop_assert!(paths.contains(&place));
                *classes.entry(place).or_default() += 1;
            }
        }
        prop_assert!(classes.values().all(|n| *n == 1), "{:?}", found);
        prop_assert_eq!(classes.len() as u64 + counts.same + counts.own, paths.len() as u64);
        // Nothing is called gone or new that the other sweep has a row for, our own files aside.
        let has = |rows: &[Row], place: &Place| rows.iter().any(|row| row.place == *place && row.reason.as_deref() != Some("own file"));
        for difference in &found {
            match difference.change {
                Change::Gone => prop_assert!(!has(&now, &difference.row.place)),
                Change::New | Change::Moved => prop_assert!(!has(&before, &difference.row.place)),
                Change::Changed | Change::Flipped | Change::Judged => {
                    prop_assert!(has(&before, &difference.row.place) && has(&now, &difference.row.place));
                }
                Change::Unseen => {}
            }
        }
    }

    #[test]
    fn a_sweep_held_against_itself_differs_in_nothing((of_side, rows) in sweep()) {
        let found = between(of_side.clone(), of_side, rows.clone(), rows).1;
        prop_assert!(found.iter().all(|difference| difference.change == Change::Unseen), "{:?}", found);
        prop_assert!(found.iter().all(|difference| difference.row.reason.as_deref() == Some("unreadable")));
    }

    #[test]
    fn one_way_round_is_the_other_way_round_with_new_and_gone_exchanged((_, before) in sweep(), (_, now) in sweep()) {
        // Own files, links and roots without a row are judged from the new side; the rest is symmetrical.
        let plain = |rows: Vec<Row>| -> Vec<Row> {
            let kept = rows.into_iter().filter(|row| row.outcome == Outcome::Answered);
            kept.chain([known("t/zzz", 200)]).collect()
        };
        let (before, now) = (plain(before), plain(now));
        let there = between(side(), side(), before.clone(), now.clone()).0;
        let back = between(side(), side(), now, before).0;
        prop_assert_eq!(there.of(Change::New), back.of(Change::Gone));
        prop_assert_eq!(there.of(Change::Gone), back.of(Change::New));
        for change in [Change::Changed, Change::Moved, Change::Flipped, Change::Unseen] {
            prop_assert_eq!(there.of(change), back.of(change));
        }
    }
}
