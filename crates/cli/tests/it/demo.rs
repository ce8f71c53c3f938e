//! README's main job.

use crate::lab::{Lab, fixtures, number, rows};

#[test]
fn the_demo_tree_shows_its_findings_and_every_row_says_that_they_are_simulated() {
    let lab = Lab::new();
    let demo = fixtures().join("demo");
    let run = lab.run(["scan".as_ref(), demo.as_os_str(), "--sim".as_ref()]).exits(1);
    let run = run.says("3 malicious, 2 suspicious").says("COMPLETE").says("SIMULATED");
    let rows = rows(&run.stdout);
    assert_eq!(rows.len(), 14);
    for (path, row) in &rows {
        let answered = row["outcome"] == "answered";
        assert_eq!(row["source"] == "simulator", answered, "{path}");
        assert_eq!(row["outcome"] == "local", path.ends_with("empty.txt"), "{path}");
    }
    let verdict = |end: &str| {
        let (_, row) = rows.iter().find(|(path, _)| path.ends_with(end)).unwrap();
        row["verdict"].clone()
    };
    assert_eq!(verdict("invoice_2026-03.pdf.exe"), "malicious");
    assert_eq!(verdict("thumbnail.php"), "suspicious");
    assert_eq!(verdict("notepad.exe"), "known");
    assert_eq!(verdict("quarterly report.txt"), "unknown");

    let case = lab.path("state/hashsweep/simulator.db");
    let totals = lab.totals(&case);
    assert_eq!((number(&totals["rows"]), number(&totals["requests"])), (14, 1));
    assert_eq!(totals["simulated"], true);
}

#[test]
fn a_second_scan_asks_nothing_again() {
    let lab = Lab::new();
    let demo = fixtures().join("demo");
    let scan = || lab.run(["scan".as_ref(), demo.as_os_str(), "--sim".as_ref()]).exits(1);
    let first = scan();
    let second = scan().says("requests 0, quota charged at most 0");
    let without_outcome = |run: &crate::lab::Run| -> Vec<(String, String)> {
        rows(&run.stdout).into_iter().map(|(path, row)| (path, row["verdict"].clone())).collect()
    };
    assert_eq!(without_outcome(&first), without_outcome(&second));
    lab.run(["scan".as_ref(), demo.as_os_str(), "--sim".as_ref(), "--refresh".as_ref()])
        .exits(1)
        .says("requests 1,");
}

#[test]
fn the_exit_code_follows_fail_on() {
    let lab = Lab::new();
    let demo = fixtures().join("demo");
    for (fail_on, folder, code) in [
        ("malicious", "Windows", 1),
        ("malicious", "var", 0),
        ("suspicious", "var", 1),
        ("suspicious", "home", 0),
        ("unknown", "home", 1),
        ("never", "Windows", 0),
    ] {
        let root = demo.join(folder);
        let args =
            ["scan".as_ref(), root.as_os_str(), "--sim".as_ref(), "--fail-on".as_ref(), fail_on.as_ref()];
        assert_eq!(lab.run(args).code, code, "--fail-on {fail_on} in {folder}");
    }
}
