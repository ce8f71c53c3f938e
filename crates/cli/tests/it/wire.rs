//! The wire in all its forms, over TLS, against `hashsweep sim` as a server.

use crate::lab::{Lab, fixtures, number, rows};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

/// `hashsweep sim` in a process of its own.
struct Served {
    child: Child,
    url: String,
}

impl Served {
    fn new(lab: &Lab, more: &[&str]) -> Served {
        let mut child = lab
            .command()
            .args(["sim", "--listen", "127.0.0.1:0", "--tls", "--ca-out", "ca.pem", "--verdicts", "demo"])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Served { child, url: url.trim().to_owned() }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn demo() -> String {
    fixtures().join("demo").into_os_string().into_string().unwrap()
}

#[test]
fn every_form_of_the_wire_gives_the_same_verdicts_over_tls() {
    let lab = Lab::new();
    let served = Served::new(&lab, &["--dialects", "both", "--gzip", "--null-fields"]);
    assert!(served.url.starts_with("https://127.0.0.1:"), "{}", served.url);
    let verdicts = |more: &[&str]| {
        let case = format!("case{}.db", more.join(""));
        let mut args =
            vec!["scan".to_owned(), demo(), "--api-url".into(), served.url.clone(), "--case".into(), case];
        args.extend(["--ca-cert", "ca.pem"].iter().chain(more).map(ToString::to_string));
        let run = lab.run(&args).exits(1);
        rows(&run.stdout).into_iter().map(|(path, row)| (path, row["verdict"].clone())).collect::<Vec<_>>()
    };
    let plain = verdicts(&[]);
    assert_eq!(plain.iter().filter(|(_, verdict)| verdict == "malicious").count(), 3);
    for form in [
        &["--wire-format", "xml"][..],
        &["--content-type", "octet-stream"],
        &["--wire-format", "xml", "--content-type", "octet-stream"],
        &["--dialect", "quickstart"],
        &["--hash", "md5"],
        &["--hash", "sha256", "--wire-format", "xml"],
    ] {
        assert_eq!(verdicts(form), plain, "{form:?}");
    }
    let url = served.url.as_str();
    let refused = ["scan", &demo(), "--api-url", url, "--dialect", "quickstart", "--hash", "md5,sha1"];
    lab.run(refused).exits(2).says("asks SHA-1 only, not md5").says("--hash sha1,md5");
    let distrusted = ["scan", &demo(), "--api-url", url, "--case", "distrusted.db"];
    lab.run(distrusted).exits(2).says("no secure connection").says("--ca-cert");
}

#[test]
fn a_list_in_the_quick_start_dialect_loses_no_row_of_another_kind() {
    let lab = Lab::new();
    let served = Served::new(&lab, &["--dialects", "both"]);
    lab.write("list.txt", "2951a86d9af6ae22aee8a9de80b173b79dc81d20\nfed844ff73d2f51b2d7a32b7ff1e3457\n");
    let args =
        ["list", "list.txt", "--api-url", &served.url, "--ca-cert", "ca.pem", "--dialect", "quickstart"];
    let run = lab.run(args).exits(3).says("cannot ask ×1");
    let text = String::from_utf8(run.stdout).unwrap();
    assert!(text.contains("2951a86d9af6ae22aee8a9de80b173b79dc81d20,malicious,answered"), "{text}");
    assert!(text.contains("fed844ff73d2f51b2d7a32b7ff1e3457,,failed,cannot ask"), "{text}");
}

#[test]
fn details_are_fetched_for_findings_and_booked_under_their_own_product() {
    let lab = Lab::new();
    let served = Served::new(&lab, &["--quota-daily", "5000"]);
    let scan = ["scan", &demo(), "--api-url", &served.url, "--ca-cert", "ca.pem", "--case", "c.db"];
    lab.run(scan).exits(1);
    // A plan sends nothing and a budget is kept; reports are what costs most.
    lab.run(["details", "--case", "c.db", "-o", "none.jsonl", "--dry-run"]).exits(2).says("--limit");
    lab.run(["details", "--case", "c.db", "-o", "none.jsonl", "--max-quota", "0"])
        .exits(0)
        .says("4 not asked");
    lab.run(["details", "--case", "c.db", "-o", "details.jsonl"]).exits(0).says("4 reports of 4 samples");
    let details = std::fs::read_to_string(lab.path("details.jsonl")).unwrap();
    let reports: Vec<serde_json::Value> =
        details.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(reports.len(), 4);
    assert!(reports.iter().any(|report| report["sha1"] == "2951a86d9af6ae22aee8a9de80b173b79dc81d20"));
    // The sweep's own books do not change.
    let totals = lab.totals(&lab.path("c.db"));
    assert_eq!((number(&totals["requests"]), number(&totals["quota"]["charged_max"])), (1, 12));

    let run = lab.run(["quota", "--json", "--case", "c.db"]).exits(0);
    let quota: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(quota["products"]["TCA-0101"]["charged_max"], 12);
    assert_eq!(quota["products"]["TCA-0104"]["charged_max"], 4);
    assert_eq!(quota["ledger"]["charged_max"], 16);
    assert_eq!(quota["vendor"], serde_json::json!({ "today": 12, "month": 12 }));
    assert_eq!(quota["drift"], serde_json::json!({ "today": 0, "month": 0 }));
    assert_eq!(quota["limits"][0]["limit"], 5000);
    let text = lab.run(["quota", "--case", "c.db"]).exits(0);
    assert!(
        String::from_utf8(text.stdout)
            .unwrap()
            .contains("the service counts 12, this account's ledger at most 12")
    );

    // What is paid for is neither paid for again nor lost.
    let again = ["details", "--case", "c.db", "-o", "details.jsonl"];
    lab.run(again).exits(0).says("0 reports of 0 samples").says("4 were there already");
    let cut = details.lines().next().unwrap();
    lab.write("cut.jsonl", format!("{cut}\n{}", &cut[..40]));
    lab.run(["details", "--case", "c.db", "-o", "cut.jsonl"]).exits(0).says("3 reports of 3 samples");
    let whole = std::fs::read_to_string(lab.path("cut.jsonl")).unwrap();
    assert_eq!(whole.lines().filter(|l| serde_json::from_str::<serde_json::Value>(l).is_ok()).count(), 4);

    drop(served);
    lab.run(["quota", "--json", "--case", "c.db"]).exits(3).says("the connection was refused");
    lab.write("one.jsonl", format!("{cut}\n"));
    lab.run(["details", "--case", "c.db", "-o", "one.jsonl"]).exits(3).says("stopped asking");
    assert_eq!(std::fs::read_to_string(lab.path("one.jsonl")).unwrap(), format!("{cut}\n"));
}

#[test]
fn a_world_that_cannot_be_read_is_refused() {
    let lab = Lab::new();
    lab.write("world.toml", "unknown_mood = 'entry'\n");
    lab.run(["sim", "--world", "world.toml", "--listen", "127.0.0.1:0"]).exits(2).says("unknown_mood");
    lab.run(["sim", "--order", "random", "--listen", "127.0.0.1:0"]).exits(2).says("random");
}
