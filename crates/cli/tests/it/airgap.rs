//! A case without a network: what it owes goes out as a list, is asked elsewhere, and comes back as answers.

use crate::lab::{Lab, fixtures};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What a report says of each path, but for who asked and when.
fn said(lab: &Lab, report: &str) -> BTreeMap<String, Vec<String>> {
    let mut rows = csv::Reader::from_path(lab.path(report)).unwrap();
    let names = rows.headers().unwrap().clone();
    let of_asking = |name: &str| matches!(name, "outcome" | "answered_at");
    let said = rows.records().map(|row| {
        let row = row.unwrap();
        let cells =
            names.iter().zip(&row).filter(|(name, _)| !of_asking(name)).map(|(_, cell)| cell.to_owned());
        (row[0].to_owned(), cells.collect())
    });
    said.collect()
}

#[test]
fn what_another_machine_asked_is_as_if_it_had_been_asked_here() {
    let lab = Lab::new();
    let demo = fixtures().join("demo");
    let demo = demo.to_str().unwrap();
    lab.run(["scan", demo, "--sim", "--offline", "--case", "gap.db", "-q"]).exits(3);
    lab.run(["case", "export-pending", "--case", "gap.db", "-o", "pending"]).exits(0);
    let pending = fs::read_to_string(lab.path("pending")).unwrap();
    let (first, rest) = pending.split_at(5 * 41);

    // In two parts, the second from the same case again.
    fs::write(lab.path("part"), first).unwrap();
    lab.run(["list", "part", "--sim", "--case", "asked.db", "-q", "--fail-on", "never"]).exits(0);
    let part = lab.run(["case", "import-answers", "--case", "gap.db", "asked.db", "--json"]).exits(3);
    let part: serde_json::Value = serde_json::from_slice(&part.stdout).unwrap();
    let n_pending = pending.lines().count();
    assert_eq!(part["answers"], 5);
    assert_eq!(
        (&part["sweeps"][0]["owed"], &part["sweeps"][0]["left"]),
        (&n_pending.into(), &(n_pending - 5).into())
    );
    fs::write(lab.path("part"), rest).unwrap();
    lab.run(["list", "part", "--sim", "--case", "asked.db", "-q", "--fail-on", "never"]).exits(0);
    lab.run(["case", "import-answers", "--case", "gap.db", "asked.db"]).exits(0);
    lab.run(["case", "export-pending", "--case", "gap.db", "-o", "nothing"]).exits(0);
    assert_eq!(fs::read(lab.path("nothing")).unwrap(), b"");

    lab.run(["report", "--case", "gap.db", "-o", "gap.csv", "-q"]).exits(1);
    lab.run(["scan", demo, "--sim", "--case", "online.db", "-o", "online.csv", "-q"]).exits(1);
    assert_eq!(said(&lab, "gap.csv"), said(&lab, "online.csv"));
    lab.run(["case", "verify", "--case", "gap.db"]).exits(0);
    let totals = lab.totals(Path::new("gap.db"));
    assert_eq!(totals["quota"]["charged_max"], 0, "it was not charged here: {totals:#}");
}

#[test]
fn a_list_of_what_is_owed_replaces_no_file_and_a_strange_file_brings_no_answers() {
    let lab = Lab::new();
    let demo = fixtures().join("demo");
    lab.run(["scan", demo.to_str().unwrap(), "--sim", "--offline", "--case", "gap.db", "-q"]).exits(3);
    fs::write(lab.path("there"), "mine").unwrap();
    let refused = lab.run(["case", "export-pending", "--case", "gap.db", "-o", "there"]).exits(2);
    assert!(refused.stderr.contains("there"), "{}", refused.stderr);
    assert_eq!(fs::read(lab.path("there")).unwrap(), b"mine");
    lab.run(["case", "import-answers", "--case", "gap.db", "there"]).exits(2);
    lab.run(["case", "import-answers", "--case", "gap.db", "nowhere.db"]).exits(2);
    let to_stdout = lab.run(["case", "export-pending", "--case", "gap.db"]).exits(0);
    assert_eq!(to_stdout.stdout.split(|byte| *byte == b'\n').filter(|line| line.len() == 40).count(), 12);
}
