//! The real binary is killed at named moments and at random ones, resumed, and killed again: no row and no answer is
//! lost, nothing is asked twice but what was on its way, and no ledger ever says less than the service counted.
//!
//! `HASHSWEEP_KILLS` sets how often (`.ci/nightly` says a thousand); `HASHSWEEP_KILLS_SEED` repeats a run.

use crate::lab::{Beside, Lab, Run, number, rows};
use hashsweep_sim::{Verdicts, World};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

const FILES: usize = 420;
const BATCH: usize = 20;
const CONCURRENCY: usize = 4;

/// Batches that may be booked at once: those that travel, and at an unlimited rate as many as the client keeps ready.
const IN_HAND: usize = CONCURRENCY + 64;

struct Stage {
    lab: Lab,
    service: Beside,
    kills: u64,
}

impl Stage {
    fn new() -> Stage {
        let lab = Lab::new();
        for n in 0..FILES {
            lab.write(format!("tree/{}/{n}", n % 5), format!("content {n}"));
        }
        let world = World { rate_limit_rps: None, latency: Duration::from_millis(4), ..World::default() };
        Stage { lab, service: Beside::new(world), kills: 0 }
    }

    /// The first run begins the sweep, the others resume it, as a person would.
    fn args(&self) -> Vec<String> {
        let words = if Path::new(&self.lab.path("c.db")).exists() && self.has_a_sweep() {
            format!("resume --api-url {}", self.service.url())
        } else {
            format!("scan tree -o out.csv --api-url {}", self.service.url())
        };
        let asking = format!(
            "--case c.db --fail-on never --rate unlimited --batch-size {BATCH} --concurrency {CONCURRENCY}"
        );
        words.split(' ').chain(asking.split(' ')).map(str::to_owned).collect()
    }

    fn has_a_sweep(&self) -> bool {
        self.lab.run(["report", "--json", "--case", "c.db"]).code != 2
    }

    fn start(&self, crash_at: Option<&str>) -> Child {
        self.start_with(self.args(), crash_at)
    }

    fn start_with(&self, args: Vec<String>, crash_at: Option<&str>) -> Child {
        let mut command = self.lab.command();
        command.args(args).stdout(Stdio::null()).stderr(Stdio::piped());
        if let Some(moment) = crash_at {
            command.env("HASHSWEEP_CRASH_AT", moment);
        }
        command.spawn().unwrap()
    }

    /// What must hold after every end, whatever it was.
    fn check(&self, what: &str) {
        let seen = self.service.witness();
        if !self.has_a_sweep() {
            assert_eq!(seen.charged(), 0, "{what}");
            return;
        }
        let totals = self.lab.totals(Path::new("c.db"));
        let at_most =
            |ledger: &serde_json::Value| number(&ledger["charged_max"]) + number(&ledger["in_doubt"]);
        let ledger = at_most(&totals["quota"]);
        assert!(ledger >= seen.charged(), "{what}: the case says {ledger}, charged {}", seen.charged());
        let quota = self.lab.run(["quota", "--json", "--offline", "--case", "c.db"]).exits(0);
        let quota: serde_json::Value = serde_json::from_slice(&quota.stdout).unwrap();
        // A kill may come before there is an account.
        let account = if quota["account"].is_null() { 0 } else { at_most(&quota["account"]) };
        assert!(account >= seen.charged(), "{what}: the account says {account}, charged {}", seen.charged());
        let most = FILES as u64 + self.kills * (IN_HAND * BATCH) as u64;
        assert!(seen.total.sent <= most, "{what}: {} sent", seen.total.sent);
        assert!(seen.max_batch() <= BATCH, "{what}");
    }

    /// Nothing kills this one.
    fn finish(&self, what: &str) {
        let run: Run = self.start(None).wait_with_output().unwrap().into();
        assert!(run.code == 0, "{what}: {} {}", run.code, run.stderr);
        self.check(what);
        if !self.lab.path("out.csv").exists() {
            self.lab.run(["report", "-o", "out.csv", "--case", "c.db", "--fail-on", "never"]).exits(0);
        }
        let truth = Verdicts::default();
        let rows = rows(&std::fs::read(self.lab.path("out.csv")).unwrap());
        assert_eq!(rows.len(), FILES, "{what}");
        for row in rows.values() {
            assert_eq!(row["outcome"], "answered", "{what}: {row:?}");
            let status = truth.status_of(&row["sha1"]).unwrap().name().to_ascii_lowercase();
            assert_eq!(row["verdict"], status, "{what}: {row:?}");
        }
    }
}

#[test]
fn a_kill_at_any_named_moment_loses_nothing() {
    for moment in ["recording", "held", "reserved", "sent", "answered", "reporting"] {
        for n in [1, 2, 9] {
            let mut stage = Stage::new();
            let at = format!("{moment}:{n}");
            // Killed, and its resumption killed at the same moment again.
            for _ in 0..2 {
                let run: Run = stage.start(Some(&at)).wait_with_output().unwrap().into();
                if run.code == 0 {
                    break;
                }
                assert!(run.stderr.contains("as a test asked"), "{at}: {}", run.stderr);
                stage.kills += 1;
                stage.check(&at);
            }
            stage.finish(&at);
        }
    }
}

/// How many kills, and by which dice.
fn wanted() -> (u64, u64) {
    let number_of = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let wanted = number_of("HASHSWEEP_KILLS").unwrap_or(30);
    (wanted, number_of("HASHSWEEP_KILLS_SEED").unwrap_or_else(|| fastrand::u64(..)))
}

/// Whatever happens to one of two processes, the other finishes the sweep; after both are killed the next one does.
#[test]
fn a_kill_of_one_of_two_processes_or_of_both_loses_nothing() {
    let (wanted, seed) = wanted();
    let mut dice = fastrand::Rng::with_seed(seed);
    let (mut kills, mut survivors) = (0, 0);
    let mut longest = 400;
    while kills < wanted {
        let mut stage = Stage::new();
        for _ in 0..4 {
            let mut first = stage.start(None);
            // Until its first process has begun there is nothing to resume, and a second scan would be a second sweep.
            while !stage.has_a_sweep() && first.try_wait().unwrap().is_none() {
                pause(2);
            }
            let mut second = stage.start(None);
            pause(dice.u64(0..longest));
            let both = dice.u8(0..3) == 0;
            let mut dying = vec![&mut first];
            if both {
                dying.push(&mut second);
            }
            let mut ended = true;
            for child in &mut dying {
                ended &= child.try_wait().unwrap().is_some();
                child.kill().unwrap();
                stage.kills += 1;
                kills += 1;
            }
            let what = format!("seed {seed}, kill {kills}");
            for (child, is_killed) in [(first, true), (second, both)] {
                let run: Run = child.wait_with_output().unwrap().into();
                assert!(!run.stderr.contains("panicked"), "{what}: {}", run.stderr);
                assert!(
                    is_killed || run.code == 0,
                    "{what}: the survivor ends with {} {}",
                    run.code,
                    run.stderr
                );
            }
            stage.check(&what);
            if !both {
                survivors += 1;
                assert_eq!(number(&stage.lab.totals(Path::new("c.db"))["rows"]), FILES as u64, "{what}");
                break;
            }
            longest = if ended { (longest * 3 / 4).max(10) } else { longest + 5 };
        }
        stage.finish(&format!("seed {seed}, after kill {kills}"));
    }
    println!("{kills} kills of one of two processes or of both, {survivors} survivors, seed {seed}");
}

#[expect(clippy::disallowed_methods, reason = "a kill comes whenever it comes")]
fn pause(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

#[test]
fn a_kill_at_any_other_moment_loses_nothing() {
    let (wanted, seed) = wanted();
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut kills = 0;
    // A run takes some tenths of a second; most kills must fall into it, whatever the machine.
    let mut longest = 400;
    while kills < wanted {
        let mut stage = Stage::new();
        for _ in 0..6 {
            let mut child = stage.start(None);
            pause(dice.u64(0..longest));
            let ended = child.try_wait().unwrap().is_some();
            child.kill().unwrap();
            let run: Run = child.wait_with_output().unwrap().into();
            assert!(!run.stderr.contains("panicked"), "seed {seed}: {}", run.stderr);
            if ended {
                longest = (longest * 3 / 4).max(10);
                break;
            }
            longest += 5;
            kills += 1;
            stage.kills += 1;
            stage.check(&format!("seed {seed}, kill {kills}"));
        }
        stage.finish(&format!("seed {seed}, after kill {kills}"));
    }
    println!("{kills} kills, seed {seed}");
}
