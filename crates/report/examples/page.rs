//! A page of as many findings as are asked for, on stdout: what the browser's checks look at. The first of them have
//! names that would like to be more than names.
//!
//! `cargo run -p hashsweep-report --example page -- 100000 >page.html`

use hashsweep_model::{
    Answer, Dates, Digest, Digests, Outcome, Place, Quota, Row, Settled, Source, Stamp, Tally, Verdict,
};
use hashsweep_report::{Hashing, ListNames, Overview, Page, Progress, Record, Run, What};
use std::io::{self, BufWriter};

const HOSTILE: [&str; 9] = [
    "<script>window.hit = 1</script>",
    "</script><script>window.hit = 2</script>",
    "\"><img src=x onerror=\"window.hit = 3\">",
    "'><svg onload=window.hit=4>",
    "<!--<script>window.hit=5",
    "invoice\u{202E}fdp.exe",
    "two\nlines\tand a tab\u{1B}[2J\u{9B}",
    "{{constructor.constructor('window.hit=6')()}}",
    "\u{2028}window.hit=7//\u{2029}",
];

fn main() -> io::Result<()> {
    let n: u32 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1000);
    let mut tally = Tally { intake_finished: false, ..Tally::default() };
    let mut overview = Overview::new(ListNames::default());
    for i in 0..n {
        let row = row(i);
        overview.add(&row);
        *tally.verdicts.entry(row.verdict().expect("it has one")).or_default() += 1;
    }
    let n_rows = u64::from(n);
    (tally.rows, tally.distinct) = (n_rows + 2, n_rows);
    tally.outcomes = [(Outcome::Answered, n_rows), (Outcome::Skipped, 2)].into();
    tally.digests = [(Outcome::Answered, n_rows)].into();
    tally.skipped = [("unreadable".to_owned(), 2)].into();
    for path in HOSTILE.into_iter().take(2) {
        overview.add(&Row {
            outcome: Outcome::Skipped,
            reason: Some(format!("unreadable: {path}")),
            answer: None,
            ..named(path.as_bytes().to_vec(), 0)
        });
    }
    let mut progress = Progress::default();
    for second in 0..600_i64 {
        let quota = Quota { charged_max: 100, charged_min: 60, in_doubt: u64::from(second % 97 == 0) };
        progress.add(Stamp(1_795_359_845_000 + second * 1000), 100, quota);
    }
    let mut hashing = Hashing::default();
    for minute in 0..10_i64 {
        let at = |minute: i64| Stamp(1_795_359_845_000 + minute * 60_000);
        hashing.add(
            at(minute),
            at(minute + 1),
            90_000,
            40_000_000_000 + 3_000_000_000 * minute.unsigned_abs(),
        );
    }
    tally.requests = 600;
    tally.quota = Quota { charged_max: 60_000, charged_min: 36_000, in_doubt: 7 };
    let record = Record {
        what: What::Files,
        command: "scan".to_owned(),
        sweep: 1,
        roots: vec![HOSTILE[0].as_bytes().to_vec()],
        service: Some(HOSTILE[2].to_owned()),
        simulated: true,
        started_at: Stamp(1_795_359_840_000),
        intake_finished_at: None,
        runs: vec![Run {
            number: 1,
            started_at: Stamp(1_795_359_840_000),
            ended_at: Some(Stamp(1_795_360_450_000)),
            budget: Some(80_000),
        }],
        progress,
        hashing,
        next_step: format!("hashsweep resume --case '{}'", HOSTILE[1]),
        case_name: HOSTILE[3].as_bytes().to_vec(),
    };
    let out = BufWriter::new(io::stdout().lock());
    let mut page = Page::new(out, ListNames::default(), &record, &tally, &overview)?;
    for i in 0..n {
        page.row(&row(i))?;
    }
    page.finish()?;
    Ok(())
}

fn row(i: u32) -> Row {
    let at = usize::try_from(i).expect("32 bits fit");
    let hostile = HOSTILE.get(at).copied();
    let path = match hostile {
        Some(name) => format!("/srv/share/hostile/{name}").into_bytes(),
        None => format!("/srv/share/{:02}/{:03}/file-{i:07}.exe", i % 17, i % 613).into_bytes(),
    };
    let mut row = named(path, i);
    let settled = row.answer.as_mut().expect("named gives one");
    let threat = hostile.map_or_else(|| format!("Win32.Trojan.Family{}", i % 211), str::to_owned);
    settled.answer.threat_name = Some(threat);
    settled.answer.first_seen = Some(format!("20{:02}-{:02}-11T08:00:00", 15 + i % 11, 1 + i % 12));
    row
}

fn named(path: Vec<u8>, i: u32) -> Row {
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&i.wrapping_mul(2_654_435_761).to_be_bytes());
    bytes[16..].copy_from_slice(&i.to_be_bytes());
    let digest = Digest::from_bytes(&bytes).expect("20 bytes are SHA-1");
    let verdict = if i.is_multiple_of(3) { Verdict::Malicious } else { Verdict::Suspicious };
    let answer = Answer {
        threat_level: Some(i64::from(1 + i % 5)),
        scanner_match: Some(i64::from(i % 60)),
        scanner_count: Some(60),
        ..Answer::bare(digest, verdict)
    };
    Row {
        root: 0,
        place: Place::Path(path),
        size: Some(u64::from(i) * 37),
        digests: Digests::default().with(digest),
        dates: Dates::default(),
        outcome: Outcome::Answered,
        reason: None,
        answer: Some(Settled { answer, answered_at: Stamp(1_795_359_900_000), source: Source::Simulator }),
    }
}
