//! `hashsweep case`: the case looked at for its own sake.

use crate::lab::{Lab, fixtures, number};
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
