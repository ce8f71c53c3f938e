//! Where reports go, and that a report is the same whenever it is asked for.

use crate::lab::{Beside, Lab, fixtures, rows};
use hashsweep_sim::World;
use std::os::unix::fs::{PermissionsExt, symlink};

#[test]
fn a_report_is_the_sweeps_own_output_again() {
    let lab = Lab::new();
    let demo = fixtures().join("demo");
    let scan = ["scan".as_ref(), demo.as_os_str(), "--sim".as_ref()];
    let scan = scan.into_iter().chain(
        ["-o", "a.csv", "-o", "b.jsonl", "-o", "p.html", "-o", "t.md", "--case", "c.db"].map(AsRef::as_ref),
    );
    lab.run(scan).exits(1);
    lab.run(["report", "--case", "c.db", "-o", "a2.csv", "-o", "b2.jsonl", "-o", "p2.html", "-o", "t2.md"])
        .exits(1);
    for (first, second) in
        [("a.csv", "a2.csv"), ("b.jsonl", "b2.jsonl"), ("p.html", "p2.html"), ("t.md", "t2.md")]
    {
        assert_eq!(std::fs::read(lab.path(first)).unwrap(), std::fs::read(lab.path(second)).unwrap());
    }
    let piped = lab.run(["report", "--case", "c.db"]).exits(1);
    assert_eq!(piped.stdout, std::fs::read(lab.path("a.csv")).unwrap());
    let findings = lab.run(["report", "--case", "c.db", "--emit", "findings"]).exits(1);
    assert_eq!(rows(&findings.stdout).len(), 5);
    let unknown = lab.run(["report", "--case", "c.db", "--emit", "unknown", "--format", "jsonl"]).exits(1);
    assert_eq!(String::from_utf8(unknown.stdout).unwrap().lines().count(), 4);
}

#[test]
fn an_output_is_replaced_whole_or_not_at_all() {
    let lab = Lab::new();
    lab.write("tree/a", "a");
    lab.write("out.csv", "older");
    lab.run(["scan", "tree", "--sim", "-o", "out.csv", "--no-clobber"]).exits(2).says("--no-clobber");
    assert_eq!(std::fs::read(lab.path("out.csv")).unwrap(), b"older");
    // A run that cannot begin leaves the old output alone and nothing beside it.
    lab.run(["scan", "tree", "--api-url", "http://127.0.0.1:1", "-o", "out.csv", "--case", "c.db"]).exits(2);
    assert_eq!(std::fs::read(lab.path("out.csv")).unwrap(), b"older");
    symlink("out.csv", lab.path("link.csv")).unwrap();
    lab.run(["scan", "tree", "--sim", "-o", "link.csv", "--fail-on", "never"]).exits(0);
    assert!(lab.path("link.csv").is_symlink());
    assert_eq!(rows(&std::fs::read(lab.path("out.csv")).unwrap()).len(), 1);
    // Also one that leads to nothing yet, by way of another.
    symlink("second.csv", lab.path("first.csv")).unwrap();
    symlink("sub/made.csv", lab.path("second.csv")).unwrap();
    lab.write("sub/other", "");
    lab.run(["report", "--sim", "-o", "first.csv", "--fail-on", "never"]).exits(0);
    assert!(lab.path("first.csv").is_symlink() && lab.path("second.csv").is_symlink());
    assert_eq!(rows(&std::fs::read(lab.path("sub/made.csv")).unwrap()).len(), 1);
    let partial = std::fs::read_dir(lab.path("."))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("partial"));
    assert_eq!(partial.count(), 0);
}

#[test]
fn two_outputs_in_one_place_are_refused_by_any_spelling() {
    let lab = Lab::new();
    lab.write("tree/a", "a");
    lab.write("there.csv", "older");
    symlink("there.csv", lab.path("link.csv")).unwrap();
    for pair in [["o.csv", "./o.csv"], ["tree/../o.csv", "o.csv"], ["there.csv", "link.csv"], ["-", "-"]] {
        let run = lab.run(["scan", "tree", "--sim", "-o", pair[0], "-o", pair[1]]).exits(2);
        run.says("two outputs go to");
    }
    lab.run(["scan", "tree", "--sim", "-o", "m.prom", "--metrics", "m.prom"])
        .exits(2)
        .says("two outputs go to");
    assert_eq!(std::fs::read(lab.path("there.csv")).unwrap(), b"older");
    assert!(!lab.path("o.csv").exists() && !lab.path("state/hashsweep/simulator.db").exists());
}

#[test]
fn a_full_disk_says_which_output_it_is_full_for() {
    let lab = Lab::new();
    lab.write("tree/a", "a");
    let full = ["-o", "/dev/full", "--format", "csv"];
    let scan = ["scan", "tree", "--sim", "--case", "c.db", "--fail-on", "never"];
    lab.run(scan.iter().chain(&full)).exits(2).says("write /dev/full: No space left on device");
    lab.run(["hash", "tree"].iter().chain(&full)).exits(2).says("write /dev/full: No space left on device");
    lab.run(["report", "--case", "c.db"].iter().chain(&full)).exits(2).says("write /dev/full");
}

#[test]
fn resuming_what_owes_nothing_writes_what_it_is_asked_for() {
    let lab = Lab::new();
    lab.run([
        "scan".as_ref(),
        fixtures().join("demo").as_os_str(),
        "--sim".as_ref(),
        "-o".as_ref(),
        "a.csv".as_ref(),
    ])
    .exits(1);
    let resume =
        ["resume", "--sim", "-o", "b.csv", "-o", "p.html", "--metrics", "m.prom", "--dataset", "nights"];
    lab.run(resume).exits(1).says("owes nothing");
    let read = |name: &str| std::fs::read(lab.path(name)).unwrap();
    assert_eq!(read("a.csv"), read("b.csv"));
    assert!(read("p.html").starts_with(b"<!DOCTYPE html>"));
    assert!(String::from_utf8(read("m.prom")).unwrap().contains("hashsweep_complete{name=\"m\"} 1"));
    assert_eq!(std::fs::read_dir(lab.path("nights")).unwrap().count(), 1);
    lab.write("l.csv", "hash\na9993e364706816aba3e25717850c26c9cd0d89d\n");
    lab.run(["list", "l.csv", "--sim", "--case", "l.db", "--fail-on", "never"]).exits(0);
    lab.run(["resume", "--sim", "--case", "l.db", "-o", "x.dfxml"]).exits(2).says("a list has no files");
}

#[test]
fn the_case_is_private_and_a_foreign_file_is_left_alone() {
    let lab = Lab::new();
    lab.write("tree/a", "a");
    lab.run(["scan", "tree", "--sim", "--fail-on", "never"]).exits(0);
    let mode = |path: &str| lab.path(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("state/hashsweep/simulator.db"), mode("state/hashsweep")), (0o600, 0o700));
    lab.write("thesis.txt", "years of work");
    for command in ["scan tree --sim", "report", "resume --sim", "quota --offline"] {
        let args = command.split(' ').chain(["--case", "thesis.txt"]);
        lab.run(args).exits(2).says("is not a hashsweep case");
        assert_eq!(std::fs::read(lab.path("thesis.txt")).unwrap(), b"years of work");
    }
    lab.run(["report", "--case", "nothing.db"]).exits(2).says("there is no case at");
    assert!(!lab.path("nothing.db").exists());
}

#[test]
fn a_closed_pipe_is_a_normal_end() {
    let lab = Lab::new();
    for i in 0..3000 {
        lab.write(format!("tree/{i}"), format!("{i}"));
    }
    let script = format!(
        "{} hash tree | head -n 1 >/dev/null; exit ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_hashsweep")
    );
    let output = std::process::Command::new("bash").args(["-c", &script]).current_dir(lab.path(".")).output();
    let run: crate::lab::Run = output.unwrap().into();
    let run = run.exits(0);
    assert_eq!(run.stderr, "");
}

#[test]
fn an_output_that_fails_or_whose_reader_is_gone_costs_only_itself() {
    let lab = Lab::new();
    let demo = fixtures().join("demo");
    let script = format!(
        "{} scan {} --sim -o - --format csv -o after.csv 2>err | true; exit ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_hashsweep"),
        demo.display()
    );
    let mut bash = std::process::Command::new("bash");
    bash.args(["-c", &script]).current_dir(lab.path(".")).env("XDG_STATE_HOME", lab.path("state"));
    assert_eq!(bash.status().unwrap().code(), Some(1));
    assert_eq!(rows(&std::fs::read(lab.path("after.csv")).unwrap()).len(), 14);
    assert!(std::fs::read_to_string(lab.path("err")).unwrap().contains("3 malicious"));
    let full = ["scan".as_ref(), demo.as_os_str(), "--sim".as_ref()].into_iter();
    let full = full.chain(["-o", "/dev/full", "--format", "csv", "-o", "too.csv"].map(AsRef::as_ref));
    lab.run(full).exits(2).says("No space left").says("3 malicious");
    assert_eq!(rows(&std::fs::read(lab.path("too.csv")).unwrap()).len(), 14);
}

#[test]
fn a_report_never_replaces_the_case_and_keeps_a_private_mode() {
    let lab = Lab::new();
    lab.write("tree/a", "a");
    let scan = ["scan", "tree", "--sim", "--fail-on", "never", "--case", "c.csv", "-o", "c.csv"];
    lab.run(scan).exits(2).says("is the case");
    let private = lab.write("p.csv", "");
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o600)).unwrap();
    lab.run(["scan", "tree", "--sim", "--fail-on", "never", "-o", "p.csv"]).exits(0);
    assert_eq!(private.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_ledger_is_shown_in_the_promised_keys() {
    let lab = Lab::new();
    let demo = fixtures().join("demo");
    lab.run(["scan".as_ref(), demo.as_os_str(), "--sim".as_ref()]).exits(1);
    let run = lab.run(["quota", "--json", "--offline", "--sim"]).exits(0);
    let quota: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    let expected = serde_json::json!({ "charged_max": 12, "charged_min": 8, "in_doubt": 0 });
    for key in ["ledger", "today", "month", "last_run"] {
        assert_eq!(quota[key], expected, "{key}");
    }
}

#[test]
fn the_page_says_what_was_found_in_a_tree_and_in_a_list_and_what_was_not_covered() {
    let lab = Lab::new();
    let page = |name: &str| std::fs::read_to_string(lab.path(name)).unwrap();
    let demo = fixtures().join("demo");
    let scan = ["scan".as_ref(), demo.as_os_str(), "--sim".as_ref(), "--max-quota".as_ref(), "5".as_ref()];
    lab.run(scan.into_iter().chain(["-o", "part.html", "--case", "c.db"].map(AsRef::as_ref))).exits(3);
    let part = page("part.html");
    for words in
        [" deferred. What is missing could be anything.", "hashsweep resume --case", "Allowed (--max-quota)"]
    {
        assert!(part.contains(words), "no '{words}'");
    }
    lab.run(["resume", "--case", "c.db", "-o", "whole.html"]).exits(1);
    let whole = page("whole.html");
    for words in ["<h2 id=\"headline\">5 findings</h2>", ">complete</p>", "Simulated verdicts.", "2 runs"] {
        assert!(whole.contains(words), "no '{words}'");
    }
    assert!(!whole.contains("Incomplete.") && !whole.contains("Allowed (--max-quota)"));
    lab.write("hashes.txt", "2951a86d9af6ae22aee8a9de80b173b79dc81d20\nnot a hash\n");
    lab.run(["list", "hashes.txt", "--sim", "-o", "list.html", "--fail-on", "never"]).exits(0);
    let list = page("list.html");
    assert!(list.contains("hashes.txt:1") && list.contains("Not a hash"), "{list}");
    lab.run(["diff", "1", "1", "--case", "c.db", "-o", "d.html"]).exits(2).says("CSV or JSONL only");
    crate::lab::conserves(&lab.totals(&lab.path("c.db")));
}

#[test]
fn a_sweep_that_asked_nobody_says_so_whatever_sweeps_follow() {
    let lab = Lab::new();
    std::fs::create_dir(lab.path("tree")).unwrap();
    std::fs::write(lab.path("tree/a"), b"a").unwrap();
    let documents = ["-o", "report.html", "-o", "report.json", "-o", "ticket.md"];
    lab.run(["scan", "tree", "--offline", "--case", "c.db"].into_iter().chain(documents)).exits(3);
    let before = ["report.html", "report.json", "ticket.md"].map(|name| lab.path(name));
    let before = before.map(|path| std::fs::read(path).unwrap());
    let service = Beside::new(World::default());
    let url = service.url();
    lab.run(["scan", "tree", "--case", "c.db", "--api-url", &url, "--fail-on", "never"]).exits(0);
    lab.run(["report", "--sweep", "1", "--case", "c.db"].into_iter().chain(documents)).exits(3);
    let after = ["report.html", "report.json", "ticket.md"].map(|name| lab.path(name));
    let after = after.map(|path| std::fs::read(path).unwrap());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(String::from_utf8_lossy(before), String::from_utf8_lossy(after));
    }
    assert!(!String::from_utf8_lossy(&after[0]).contains("loopback"));
}

#[test]
fn a_manifest_seals_the_rows_and_is_the_same_twice() {
    let lab = Lab::new();
    let demo = fixtures().join("demo");
    let scan = ["scan".as_ref(), demo.as_os_str(), "--sim".as_ref()].into_iter();
    lab.run(scan.chain(["-o", "report.json", "-o", "all.jsonl", "--case", "c.db"].map(AsRef::as_ref)))
        .exits(1);
    lab.run(["report", "--case", "c.db", "-o", "again.manifest.json"]).exits(1);
    let bytes = |name: &str| std::fs::read(lab.path(name)).unwrap();
    assert_eq!(bytes("report.json"), bytes("again.manifest.json"));
    let report = ["report", "--case", "c.db", "-o", "x.manifest.json"].into_iter();
    let labels = ["--examiner", "A. Lovelace", "--evidence-id", "7/2026", "--note", "disk\u{9b} of \"Ana\""];
    lab.run(report.chain(labels)).exits(1);
    let text = String::from_utf8(bytes("x.manifest.json")).unwrap();
    assert!(!text.contains('\u{9b}'));
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(manifest["examiner"], "A. Lovelace");
    assert_eq!(manifest["evidence_id"], "7/2026");
    assert_eq!(manifest["note"], "disk\u{9b} of \"Ana\"");
    assert_eq!(manifest["totals"]["complete"], true);
    assert_eq!(manifest["totals"]["quota"]["charged_max"], 12);
    assert_eq!(manifest["runs"].as_array().unwrap().len(), 1);
    assert!(manifest["runs"][0]["ended_at"].is_string());
    crate::lab::conserves(&manifest["totals"]);
    let sum = std::process::Command::new("sha256sum").arg(lab.path("all.jsonl")).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    assert_eq!(manifest["rows"]["sha256"], sum.split(' ').next().unwrap());
    assert_eq!(manifest["rows"]["n"], manifest["totals"]["rows"]);
    let rows = ["report", "--case", "c.db", "-o", "rows.csv", "--note", "lost?"];
    lab.run(rows).exits(2).says("none is written");
    lab.run(["report", "--case", "c.db", "-o", "rows.json"]).exits(2).says("names no format");
}

#[test]
fn a_list_is_refused_in_forms_of_files_before_anything_is_read() {
    let lab = Lab::new();
    lab.write("iocs.txt", "da39a3ee5e6b4b0d3255bfef95601890afd80709\n");
    for name in ["x.dfxml", "x.bodyfile", "x.hashdeep"] {
        lab.run(["list", "iocs.txt", "--sim", "-o", name]).exits(2).says("a list has no files to write as");
    }
    lab.run(["list", "iocs.txt", "--sim", "--fail-on", "never", "-o", "x.sarif", "-o", "x.stix"]).exits(0);
    lab.run(["report", "--sim", "-o", "x.dfxml"]).exits(2).says("a list has no files to write as dfxml");
}

#[test]
fn figures_for_prometheus_tell_of_the_last_run_and_of_the_last_that_went_well() {
    let lab = Lab::new();
    lab.write("tree/a", "a");
    lab.run(["scan", "tree", "--sim", "--fail-on", "never", "-o", "a.csv", "--metrics", "n.prom"]).exits(0);
    let figure = |name: &str| {
        let text = std::fs::read_to_string(lab.path("n.prom")).unwrap();
        let start = format!("hashsweep_{name} ");
        text.lines().find_map(|line| line.strip_prefix(&start)?.parse::<f64>().ok())
    };
    assert_eq!(figure("rows{name=\"n\",outcome=\"answered\"}"), Some(1.0));
    assert_eq!(figure("exit_code{name=\"n\"}"), Some(0.0));
    assert!(figure("run_seconds{name=\"n\",stage=\"reading\"}").is_some());
    let success = figure("last_success_timestamp_seconds{name=\"n\"}").unwrap();
    assert_eq!(figure("end_timestamp_seconds{name=\"n\"}"), Some(success));

    lab.write("tree/b", "b");
    lab.run(["scan", "tree", "--sim", "--max-quota", "0", "-o", "a.csv", "--metrics", "n.prom"]).exits(3);
    assert_eq!(figure("rows{name=\"n\",outcome=\"deferred\"}"), Some(1.0));
    assert_eq!((figure("exit_code{name=\"n\"}"), figure("complete{name=\"n\"}")), (Some(3.0), Some(0.0)));
    assert_eq!(figure("budget_left{name=\"n\"}"), Some(0.0));
    assert_eq!(figure("last_success_timestamp_seconds{name=\"n\"}"), Some(success));
    // They do not take the report's place.
    let piped = lab.run(["scan", "tree", "--sim", "--fail-on", "never", "--metrics", "n.prom"]).exits(0);
    assert_eq!(rows(&piped.stdout).len(), 2);
    // A resume writes them where the sweep did, and a report says what the case knows.
    lab.run(["report", "--sim", "--metrics", "again.prom", "-o", "b.csv"]).exits(0);
    let again = std::fs::read_to_string(lab.path("again.prom")).unwrap();
    assert!(again.contains("hashsweep_exit_code{name=\"again\"} 0\n") && !again.contains("run_seconds"));
}

#[test]
fn a_quiet_night_is_silent_unless_there_is_something_to_say() {
    let lab = Lab::new();
    lab.write("tree/a", "a");
    let quiet = ["scan", "tree", "--sim", "-q", "-o", "a.csv"];
    let silent = lab.run(quiet.into_iter().chain(["--fail-on", "never"])).exits(0);
    assert!(silent.stdout.is_empty() && silent.stderr.is_empty(), "{}", silent.stderr);
    lab.write("tree/b", "b");
    let deferred = lab.run(quiet.into_iter().chain(["--max-quota", "0"])).exits(3);
    assert!(deferred.stdout.is_empty());
    deferred.says("INCOMPLETE: 1 deferred").says("next: hashsweep resume");
    let demo = fixtures().join("demo");
    let scan = ["scan".as_ref(), demo.as_os_str()].into_iter();
    let found = lab.run(scan.chain(["--sim", "-q", "-o", "a.csv"].map(AsRef::as_ref))).exits(1);
    assert!(found.stdout.is_empty());
    found.says("MALICIOUS").says("svch0st.dll").says("COMPLETE");
}

#[test]
fn a_case_that_is_moved_still_gives_the_same_reports_of_what_is_unfinished() {
    let lab = Lab::new();
    lab.write("tree/a", "a");
    let scan = ["scan", "tree", "--sim", "--offline", "--case", "no.db"];
    lab.run(scan.into_iter().chain(["-o", "a.html", "-o", "a.md", "-o", "a.sarif"])).exits(3);
    std::fs::create_dir(lab.path("elsewhere")).unwrap();
    std::fs::rename(lab.path("no.db"), lab.path("elsewhere/no.db")).unwrap();
    lab.run(["report", "--case", "elsewhere/no.db", "-o", "b.html", "-o", "b.md", "-o", "b.sarif"]).exits(3);
    for ending in ["html", "md", "sarif"] {
        let read = |name: &str| std::fs::read(lab.path(format!("{name}.{ending}"))).unwrap();
        assert!(read("a") == read("b"), "{ending}");
    }
    let ticket = std::fs::read_to_string(lab.path("b.md")).unwrap();
    assert!(ticket.contains("next: hashsweep resume --case no.db --sweep 1\n"), "{ticket}");
}

#[test]
fn a_dataset_has_a_part_for_each_sweep_and_the_same_sweep_replaces_its_own() {
    let lab = Lab::new();
    lab.write("tree/a", "a");
    let parts = || {
        let mut parts: Vec<String> = std::fs::read_dir(lab.path("nights"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        parts.sort();
        parts
    };
    let scan = ["scan", "tree", "--sim", "--fail-on", "never", "--dataset", "nights"];
    // No report is dumped beside it where stdout is no terminal.
    assert!(lab.run(scan).exits(0).stdout.is_empty());
    let first = parts();
    lab.write("tree/b", "b");
    lab.run(scan.into_iter().chain(["--max-quota", "0"])).exits(3);
    assert_eq!((first.len(), parts().len()), (1, 2));
    let of_second = parts().into_iter().find(|part| !first.contains(part)).unwrap();
    let rows = lab.path(format!("nights/{of_second}/rows.parquet"));
    let before = std::fs::read(&rows).unwrap();
    lab.run(["resume", "--sim"]).exits(0);
    let after = std::fs::read(&rows).unwrap();
    assert!(parts().len() == 2 && before != after && after.starts_with(b"PAR1") && after.ends_with(b"PAR1"));
    lab.run(["report", "--sim", "--dataset", "nights", "-o", "one.parquet"]).exits(0);
    assert!(parts().len() == 2 && std::fs::read(&rows).unwrap() == after);
    assert!(std::fs::read(lab.path("one.parquet")).unwrap() == after);
}
