//! The page as text. What a browser makes of it is `.ci/browser`'s business.

use crate::hostile;
use hashsweep_model::{Outcome, Quota, Row, Stamp, Tally};
use hashsweep_report::{Hashing, ListNames, Overview, Page, Progress, Record, Run, What};
use serde_json::Value;

pub(crate) fn record() -> Record {
    let mut progress = Progress::default();
    for i in 0..3 {
        let quota = Quota { charged_max: 10, charged_min: 6, in_doubt: 0 };
        progress.add(Stamp(1_795_359_846_000 + i * 40), 10, quota);
    }
    let mut hashing = Hashing::default();
    for i in 0..4 {
        let at = |n: i64| Stamp(1_795_359_846_000 + n * 125);
        hashing.add(at(i), at(i + 1), 40, 1_000_000 * (4 - i.unsigned_abs()));
    }
    Record {
        what: What::Files,
        command: "scan".to_owned(),
        sweep: 3,
        roots: vec![b"/srv/<b>share".to_vec()],
        service: Some("the service at data.reversinglabs.com".to_owned()),
        simulated: false,
        started_at: Stamp(1_795_359_845_999),
        intake_finished_at: Some(Stamp(1_795_359_846_500)),
        runs: vec![Run {
            number: 7,
            started_at: Stamp(1_795_359_845_999),
            ended_at: Some(Stamp(1_795_359_860_000)),
            budget: Some(40),
        }],
        progress,
        hashing,
        next_step: "hashsweep resume --case 'x&y'".to_owned(),
        case_name: b"case.db".to_vec(),
    }
}

pub(crate) fn tally(rows: &[Row]) -> Tally {
    let mut tally = Tally { rows: rows.len() as u64, intake_finished: true, ..Tally::default() };
    for row in rows {
        *tally.outcomes.entry(row.outcome).or_default() += 1;
        if let Some(verdict) = row.verdict() {
            *tally.verdicts.entry(verdict).or_default() += 1;
        }
        if row.outcome == Outcome::Skipped {
            let reason = row.reason.clone().unwrap();
            *tally.skipped.entry(reason.split(':').next().unwrap().to_owned()).or_default() += 1;
        }
    }
    tally
}

fn page(rows: &[Row]) -> String {
    let names = || ListNames::new(vec![b"iocs.txt".to_vec()]);
    let mut overview = Overview::new(names());
    for row in rows {
        overview.add(row);
    }
    let mut page = Page::new(Vec::new(), names(), &record(), &tally(rows), &overview).unwrap();
    for row in rows {
        page.row(row).unwrap();
    }
    String::from_utf8(page.finish().unwrap()).unwrap()
}

/// The findings as the page's script reads them.
fn listed(page: &str) -> Vec<Vec<Value>> {
    let blocks = page.split("<script type=\"application/json\" class=\"rows\">").skip(1);
    let blocks = blocks.map(|block| block.split_once("</script>").unwrap().0);
    blocks.flat_map(|block| serde_json::from_str::<Vec<Vec<Value>>>(block).unwrap()).collect()
}

/// What stands between the style sheet and the script.
fn words(page: &str) -> &str {
    let (_, rest) = page.split_once("<body>").unwrap();
    rest.split_once("<script").unwrap().0
}

#[test]
fn the_first_screen_of_a_hostile_sweep() {
    insta::assert_snapshot!(words(&page(&hostile::rows())).replace("><", ">\n<"));
}

#[test]
fn the_first_screen_of_a_sweep_of_nothing() {
    insta::assert_snapshot!(words(&page(&[])).replace("><", ">\n<"));
}

#[test]
fn a_page_lists_each_finding_once_and_nothing_else() {
    let rows: Vec<Row> = (0..5000_u32)
        .flat_map(|i| {
            let path = format!("/srv/{i}");
            [
                hostile::malicious(path.as_bytes(), 1, 5, "T"),
                hostile::answered(path.as_bytes(), 6, hashsweep_model::Verdict::Known),
            ]
        })
        .collect();
    let page = page(&rows);
    let listed = listed(&page);
    assert_eq!(listed.len(), 5000);
    assert!(listed.iter().enumerate().all(|(i, row)| row[0] == format!("/srv/{i}")));
    assert_eq!(page.matches("class=\"rows\"").count(), 3);
}

#[test]
fn names_are_shown_safely_and_copied_exactly() {
    let page = page(&hostile::rows());
    let listed = listed(&page);
    let of = |i: usize| (listed[i][0].as_str().unwrap(), listed[i][1].as_str());
    assert_eq!(of(0), ("=cmd|' /C calc'!A0", None));
    assert_eq!(
        of(1),
        (
            "tmp/two\\x0Alines,\"quoted\"\\x0D\\xC2\\x85\\x7F",
            Some("tmp/two\nlines,\"quoted\"\\x0D\\xC2\\x85\\x7F")
        )
    );
    assert_eq!(of(2), ("iocs.txt:12", None));
    assert_eq!(listed[0][3], "@SUM(1)\\x1B[2J");
    assert!(!page.contains(|c: char| c.is_control() && c != '\n'));
}

#[test]
fn the_policy_allows_exactly_the_style_sheet_and_the_script() {
    use base64::Engine as _;
    use sha2::Digest as _;
    let page = page(&hostile::rows());
    let between = |from: &str, to: &str| page.rsplit_once(from).unwrap().1.split_once(to).unwrap().0;
    for (of, text) in
        [("style-src", between("<style>", "</style>")), ("script-src", between("<script>", "</script>"))]
    {
        let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(text.as_bytes()));
        assert!(page.contains(&format!("{of} 'sha256-{hash}';")), "{of}");
    }
    assert!(page.contains("default-src 'none';"));
    // Attributes that run or style would need to be allowed, and are not.
    let words = words(&page);
    assert!(!words.contains(" style=") && !words.contains(" onclick=") && !words.contains("http"));
}
