//! Hash lists, end to end.

use crate::lab::{Lab, Run, number};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

const MALICIOUS: &str = "2951a86d9af6ae22aee8a9de80b173b79dc81d20";
const UNKNOWN: &str = "7056ebe227d718ff1ca8b2a6907de8717c4c8b0d";

#[test]
fn a_csv_comes_back_byte_for_byte_with_our_columns_behind() {
    let lab = Lab::new();
    let upper = UNKNOWN.to_uppercase();
    let input = format!(
        "id,sha1,\"a, note\"\r\n1,{MALICIOUS},\"=cmd()\"\r\n2, {upper} ,\"two\nlines\"\r\n3,zz,\r\n4,,x\r\n5,{MALICIOUS},last"
    );
    lab.write("list.csv", &input);
    lab.run(["list", "list.csv", "--sim", "-o", "out.csv"]).exits(1).says("duplicates 1");
    let output = std::fs::read_to_string(lab.path("out.csv")).unwrap();
    let mut records = output.split("\r\n");
    let mut starts_with = |expected: &str| {
        let record = records.next().unwrap();
        assert!(record.starts_with(expected), "{record}\nshould start with\n{expected}");
    };
    starts_with("id,sha1,\"a, note\",verdict,outcome,reason,");
    starts_with(&format!("1,{MALICIOUS},\"=cmd()\",malicious,answered,"));
    starts_with(&format!("2, {upper} ,\"two\nlines\",unknown,answered,reported,"));
    starts_with("3,zz,,,invalid,not hex at character 1 (line 5),");
    starts_with("4,,x,,invalid,empty (line 6),");
    starts_with(&format!("5,{MALICIOUS},last,malicious,answered,"));
    let totals = lab.totals(&lab.path("state/hashsweep/simulator.db"));
    assert_eq!((number(&totals["rows"]), number(&totals["outcomes"]["invalid"])), (5, 2));
    assert_eq!(number(&totals["quota"]["charged_max"]), 2);
}

#[test]
fn a_text_list_from_stdin_is_enriched_and_its_copy_removed() {
    let lab = Lab::new();
    let mut child = lab
        .command()
        .args(["list", "-", "--sim", "--format", "jsonl"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = format!("{MALICIOUS}\n\n0x{UNKNOWN}\n");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let run: Run = child.wait_with_output().unwrap().into();
    let run = run.exits(1);
    let rows: Vec<serde_json::Value> = String::from_utf8(run.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 3);
    assert_eq!((&rows[0]["hash"], &rows[0]["verdict"]), (&MALICIOUS.into(), &"malicious".into()));
    assert_eq!((&rows[1]["outcome"], &rows[1]["reason"]), (&"invalid".into(), &"empty".into()));
    assert_eq!(rows[2]["verdict"], "unknown");
    let left: Vec<_> = std::fs::read_dir(lab.path("state/hashsweep"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("-list-"))
        .collect();
    assert_eq!(left, [] as [String; 0]);

    let report = lab.run(["report", "--sim"]).exits(1);
    assert!(String::from_utf8(report.stdout).unwrap().contains(&format!("stdin:1,,,{MALICIOUS},,malicious")));
}

#[test]
fn a_list_that_changed_is_never_joined_with_verdicts_of_the_old_one() {
    let lab = Lab::new();
    lab.write("list.txt", format!("{MALICIOUS}\n{UNKNOWN}\n"));
    let sweep = ["list", "list.txt", "--offline", "--case", "case.db", "-o", "out.csv"];
    lab.run(sweep).exits(3);
    let first = std::fs::read(lab.path("out.csv")).unwrap();
    lab.write("list.txt", format!("{UNKNOWN}\n{MALICIOUS}\n"));
    let resume = ["resume", "--case", "case.db", "--offline"];
    lab.run(resume).exits(2).says("changed between reading and enriching");
    assert_eq!(std::fs::read(lab.path("out.csv")).unwrap(), first);
    lab.run(["report", "--case", "case.db"]).exits(3);
}

#[test]
fn several_lists_share_one_output_if_their_columns_agree() {
    let lab = Lab::new();
    lab.write("a.txt", format!("{MALICIOUS}\n"));
    lab.write("b.txt", format!("{UNKNOWN}\n{MALICIOUS}\n"));
    let run = lab.run(["list", "a.txt", "b.txt", "--sim"]).exits(1);
    assert_eq!(String::from_utf8(run.stdout).unwrap().lines().count(), 4);
    lab.write("c.csv", format!("sha1\n{MALICIOUS}\n"));
    lab.run(["list", "a.txt", "c.csv", "--sim"]).exits(2).says("different columns");
    let run = lab.run(["list", "b.txt", "--sim", "--emit", "findings"]).exits(1);
    let text = String::from_utf8(run.stdout).unwrap();
    assert!(text.lines().count() == 2 && text.contains(MALICIOUS), "{text}");
}

#[test]
fn the_column_can_be_named_and_an_unclear_one_is_asked_for() {
    let lab = Lab::new();
    lab.write("two.csv", format!("sha1,parent\n{MALICIOUS},{UNKNOWN}\n"));
    lab.run(["list", "two.csv", "--sim"]).exits(2).says("--column");
    lab.run(["list", "two.csv", "--sim", "--column", "sha1"]).exits(1);
    lab.run(["list", "two.csv", "--sim", "--column", "2", "--fail-on", "never"]).exits(0);
    lab.run(["list", "two.csv", "--sim", "--column", "nope"]).exits(2).says("nope");
}

#[test]
fn a_list_from_a_pipe_is_read_whole_and_its_copy_removed() {
    let lab = Lab::new();
    assert!(Command::new("mkfifo").arg(lab.path("pipe")).status().unwrap().success());
    let writer = lab.path("pipe");
    let writer = std::thread::spawn(move || std::fs::write(writer, format!("{MALICIOUS}\n{UNKNOWN}\n")));
    let run = lab.run(["list", "pipe", "--sim"]).exits(1).says("2 rows");
    writer.join().unwrap().unwrap();
    assert_eq!(String::from_utf8(run.stdout).unwrap().lines().count(), 3);
    let left = std::fs::read_dir(lab.path("state/hashsweep")).unwrap();
    assert!(
        left.map(|entry| entry.unwrap().file_name()).all(|name| !name.to_string_lossy().contains("-list-"))
    );
}

#[test]
fn two_lists_from_pipes_do_not_shut_each_other_out_of_the_case() {
    let lab = Lab::new();
    let pipes = ["one", "other"].map(|name| lab.path(name));
    for pipe in &pipes {
        assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    }
    let writers =
        pipes.map(|pipe| std::thread::spawn(move || std::fs::write(pipe, format!("{MALICIOUS}\n"))));
    lab.run(["list", "one", "other", "--sim"]).exits(1).says("2 rows");
    for writer in writers {
        writer.join().unwrap().unwrap();
    }
}

#[test]
fn what_holds_no_hash_is_refused_and_leaves_nothing() {
    let lab = Lab::new();
    lab.write("passwd", "root:x:0:0:root:/root:/bin/sh\n");
    lab.run(["list", "passwd", "--sim"]).exits(2).says("find a hash in").says("--column");
    lab.write("short", "abc123\n");
    lab.run(["list", "short", "--sim"]).exits(0).says("6 hex digits ×1");
    let mut child = lab.command();
    child
        .args(["list", "-", "--sim", "--case", "fresh/c.db"])
        .stdin(std::fs::File::open(lab.path("passwd")).unwrap());
    let run: Run = child.output().unwrap().into();
    run.exits(2);
    let left: Vec<_> =
        std::fs::read_dir(lab.path("fresh")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("-list-")), "{left:?}");
}

#[test]
fn lists_that_cannot_share_an_output_cost_nothing() {
    let lab = Lab::new();
    lab.write("a.csv", format!("hash,a\n{MALICIOUS},1\n"));
    lab.write("b.csv", format!("sha1,b\n{UNKNOWN},1\n"));
    lab.run(["list", "a.csv", "b.csv", "--sim", "--case", "c.db"]).exits(2).says("different columns");
    lab.run(["quota", "--case", "c.db", "--offline"]).exits(2);
    lab.run(["list", "a.csv", "--sim", "-o", "a.csv"]).exits(2).says("a list of this sweep");
}

#[test]
fn an_interrupted_list_that_changed_is_not_gone_on_with() {
    let lab = Lab::new();
    let rows: Vec<String> = (0..400_000).map(|n| format!("{n:040x}")).collect();
    lab.write("list.txt", rows.join("\n"));
    let child = lab
        .command()
        .args(["list", "list.txt", "--offline", "--case", "c.db", "-o", "o.csv"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    crate::stopping::recorded(&lab, 1);
    crate::stopping::signal(&child, rustix::process::Signal::INT);
    let run: Run = child.wait_with_output().unwrap().into();
    run.exits(3).says("not everything was read");
    let mut changed = rows;
    changed[0] = MALICIOUS.to_owned();
    lab.write("list.txt", changed.join("\n"));
    lab.run(["resume", "--case", "c.db", "--offline"])
        .exits(2)
        .says("has changed since its first rows were read");
}

#[test]
fn resume_of_a_sweep_that_owes_nothing_returns_its_code() {
    let lab = Lab::new();
    lab.write("list.txt", format!("{MALICIOUS}\n"));
    lab.run(["list", "list.txt", "--sim", "--case", "c.db", "-o", "o.csv"]).exits(1);
    std::fs::remove_file(lab.path("list.txt")).unwrap();
    lab.run(["resume", "--case", "c.db"]).exits(1).says("owes nothing");
}

/// The rows of an enriched list without what the simulator says about them: outcome, reason, and what follows the
/// list's own part is cut off.
fn enriched(lab: &Lab, args: &[&str]) -> String {
    let run = lab.run(["list", "--sim", "--case", "c.db"].iter().chain(args));
    let text = String::from_utf8(run.stdout).unwrap();
    let totals = lab.totals(&lab.path("c.db"));
    assert!(number(&totals["rows"]) > 0, "{}", run.stderr);
    std::fs::remove_file(lab.path("c.db")).unwrap();
    text
}

#[test]
fn lists_that_are_no_tables_come_back_as_the_cells_of_their_rows() {
    let lab = Lab::new();
    let check = |input: &str, flags: &[&str], expected: &[&str]| {
        lab.write("list", input);
        let args: Vec<&str> = ["list"].iter().chain(flags).copied().collect();
        let text = enriched(&lab, &args);
        let before =
            |line: &str, word| line.split(word).next().unwrap().trim_end_matches([',', ';']).to_owned();
        let mut lines = text.lines();
        let header = before(lines.next().unwrap(), "verdict");
        let starts: Vec<String> =
            [header].into_iter().chain(lines.map(|line| before(line, "answered"))).collect();
        assert_eq!(starts, expected, "for {input:?}");
    };
    check(
        &format!("{MALICIOUS}  a, b\n\\{UNKNOWN} *two\\nlines\n"),
        &[],
        &[
            "hash,path",
            &format!("{MALICIOUS},\"a, b\",malicious"),
            &format!("{UNKNOWN},\"two"),
            "lines\",unknown",
        ],
    );
    check(
        &format!("%%%% HASHDEEP-1.0\n%%%% size,sha1,filename\n## note\n5,{MALICIOUS},a,b\n"),
        &[],
        &["size,sha1,filename", &format!("5,{MALICIOUS},\"a,b\",malicious")],
    );
    check(
        &format!("see {MALICIOUS}, and {UNKNOWN}.\n"),
        &["--extract"],
        &[
            "hash,line,text",
            &format!("{MALICIOUS},1,\"see {MALICIOUS}, and {UNKNOWN}.\",malicious"),
            &format!("{UNKNOWN},1,\", and {UNKNOWN}.\",unknown"),
        ],
    );
    check(
        &format!("x;{MALICIOUS}\ny;{UNKNOWN};z\n"),
        &["--delimiter", ";", "--no-header"],
        &[
            "column_1;column_2;column_3",
            &format!("x;{MALICIOUS};;malicious"),
            &format!("y;{UNKNOWN};z;unknown"),
        ],
    );
}

#[test]
fn objects_come_back_with_members_of_ours_behind_their_own() {
    let lab = Lab::new();
    lab.write("list", format!("{{\"id\": 1.0, \"verdict\":\"?\", \"h\":\"{MALICIOUS}\" }}\noops\n"));
    let text = enriched(&lab, &["list", "--format", "jsonl"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with(&format!(
            "{{\"id\": 1.0, \"verdict\":\"?\", \"h\":\"{MALICIOUS}\",\"hashsweep_verdict\":\"malicious\",\"outcome\":\"answered\","
        )),
        "{text}"
    );
    assert!(
        lines[1].starts_with("{\"record\":\"oops\",\"outcome\":\"invalid\",\"reason\":\"not JSON: "),
        "{text}"
    );
    let text = enriched(&lab, &["list", "--field", "/h"]);
    assert!(text.starts_with("record,verdict,"), "{text}");
    assert!(text.contains("\"{\"\"id\"\": 1.0, "), "{text}");
}

#[test]
fn a_packed_list_that_is_cut_off_is_incomplete_and_loses_no_row_that_was_read() {
    let lab = Lab::new();
    let mut text = format!("{MALICIOUS}\n");
    for n in 0..20_000_u64 {
        let scattered = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        writeln!(text, "{scattered:016x}{:024x}", scattered.rotate_left(29)).unwrap();
    }
    lab.write("list", &text);
    assert!(Command::new("gzip").arg(lab.path("list")).status().unwrap().success());
    let packed = std::fs::read(lab.path("list.gz")).unwrap();
    lab.write("list.gz", &packed[..packed.len() / 2]);
    lab.run(["list", "list.gz", "--offline", "--case", "c.db", "-o", "o.csv"])
        .exits(3)
        .says("INCOMPLETE: 1 row not looked at")
        .says("i/o error ×1");
    let output = std::fs::read_to_string(lab.path("o.csv")).unwrap();
    let totals = lab.totals(&lab.path("c.db"));
    let n_rows = number(&totals["rows"]);
    assert!(n_rows > 1000 && number(&totals["outcomes"]["skipped"]) == 1, "{totals:#}");
    assert_eq!(output.lines().count() as u64, n_rows + 1);
    assert!(output.lines().skip(1).zip(text.lines()).take(1000).all(|(row, line)| row.starts_with(line)));
    assert!(output.lines().last().unwrap().contains(",skipped,i/o error: the gzip stream ends"), "{output}");
}

#[test]
fn a_bad_cell_beside_a_hash_is_a_warning() {
    let lab = Lab::new();
    lab.write("list.csv", format!("md5,sha1\n12,{MALICIOUS}\n{},{UNKNOWN}\n", "a".repeat(32)));
    lab.run(["list", "list.csv", "--sim"])
        .exits(1)
        .says("1 rows have a cell that holds no hash beside one that does; the first is cell 1 of row 1: 2 hex digits");
}
