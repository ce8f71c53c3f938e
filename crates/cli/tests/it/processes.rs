//! Several processes at one case, counted at the service.

use crate::lab::{Beside, Lab, Run, number, rows};
use crate::stopping::{asked, recorded, signal, start, tree};
use hashsweep_sim::World;
use rustix::process::Signal;
use std::path::Path;
use std::time::Duration;

const BATCH: usize = 20;
const CONCURRENCY: usize = 2;

/// Batches that one process may have in hand.
const IN_HAND: usize = CONCURRENCY + 64;

fn world(latency_ms: u64) -> Beside {
    Beside::new(World {
        latency: Duration::from_millis(latency_ms),
        rate_limit_rps: None,
        ..World::default()
    })
}

/// A list of that many hashes, recorded and not asked yet.
fn recorded_list(lab: &Lab, n: usize) {
    let lines: Vec<String> = (0..n).map(|n| format!("{n:040x}")).collect();
    lab.write("list.txt", lines.join("\n"));
    lab.run(["list", "list.txt", "-o", "o.csv", "--offline", "--case", "c.db"]).exits(3);
}

fn asking<'a>(command: &[&'a str], url: &'a str) -> Vec<&'a str> {
    let common = ["--case", "c.db", "--api-url", url, "--rate", "unlimited", "--fail-on", "never"];
    let sizes = ["--batch-size", "20", "--concurrency", "2", "--progress", "never"];
    [command, &common, &sizes].concat()
}

#[track_caller]
fn ends(child: std::process::Child) -> Run {
    let run: Run = child.wait_with_output().unwrap().into();
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    run
}

/// The case's ledger and the account's say no less than the service charged.
fn pays(lab: &Lab, service: &Beside) {
    let quota = lab.run(["quota", "--json", "--offline", "--case", "c.db"]).exits(0);
    let quota: serde_json::Value = serde_json::from_slice(&quota.stdout).unwrap();
    for ledger in [&quota["ledger"], &quota["account"]].into_iter().filter(|ledger| !ledger.is_null()) {
        let at_most = number(&ledger["charged_max"]) + number(&ledger["in_doubt"]);
        assert!(at_most >= service.witness().charged(), "{quota:#}");
    }
}

#[test]
fn two_resumes_share_the_work_and_ask_each_digest_once() {
    let lab = Lab::new();
    recorded_list(&lab, 8000);
    let service = world(30);
    let url = service.url();
    let children = [0, 1].map(|_| start(&lab, &asking(&["resume"], &url)));
    for child in children {
        ends(child).exits(0);
    }
    assert_eq!(service.witness().repeated().count(), 0);
    assert_eq!(service.witness().total.sent, 8000);
    let totals = lab.totals(Path::new("c.db"));
    assert_eq!(number(&totals["outcomes"]["answered"]), 8000);
    assert!(service.witness().max_concurrent > CONCURRENCY, "one of the two did nothing");
    pays(&lab, &service);
}

#[test]
fn a_scan_and_a_list_of_the_same_hashes_ask_each_of_them_once() {
    let lab = Lab::new();
    tree(&lab, 4000, 64);
    let hashes = lab.run(["hash", "tree"]).exits(0);
    let hashes = String::from_utf8(hashes.stdout).unwrap();
    let hashes: Vec<&str> = hashes.lines().map(|line| line.split(' ').next().unwrap()).collect();
    lab.write("list.txt", hashes.join("\n"));
    let service = world(30);
    let url = service.url();
    let children = [&["scan", "tree"][..], &["list", "list.txt"]].map(|c| start(&lab, &asking(c, &url)));
    for child in children {
        ends(child).exits(0);
    }
    assert_eq!(service.witness().repeated().count(), 0);
    for sweep in ["1", "2"] {
        let run = lab.run(["report", "--json", "--case", "c.db", "--sweep", sweep, "--fail-on", "never"]);
        let totals: serde_json::Value = serde_json::from_slice(&run.exits(0).stdout).unwrap();
        crate::lab::conserves(&totals);
        let outcomes = &totals["outcomes"];
        assert_eq!(number(&outcomes["answered"]) + number(&outcomes["cached"]), 4000);
    }
    pays(&lab, &service);
}

/// The one who comes later asks, and does not walk the tree a second time.
#[test]
fn a_resume_beside_the_scan_itself_records_no_row_twice() {
    let lab = Lab::new();
    tree(&lab, 400, 1 << 19);
    let service = world(5);
    let url = service.url();
    let scan = start(&lab, &[&asking(&["scan", "tree"], &url)[..], &["-j", "1", "-o", "o.csv"]].concat());
    recorded(&lab, 1);
    let resume = start(&lab, &asking(&["resume"], &url));
    ends(scan).exits(0);
    ends(resume).exits(0);
    assert_eq!(service.witness().repeated().count(), 0);
    assert_eq!(rows(&std::fs::read(lab.path("o.csv")).unwrap()).len(), 400);
    assert_eq!(number(&lab.totals(Path::new("c.db"))["rows"]), 400);
}

#[test]
fn a_killed_process_is_taken_over_at_once() {
    let lab = Lab::new();
    recorded_list(&lab, 8000);
    let service = world(50);
    let url = service.url();
    let mut first = start(&lab, &asking(&["resume"], &url));
    asked(&service, 5);
    let second = start(&lab, &asking(&["resume"], &url));
    asked(&service, 30);
    first.kill().unwrap();
    first.wait().unwrap();
    ends(second).exits(0);
    let witness = service.witness();
    assert!(witness.repeated().count() <= IN_HAND * BATCH, "{}", witness.repeated().count());
    assert_eq!(number(&lab.totals(Path::new("c.db"))["outcomes"]["answered"]), 8000);
    pays(&lab, &service);
}

#[test]
fn what_a_stopped_process_holds_is_left_to_it() {
    let lab = Lab::new();
    // A single batch, so that nothing is left for the second.
    recorded_list(&lab, BATCH);
    // Longer than it takes to stop it, so that it stands still between two transactions.
    let service = world(3000);
    let url = service.url();
    let first = start(&lab, &asking(&["resume"], &url));
    asked(&service, 1);
    signal(&first, Signal::STOP);
    let second = lab.run(asking(&["resume", "--timeout", "1s"], &url));
    signal(&first, Signal::CONT);
    second.exits(3).says("in the hands of another process");
    ends(first).exits(0);
    assert_eq!(service.witness().repeated().count(), 0);
    assert_eq!(number(&lab.totals(Path::new("c.db"))["outcomes"]["answered"]), BATCH as u64);
}
