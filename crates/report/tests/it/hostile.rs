//! Rows that somebody wrote to do harm, and helpers to make rows.

use hashsweep_model::{Answer, Dates, Digest, Digests, Outcome, Place, Row, Settled, Source, Stamp, Verdict};

pub(crate) fn sha1(n: u8) -> Digest {
    Digest::from_bytes(&[n; 20]).unwrap()
}

/// A file with an answer from the service.
pub(crate) fn answered(path: &[u8], n: u8, verdict: Verdict) -> Row {
    Row {
        root: 0,
        place: Place::Path(path.to_vec()),
        size: Some(u64::from(n) * 1000),
        digests: Digests::default().with(sha1(n)),
        dates: Dates::default(),
        outcome: Outcome::Answered,
        reason: None,
        answer: Some(Settled {
            answer: Answer::bare(sha1(n), verdict),
            answered_at: Stamp(1_795_359_845_999),
            source: Source::Service,
        }),
    }
}

/// The same with the details that a malicious sample has.
pub(crate) fn malicious(path: &[u8], n: u8, level: i64, threat: &str) -> Row {
    let mut row = answered(path, n, Verdict::Malicious);
    let answer = &mut row.answer.as_mut().unwrap().answer;
    answer.threat_name = Some(threat.to_owned());
    answer.threat_level = Some(level);
    answer.trust_factor = Some(5);
    answer.scanner_match = Some(37);
    answer.scanner_count = Some(41);
    answer.first_seen = Some("2019-03-01T10:00:00".to_owned());
    answer.last_seen = Some("2026-01-31T23:59:59".to_owned());
    row
}

/// A row without an answer.
pub(crate) fn unanswered(path: &[u8], outcome: Outcome, reason: &str) -> Row {
    Row {
        root: 0,
        place: Place::Path(path.to_vec()),
        size: None,
        digests: Digests::default(),
        dates: Dates::default(),
        outcome,
        reason: Some(reason.to_owned()),
        answer: None,
    }
}

/// One of everything that has gone wrong in somebody's CSV.
pub(crate) fn rows() -> Vec<Row> {
    let mut absent = answered(b"tmp/latin-\xE9", 3, Verdict::Unknown);
    absent.answer.as_mut().unwrap().answer = Answer::absent(sha1(3));
    let mut zero = answered(b"tmp/zero", 4, Verdict::Known);
    zero.size = Some(0);
    let settled = zero.answer.as_mut().unwrap();
    settled.answer.trust_factor = Some(0);
    settled.answer.scanner_match = Some(0);
    settled.source = Source::Simulator;
    zero.outcome = Outcome::Cached;
    let mut listed = answered(b"", 5, Verdict::Suspicious);
    listed.place = Place::Line(12);
    listed.size = None;
    vec![
        malicious(b"=cmd|' /C calc'!A0", 1, 5, "@SUM(1)\x1B[2J"),
        malicious("tmp/two\nlines,\"quoted\"\r\u{85}\u{7F}".as_bytes(), 2, 3, "Win32.Trojan.Generic"),
        absent,
        zero,
        listed,
        answered("tmp/gpj.\u{202E}exe".as_bytes(), 6, Verdict::Known),
        answered(b"C:\\xampp\\xFF", 7, Verdict::Known),
        unanswered(b"tmp/pipe", Outcome::Skipped, "fifo"),
        unanswered(b"tmp/dir", Outcome::Skipped, "unreadable: -permission\tdenied"),
        unanswered(b"-", Outcome::Deferred, "quota"),
    ]
}
