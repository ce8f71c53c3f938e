//! The simulator without a socket: its pure core behind the pipeline's trait, on tokio's clock.
//!
//! What a client would make of an answer is done by hand here, so that these scenarios do not depend on one.

use hashsweep_model::{Answer, Batch, Digest, Digests, Stamp, Verdict};
use hashsweep_pipeline::{Clock, Service};
use hashsweep_sim::{Delivery, Moment, Request, Response, Witness, World};
use hashsweep_spectra::{Allowance, Entry, Fault, Renewal, Reply, Window};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

const BULK: &str = "/api/databrowser/malware_presence/bulk_query/json?extended=true&show_hashes=true";

const SINGLE: &str = "/api/databrowser/malware_presence/query/md5";

const MONITORING: &str = "/api/customer_usage/v1";

/// `u:p`, as Basic credentials.
const CREDENTIALS: &str = "Basic dTpw";

/// `v:p`, somebody else's.
const COLLEAGUE: &str = "Basic djpw";

/// When a world without `starts_at` begins: 2025-06-15T15:06:40Z.
const BEGINNING: u64 = 1_750_000_000;

type Link = dyn Fn(u64, Duration) -> Option<Fault> + Send + Sync;

/// The service as one run sees it. Several may see the same one: [`Memory::again`].
pub(crate) struct Memory {
    sim: Arc<hashsweep_sim::Service>,
    started: Instant,
    /// The UTC second at which it started.
    beginning: u64,
    timeout: Duration,
    /// Asks in upper case, so that the answer echoes it.
    upper_case: bool,
    /// What happens on the way to the simulator, by the attempt's number and the time; the simulator sees nothing
    /// of it.
    link: Arc<Link>,
    attempts: AtomicU64,
    lost: AtomicU64,
    travelling: AtomicUsize,
    answered: AtomicBool,
    /// The most that travelled at once before the first usable answer.
    before_an_answer: AtomicUsize,
    /// Of each attempt, when it left and its first digest.
    departures: Mutex<Vec<(Duration, Digest)>>,
}

impl Memory {
    pub(crate) fn new(world: World) -> Memory {
        Memory {
            beginning: world.starts_at.unwrap_or(BEGINNING),
            sim: Arc::new(hashsweep_sim::Service::new(world)),
            started: Instant::now(),
            timeout: Duration::from_secs(60),
            upper_case: false,
            link: Arc::new(|_, _| None),
            attempts: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            travelling: AtomicUsize::new(0),
            answered: AtomicBool::new(false),
            before_an_answer: AtomicUsize::new(0),
            departures: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn in_upper_case(world: World) -> Memory {
        Memory { upper_case: true, ..Memory::new(world) }
    }

    pub(crate) fn over(
        link: impl Fn(u64, Duration) -> Option<Fault> + Send + Sync + 'static,
        world: World,
    ) -> Memory {
        Memory { link: Arc::new(link), ..Memory::new(world) }
    }

    /// The same service on the same day, for another run.
    pub(crate) fn again(&self) -> Memory {
        Memory {
            sim: Arc::clone(&self.sim),
            started: self.started,
            beginning: self.beginning,
            timeout: self.timeout,
            upper_case: self.upper_case,
            link: Arc::clone(&self.link),
            ..Memory::new(World::default())
        }
    }

    /// The calendar of the world.
    pub(crate) fn clock(&self) -> Clock {
        Clock::From(Stamp(i64::try_from(self.beginning).unwrap() * 1000), self.started)
    }

    /// Somebody else, with the credentials `v` and `p`, looks up that many other hashes one by one.
    pub(crate) fn colleague_asks(&self, n: usize) {
        for n in 0..n {
            let request = Request::get(&format!("{SINGLE}/{n:032x}")).with_header("authorization", COLLEAGUE);
            let _ = self.sim.answer(&request, self.moment());
        }
    }

    pub(crate) fn witness(&self) -> Witness {
        self.sim.witness()
    }

    /// Attempts that the link lost.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    pub(crate) fn before_an_answer(&self) -> usize {
        self.before_an_answer.load(Relaxed)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn departures(&self) -> Vec<(Duration, Digest)> {
        self.departures.lock().unwrap().clone()
    }

    #[expect(clippy::disallowed_methods, reason = "the simulator's delays, on the paused clock")]
    async fn attempt(&self, batch: &Batch) -> Result<Reply, Fault> {
        let number = self.attempts.fetch_add(1, Relaxed) + 1;
        let now = self.elapsed();
        self.departures.lock().unwrap().push((now, batch.digests()[0]));
        if let Some(fault) = (self.link)(number, now) {
            self.lost.fetch_add(1, Relaxed);
            return Err(fault);
        }
        let visit = self.sim.visit();
        let response = self.sim.answer(&self.request(batch), self.moment());
        let silent = response.delivery == Delivery::Never || response.delay >= self.timeout;
        tokio::time::sleep(if silent { self.timeout } else { response.delay }).await;
        drop(visit);
        if silent { Err(Fault::Timeout) } else { Ok(reply(&read(&response)?)) }
    }

    /// A page of usage and limits.
    #[expect(clippy::disallowed_methods, reason = "the simulator's delays, on the paused clock")]
    async fn look_up(&self, page: &str) -> Result<Value, Fault> {
        if let Some(fault) = (self.link)(0, self.elapsed()) {
            return Err(fault);
        }
        let request = Request::get(&format!("{MONITORING}/{page}?format=json"));
        let response = self.sim.answer(&request.with_header("authorization", CREDENTIALS), self.moment());
        let silent = response.delivery == Delivery::Never || response.delay >= self.timeout;
        tokio::time::sleep(if silent { self.timeout } else { response.delay }).await;
        if silent { Err(Fault::Timeout) } else { Ok(read(&response)?["rl"].take()) }
    }

    fn moment(&self) -> Moment {
        let now = self.elapsed();
        Moment { since_start: now, unix_seconds: self.beginning + now.as_secs() }
    }

    fn request(&self, batch: &Batch) -> Request {
        let hashes: Vec<String> = batch
            .digests()
            .iter()
            .map(|digest| {
                let text = digest.to_string();
                if self.upper_case { text.to_ascii_uppercase() } else { text }
            })
            .collect();
        let body = json!({"rl": {"query": {"hash_type": batch.kind().name(), "hashes": hashes}}});
        Request::post(BULK, body.to_string()).with_header("authorization", CREDENTIALS)
    }
}

impl Service for Memory {
    async fn ask(&self, batch: &Batch) -> Result<Reply, Fault> {
        let travelling = self.travelling.fetch_add(1, Relaxed) + 1;
        if !self.answered.load(Relaxed) {
            self.before_an_answer.fetch_max(travelling, Relaxed);
        }
        let came = self.attempt(batch).await;
        self.travelling.fetch_sub(1, Relaxed);
        self.answered.fetch_or(came.is_ok(), Relaxed);
        came
    }

    async fn allowance(&self) -> Result<Allowance, Fault> {
        let limits = self.look_up("limits").await?;
        let mut windows = Vec::new();
        for limit in limits["limits"].as_array().unwrap() {
            let is_of_lookups = |it: &Value| it.as_str().unwrap().starts_with("TCA-0101");
            if !limit["products"].as_array().unwrap().iter().any(is_of_lookups) {
                continue;
            }
            let (renewal, page) = match limit["limit_type"].as_str().unwrap() {
                "daily" => (Renewal::Daily, "usage/daily"),
                _ => (Renewal::Monthly, "usage/monthly"),
            };
            let used = self.look_up(page).await.ok().map(|usage| {
                let lines = usage["usage_report"].as_array().unwrap();
                lines
                    .iter()
                    .find(|line| is_of_lookups(&line["product"]))
                    .map_or(0, |line| line["number_of_queries"].as_u64().unwrap())
            });
            windows.push(Window {
                renewal: Some(renewal),
                limit: limit["limit"].as_u64(),
                used,
                is_exceeded: limit["limit_exceeded"].as_bool().unwrap(),
            });
        }
        Ok(Allowance { windows })
    }
}

/// What the response means to a client: a document or a fault.
fn read(response: &Response) -> Result<Value, Fault> {
    let header = |name| response.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    let retry_after = header("retry-after").and_then(|value| Some(Duration::from_secs(value.parse().ok()?)));
    let body = String::from_utf8_lossy(&response.body);
    Err(match (response.status, response.delivery) {
        (200, Delivery::CutAfter(_)) => Fault::BrokenBody { why: "it was cut".to_owned() },
        (200, _) => match serde_json::from_str(&body) {
            Ok(body) => return Ok(body),
            Err(error) => Fault::BrokenBody { why: error.to_string() },
        },
        (302, _) => Fault::Redirect { to: header("location").cloned().unwrap_or_default() },
        (400, _) => Fault::BadRequest,
        (401, _) => Fault::Unauthorized,
        (403, _) => Fault::Forbidden,
        (404, _) => Fault::NotFound { looks_like_the_api: body.is_empty() },
        (408 | 502 | 504, _) => Fault::Gateway { status: response.status },
        (413, _) => Fault::TooLarge,
        (429, _) if body.contains("Rate limit exceeded") => Fault::RateLimited { retry_after },
        (429, _) => Fault::QuotaOrUnclear { retry_after },
        (503, _) => Fault::Unavailable { retry_after, proxied: false },
        (500, _) => Fault::Server { status: 500, proxied: false },
        (status, _) => Fault::OtherStatus { status },
    })
}

fn reply(body: &Value) -> Reply {
    let texts = |name: &str| {
        body["rl"][name]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    Reply {
        entries: body["rl"]["entries"].as_array().unwrap().iter().map(entry).collect(),
        unknown_hashes: texts("unknown_hashes"),
        invalid_hashes: texts("invalid_hashes"),
    }
}

fn entry(entry: &Value) -> Entry {
    let asked = entry["query_hash"].as_object().unwrap().values().next().unwrap();
    let verdict: Verdict = entry["status"].as_str().unwrap().parse().unwrap();
    let text = |name: &str| entry[name].as_str().map(str::to_owned);
    let number = |name: &str| entry[name].as_i64();
    Entry::Answer(Answer {
        digest: asked.as_str().unwrap().parse().unwrap(),
        verdict,
        reason: if verdict == Verdict::Unknown { Some("reported".to_owned()) } else { text("reason") },
        threat_name: text("threat_name"),
        threat_level: number("threat_level"),
        trust_factor: number("trust_factor"),
        scanner_match: number("scanner_match"),
        scanner_count: number("scanner_count"),
        first_seen: text("first_seen"),
        last_seen: text("last_seen"),
        sample: Digests::default(),
    })
}
