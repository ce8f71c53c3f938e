//! A scenario file: one world, what is asked of it by whom, and tight bounds on what must have happened.
//! `fixtures/scenarios/README.md` explains the names. Everything is read strictly, and the world is a world file.

use hashsweep_pipeline::{Asking, OnDoubt};
use hashsweep_sim::World;
use hashsweep_spectra::Fault;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// What should happen, for people.
    description: String,
    #[serde(default)]
    world: toml::Table,
    #[serde(default)]
    pub(crate) client: Client,
    pub(crate) work: Work,
    /// What happens on the way to the service.
    #[serde(default)]
    pub(crate) link: Vec<Cut>,
    #[serde(default)]
    pub(crate) colleague: Vec<Colleague>,
    pub(crate) run: Vec<Run>,
    pub(crate) expect: Expect,
}

/// The knobs of [`Asking`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Client {
    rate: String,
    concurrency: usize,
    batch_size: usize,
    give_up_after_s: f64,
    on_doubt: Doubt,
    wait_for_quota: bool,
    max_quota: Option<u64>,
    reserve: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Doubt {
    Resend,
    Hold,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Work {
    /// Distinct hashes of each case.
    pub(crate) hashes: usize,
    #[serde(default)]
    pub(crate) intake: Intake,
    /// How many cases ask at once, of one account.
    #[serde(default = "one")]
    pub(crate) cases: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Intake {
    /// All is known before the first request.
    #[default]
    Recorded,
    /// A list is read while requests leave.
    List,
}

/// A time in which no request reaches the service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cut {
    fault: CutFault,
    /// Seconds since the beginning; the second is not included.
    between_s: [f64; 2],
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CutFault {
    Refused,
    Dns,
    ConnectTimeout,
    /// A connection that broke when the request had left.
    Lost,
}

/// Somebody with the account `v`, on another machine, who looks up other hashes one by one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Colleague {
    pub(crate) at_s: f64,
    pub(crate) hashes: usize,
}

/// One run over all that is left, and what it must leave behind.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    /// How long after the run before.
    #[serde(default)]
    pub(crate) after_s: f64,
    /// Somebody presses Ctrl-C then.
    pub(crate) stop_after_s: Option<f64>,
    /// The run has a deadline then.
    pub(crate) stop_at_s: Option<f64>,
    /// Why it ended early, in the words of the reason.
    pub(crate) halt: Option<String>,
    #[serde(default)]
    pub(crate) interrupted: bool,
    pub(crate) lasts_s: Bound,
    /// Rows by outcome, over all cases, and by reason where there is one.
    #[serde(default = "nothing")]
    pub(crate) answered: Bound,
    #[serde(default)]
    pub(crate) deferred: BTreeMap<String, Bound>,
    #[serde(default)]
    pub(crate) failed: BTreeMap<String, Bound>,
    #[serde(default)]
    pub(crate) invalid: BTreeMap<String, Bound>,
    /// Why answered rows that are unknown are that.
    #[serde(default = "reported")]
    pub(crate) unknown: String,
}

/// What the simulator measured over all runs, and what our ledger says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    /// Bulk requests that arrived.
    pub(crate) requests: Bound,
    /// Of them, by status line. What is not named must not be there.
    #[serde(default)]
    pub(crate) statuses: BTreeMap<String, Bound>,
    /// Of them, those that never got an answer.
    #[serde(default = "nothing")]
    pub(crate) unanswered: Bound,
    /// Attempts that the link kept from arriving.
    #[serde(default = "nothing")]
    pub(crate) lost: Bound,
    /// Requests for usage and limits that arrived.
    #[serde(default = "anything")]
    pub(crate) monitoring: Bound,
    /// Of the readable bulk requests, by number of hashes. What is not named must not be there.
    pub(crate) batches: BTreeMap<String, Bound>,
    /// Hashes that arrived more than once.
    #[serde(default = "nothing")]
    pub(crate) repeated: Bound,
    /// Units that the service charged our account.
    pub(crate) charged: Bound,
    /// The longest silence between two bulk requests.
    pub(crate) gap_s: Bound,
    /// From the first bulk request to the last.
    pub(crate) spread_s: Bound,
    /// Bulk requests in the fullest second, and in the fullest ten.
    pub(crate) in_1_s: Bound,
    pub(crate) in_10_s: Bound,
    /// Bulk requests at once.
    pub(crate) at_once: Bound,
    /// Our ledger, over all cases.
    pub(crate) ledger: Ledger,
    /// What the account's ledger has at most for each day, from the world's first on.
    #[serde(default)]
    pub(crate) by_day: Vec<Bound>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ledger {
    pub(crate) charged_max: Bound,
    #[serde(default = "nothing")]
    pub(crate) in_doubt: Bound,
}

/// A number, or the least and the most.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Bound {
    Exactly(f64),
    Between([f64; 2]),
}

impl Scenario {
    pub(crate) fn read(name: &str) -> Scenario {
        let path = folder().join(format!("{name}.toml"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let scenario: Scenario = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(scenario.description.len() > 80, "{name}: a paragraph says what should happen");
        scenario
    }

    pub(crate) fn world(&self) -> World {
        World::from_toml(&self.world.to_string()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// What happens to an attempt at that time on its way.
    pub(crate) fn link(&self) -> impl Fn(u64, Duration) -> Option<Fault> + Send + Sync + 'static {
        let cuts = self.link.clone();
        move |_, at| {
            let cut =
                cuts.iter().find(|cut| (cut.between_s[0]..cut.between_s[1]).contains(&at.as_secs_f64()));
            cut.map(|cut| cut.fault.fault())
        }
    }
}

/// Where the files are.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/scenarios")
}

impl Client {
    pub(crate) fn asking(&self) -> Asking {
        Asking {
            rate: self.rate.parse().unwrap(),
            concurrency: self.concurrency,
            batch_size: self.batch_size,
            give_up_after: Duration::from_secs_f64(self.give_up_after_s),
            on_doubt: match self.on_doubt {
                Doubt::Resend => OnDoubt::Resend,
                Doubt::Hold => OnDoubt::Hold,
            },
            wait_for_quota: self.wait_for_quota,
            max_quota: self.max_quota,
            reserve: self.reserve,
            patience: Duration::from_secs(120),
        }
    }

    /// Requests in a second, and how many more may come in a burst; nothing where the rate is unlimited.
    pub(crate) fn pace(&self) -> Option<(f64, f64)> {
        let (n, per) = match self.rate.split_once('/') {
            _ if self.rate == "unlimited" => return None,
            Some((n, "m")) => (n, 60.0),
            Some((n, _)) => (n, 1.0),
            None => (self.rate.as_str(), 1.0),
        };
        let rate = n.parse::<f64>().unwrap() / per;
        Some((rate, (rate * 0.02).floor().max(1.0)))
    }
}

/// The defaults of the command line.
impl Default for Client {
    fn default() -> Client {
        Client {
            rate: "100/s".to_owned(),
            concurrency: 16,
            batch_size: 100,
            give_up_after_s: 600.0,
            on_doubt: Doubt::Resend,
            wait_for_quota: false,
            max_quota: None,
            reserve: 0,
        }
    }
}

impl CutFault {
    fn fault(self) -> Fault {
        match self {
            CutFault::Refused => Fault::Refused,
            CutFault::Dns => Fault::Dns,
            CutFault::ConnectTimeout => Fault::ConnectTimeout,
            CutFault::Lost => Fault::Lost { why: "the connection broke".to_owned() },
        }
    }
}

impl Bound {
    pub(crate) fn holds(self, found: f64) -> bool {
        match self {
            // Times are compared to a millisecond.
            Bound::Exactly(number) => (found - number).abs() < 1e-3,
            Bound::Between([least, most]) => (least..=most).contains(&found),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Exactly(number) => write!(f, "{number}"),
            Bound::Between([least, most]) => write!(f, "{least} to {most}"),
        }
    }
}

fn one() -> usize {
    1
}

fn reported() -> String {
    "reported".to_owned()
}

fn nothing() -> Bound {
    Bound::Exactly(0.0)
}

fn anything() -> Bound {
    Bound::Between([0.0, f64::INFINITY])
}

#[test]
fn a_name_that_is_none_is_refused() {
    let good = "description = ''\n[work]\nhashes = 1\n[[run]]\nlasts_s = 0\n[expect]\nrequests = 1\n\
                batches = {}\ncharged = 1\ngap_s = 0\nspread_s = 0\nin_1_s = 1\nin_10_s = 1\nat_once = 1\n\
                ledger = { charged_max = 1 }\n";
    let read = |text: &str| toml::from_str::<Scenario>(text).map_err(|error| error.to_string());
    assert!(read(good).is_ok(), "{:?}", read(good));
    for (from, to) in [
        ("hashes = 1\n", "hashes = 1\nhash = 1\n"),
        ("requests = 1\n", "requests = 1\nrequest = 1\n"),
        ("lasts_s = 0\n", "lasts_s = 0\nlast_s = 0\n"),
        ("[work]", "[worlds]\n[work]"),
        ("[work]", "[client]\nrates = 1\n[work]"),
        ("charged_max = 1", "charged_max = 1, in_debt = 1"),
        ("charged = 1\n", ""),
    ] {
        assert!(read(&good.replace(from, to)).is_err(), "{to}");
    }
}
