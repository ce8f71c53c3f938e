//! What the simulator saw of the binary: how often it was asked, with which batches, and what it took for no.

use crate::lab::{Beside, Lab, number};
use hashsweep_sim::{Account, Cue, Fault, ScriptHits, When, World};
use std::path::Path;

/// A tree of `n` distinct small files and, for every tenth of them, a second path.
fn tree(lab: &Lab, n: usize) {
    for i in 0..n {
        lab.write(format!("tree/{}/{i}", i % 7), format!("content {i}"));
        if i % 10 == 0 {
            lab.write(format!("tree/copies/{i}"), format!("content {i}"));
        }
    }
}

fn scan<'a>(url: &'a str, case: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut args =
        vec!["scan", "tree", "--api-url", url, "--case", case.to_str().unwrap(), "--rate", "unlimited"];
    args.extend(more);
    args
}

#[test]
fn no_hash_is_asked_twice_and_no_batch_passes_a_hundred() {
    let lab = Lab::new();
    tree(&lab, 1234);
    let service = Beside::new(World { rate_limit_rps: None, ..World::default() });
    let (case, url) = (lab.path("case.db"), service.url());
    lab.run(scan(&url, &case, &["--fail-on", "never"])).exits(0);
    let seen = service.witness();
    assert_eq!(seen.repeated().count(), 0);
    assert_eq!(seen.hashes.len(), 1234);
    assert!(seen.max_batch() <= 100, "{}", seen.max_batch());
    assert_eq!(seen.bulk_requests, 13);
    let totals = lab.totals(&case);
    assert_eq!(number(&totals["rows"]), 1234 + 124);
    assert_eq!(number(&totals["duplicates"]), 124);
    assert_eq!(number(&totals["quota"]["charged_max"]), seen.charged());

    let smaller = lab.path("smaller.db");
    let service = Beside::new(World { rate_limit_rps: None, ..World::default() });
    let url = service.url();
    lab.run(scan(&url, &smaller, &["--fail-on", "never", "--batch-size", "37"])).exits(0);
    assert_eq!(service.witness().max_batch(), 37);
    assert_eq!(service.witness().repeated().count(), 0);
}

#[test]
fn the_first_request_travels_alone() {
    let lab = Lab::new();
    tree(&lab, 900);
    let slow_start =
        Cue::new(When::Listed(vec![1, 2]), Fault::Status { code: 500, body: String::new(), headers: vec![] });
    let service = Beside::new(World { rate_limit_rps: None, script: vec![slow_start], ..World::default() });
    let (case, url) = (lab.path("case.db"), service.url());
    lab.run(scan(&url, &case, &["--fail-on", "never"])).exits(0);
    let seen = service.witness();
    assert_eq!(seen.by_status.get(&500), Some(&2));
    // Both failures went to one batch: nothing else left before the service had answered.
    assert_eq!(seen.repeated().count(), 100);
    assert!(seen.hashes.values().all(|times| [1, 3].contains(times)));
}

fn accounts() -> Vec<Account> {
    vec![Account { username: "u/lab/ana".into(), password: "correct horse".into(), daily_quota: None }]
}

#[test]
fn wrong_credentials_end_the_run_after_one_request() {
    let lab = Lab::new();
    tree(&lab, 500);
    let service = Beside::new(World { accounts: accounts(), ..World::default() });
    let (case, url) = (lab.path("case.db"), service.url());
    let mut command = lab.command();
    command.args(scan(&url, &case, &["-vv", "-o", "out.csv"]));
    command.env("SPECTRA_USERNAME", "u/lab/ana").env("SPECTRA_PASSWORD", "battery staple");
    let run: crate::lab::Run = command.output().unwrap().into();
    let run = run.exits(2).says("refused the credentials (401)").says("resume");
    assert_eq!(service.witness().requests, 1);
    assert!(!run.stderr.contains("battery"), "{}", run.stderr);
    assert!(!lab.path("out.csv").exists());
    assert!(!contains(&lab.path("case.db"), b"battery staple"));

    // Mended, the same sweep goes on to its end.
    lab.write("credentials.toml", "username = 'u/lab/ana'\npassword = 'correct horse'\n");
    let case_arg = case.to_str().unwrap();
    let resume = ["resume", "--case", case_arg, "--credentials", "credentials.toml", "--fail-on", "never"];
    lab.run(resume).exits(2).says("others can read it").says("chmod 600");
    private(&lab.path("credentials.toml"));
    lab.run(resume).exits(0);
    assert_eq!(number(&lab.totals(&case)["rows"]), 550);
    for file in ["case.db", "out.csv"] {
        assert!(!contains(&lab.path(file), b"correct horse"), "{file}");
    }
}

#[test]
fn credentials_revoked_midway_keep_what_was_answered() {
    let lab = Lab::new();
    tree(&lab, 500);
    let revoked = Cue::new(When::From(3), Fault::Status { code: 401, body: String::new(), headers: vec![] });
    let world = World { script: vec![revoked], script_hits: ScriptHits::Lookups, ..World::default() };
    let service = Beside::new(world);
    let (case, url) = (lab.path("case.db"), service.url());
    lab.run(scan(&url, &case, &["-o", "out.csv", "--concurrency", "1"])).exits(3).says("credentials ×");
    let totals = lab.totals(&case);
    assert_eq!(number(&totals["digests"]["answered"]), 200);
    assert_eq!(number(&totals["digests"]["deferred"]), 300);
    assert_eq!(service.witness().bulk_requests, 3);
    assert!(lab.path("out.csv").exists());
}

#[test]
fn a_used_up_quota_defers_the_rest_and_resume_asks_only_that() {
    let lab = Lab::new();
    tree(&lab, 500);
    let accounts = vec![Account { username: "ana".into(), password: "x".into(), daily_quota: Some(250) }];
    let service = Beside::new(World { accounts, ..World::default() });
    let (case, url) = (lab.path("case.db"), service.url());
    private(&lab.write("credentials.toml", "username = 'ana'\npassword = 'x'\n"));
    let more = ["--credentials", "credentials.toml", "--concurrency", "1"];
    lab.run(scan(&url, &case, &more)).exits(3).says("quota").says("next: hashsweep resume");
    let totals = lab.totals(&case);
    assert_eq!(number(&totals["digests"]["answered"]), 200);
    assert_eq!(totals["verdicts"]["unknown"], totals["verdicts"]["unknown"]);
    let answered = number(&totals["outcomes"]["answered"]);
    let judged: u64 = totals["verdicts"].as_object().unwrap().values().map(number).sum();
    assert_eq!(judged, answered, "a 429 became a verdict");

    let next_day = Beside::new(World::default());
    let url = next_day.url();
    let case_arg = case.to_str().unwrap();
    lab.run(["resume", "--case", case_arg, "--api-url", &url, "--fail-on", "never"]).exits(0);
    assert_eq!(next_day.witness().hashes.len(), 300);
    assert_eq!(number(&lab.totals(&case)["digests"]["answered"]), 500);
}

#[test]
fn a_case_belongs_to_one_service() {
    let lab = Lab::new();
    tree(&lab, 5);
    lab.run(["scan", "tree", "--sim", "--case", "case.db", "--fail-on", "never"]).exits(0);
    let service = Beside::new(World::default());
    let (case, url) = (lab.path("case.db"), service.url());
    lab.run(scan(&url, &case, &[])).exits(2).says("belongs to the built-in simulator");
    assert_eq!(service.witness().requests, 0);
}

#[test]
fn what_cannot_work_is_said_before_anything_is_hashed() {
    let lab = Lab::new();
    tree(&lab, 5);
    for (args, words) in [
        (vec!["scan", "tree"], "there are no credentials for data.reversinglabs.com"),
        (vec!["scan", "tree", "--api-url", "http://example.com"], "plain http"),
        (vec!["scan", "tree", "--api-url", "https://u:secret@example.com"], "SPECTRA_PASSWORD"),
        (vec!["scan", "tree", "--sim", "--proxy", "http://p"], "cannot be used with"),
        (vec!["scan", "nowhere", "--sim"], "No such file or directory"),
        (vec!["scan", "--sim"], "required"),
        (vec!["scan", "tree", "--sim", "-o", "report.pdf"], "names no format"),
        (vec!["scan", "tree", "--sim", "-o", "nowhere/out.csv"], "open the output"),
        (vec!["scan", "tree", "--sim", "--hash", "sha3"], "unknown hash function 'sha3'"),
        (vec!["scan", "tree", "--sim", "--batch-size", "101"], "101 is not in 1..=100"),
        (vec!["scan", "tree", "--sim", "--exclude", "[a"], "[a"),
        (
            vec!["scan", "tree", "--api-url", "https://127.0.0.1", "--ca-cert", "tree/0/0"],
            "no PEM certificate",
        ),
    ] {
        let run = lab.run(&args).exits(2).says(words);
        assert!(!run.stderr.contains("secret"), "{}", run.stderr);
        assert!(!lab.path("state/hashsweep/case.db").exists(), "{args:?}");
    }
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn contains(path: &Path, secret: &[u8]) -> bool {
    std::fs::read(path).is_ok_and(|bytes| bytes.windows(secret.len()).any(|window| window == secret))
}
