//! Trees that fight back, end to end: every entry is one row, every digest is coreutils', nothing is altered.

use crate::lab::{Lab, number, rows};
use hashsweep_report::safe;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::process::Command;

fn nasty(lab: &Lab) -> usize {
    lab.write("tree/plain.txt", "plain");
    lab.write("tree/.hidden/.gitignore", "*");
    lab.write("tree/.hidden/ignored.log", "ignored all the same");
    lab.write("tree/empty", "");
    lab.write(OsStr::from_bytes(b"tree/not-utf8-\xff\xfe"), "bytes");
    lab.write("tree/new\nline", "line");
    lab.write("tree/quote\"comma,semi;", "quoted");
    lab.write("tree/=HYPERLINK(1)", "formula");
    lab.write("tree/esc\u{1b}[31mred", "escape");
    lab.write("tree/literal\\xFFescape", "literal");
    std::fs::hard_link(lab.path("tree/plain.txt"), lab.path("tree/hard link")).unwrap();
    symlink("plain.txt", lab.path("tree/link")).unwrap();
    symlink("nothing", lab.path("tree/dangling")).unwrap();
    symlink("loop", lab.path("tree/loop")).unwrap();
    symlink("..", lab.path("tree/.hidden/up")).unwrap();
    let fifo = lab.path("tree/fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    assert!(fifo.metadata().unwrap().file_type().is_fifo());
    drop(std::os::unix::net::UnixListener::bind(lab.path("tree/socket")).unwrap());
    let sparse = std::fs::File::create(lab.path("tree/sparse")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    entries(lab)
}

/// Everything below `tree` that is not a directory, as `find` sees it.
fn entries(lab: &Lab) -> usize {
    let mut find = Command::new("find");
    let found =
        find.args(["tree", "!", "-type", "d", "-print0"]).current_dir(lab.path(".")).output().unwrap().stdout;
    found.split(|b| *b == 0).filter(|name| !name.is_empty()).count()
}

#[test]
fn the_nasty_tree_ends_with_every_item_accounted_for() {
    let lab = Lab::new();
    let n = nasty(&lab);
    let args = [
        "scan",
        "tree",
        "--sim",
        "--hash",
        "sha1,md5,sha256",
        "-o",
        "o.csv",
        "-o",
        "o.jsonl",
        "--fail-on",
        "never",
    ];
    lab.run(args).exits(0);
    let totals = lab.totals(&lab.path("state/hashsweep/simulator.db"));
    assert_eq!(number(&totals["rows"]), n as u64);
    let expected = [("symbolic link", 4), ("fifo", 1), ("socket", 1)];
    for (reason, n) in expected {
        assert_eq!(totals["skipped"]["nothing_to_read"][reason], n, "{reason}");
    }

    let csv = std::fs::read(lab.path("o.csv")).unwrap();
    let rows = rows(&csv);
    assert_eq!(rows.len(), n);
    for (kind, command) in [("sha1", "sha1sum"), ("sha256", "sha256sum"), ("md5", "md5sum")] {
        let digests = coreutils(&lab, command);
        for (cell, row) in rows.iter().filter(|(_, row)| !row["sha1"].is_empty()) {
            assert_eq!(Some(&row[kind]), digests.get(&safe::decode(cell)), "{kind} of {cell}");
        }
        let n_read = rows.values().filter(|row| !row[kind].is_empty()).count();
        assert_eq!(n_read, digests.len());
    }
    assert!(!csv.contains(&0x1b), "a control character reached the CSV");
    assert!(rows.contains_key("tree/new\nline"));
    assert!(rows.contains_key("tree/not-utf8-\\xFF\\xFE"));
    assert!(rows.contains_key("tree/literal\\x5CxFFescape"));

    let jsonl = std::fs::read_to_string(lab.path("o.jsonl")).unwrap();
    assert_eq!(jsonl.lines().count(), n);
    let paths: Vec<serde_json::Value> =
        jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(paths.iter().any(|row| row["path"] == "tree/esc\u{1b}[31mred" && row.get("path_raw").is_none()));
    assert!(
        paths
            .iter()
            .any(|row| row["path_raw"] == "tree%2Fnot-utf8-%FF%FE"
                || row["path_raw"] == "tree/not-utf8-%FF%FE")
    );
}

/// The digests that coreutils computes, by raw path.
fn coreutils(lab: &Lab, command: &str) -> BTreeMap<Vec<u8>, String> {
    let script = format!("find tree -type f -print0 | xargs -0 {command} -z");
    let out = Command::new("sh").args(["-c", &script]).current_dir(lab.path(".")).output().unwrap().stdout;
    out.split(|b| *b == 0)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (digest, path) = line.split_at(line.iter().position(|b| *b == b' ').unwrap());
            (path[2..].to_vec(), String::from_utf8(digest.to_vec()).unwrap())
        })
        .collect()
}

#[test]
fn our_own_case_and_outputs_inside_the_tree_are_skipped_as_our_own() {
    let lab = Lab::new();
    lab.write("tree/a", "a");
    lab.write("tree/out.csv", "an older report");
    let args =
        ["scan", "tree", "--sim", "--case", "tree/case.db", "-o", "tree/out.csv", "--fail-on", "never"];
    lab.run(args).exits(0);
    let rows = rows(&std::fs::read(lab.path("tree/out.csv")).unwrap());
    for (path, row) in &rows {
        let own = path != "tree/a";
        assert_eq!(row["reason"] == "own file", own, "{path}: {}", row["reason"]);
    }
    assert!(rows.len() >= 4, "{:?}", rows.keys());
    // A name that is another one every night would be a new row every night.
    let by_chance = |path: &str| path.contains("partial") || path.contains("-session-");
    assert!(!rows.keys().any(|path| by_chance(path)), "{:?}", rows.keys());
    let manifest = lab.run(["hash", "tree", "--format", "csv", "-o", "tree/m.csv"]).exits(0);
    assert!(!String::from_utf8_lossy(&manifest.stdout).contains("partial"));
}

#[test]
fn roots_within_one_another_are_not_counted_twice_in_silence() {
    let lab = Lab::new();
    lab.write("a/b/file", "x");
    lab.write("ab/file", "y");
    let scan = |roots: &[&str], more: &[&str]| {
        lab.run(["scan", "--sim", "--fail-on", "never"].iter().chain(roots).chain(more))
    };
    let run =
        scan(&["a/b", "ab", "./a"], &[]).exits(0).says("a/b lies within ./a: what is in both has a row");
    assert_eq!(rows(&run.stdout).len(), 3);
    for (roots, more) in [(&["a/b", "ab"], &[][..]), (&["a", "a/b"], &["-q"])] {
        let run = scan(roots, more).exits(0);
        assert!(!run.stderr.contains("lies within"), "{}", run.stderr);
    }
}

#[test]
fn what_nobody_could_look_at_makes_the_sweep_incomplete() {
    let lab = Lab::new();
    lab.write("tree/a", "a");
    let args = ["scan", "tree", "gone", "--missing-root", "skip", "--sim", "--fail-on", "never"];
    let run = lab.run(args).exits(3).says("INCOMPLETE: 1 row not looked at").says("missing root ×1");
    assert!(rows(&run.stdout)["gone"]["reason"].starts_with("missing root"));
    lab.run(args.into_iter().chain(["--incomplete-ok=missing"])).exits(0);
    lab.run(args.into_iter().chain(["--incomplete-ok=changed"])).exits(3);
    lab.run(args.into_iter().chain(["--incomplete-ok"])).exits(0);
}

#[test]
fn filters_count_what_they_leave_out() {
    let lab = Lab::new();
    lab.write("tree/a.exe", "a");
    lab.write("tree/b.txt", "bb");
    lab.write("tree/sub/c.exe", "ccc");
    let check = |more: &[&str], expected: &[&str]| {
        let args = ["scan", "tree", "--sim", "--offline", "--incomplete-ok"].iter().chain(more);
        let found = rows(&lab.run(args).exits(0).stdout);
        assert_eq!(found.keys().collect::<Vec<_>>(), expected, "{more:?}");
    };
    check(&["--include", "*.exe"], &["tree/a.exe", "tree/sub/c.exe"]);
    check(&["--exclude", "tree/sub"], &["tree/a.exe", "tree/b.txt"]);
    check(&["--min-size", "2"], &["tree/b.txt", "tree/sub/c.exe"]);
    check(&["--max-depth", "1"], &["tree/a.exe", "tree/b.txt"]);
    lab.write("paths", "tree/a.exe\0tree/sub\0");
    let args = ["scan", "--files-from", "paths", "-0", "--sim", "--offline", "--incomplete-ok"];
    assert_eq!(rows(&lab.run(args).exits(0).stdout).len(), 2);
}

/// The page draws hashing over time from the case, so a run has to have written it there.
#[test]
fn a_case_keeps_how_far_hashing_had_come() {
    let lab = Lab::new();
    for n in 0..40 {
        lab.write(format!("tree/{n}"), "x".repeat(1000 + n));
    }
    lab.run(["scan", "tree", "--sim", "--case", "c.db", "-o", "o.html", "--fail-on", "never"]).exits(0);
    let case = rusqlite::Connection::open(lab.path("c.db")).unwrap();
    let last = "SELECT n_files, n_bytes FROM reading ORDER BY at DESC LIMIT 1";
    let last: (i64, i64) = case.query_row(last, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(last, (40, (0..40).map(|n| 1000 + n).sum()));
}
