//! Two sweeps of the same tree, and what `hashsweep diff` makes of what happened in between.

use crate::lab::{Beside, Lab, Run, fixtures, number, rows};
use hashsweep_case::{Case, NewRoot, NewSweep};
use hashsweep_model::Stamp;
use hashsweep_sim::{Verdicts, World};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// A scan with the simulator inside.
fn scan(lab: &Lab, more: &[&str]) {
    let args = ["scan", "tree", "--sim", "--case", "c.db", "--fail-on", "never", "-q", "-o", "o.csv"];
    lab.run(args.iter().chain(more)).exits(0);
}

fn diff(lab: &Lab, more: &[&str]) -> Run {
    lab.run(["diff", "--case", "c.db"].iter().chain(more))
}

/// `change path`, `change path ← from`, in the order of the output.
fn told(csv: &[u8]) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(csv);
    let rows = reader.records().map(|row| row.unwrap());
    rows.map(|row| match &row[2] {
        "" => format!("{} {}", &row[0], &row[1]),
        from => format!("{} {} ← {from}", &row[0], &row[1]),
    })
    .collect()
}

fn counts(lab: &Lab) -> serde_json::Value {
    let counts: serde_json::Value = serde_json::from_slice(&diff(lab, &["--json"]).stdout).unwrap();
    assert_eq!(counts["balanced"], true, "{counts:#}");
    counts
}

#[test]
fn a_file_added_changed_deleted_or_renamed_between_two_scans() {
    let lab = Lab::new();
    for name in ["a", "changed", "deleted", "renamed", "sub/b", "sub/c"] {
        lab.write(format!("tree/{name}"), format!("content of {name}"));
    }
    scan(&lab, &[]);
    diff(&lab, &[]).exits(2).says("sweep 1 is the only one over its roots");
    lab.write("tree/changed", "something else");
    lab.write("tree/added", "content of added");
    fs::remove_file(lab.path("tree/deleted")).unwrap();
    fs::rename(lab.path("tree/renamed"), lab.path("tree/sub/other")).unwrap();
    // A sweep of something else in between is no sweep of this.
    let sub = ["scan", "tree/sub", "--sim", "--case", "c.db", "--fail-on", "never", "-q", "-o", "o.csv"];
    lab.run(sub).exits(0);
    scan(&lab, &[]);

    let expected = [
        "new tree/added",
        "changed tree/changed",
        "gone tree/deleted",
        "moved tree/sub/other ← tree/renamed",
    ];
    let piped = diff(&lab, &["--fail-on", "never"]).exits(0).says("COMPARED IN FULL").says("old: sweep 1 of");
    let mut found = told(&piped.stdout);
    found.sort_by_key(|line| line.split(' ').nth(1).map(str::to_owned));
    assert_eq!(found, expected);
    // Counted, and in every format; a second look is the same look.
    let counts = counts(&lab);
    assert_eq!((number(&counts["paths"]), number(&counts["same"])), (8, 3));
    assert_eq!((number(&counts["old"]["sweep"]), number(&counts["new"]["sweep"])), (1, 3));
    diff(&lab, &["-q", "-o", "d.csv", "-o", "d.jsonl", "--fail-on", "never"]).exits(0);
    assert_eq!(fs::read(lab.path("d.csv")).unwrap(), piped.stdout);
    let jsonl = fs::read_to_string(lab.path("d.jsonl")).unwrap();
    let moved = jsonl.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let moved: Vec<_> = moved.filter(|row| row["change"] == "moved").collect();
    assert_eq!((&moved[0]["from"], &moved[0]["path"]), (&"tree/renamed".into(), &"tree/sub/other".into()));

    diff(&lab, &["--fail-on", "any"]).exits(1);
    let backwards = diff(&lab, &["3", "1", "--fail-on", "never"]).exits(0);
    assert!(told(&backwards.stdout).contains(&"gone tree/added".to_owned()));
    diff(&lab, &["3", "3", "--fail-on", "any"]).exits(0).says("no difference");
    diff(&lab, &["1", "7"]).exits(2).says("the case has no sweep 7");
    diff(&lab, &["1"]).exits(2).says("<NEW>");
    // Forced to compare what went over different roots: what the other one could not see is not gone.
    let forced = diff(&lab, &["1", "2", "--fail-on", "never"]).exits(3);
    let unseen = ["a", "changed", "deleted", "renamed"].map(|name| format!("unseen tree/{name}"));
    assert_eq!(told(&forced.stdout)[..4], unseen);
    assert_eq!(told(&forced.stdout)[4..], ["new tree/sub/other"]);
}

/// A world in which the demo's malicious files are what the list says, or not yet known to anybody.
fn world(before_the_news: bool) -> World {
    let list = fs::read_to_string(fixtures().join("demo-verdicts.csv")).unwrap();
    let line = |line: &str| match line.split(',').collect::<Vec<_>>()[..] {
        [md5, sha1, sha256, "MALICIOUS", ..] if before_the_news => {
            format!("{md5},{sha1},{sha256},UNKNOWN,,,,,,,\n")
        }
        _ => format!("{line}\n"),
    };
    let list: String = list.lines().map(line).collect();
    World { verdicts: Verdicts::from_csv(&list).unwrap(), ..World::default() }
}

#[test]
fn an_old_file_that_became_malicious_is_a_flipped_verdict() {
    let lab = Lab::new();
    let demo = fixtures().join("demo");
    let ask = |world: World, more: &[&str]| {
        let service = Beside::new(world);
        let url = service.url();
        let args = ["scan".as_ref(), demo.as_os_str()].into_iter();
        let common = ["--api-url", &url, "--case", "c.db", "--fail-on", "never", "-q", "-o", "o.csv"];
        lab.run(args.chain(common.iter().chain(more).map(AsRef::as_ref)))
    };
    ask(world(true), &[]).exits(0);
    ask(world(true), &[]).exits(0);
    diff(&lab, &["--fail-on", "any"]).exits(0).says("no difference");
    ask(world(false), &["--refresh"]).exits(0);
    let run = diff(&lab, &[]).exits(1).says("3 flipped; now 3 malicious").says("COMPARED IN FULL");
    let mut reader = csv::Reader::from_reader(run.stdout.as_slice());
    let header = reader.headers().unwrap().clone();
    let cell =
        |row: &csv::StringRecord, name: &str| row[header.iter().position(|h| h == name).unwrap()].to_owned();
    let rows: Vec<_> = reader.records().map(|row| row.unwrap()).collect();
    assert_eq!(rows.len(), 3);
    for row in &rows {
        assert_eq!([cell(row, "verdict_before"), cell(row, "verdict")], ["unknown", "malicious"]);
        assert!(!cell(row, "threat_name").is_empty() && !cell(row, "answered_at").is_empty());
    }
    // Taken back again: different, but nothing new to be alarmed about.
    diff(&lab, &["3", "2"]).exits(0).says("3 flipped");
    diff(&lab, &["3", "2", "--fail-on", "unknown"]).exits(1);
    diff(&lab, &["3", "2", "--fail-on", "any"]).exits(1);
    // Asked by nobody, known from before: nothing is lost. What is not known is said to be missing.
    ask(world(false), &["--offline"]).exits(0);
    diff(&lab, &[]).exits(0).says("no difference");
    ask(world(false), &["--offline", "--refresh"]).exits(3);
    diff(&lab, &[]).exits(3).says("NOT COMPARED IN FULL").says("no verdict now ×");
}

#[test]
fn what_the_second_scan_could_not_open_is_unseen() {
    let lab = Lab::new();
    for name in ["a", "locked/x", "locked/deeper/y", "locked-not/z"] {
        lab.write(format!("tree/{name}"), format!("content of {name}"));
    }
    scan(&lab, &[]);
    let locked = lab.path("tree/locked");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    let args = ["scan", "tree", "--sim", "--case", "c.db", "--fail-on", "never", "-q", "-o", "o.csv"];
    let second = if fs::read_dir(&locked).is_err() {
        lab.run(args)
    } else {
        // Root may look into everything unless the right to is taken away.
        let plain = lab.command();
        let mut command = std::process::Command::new("setpriv");
        let rights = "-dac_override,-dac_read_search";
        command.args(["--inh-caps", rights, "--bounding-set", rights]).arg(plain.get_program()).args(args);
        command.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(lab.path(".")).output().unwrap().into()
    };
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o755)).unwrap();
    second.exits(3);
    fs::remove_file(lab.path("tree/a")).unwrap();
    let run = diff(&lab, &["--fail-on", "never"]).exits(3).says("3 paths could not be compared");
    assert_eq!(
        told(&run.stdout),
        ["unseen tree/locked", "unseen tree/locked/deeper/y", "unseen tree/locked/x"]
    );
    let text = String::from_utf8(run.stdout).unwrap();
    assert!(text.contains("\"below tree/locked, which the new sweep did not look at: unreadable"), "{text}");
    // Open again: nothing is new, because nobody had looked; and what was deleted meanwhile is gone.
    scan(&lab, &[]);
    let run = diff(&lab, &[]).exits(3);
    assert_eq!(
        told(&run.stdout),
        ["unseen tree/locked", "unseen tree/locked/deeper/y", "unseen tree/locked/x", "gone tree/a"]
    );
    // Against the first one, which saw everything, it can be told in full.
    let run = diff(&lab, &["1", "3"]).exits(0);
    assert_eq!(told(&run.stdout), ["gone tree/a"]);
}

#[test]
fn a_share_that_is_missing_or_not_mounted_is_not_a_deletion() {
    let lab = Lab::new();
    lab.write("tree/a", "a");
    lab.write("share/b", "b");
    let both = |code: i32| {
        let args = ["scan", "tree", "share", "--missing-root", "skip", "--sim", "--case", "c.db", "-q"];
        lab.run(args.into_iter().chain(["-o", "o.csv", "--fail-on", "never"])).exits(code);
    };
    both(0);
    fs::rename(lab.path("share"), lab.path("away")).unwrap();
    both(3);
    let run = diff(&lab, &[]).exits(3);
    assert_eq!(told(&run.stdout), ["unseen share", "unseen share/b"]);
    fs::create_dir(lab.path("share")).unwrap();
    both(0);
    let run = diff(&lab, &["1", "3"]).exits(3).says("empty root ×1");
    assert_eq!(told(&run.stdout), ["unseen share/b"]);
}

#[test]
fn against_half_a_sweep_nothing_is_gone() {
    let lab = Lab::new();
    lab.write("tree/a", "a");
    lab.write("tree/b", "b");
    scan(&lab, &[]);
    let begin_only = |lab: &Lab| {
        let mut case = Case::open(&lab.path("c.db")).unwrap();
        let whole = case.sweep(None).unwrap();
        let roots = whole.roots.iter();
        let roots = roots.map(|root| NewRoot { given: root.given.clone(), opened: root.opened.clone() });
        let new = NewSweep { command: whole.command, settings: whole.settings, roots: roots.collect() };
        case.group(|group| group.begin_sweep(&new, Stamp(1_795_359_845_999))).unwrap();
    };
    begin_only(&lab);
    diff(&lab, &[]).exits(2).says("no two sweeps over the roots of sweep 2").says("--incomplete-ok");
    let run = diff(&lab, &["1", "2"]).exits(3).says("the new sweep did not reach its end");
    assert_eq!(told(&run.stdout), ["unseen tree/a", "unseen tree/b"]);
    // As far as it came, and said, but no longer an exit code of its own.
    let run = diff(&lab, &["--incomplete-ok"]).exits(0).says("the new sweep did not reach its end");
    assert_eq!(told(&run.stdout), ["unseen tree/a", "unseen tree/b"]);
    // The next night passes it over, for there is a whole sweep before it.
    fs::remove_file(lab.path("tree/b")).unwrap();
    scan(&lab, &[]);
    let run = diff(&lab, &[]).exits(0).says("passed over sweep 2, which did not reach its end");
    assert_eq!(told(&run.stdout), ["gone tree/b"]);
    let run = diff(&lab, &["2", "3"]).exits(3).says("the old sweep did not reach its end");
    assert_eq!(told(&run.stdout), ["unseen tree/a"]);
}

#[test]
fn filters_may_hide_what_is_not_gone() {
    let lab = Lab::new();
    lab.write("tree/a.txt", "a");
    lab.write("tree/b.log", "b");
    lab.write("tree/c.txt", "c");
    scan(&lab, &[]);
    scan(&lab, &["--exclude", "*.log"]);
    assert_eq!(told(&diff(&lab, &[]).exits(3).stdout), ["unseen tree/b.log"]);
    // The same filters both times leave the same paths out.
    fs::remove_file(lab.path("tree/c.txt")).unwrap();
    scan(&lab, &["--exclude", "*.log"]);
    assert_eq!(told(&diff(&lab, &[]).exits(0).stdout), ["gone tree/c.txt"]);
    // By size, a file that grew is left out and not gone; one that came is new.
    scan(&lab, &["--max-size", "10"]);
    lab.write("tree/a.txt", "more than ten bytes");
    lab.write("tree/d.txt", "d");
    scan(&lab, &["--max-size", "10"]);
    assert_eq!(told(&diff(&lab, &[]).exits(3).stdout), ["unseen tree/a.txt", "new tree/d.txt"]);
}

#[test]
fn the_same_list_asked_again_shows_flipped_verdicts_and_another_list_is_refused() {
    let lab = Lab::new();
    let list = fs::read_to_string(fixtures().join("demo-verdicts.csv")).unwrap();
    let hashes: Vec<&str> = list.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect();
    lab.write("iocs.txt", hashes.join("\n"));
    let ask = |world: World| {
        let service = Beside::new(world);
        let args = ["list", "iocs.txt", "--api-url", &service.url(), "--case", "c.db", "--refresh"];
        lab.run(args.into_iter().chain(["-q", "-o", "o.csv", "--fail-on", "never"])).exits(0);
    };
    ask(world(true));
    ask(world(false));
    let run = diff(&lab, &[]).exits(1).says("COMPARED IN FULL");
    let malicious = list.lines().filter(|line| line.contains(",MALICIOUS,")).count();
    let found = told(&run.stdout);
    assert_eq!(found.len(), malicious);
    assert!(found[0].starts_with("flipped iocs.txt:"), "{found:?}");
    lab.write("iocs.txt", hashes[1..].join("\n"));
    ask(world(false));
    diff(&lab, &["2", "3"]).exits(2).says("did not read the same lists");
    diff(&lab, &[]).exits(2).says("is the only one over its roots");
}

#[test]
fn an_output_of_the_comparison_is_never_the_case() {
    let lab = Lab::new();
    lab.write("tree/a", "a");
    scan(&lab, &[]);
    scan(&lab, &[]);
    let before = fs::metadata(lab.path("c.db")).unwrap().len();
    diff(&lab, &["-o", "c.db", "--format", "csv"]).exits(2).says("is the case");
    assert_eq!(fs::metadata(lab.path("c.db")).unwrap().len(), before);
    diff(&lab, &["-o", "o.csv", "--no-clobber"]).exits(2).says("--no-clobber");
    lab.run(["diff", "--case", "nowhere.db"]).exits(2).says("there is no case");
    assert!(!lab.path("nowhere.db").exists());
}

#[test]
fn a_scan_against_a_baseline_marks_every_row_and_exits_by_what_is_new() {
    let lab = Lab::new();
    let demo = fixtures().join("demo");
    let copy = |name: &str, to: &str| lab.write(format!("tree/{to}"), fs::read(demo.join(name)).unwrap());
    let bad = "Users/ana/Downloads/invoice_2026-03.pdf.exe";
    for name in ["old bad", "gone", "moved"] {
        lab.write(format!("tree/{name}"), format!("content of {name}"));
    }
    copy(bad, "old bad");
    copy("usr/share/doc/readme.txt", "old");
    lab.write("tree/changed", "before");
    let scan = |more: &[&str]| {
        lab.run(
            ["scan", "tree", "--sim", "--case", "c.db", "-o", "o.csv", "-o", "o.jsonl"].iter().chain(more),
        )
    };
    scan(&["--baseline", "1"]).exits(2).says("no sweep 1");
    scan(&["--emit", "new"]).exits(2).says("--baseline names none");
    scan(&[]).exits(1);
    // What is known to be bad is not new.
    let changes = || -> Vec<(String, String)> {
        let mut reader = csv::Reader::from_reader(fs::File::open(lab.path("o.csv")).unwrap());
        assert_eq!(reader.headers().unwrap().iter().next_back(), Some("change"));
        let told = |row: csv::StringRecord| (row[0].to_owned(), row[row.len() - 1].to_owned());
        let rows: Vec<_> = reader.records().map(|row| told(row.unwrap())).collect();
        let jsonl = fs::read_to_string(lab.path("o.jsonl")).unwrap();
        let objects = jsonl.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let same = |row: serde_json::Value| {
            (row["path"].as_str().unwrap().to_owned(), row["change"].as_str().unwrap().to_owned())
        };
        assert_eq!(objects.map(same).collect::<Vec<_>>(), rows);
        rows
    };
    scan(&["--baseline", "1"]).exits(0).says("since sweep 1: nothing has changed");
    assert!(changes().iter().all(|(_, change)| change == "known"));
    // Something is gone, something moved, and nothing of it is bad.
    fs::remove_file(lab.path("tree/gone")).unwrap();
    fs::rename(lab.path("tree/moved"), lab.path("tree/there")).unwrap();
    lab.write("tree/changed", "after");
    scan(&["--baseline", "1"]).exits(0);
    let told = |path: &str, change: &str| (format!("tree/{path}"), change.to_owned());
    let expected = [
        told("changed", "changed"),
        told("old", "known"),
        told("old bad", "known"),
        told("there", "moved"),
        told("gone", "gone"),
    ];
    assert_eq!(changes(), expected);
    // Something bad is new, and the rest is hidden, and counted.
    copy(bad, "new bad");
    let run = scan(&["--baseline", "1", "--emit", "new"]).exits(1);
    run.says("since sweep 1: 1 new, 1 changed, 1 moved, 1 gone; rows not shown by --emit new: 2");
    assert_eq!(changes(), [told("changed", "changed"), told("new bad", "new"), told("there", "moved")]);
    let whole = fs::read(lab.path("o.csv")).unwrap();
    // Forms without a place for the word leave out the same rows.
    let report = ["report", "--case", "c.db", "--emit", "new"];
    for (form, is_row) in [("dfxml", "<fileobject>"), ("bodyfile", "|tree/"), ("hashdeep", ",tree/")] {
        let run = lab.run(report.iter().copied().chain(["--format", form])).exits(1);
        let text = String::from_utf8(run.stdout).unwrap();
        assert_eq!(text.lines().filter(|line| line.contains(is_row)).count(), 3, "{form}: {text}");
    }
    let few = lab.run(report.iter().copied().chain(["-o", "new.parquet"])).exits(1);
    few.says("rows not shown by --emit new: 2");
    lab.run(["report", "--case", "c.db", "--emit", "all", "-o", "all.parquet"]).exits(1);
    let n_rows = |name: &str| {
        let list = lab.run([
            "list",
            name,
            "--sim",
            "--case",
            "p.db",
            "--column",
            "sha1",
            "--format",
            "jsonl",
            "--fail-on",
            "never",
        ]);
        list.exits(0).stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count()
    };
    // What is gone is no row of this scan.
    assert_eq!((n_rows("new.parquet"), n_rows("all.parquet")), (3, 5));
    let again = lab.run(["report", "--case", "c.db", "--format", "csv"]).exits(1);
    assert_eq!(again.stdout, whole);
    let totals = lab.totals(&lab.path("c.db"));
    assert_eq!(number(&totals["rows"]), 5);
    lab.write("l.txt", "a9993e364706816aba3e25717850c26c9cd0d89d\n");
    let run = lab.run(["list", "l.txt", "--sim", "--case", "c.db", "--baseline", "1"]);
    run.exits(2).says("a list has no baseline: its rows are lines");
}

/// What a sweep is held against may go before it; then there is less to tell, and nothing to refuse.
#[test]
fn a_sweep_is_finished_and_reported_without_its_baseline() {
    let lab = Lab::new();
    lab.write("tree/a", "a");
    lab.run(["scan", "tree", "--sim", "--case", "c.db", "--fail-on", "never"]).exits(0);
    lab.write("tree/b", "b");
    let offline = ["scan", "tree", "--sim", "--case", "c.db", "--offline", "--refresh", "--baseline", "1"];
    lab.run(offline).exits(3);
    lab.run(["case", "export", "--case", "c.db", "--sweep", "2", "only.db"]).exits(0);
    lab.run(["report", "--case", "only.db", "-o", "only.csv"])
        .exits(3)
        .says("cannot be told: sweep 1 was pruned on");
    lab.run(["case", "prune", "--case", "c.db", "--keep", "1"]).exits(0);
    let run = lab.run(["resume", "--case", "c.db", "-o", "o.csv", "--fail-on", "never"]).exits(0);
    run.says("what is new since then cannot be told: sweep 1 was pruned on");
    assert_eq!(rows(&std::fs::read(lab.path("o.csv")).unwrap()).len(), 2);
    lab.run(["resume", "--case", "c.db", "--emit", "new", "-o", "o.csv"])
        .exits(2)
        .says("--baseline names none");
}
