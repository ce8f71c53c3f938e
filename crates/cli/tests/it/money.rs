//! What a run may spend, what it leaves, and what it shows before it spends anything.

use crate::lab::{Beside, Lab, number};
use hashsweep_sim::{Account, World};
use std::path::Path;

fn list(lab: &Lab, n: usize) {
    let lines: Vec<String> = (0..n).map(|n| format!("{n:040x}")).collect();
    lab.write("list.txt", lines.join("\n"));
}

fn service(daily_quota: Option<u64>) -> Beside {
    let accounts = vec![Account { username: "ana".into(), password: "x".into(), daily_quota }];
    Beside::new(World { accounts, rate_limit_rps: None, ..World::default() })
}

/// Asks about the list as `ana`.
fn ask(lab: &Lab, url: &str, case: &str, more: &[&str]) -> crate::lab::Run {
    let mut args = vec!["list", "list.txt", "--api-url", url, "--case", case, "--fail-on", "never"];
    args.extend(["--rate", "unlimited"]);
    args.extend(more);
    let output = lab
        .command()
        .args(args)
        .env("SPECTRA_USERNAME", "ana")
        .env("SPECTRA_PASSWORD", "x")
        .output()
        .unwrap();
    output.into()
}

fn quota(lab: &Lab, case: &str) -> serde_json::Value {
    let output = lab
        .command()
        .args(["quota", "--json", "--case", case])
        .env("SPECTRA_USERNAME", "ana")
        .env("SPECTRA_PASSWORD", "x")
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_budget_is_spent_to_the_last_hash_and_the_rest_is_put_off() {
    let lab = Lab::new();
    list(&lab, 386);
    let service = service(None);
    ask(&lab, &service.url(), "c.db", &["--max-quota", "240"])
        .exits(3)
        .says("what this run may spend is spent")
        .says("budget ×146");
    let totals = lab.totals(Path::new("c.db"));
    assert_eq!(number(&totals["digests"]["answered"]), 240);
    assert_eq!((service.witness().charged(), service.witness().hashes.len()), (240, 240));
    let resume = ["resume", "--case", "c.db", "--fail-on", "never", "--max-quota", "146"];
    let output =
        lab.command().args(resume).env("SPECTRA_USERNAME", "ana").env("SPECTRA_PASSWORD", "x").output();
    crate::lab::Run::from(output.unwrap()).exits(0);
    assert_eq!((service.witness().charged(), service.witness().repeated().count()), (386, 0));
}

#[test]
fn a_reserve_is_left_of_the_quota_by_all_cases_together() {
    let lab = Lab::new();
    list(&lab, 500);
    let service = service(Some(600));
    ask(&lab, &service.url(), "a.db", &["--max-quota", "150"]).exits(3);
    // 600 a day, 150 spent by another case, 100 to be left: 350.
    ask(&lab, &service.url(), "b.db", &["--reserve", "100"])
        .exits(3)
        .says("quota ×150")
        .says("the quota begins anew at");
    assert_eq!(service.witness().charged(), 500);
    let told = quota(&lab, "b.db");
    assert_eq!((&told["ledger"]["charged_max"], &told["account"]["charged_max"]), (&350.into(), &500.into()));
    assert_eq!((&told["drift"]["today"], &told["vendor"]["today"]), (&0.into(), &500.into()));
    assert_eq!((&told["charging"], told["runs"].as_array().unwrap().len()), (&"sent".into(), 1));
    assert_eq!(told["warnings"][0], "500 of today's 600 are used");
}

#[test]
fn resume_leaves_the_reserve_that_the_sweep_was_begun_with() {
    let lab = Lab::new();
    list(&lab, 500);
    let service = service(Some(400));
    ask(&lab, &service.url(), "c.db", &["--reserve", "100"]).exits(3).says("quota ×200");
    let resume = |more: &[&str]| {
        let mut command = lab.command();
        command.args(["resume", "--case", "c.db", "--fail-on", "never"]).args(more);
        command.env("SPECTRA_USERNAME", "ana").env("SPECTRA_PASSWORD", "x").output().unwrap().into()
    };
    let again: crate::lab::Run = resume(&[]);
    again.exits(3);
    assert_eq!(service.witness().charged(), 300);
    let all: crate::lab::Run = resume(&["--reserve", "0"]);
    all.exits(3);
    assert_eq!(service.witness().charged(), 400);
}

#[test]
fn a_reserve_of_limits_that_nobody_tells_is_not_guessed() {
    let lab = Lab::new();
    list(&lab, 50);
    let world = World { monitoring: false, ..World::default() };
    let service = Beside::new(world);
    ask(&lab, &service.url(), "c.db", &["--reserve", "10"]).exits(2).says("does not tell its limits");
    assert_eq!(service.witness().bulk_requests, 0);
}

#[test]
fn a_plan_sends_nothing_and_is_carried_out_by_resume() {
    let lab = Lab::new();
    for n in 0..150 {
        lab.write(format!("tree/tmp/{n}.sh"), format!("#!/bin/sh\necho {n}\n"));
        lab.write(format!("tree/text/{n}"), format!("text {n}\n"));
    }
    let service = service(Some(200));
    let run = |args: &[&str]| -> crate::lab::Run {
        let mut command = lab.command();
        command.args(args).env("SPECTRA_USERNAME", "ana").env("SPECTRA_PASSWORD", "x");
        command.output().unwrap().into()
    };
    let url = service.url();
    let plan =
        run(&["scan", "tree", "--api-url", &url, "--case", "c.db", "-o", "o.csv", "--dry-run"]).exits(0);
    let text = String::from_utf8(plan.stdout).unwrap();
    for words in [
        "300 rows, 300 distinct digests; nothing was sent",
        "first                       150   script, writable place, changed recently",
        "left today                  200   of 200",
        "put off                     100",
    ] {
        assert!(text.contains(words), "no '{words}' in:\n{text}");
    }
    assert_eq!(service.witness().bulk_requests, 0);
    assert!(!lab.path("o.csv").exists());
    // What there is goes to the scripts first.
    run(&["resume", "--case", "c.db", "--fail-on", "never"]).exits(3);
    let rows = crate::lab::rows(&std::fs::read(lab.path("o.csv")).unwrap());
    assert_eq!(rows.len(), 300);
    let answered = rows.values().filter(|row| row["outcome"] == "answered").count();
    assert_eq!(answered, 200);
    assert!(
        rows.iter().filter(|(path, _)| path.contains("/tmp/")).all(|(_, row)| row["outcome"] == "answered")
    );
}
