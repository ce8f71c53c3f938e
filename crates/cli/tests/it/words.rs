//! What people read, as snapshots: help, the summary, the table on a real terminal.

use crate::lab::{Lab, fixtures};
use std::process::Command;

#[test]
fn help() {
    let lab = Lab::new();
    for command in [
        "",
        "scan",
        "list",
        "hash",
        "image",
        "resume",
        "report",
        "diff",
        "quota",
        "case",
        "case verify",
        "details",
        "sim",
    ] {
        let args = command.split(' ').filter(|word| !word.is_empty()).chain(["--help"]);
        let run = lab.run(args).exits(0);
        let name = if command.is_empty() {
            "help".to_owned()
        } else {
            format!("help_{}", command.replace(' ', "_"))
        };
        insta::assert_snapshot!(name, String::from_utf8(run.stdout).unwrap());
    }
}

#[test]
fn summary() {
    let lab = Lab::new();
    std::fs::create_dir(lab.path("fixtures")).unwrap();
    copy(&fixtures().join("demo"), &lab.path("fixtures/demo"));
    let run = lab.run(["scan", "fixtures/demo", "--sim", "--case", "case.db"]).exits(1);
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"case /\S+", "case [CASE]");
    settings.add_filter(r"[\d.,]+ (ns|µs|ms|s)\b", "[TIME]");
    settings.add_filter(r"[\d,.]+ (files/s|hashes/s|[kMG]?B/s)", "[RATE]");
    settings.bind(|| insta::assert_snapshot!("summary", run.stderr));
}

#[test]
fn the_table_on_a_terminal_shows_findings_and_no_control_sequence_of_a_file_name() {
    let lab = Lab::new();
    std::fs::create_dir(lab.path("fixtures")).unwrap();
    copy(&fixtures().join("demo"), &lab.path("fixtures/demo"));
    let exe = lab.path("fixtures/demo/Windows/System32/svch0st.dll");
    std::fs::copy(&exe, lab.path("fixtures/demo/evil\u{1b}]0;owned\u{7}\u{202e}fdp.exe")).unwrap();
    let command = format!(
        "stty cols 110; {} scan fixtures/demo --sim --case case.db --progress never 2>/dev/null",
        env!("CARGO_BIN_EXE_hashsweep")
    );
    // script gives the program a terminal of its own.
    let output = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("NO_COLOR", "1")
        .env("XDG_STATE_HOME", lab.path("state"))
        .current_dir(lab.path("."))
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n");
    assert!(
        !shown.contains('\u{1b}') && !shown.contains('\u{202e}') && !shown.contains('\u{7}'),
        "{shown:?}"
    );
    insta::assert_snapshot!("table", shown);
}

#[test]
fn a_finding_is_said_with_its_path_while_the_sweep_is_at_work() {
    let lab = Lab::new();
    for name in ["one", "two", "three"] {
        lab.write(format!("tree/{name}"), format!("content of {name}"));
    }
    let bad = std::fs::read(fixtures().join("demo/Windows/System32/svch0st.dll")).unwrap();
    lab.write("tree/evil\u{1b}]0;owned\u{7}\u{202e}fdp.exe", bad);
    // A request a second: there is time to look.
    let command = format!(
        "stty cols 40; {} scan tree --sim --rate 1/s --batch-size 1 -o o.csv 2>&1 >/dev/null",
        env!("CARGO_BIN_EXE_hashsweep")
    );
    let output = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("NO_COLOR", "1")
        .env("XDG_STATE_HOME", lab.path("state"))
        .current_dir(lab.path("."))
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let (at_work, summary) = shown.split_once("1 malicious, 0 suspicious").expect("a summary");
    let line = "tree/evil\\x1B]0;owned\\x07\\u{202E}fdp.exe  (simulator)";
    assert_eq!(at_work.matches(line).count(), 1, "{shown:?}");
    assert!(at_work.lines().any(|said| said.contains("malicious  ") && said.contains(line)), "{shown:?}");
    assert!(
        !summary.contains("evil") && !shown.contains("\u{1b}]") && !shown.contains('\u{202e}'),
        "{shown:?}"
    );
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    assert!(Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap().success());
}
