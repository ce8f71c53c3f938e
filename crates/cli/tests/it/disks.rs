//! Disks that are full or may not be written, and cases that are damaged: said in words, and nothing is lost.

use crate::lab::{Beside, Lab, Run, number, rows};
use crate::stopping::tree;
use hashsweep_sim::World;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

const FILES: usize = 1500;

/// Runs under a limit on the size of every file, which is what a quota or a full disk looks like and needs no rights.
fn limited(lab: &Lab, kib: u64, args: &[&str]) -> Run {
    let plain = lab.command();
    let mut command = std::process::Command::new("bash");
    command
        .env_clear()
        .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(plain.get_current_dir().unwrap())
        .args(["-c", "ulimit -f \"$0\" && exec \"$@\""])
        .arg(kib.to_string())
        .arg(plain.get_program())
        .args(args);
    let run: Run = command.output().unwrap().into();
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    run
}

#[test]
fn a_case_that_cannot_grow_is_said_and_resume_completes_when_there_is_room() {
    let mut full = 0;
    for kib in [40, 60, 100, 200, 300, 450, 700, 1000] {
        let lab = Lab::new();
        tree(&lab, FILES, 32);
        let service = Beside::new(World { rate_limit_rps: None, ..World::default() });
        let url = service.url();
        let asking = ["--case", "c.db", "--api-url", &url, "--fail-on", "never", "--rate", "unlimited"];
        let scan = ["scan", "tree", "-o", "o.csv", "--batch-size", "10"];
        let run = limited(&lab, kib, &[&scan[..], &asking].concat());
        if run.code != 0 {
            full += 1;
            assert_eq!(run.code, 2, "{kib} KiB: {}", run.stderr);
            let is_said = run.stderr.contains("is full") || run.stderr.contains("File too large");
            assert!(is_said, "{kib} KiB: {}", run.stderr);
            assert!(!lab.path("o.csv").exists(), "{kib} KiB: half a report is in place");
        }
        // What the service has seen is in the books, as charged or in doubt.
        let charged = service.witness().charged();
        let quota = lab.run(["quota", "--json", "--offline", "--case", "c.db"]);
        if quota.code == 0 {
            let quota: serde_json::Value = serde_json::from_slice(&quota.stdout).unwrap();
            for ledger in [&quota["ledger"], &quota["account"]].into_iter().filter(|l| !l.is_null()) {
                let at_most = number(&ledger["charged_max"]) + number(&ledger["in_doubt"]);
                assert!(at_most >= charged, "{kib} KiB: {charged} charged: {quota:#}");
            }
        } else {
            assert_eq!(charged, 0, "{kib} KiB: {}", quota.stderr);
        }
        // With room again.
        let whole = if lab.run(["report", "--json", "--case", "c.db"]).code == 2 { "scan" } else { "resume" };
        let words: &[&str] =
            if whole == "scan" { &scan } else { &["resume", "-o", "o.csv", "--batch-size", "10"] };
        let again = lab.run([words, &asking].concat());
        assert_eq!(again.code, 0, "{kib} KiB: {whole}: {}", again.stderr);
        let totals = lab.totals(Path::new("c.db"));
        assert_eq!(number(&totals["rows"]), FILES as u64, "{kib} KiB");
        assert_eq!(number(&totals["outcomes"]["answered"]), FILES as u64, "{kib} KiB");
        if !lab.path("o.csv").exists() {
            lab.run(["report", "-o", "o.csv", "--case", "c.db", "--fail-on", "never"]).exits(0);
        }
        assert_eq!(rows(&fs::read(lab.path("o.csv")).unwrap()).len(), FILES, "{kib} KiB");
    }
    assert!(full >= 4, "only {full} of the limits were met");
}

/// A whole, small case in a directory of its own.
fn small_case(lab: &Lab) {
    tree(lab, 20, 32);
    fs::create_dir(lab.path("media")).unwrap();
    lab.run(["scan", "tree", "--sim", "--case", "media/c.db", "--fail-on", "never"]).exits(0);
    lab.run(["scan", "tree", "--sim", "--case", "media/c.db", "--fail-on", "never"]).exits(0);
}

#[test]
fn a_case_is_read_where_nothing_may_be_written() {
    let lab = Lab::new();
    small_case(&lab);
    let is_root = rustix::process::geteuid().is_root();
    // Rights mean nothing to root, who therefore becomes somebody else.
    let nobody = 65534;
    let allow = |path: &Path, mode: u32| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    allow(&lab.path("media/c.db-lock"), 0o444);
    allow(&lab.path("media/c.db"), 0o444);
    allow(&lab.path("media"), 0o555);
    allow(&lab.path("."), 0o755);
    let before = fs::read(lab.path("media/c.db")).unwrap();
    let read = |args: &[&str]| -> Run {
        let mut command = lab.command();
        if is_root {
            command.uid(nobody).gid(nobody);
        }
        match command.args(args).args(["--case", "media/c.db"]).output() {
            Ok(output) => output.into(),
            Err(error) => {
                eprintln!("NOT TESTED: the binary cannot be run as somebody else: {error}");
                Run { code: -2, stdout: Vec::new(), stderr: String::new() }
            }
        }
    };
    let report = read(&["report", "--format", "csv", "--fail-on", "never"]);
    if report.code != -2 {
        assert_eq!(rows(&report.exits(0).stdout).len(), 20);
        read(&["diff"]).exits(0);
        read(&["quota", "--offline"]).exits(0);
        read(&["resume", "--offline"]).exits(2);
    }
    assert!(fs::read(lab.path("media/c.db")).unwrap() == before);
    let n_files = fs::read_dir(lab.path("media")).unwrap().count();
    allow(&lab.path("media"), 0o755);
    assert_eq!(n_files, 2, "something was made beside the case");
}

#[test]
fn a_damaged_case_is_named_and_left_alone_by_every_command() {
    let lab = Lab::new();
    small_case(&lab);
    let case = lab.path("media/c.db");
    let mut bytes = fs::read(&case).unwrap();
    bytes.truncate(bytes.len() / 2);
    fs::write(&case, &bytes).unwrap();
    let commands: [&[&str]; 5] =
        [&["report"], &["diff"], &["quota", "--offline"], &["resume", "--sim"], &["scan", "tree", "--sim"]];
    for command in commands {
        let run = lab.run([command, &["--case", "media/c.db"]].concat()).exits(2);
        assert!(run.stderr.contains("media/c.db"), "{command:?}: {}", run.stderr);
        assert!(run.stderr.contains(".recover"), "{command:?}: {}", run.stderr);
        assert!(fs::read(&case).unwrap() == bytes, "{command:?} changed it");
    }
}
