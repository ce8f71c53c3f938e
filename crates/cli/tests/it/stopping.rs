//! Stopping and going on.

use crate::lab::{Beside, Lab, Run, number, rows};
use hashsweep_sim::World;
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A tree whose walk takes a while: big enough files, many of them.
pub(crate) fn tree(lab: &Lab, n: usize, size: usize) {
    for i in 0..n {
        let mut content = vec![b'x'; size];
        content[..8].copy_from_slice(&(i as u64).to_be_bytes());
        lab.write(format!("tree/{}/{i}", i % 13), content);
    }
}

pub(crate) fn start(lab: &Lab, args: &[&str]) -> Child {
    lab.command().args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Waits until the simulator has been asked `n` times.
pub(crate) fn asked(service: &Beside, n: u64) {
    for _ in 0..2000 {
        if service.witness().requests >= n {
            return;
        }
        pause();
    }
    panic!("the service was asked {} times in 20 s", service.witness().requests);
}

/// Waits until the case holds `n` rows.
pub(crate) fn recorded(lab: &Lab, n: u64) {
    let mut said = String::new();
    for _ in 0..2000 {
        let run = lab.run(["report", "--json", "--case", "c.db"]);
        said = format!("{} {} {}", run.code, run.stderr, String::from_utf8_lossy(&run.stdout));
        if serde_json::from_slice(&run.stdout).is_ok_and(|t: serde_json::Value| number(&t["rows"]) >= n) {
            return;
        }
        pause();
    }
    panic!("no row was recorded in 20 s: {said}");
}

#[expect(clippy::disallowed_methods, reason = "another process is waited for")]
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

#[test]
fn one_interrupt_ends_cleanly_and_resume_completes_without_asking_twice() {
    for stop in [Signal::INT, Signal::TERM] {
        let lab = Lab::new();
        tree(&lab, 2000, 64);
        let world = World { latency: Duration::from_millis(50), rate_limit_rps: None, ..World::default() };
        let service = Beside::new(world);
        let url = service.url();
        let args = ["scan", "tree", "--api-url", &url, "--case", "c.db", "-o", "o.csv", "--concurrency", "2"];
        let child = start(&lab, &args);
        asked(&service, 3);
        signal(&child, stop);
        let run: Run = child.wait_with_output().unwrap().into();
        run.exits(3).says("stopping: what is on its way is awaited").says("interrupted");
        let totals = lab.totals(&lab.path("c.db"));
        let answered = number(&totals["digests"]["answered"]);
        assert!((100..2000).contains(&answered), "{answered}");
        assert_eq!(answered, service.witness().total.sent, "something in flight was not settled");
        let before = rows(&std::fs::read(lab.path("o.csv")).unwrap());
        assert_eq!(before.len() as u64, number(&totals["rows"]));

        lab.run(["resume", "--case", "c.db", "--fail-on", "never"]).exits(0);
        assert_eq!(service.witness().repeated().count(), 0);
        let after = rows(&std::fs::read(lab.path("o.csv")).unwrap());
        assert_eq!(after.len(), 2000);
        assert!(after.values().all(|row| row["outcome"] == "answered"));
        assert_eq!(number(&lab.totals(&lab.path("c.db"))["requests"]), service.witness().bulk_requests);
    }
}

#[test]
fn an_interrupted_walk_is_walked_to_its_end() {
    let lab = Lab::new();
    tree(&lab, 600, 1 << 19);
    let slowly = ["-j", "1", "--max-read", "100MB/s"];
    let args = ["scan", "tree", "--offline", "--case", "c.db", "--progress", "never"];
    let child = start(&lab, &[&args[..], &slowly[..]].concat());
    recorded(&lab, 1);
    signal(&child, Signal::INT);
    let run: Run = child.wait_with_output().unwrap().into();
    run.exits(3);
    let first = number(&lab.totals(&lab.path("c.db"))["rows"]);
    let run = lab.run(["resume", "--case", "c.db", "--offline"]).exits(3);
    let found = rows(&run.stdout);
    assert!(first < 600, "the walk had ended before it was stopped");
    assert_eq!(found.len(), 600, "{first} rows came in the first run");
    let totals = lab.totals(&lab.path("c.db"));
    assert_eq!((number(&totals["rows"]), &totals["intake_finished"]), (600, &true.into()));
}

#[test]
fn a_second_interrupt_stops_at_once_and_loses_no_answer() {
    let lab = Lab::new();
    tree(&lab, 500, 64);
    let service = Beside::new(World { latency: Duration::from_secs(120), ..World::default() });
    let url = service.url();
    let child = start(&lab, &["scan", "tree", "--api-url", &url, "--case", "c.db", "-o", "o.csv"]);
    asked(&service, 1);
    signal(&child, Signal::INT);
    // The first one has to be heard before the second counts.
    pause();
    pause();
    pause();
    signal(&child, Signal::INT);
    let run: Run = child.wait_with_output().unwrap().into();
    assert_eq!(run.code, 130, "{}", run.stderr);
    let names = std::fs::read_dir(lab.path(".")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.filter(|name| name.to_string_lossy().contains("partial")).count(), 0);
    let quota = lab.run(["quota", "--json", "--offline", "--case", "c.db"]).exits(0);
    let quota: serde_json::Value = serde_json::from_slice(&quota.stdout).unwrap();
    assert_eq!(quota["ledger"]["in_doubt"], 100);
    let next = Beside::new(World::default());
    let url = next.url();
    lab.run(["resume", "--case", "c.db", "--api-url", &url, "--fail-on", "never"]).exits(0);
    let totals = lab.totals(&lab.path("c.db"));
    assert_eq!(number(&totals["outcomes"]["answered"]), 500);
    assert_eq!(number(&totals["quota"]["in_doubt"]), 100);
}

#[test]
fn a_full_disk_is_said_and_resume_goes_on_when_there_is_room() {
    let lab = Lab::new();
    tree(&lab, 3000, 32);
    std::fs::create_dir(lab.path("small")).unwrap();
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=400k", "tmpfs"]).arg(lab.path("small"));
    if !mount.status().is_ok_and(|status| status.success()) {
        eprintln!("NOT TESTED: a full disk needs the right to mount one");
        return;
    }
    let full = lab.run(["scan", "tree", "--offline", "--case", "small/c.db", "-o", "o.csv"]);
    // Copied away before any assertion, so that the mount does not outlive the test.
    let copied =
        Command::new("cp").args(["-r", "small", "roomy"]).current_dir(lab.path(".")).status().unwrap();
    assert!(Command::new("umount").arg(lab.path("small")).status().unwrap().success());
    full.exits(2).says("the disk that holds the case is full").says("resume");
    assert!(copied.success());
    lab.run(["resume", "--case", "roomy/c.db", "--offline"]).exits(3);
    assert_eq!(number(&lab.totals(&lab.path("roomy/c.db"))["rows"]), 3000);
    assert_eq!(rows(&std::fs::read(lab.path("o.csv")).unwrap()).len(), 3000);
}
