//! `hashsweep case`: the case looked at for its own sake.

use crate::lab::{Lab, Run, fixtures, number};
use hashsweep_case::{Case, Claim, Fate, Freshness, NewRoot, NewSweep};
use hashsweep_model::{
    Answer, Class, Content, Digest, Digests, HashKind, Location, Place, Quota, Seen, Sighting, Source, Stamp,
    Suspicion, Verdict,
};
use std::path::Path;

/// A sweep of three files, all answered, for which the ledger holds two.
fn book_too_little(path: &Path) {
    let plain = Suspicion { content: Content::Data, location: Location::Ordinary, is_recent: false };
    let rows = [1, 2, 3].map(|n| {
        let digests = Digests::default().with(Digest::from_bytes(&[n; 20]).unwrap());
        let seen = Seen::Read {
            size: 7,
            digests,
            asked: HashKind::Sha1,
            suspicion: plain,
            trace: None,
            contradicts: false,
        };
        Sighting { root: 0, place: Place::Path(vec![b'/', b'a' + n]), seen }
    });
    let root = NewRoot { given: b"/".to_vec(), opened: "/".into() };
    let new = NewSweep { command: "scan".into(), settings: "{}".into(), roots: vec![root] };
    let claim =
        Claim { n_batches: 1, batch_size: 3, also_partial: true, most_digests: u64::MAX, up_to: Class::Last };
    let (now, quota) = (Stamp(1), Quota { charged_max: 2, charged_min: 2, in_doubt: 0 });
    let mut case = Case::open(path).unwrap();
    case.group(|group| {
        let sweep = group.begin_sweep(&new, now)?;
        let run = group.begin_run(sweep, now)?;
        group.record(sweep, &rows, &Freshness::NOTHING)?;
        group.finish_intake(sweep, 0, &Freshness::NOTHING, now)?;
        for claimed in group.claim((sweep, run), claim, &Freshness::NOTHING, now)?.batches {
            let answered = |digest: &Digest| (*digest, Fate::Answered(Answer::bare(*digest, Verdict::Known)));
            let fates: Vec<_> = claimed.batch.digests().iter().map(answered).collect();
            group.mark_sent(claimed.attempt, now)?;
            group.book(claimed.attempt, "200", quota, now)?;
            group.settle((sweep, run), claimed.attempt, &fates, Source::Simulator, now)?;
        }
        group.end_run(run, now, Some(0))
    })
    .unwrap();
}

#[test]
fn a_sound_case_verifies_and_a_damaged_one_names_the_place() {
    let lab = Lab::new();
    let demo = fixtures().join("demo");
    let scan = ["scan".as_ref(), demo.as_os_str(), "--sim".as_ref(), "--case".as_ref(), "c.db".as_ref()];
    lab.run(scan).exits(1);
    lab.totals(Path::new("c.db"));
    let sound = lab.run(["case", "verify", "--case", "c.db"]).exits(0);
    let lines = String::from_utf8(sound.stdout).unwrap();
    assert!(lines.lines().all(|line| line.starts_with("ok ")), "{lines}");
    assert!(lines.contains("the books of every sweep balance"), "{lines}");

    book_too_little(&lab.path("c.db"));
    let broken = lab.run(["case", "verify", "--case", "c.db", "--json"]).exits(3);
    let report: serde_json::Value = serde_json::from_slice(&broken.stdout).unwrap();
    assert_eq!(report["sound"], false);
    let rules = report["rules"].as_array().unwrap();
    let rules: Vec<_> = rules.iter().filter(|rule| number(&rule["broken"]) > 0).collect();
    assert_eq!(rules.len(), 1, "{report:#}");
    assert_eq!(rules[0]["example"], "sweep 2: 3 answered, 2 charged");
    let lines = lab.run(["case", "verify", "--case", "c.db"]).exits(3).stdout;
    assert!(String::from_utf8(lines).unwrap().contains("BROKEN  what the ledger charged"));
}

#[test]
fn verify_needs_a_case() {
    let lab = Lab::new();
    lab.run(["case", "verify", "--case", "none.db"]).exits(2).says("there is no case at");
    let other = lab.write("other.db", "not a database");
    lab.run(["case".as_ref(), "verify".as_ref(), "--case".as_ref(), other.as_os_str()])
        .exits(2)
        .says("is not a hashsweep case");
    assert_eq!(std::fs::read(other).unwrap(), b"not a database");
}

#[test]
fn a_case_knows_what_was_typed_and_no_secret() {
    let lab = Lab::new();
    lab.write("tree/a", "a");
    let proxy = "http://somebody:geheim@proxy.example:3128/?token=streng";
    lab.run(["scan", "tree", "--offline", "--case", "c.db", "-q", "--proxy", proxy]).exits(3);
    let bytes = std::fs::read(lab.path("c.db")).unwrap();
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds(r#""--proxy","http://[redacted]@proxy.example:3128/""#));
    assert!(holds(concat!("hashsweep ", env!("CARGO_PKG_VERSION"))));
    for secret in ["somebody", "geheim", "streng"] {
        assert!(!holds(secret), "{secret}");
    }
}

fn json_of(run: crate::lab::Run) -> serde_json::Value {
    serde_json::from_slice(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}", run.stderr))
}

/// Three nights over the demonstration's files, of which one is gone in the second and one new in the third.
fn three_nights(lab: &Lab) {
    lab.write("tree/a", "a");
    lab.write("tree/b", "b");
    let scan =
        || lab.run(["scan", "tree", "--sim", "--case", "c.db", "-q", "-o", "out.csv", "--fail-on", "never"]);
    scan().exits(0);
    std::fs::remove_file(lab.path("tree/b")).unwrap();
    scan().exits(0);
    lab.write("tree/c", "c");
    scan().exits(0);
}

#[test]
fn info_shows_what_is_in_a_case() {
    let lab = Lab::new();
    three_nights(&lab);
    let info = json_of(lab.run(["case", "info", "--case", "c.db", "--json"]).exits(0));
    let sweeps = info["sweeps"].as_array().unwrap();
    let rows: Vec<u64> = sweeps.iter().map(|sweep| number(&sweep["rows"])).collect();
    assert_eq!(rows, [2, 1, 2]);
    assert_eq!(sweeps[0]["arguments"][0], "scan");
    assert_eq!(sweeps[0]["outcomes"]["answered"], 2);
    assert_eq!(sweeps[0]["roots"][0], "tree");
    assert_eq!(sweeps[0]["tool"], concat!("hashsweep ", env!("CARGO_PKG_VERSION")));
    assert!(sweeps[0]["host"].is_string() && sweeps[0]["origin"].is_null());
    assert_eq!((number(&info["answers"]["digests"]), number(&info["ledger"]["charged_max"])), (3, 3));
    assert_eq!((number(&info["owed"]), number(&info["sweeps_left_out"])), (0, 0));
    let text = lab.run(["case", "info", "--case", "c.db"]).exits(0).stdout;
    let text = String::from_utf8(text).unwrap();
    for words in [
        "service   the built-in simulator",
        "sweeps    3, 0 of them pruned, on 1 known machine",
        "2 rows; 2 answered",
    ] {
        assert!(text.contains(words), "no '{words}' in:\n{text}");
    }
    lab.run(["case", "info", "--case", "none.db"]).exits(2).says("there is no case at");
}

#[test]
fn prune_drops_old_sweeps_and_names_those_that_still_owe() {
    let lab = Lab::new();
    three_nights(&lab);
    let report =
        |sweep: &str| lab.run(["report", "--case", "c.db", "--sweep", sweep, "-q", "--fail-on", "never"]);
    let last = report("3").exits(0).stdout;
    let prune = |more: &[&str]| {
        let args = ["case", "prune", "--case", "c.db", "--json"];
        lab.run(args.iter().chain(more).copied())
    };
    let planned = json_of(prune(&["--keep", "1", "--dry-run"]).exits(0));
    report("1").exits(0);
    let done = json_of(prune(&["--keep", "1"]).exits(0));
    assert_eq!((&done["pruned"], &done["rows"]), (&serde_json::json!([1, 2]), &planned["rows"]));
    assert!(number(&done["rows"]) >= 1);
    report("1").exits(2).says("sweep 1 was pruned on");
    assert_eq!(report("3").exits(0).stdout, last);
    lab.run(["case", "verify", "--case", "c.db"]).exits(0);
    lab.run(["case", "vacuum", "--case", "c.db"]).exits(0);
    lab.run(["case", "verify", "--case", "c.db"]).exits(0);
    assert_eq!(report("3").exits(0).stdout, last);

    lab.write("tree/d", "d");
    let scan = |more: &str| lab.run(["scan", "tree", "--sim", more, "--case", "c.db", "-q", "-o", "out.csv"]);
    scan("--offline").exits(3);
    scan("--no-clobber").exits(2);
    std::fs::remove_file(lab.path("out.csv")).unwrap();
    lab.write("tree/e", "e");
    scan("--no-clobber");
    let kept = json_of(prune(&["--keep", "1"]).exits(3).says("sweep 4 still owes 1 answers, and stays"));
    assert_eq!((&kept["pruned"], &kept["owing"]), (&serde_json::json!([3]), &serde_json::json!([4])));
    let dropped = json_of(prune(&["--keep", "1", "--abandon"]).exits(0));
    assert_eq!(dropped["pruned"], serde_json::json!([4]));
    assert_eq!(json_of(prune(&["--older-than", "90d"]).exits(0))["pruned"], serde_json::json!([]));
    lab.run(["case", "verify", "--case", "c.db"]).exits(0);
    prune(&[]).exits(2);
}

#[test]
fn a_copy_is_a_case_of_its_own_and_replaces_nothing() {
    let lab = Lab::new();
    three_nights(&lab);
    lab.run(["case", "export", "--case", "c.db", "copy.db"]).exits(0);
    lab.run(["case", "verify", "--case", "copy.db"]).exits(0);
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&lab.path("copy.db").metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let report = |case: &str| lab.run(["report", "--case", case, "-q", "--fail-on", "never"]).exits(0).stdout;
    assert_eq!(report("copy.db"), report("c.db"));
    let before = std::fs::read(lab.path("copy.db")).unwrap();
    lab.run(["case", "export", "--case", "c.db", "copy.db"])
        .exits(2)
        .says("is there already, and nothing is replaced");
    assert_eq!(std::fs::read(lab.path("copy.db")).unwrap(), before);
    lab.run(["case", "export", "--case", "c.db", "no/where.db"]).exits(2).says("no/where.db");
}

#[test]
fn merged_cases_tell_what_they_told_and_the_own_scans_go_on() {
    let lab = Lab::new();
    three_nights(&lab);
    lab.write("list.txt", format!("{:040x}\n", 7));
    lab.run(["list", "list.txt", "--sim", "--case", "other.db", "-q", "-o", "out.csv", "--fail-on", "never"])
        .exits(0);
    let report = |case: &str, sweep: &str| {
        lab.run(["report", "--case", case, "--sweep", sweep, "-q", "--fail-on", "never"]).exits(0).stdout
    };
    let merged = json_of(lab.run(["case", "merge", "other.db", "c.db", "--json"]).exits(0));
    assert_eq!((number(&merged["sources"][0]["sweeps"]), number(&merged["sources"][0]["answers"])), (3, 3));
    assert_eq!(report("other.db", "4"), report("c.db", "3"));
    let again = lab.run(["case", "merge", "other.db", "c.db"]).exits(0);
    assert!(String::from_utf8(again.stdout).unwrap().contains("nothing new"));
    lab.run(["case", "verify", "--case", "other.db"]).exits(0);
    // Everything is read, nothing is asked.
    let scan = ["scan", "tree", "--sim", "--case", "other.db", "-o", "out.csv", "--fail-on", "never"];
    lab.run(scan).exits(0).says("hashed 2 files").says("requests 0,");
    lab.run(["report", "--case", "other.db", "--json"]).exits(0);
    lab.run(["case", "merge", "new.db", "none.db"]).exits(2).says("there is no case at");
    assert!(!lab.path("new.db").exists());
    lab.run(["case", "merge", "c.db", "c.db"]).exits(2).says("is the case to merge into");
}

#[test]
fn one_sweep_in_a_case_of_its_own_tells_nothing_of_the_others() {
    let lab = Lab::new();
    lab.write("elsewhere/confidential", "c");
    let elsewhere =
        ["scan", "elsewhere", "--sim", "--case", "c.db", "-q", "-o", "out.csv", "--fail-on", "never"];
    lab.run(elsewhere).exits(0);
    three_nights(&lab);
    lab.run(["scan", "tree", "--sim", "--case", "c.db", "-q", "-o", "out.csv", "--fail-on", "never"])
        .exits(0);
    lab.write("tree/later", "later");
    lab.run(["scan", "tree", "--sim", "--case", "c.db", "-q", "-o", "out.csv", "--fail-on", "never"])
        .exits(0);
    for sweep in ["2", "4", "5"] {
        let copy = format!("only-{sweep}.db");
        lab.run(["case", "export", "--case", "c.db", "--sweep", sweep, &copy]).exits(0);
        lab.run(["case", "verify", "--case", &copy]).exits(0);
        let report = |case: &str, json: bool| {
            let args = ["report", "--case", case, "--sweep", sweep, "-q", "--fail-on", "never"];
            lab.run(args.into_iter().chain(json.then_some("--json"))).exits(0).stdout
        };
        assert_eq!(report(&copy, false), report("c.db", false));
        let (mut told, mut expected): (serde_json::Value, serde_json::Value) = (
            serde_json::from_slice(&report(&copy, true)).unwrap(),
            serde_json::from_slice(&report("c.db", true)).unwrap(),
        );
        for json in [&mut told, &mut expected] {
            json.as_object_mut().unwrap().remove("case");
        }
        assert_eq!(told, expected);
        let bytes = std::fs::read(lab.path(&copy)).unwrap();
        for word in ["elsewhere", "confidential", "tree/later"] {
            assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{word}");
        }
        lab.run(["case", "merge", "all.db", &copy]).exits(2).says("holds one sweep of another case");
        lab.run(["case", "export", "--case", "c.db", "--sweep", sweep, &copy])
            .exits(2)
            .says("is there already");
    }
    lab.run(["case", "export", "--case", "c.db", "--sweep", "99", "none.db"]).exits(2).says("no sweep 99");
    let left: Vec<_> = lab.path("").read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("-partial-")), "{left:?}");
}

#[test]
fn verify_holds_a_case_against_the_account_that_paid_for_it() {
    let lab = Lab::new();
    let service = crate::lab::Beside::new(hashsweep_sim::World {
        rate_limit_rps: None,
        ..hashsweep_sim::World::default()
    });
    lab.write("list.txt", format!("{:040x}\n{:040x}\n", 1, 2));
    let url = service.url();
    lab.run([
        "list",
        "list.txt",
        "--case",
        "c.db",
        "--api-url",
        &url,
        "-q",
        "-o",
        "out.csv",
        "--fail-on",
        "never",
    ])
    .exits(0);
    let verify = |code| json_of(lab.run(["case", "verify", "--case", "c.db", "--json"]).exits(code));
    let rule = |report: &serde_json::Value| {
        let rules = report["rules"].as_array().unwrap();
        rules.iter().find(|rule| rule["rule"].as_str().unwrap().starts_with("the accounts")).cloned()
    };
    assert_eq!(rule(&verify(0)).unwrap()["broken"], 0);
    let accounts = lab.path("state/hashsweep/accounts");
    let is_database = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "db");
    let account = accounts.read_dir().unwrap().map(|entry| entry.unwrap().path()).find(is_database).unwrap();
    rusqlite::Connection::open(&account).unwrap().execute("UPDATE spent SET charged_max = 1", []).unwrap();
    let broken = rule(&verify(3)).unwrap();
    assert!(broken["example"].as_str().unwrap().ends_with("2 in the case, 1 in the accounts"), "{broken}");
    std::fs::remove_dir_all(&accounts).unwrap();
    assert_eq!(rule(&verify(0)), None, "there is nothing to hold it against");
}

/// A case may come from anybody: it must not choose who is shown a password, nor which files are replaced.
#[test]
fn a_case_from_elsewhere_chooses_no_service_and_no_file() {
    let lab = Lab::new();
    lab.write("tree/a", "a");
    lab.write("mine.csv", "years of work");
    lab.run(["scan", "tree", "--offline", "--case", "c.db", "-o", "o.csv"]).exits(3);
    let by_hand = rusqlite::Connection::open(lab.path("c.db")).unwrap();
    by_hand
        .execute_batch(
            "UPDATE sweep SET host = 'elsewhere', settings = json_set(settings, '$.sending.api_url',
                 'https://collector.example', '$.outputs[0].path', replace(settings ->> '$.outputs[0].path', 'o.csv', 'mine.csv'))",
        )
        .unwrap();
    drop(by_hand);
    let mut resume = lab.command();
    resume.args(["resume", "--case", "c.db"]).env("SPECTRA_USERNAME", "u").env("SPECTRA_PASSWORD", "p");
    let refused: Run = resume.output().unwrap().into();
    refused
        .exits(2)
        .says("the case says to ask collector.example, which you have never asked from this machine");
    let run = lab.run(["resume", "--case", "c.db", "--offline"]).exits(3);
    run.says("its reports went to files of another machine and are not written again");
    assert_eq!(std::fs::read(lab.path("mine.csv")).unwrap(), b"years of work");
}

/// Their rows cannot be read, and asking does not change that.
#[test]
fn what_cannot_be_read_is_nothing_to_resume() {
    let lab = Lab::new();
    lab.write("tree/a", "a");
    let missing =
        ["scan", "tree", "gone", "--missing-root", "skip", "--sim", "--case", "c.db", "-o", "r.html"];
    let run = lab.run(missing).exits(3);
    assert!(!run.stderr.contains("next:"), "{}", run.stderr);
    let page = std::fs::read_to_string(lab.path("r.html")).unwrap();
    assert!(page.contains("Incomplete.") && !page.contains("To go on:"));
}
