//! The summary.

use hashsweep_model::{Outcome, Quota, Stamp, Tally, Verdict};
use hashsweep_report::{Figures, Speed, Summary, What};
use serde_json::Value;
use std::time::Duration;

fn tally() -> Tally {
    Tally {
        contradictions: 0,
        rows: 17,
        outcomes: [(Outcome::Answered, 12), (Outcome::Cached, 3), (Outcome::Local, 1), (Outcome::Skipped, 1)]
            .into(),
        verdicts: [
            (Verdict::Malicious, 3),
            (Verdict::Suspicious, 1),
            (Verdict::Unknown, 4),
            (Verdict::Known, 7),
        ]
        .into(),
        skipped: [("symbolic link".to_owned(), 1)].into(),
        reasons: [((Outcome::Local, "empty file".to_owned()), 1)].into(),
        duplicates: 4,
        distinct: 12,
        digests: [(Outcome::Answered, 8), (Outcome::Cached, 3), (Outcome::Local, 1)].into(),
        learned: 1,
        oldest_cached: Some(Stamp(1_795_359_845_999)),
        excluded: 2,
        bytes: 4_200_000_000,
        requests: 1,
        quota: Quota { charged_max: 8, charged_min: 6, in_doubt: 0 },
        intake_finished: true,
    }
}

fn figures() -> Figures {
    Figures {
        what: What::Files,
        remarks: Vec::new(),
        speed: Some(Speed {
            n_unchanged: 0,
            n_read: 16_740,
            bytes_read: 4_185_000_000,
            reading: Duration::from_millis(3100),
            n_asked: 1_150,
            asking: Duration::from_millis(500),
            elapsed: Duration::from_millis(3400),
        }),
        simulated: false,
        interrupted: false,
        next_step: Some("hashsweep resume --case evidence.case".to_owned()),
        case_path: Some(b"evidence.case".to_vec()),
    }
}

fn incomplete() -> Tally {
    let mut tally = tally();
    tally.rows += 52_430;
    tally.outcomes.extend([(Outcome::Deferred, 40), (Outcome::Failed, 3), (Outcome::Skipped, 52_388)]);
    tally.skipped.extend([
        ("fifo".to_owned(), 75),
        ("unreadable".to_owned(), 12),
        ("a reason from a newer version".to_owned(), 52_300),
    ]);
    tally.reasons.extend([
        ((Outcome::Deferred, "quota".to_owned()), 30),
        ((Outcome::Deferred, "interrupted".to_owned()), 10),
        ((Outcome::Failed, "broken body: \x1B[2J\n".to_owned()), 3),
    ]);
    tally.distinct += 43;
    tally.digests.extend([(Outcome::Deferred, 40), (Outcome::Failed, 3)]);
    tally.quota.in_doubt = 3;
    tally.intake_finished = false;
    tally
}

#[test]
fn a_complete_sweep() {
    insta::assert_snapshot!(Summary::new(&tally(), &figures()));
}

#[test]
fn an_incomplete_sweep() {
    insta::assert_snapshot!(Summary::new(&incomplete(), &Figures { interrupted: true, ..figures() }));
}

#[test]
fn a_simulated_list() {
    let figures = Figures { what: What::Rows, simulated: true, case_path: None, ..figures() };
    insta::assert_snapshot!(Summary::new(&tally(), &figures));
}

#[test]
fn books_that_do_not_balance_are_loud() {
    let mut tally = tally();
    tally.rows += 1;
    insta::assert_snapshot!(Summary::new(&tally, &figures()));
}

#[test]
fn a_sweep_of_nothing_divides_nothing_by_zero() {
    let tally = Tally { intake_finished: true, ..Tally::default() };
    let figures = Figures { speed: Some(Speed::default()), case_path: None, ..figures() };
    insta::assert_snapshot!(Summary::new(&tally, &figures));
}

#[test]
fn colour_repeats_the_words() {
    let (tally, figures) = (incomplete(), Figures { simulated: true, ..figures() });
    let summary = Summary::new(&tally, &figures);
    let mut painted = Vec::new();
    summary.write(&mut painted, true).unwrap();
    let painted = String::from_utf8(painted).unwrap();
    assert!(painted.contains("\x1B[1;31m3 malicious\x1B[0m"));
    let plain = ["\x1B[1;31m", "\x1B[1;33m", "\x1B[33m", "\x1B[32m", "\x1B[1m", "\x1B[0m"]
        .iter()
        .fold(painted, |text, code| text.replace(code, ""));
    assert_eq!(plain, summary.to_string());
}

#[test]
fn the_same_facts_as_json() {
    let (tally, figures) = (incomplete(), figures());
    let text = Summary::new(&tally, &figures).json();
    assert!(!text.contains('\n'));
    let object: Value = serde_json::from_str(&text).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&object).unwrap());
}
