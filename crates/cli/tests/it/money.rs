//! What a run may spend, what it leaves, and what it shows before it spends anything.

use crate::lab::{Beside, Lab, fixtures, number};
use hashsweep_sim::{Account, Verdicts, World};
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
fn a_plan_sends_nothing_and_keeps_nothing() {
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
    let scan = ["scan", "tree", "--api-url", &url, "--case", "c.db", "-o", "o.csv", "--fail-on", "never"];
    let plan = run(&[&scan[..], &["--dry-run"]].concat()).exits(0);
    let text = String::from_utf8(plan.stdout).unwrap();
    for words in [
        "300 rows, 300 distinct digests; nothing was sent",
        "first                       150   script, writable place, changed recently",
        "left today                  200   of 200",
        "put off                     100   100 of the last class",
    ] {
        assert!(text.contains(words), "no '{words}' in:\n{text}");
    }
    assert_eq!(service.witness().bulk_requests, 0);
    let left_behind = || -> Vec<String> {
        let entries = std::fs::read_dir(lab.path(".")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != "state" && name != "config").collect();
        names.sort();
        names
    };
    assert_eq!(left_behind(), ["tree"]);
    // What there is goes to the scripts first.
    run(&scan).exits(3);
    let rows = crate::lab::rows(&std::fs::read(lab.path("o.csv")).unwrap());
    assert_eq!(rows.len(), 300);
    let answered = rows.values().filter(|row| row["outcome"] == "answered").count();
    assert_eq!(answered, 200);
    assert!(
        rows.iter().filter(|(path, _)| path.contains("/tmp/")).all(|(_, row)| row["outcome"] == "answered")
    );
    // A plan of what is left, by resume, changes nothing in the case.
    let before = std::fs::read(lab.path("c.db")).unwrap();
    let names = left_behind();
    let asked = service.witness().bulk_requests;
    let plan = run(&["resume", "--case", "c.db", "--dry-run", "--json"]).exits(0);
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).unwrap();
    assert_eq!((number(&plan["to_ask"]["digests"]), number(&plan["put_off"])), (100, 100));
    assert_eq!((number(&plan["quota"]["today"]["left"]), number(&plan["distinct"])), (0, 300));
    assert_eq!(std::fs::read(lab.path("c.db")).unwrap(), before);
    assert_eq!((left_behind(), service.witness().bulk_requests), (names, asked));
    lab.totals(&lab.path("c.db"));
    lab.run(["report", "--case", "c.db", "--sweep", "2"]).exits(2).says("no sweep 2");
}

/// Files that the service knows.
const DEMO_FILES: [&str; 8] = [
    "Windows/System32/notepad.exe",
    "Windows/System32/svch0st.dll",
    "usr/share/doc/readme.txt",
    "var/www/html/uploads/thumbnail.php",
    "var/www/html/index.html",
    "Users/ana/AppData/Roaming/toolbar_setup.msi",
    "Users/ana/AppData/Local/Temp/update.tmp.exe",
    "opt/backup/nightly.sh",
];

/// Moments differ from run to run.
fn without_moments(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(members) => {
            for (name, member) in members {
                let is_moment = matches!(name.as_str(), "made_at" | "oldest" | "newest" | "resets_at");
                if is_moment && member.is_string() {
                    *member = "MOMENT".into();
                }
                without_moments(member);
            }
        }
        serde_json::Value::Array(elements) => elements.iter_mut().for_each(without_moments),
        _ => {}
    }
}

#[test]
fn a_plan_says_what_is_known_and_from_where() {
    let lab = Lab::new();
    for (n, file) in DEMO_FILES.iter().enumerate() {
        lab.write(format!("tree/tmp/{n}"), std::fs::read(fixtures().join("demo").join(file)).unwrap());
    }
    for n in 100..250 {
        lab.write(format!("tree/tmp/{n}"), format!("text {n}\n"));
    }
    lab.write("tree/tmp/empty", "");
    let service = Beside::new(World { verdicts: Verdicts::demo(), ..World::default() });
    let url = service.url();
    let run = |args: &[&str]| -> crate::lab::Run {
        let mut command = lab.command();
        command.args(args).args(["--api-url", &url, "--case", "c.db", "--fail-on", "never", "-q"]);
        command.env("SPECTRA_USERNAME", "ana").env("SPECTRA_PASSWORD", "x").output().unwrap().into()
    };
    // Some were asked by their SHA-1, some by their MD5, and nobody has asked about the rest.
    let list = |kind: &str, n: std::ops::Range<usize>| {
        let paths: Vec<String> = n.map(|n| format!("tree/tmp/{n}")).collect();
        let hashed = lab.run(["hash", "--hash", kind].into_iter().chain(paths.iter().map(String::as_str)));
        lab.write(format!("{kind}.txt"), hashed.exits(0).stdout);
        run(&["list", &format!("{kind}.txt"), "-o", "o.csv"]).exits(0);
    };
    list("sha1", 0..4);
    list("md5", 4..8);
    let asked = service.witness().bulk_requests;
    let plan = run(&["scan", "tree", "--hash", "sha1,md5", "-o", "p.csv", "--dry-run", "--json"]).exits(0);
    let mut plan: serde_json::Value = serde_json::from_slice(&plan.stdout).unwrap();
    without_moments(&mut plan);
    insta::assert_snapshot!(serde_json::to_string_pretty(&plan).unwrap());
    assert_eq!(service.witness().bulk_requests, asked);
    // The plan is what asking takes.
    run(&["scan", "tree", "--hash", "sha1,md5", "-o", "p.csv"]).exits(0);
    assert_eq!(service.witness().bulk_requests - asked, plan["to_ask"]["requests"].as_u64().unwrap());
    let totals = lab.totals(&lab.path("c.db"));
    assert_eq!(totals["asked"], plan["to_ask"]["digests"], "{totals:#}");
}
