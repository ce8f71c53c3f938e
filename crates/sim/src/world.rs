//! What kind of service is being simulated: every switch that a test or a demonstration may turn.
//!
//! The switches exist where the vendor's documents contradict one another or say nothing, and where a service has
//! bad days. This module only holds them; what they lead to is decided in `presence` and `service`.

use crate::{Cue, Fault, Period, Product, Quota, Verdicts};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

/// The service to be simulated. The default is an open, healthy service under the likeliest reading of the
/// documents, without a fixture list.
#[derive(Clone, Debug)]
pub struct World {
    /// Who may ask. When empty everybody may, with or without credentials.
    pub accounts: Vec<Account>,
    /// How a hash that the service has never seen appears.
    pub unknown_mode: UnknownMode,
    /// How a malformed hash in a batch appears.
    pub invalid_mode: InvalidMode,
    /// What an answered request costs.
    pub charge_mode: ChargeMode,
    /// Answer in an order that has nothing to do with the request's (nothing promises one). The order depends on
    /// the hashes alone, so a test that fails because of it fails every time.
    pub shuffle: bool,
    /// Requests an account may make in any one second before it is answered 429. It is a sliding second, so two
    /// bursts around the turn of a second do not slip through. The default is the documented 500; `None` is off.
    pub rate_limit_rps: Option<u32>,
    /// Sends `Retry-After` with a 429 for rate. Off by default: no document mentions the header.
    pub retry_after: Option<Duration>,
    /// How `Retry-After` is written.
    pub retry_after_form: RetryAfterForm,
    /// Quotas besides the accounts' own daily ones, by which users may share units and months may have limits.
    pub quotas: Vec<Quota>,
    /// Answer a batch for which a quota has fewer units left than it costs, as long as there is one; the quota is
    /// overdrawn then. By default such a batch is refused whole.
    pub allow_last: bool,
    /// The products that an account may ask, by user name. An account that is not in it may ask all; for a product
    /// that is not in the set it is answered 403.
    pub entitlements: BTreeMap<String, BTreeSet<Product>>,
    /// What becomes of a hash that is twice in a batch.
    pub duplicates: Duplicates,
    /// What becomes of a hash in upper-case hex.
    pub uppercase: Uppercase,
    /// What becomes of a batch of more than 100.
    pub over_limit: OverLimit,
    /// Which forms of file reputation are there.
    pub dialects: Dialects,
    /// Compress answers for clients that accept gzip.
    pub gzip: bool,
    /// What the TAXII feed holds and how its pages follow one another.
    pub feed: Feed,
    /// The UTC time, in seconds since 1970, at which the simulator's clock starts to run; `None` is the real time.
    /// [`Service::answer`](crate::Service::answer) is told the time and does not look here.
    pub starts_at: Option<u64>,
    /// Answer like an on-premises T1000: the extended fields except `threat_level` and `trust_factor` are null,
    /// and so are the three digests of an UNKNOWN entry.
    pub null_fields: bool,
    /// How long every answer takes. The request is charged when it arrives, so a client that gives up earlier has
    /// paid.
    pub latency: Duration,
    /// What is known about which hash.
    pub verdicts: Verdicts,
    /// How much longer an answer takes for each hash in the question, as from a busy service that finishes small
    /// batches in time and large ones not.
    pub latency_per_hash: Duration,
    /// Hashes, in lower-case hex, that the service takes for malformed whatever they look like; `invalid_mode` says
    /// what becomes of them.
    pub disliked: BTreeSet<String>,
    /// The longest body, in bytes, that something between the client and the service lets through; a longer one is
    /// answered 413 before anything else is looked at. `None` is nothing between them.
    pub proxy_body_limit: Option<usize>,
    /// Whether usage and limits are there. An appliance has none, and answers 404.
    pub monitoring: bool,
    /// What goes wrong, and when. Of the cues that fit a request all [`Fault::Delay`]s add up, and the first other
    /// fault happens.
    pub script: Vec<Cue>,
    /// Which requests the script counts and meets.
    pub script_hits: ScriptHits,
}

/// Somebody who may ask. Printing one for debugging shows no password.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Usually of the form `u/company/name`.
    pub username: String,
    /// Compared as it is.
    pub password: String,
    /// Units of file reputation a UTC day, for this account alone; a request that would pass it is refused whole.
    /// `None` is without limit. [`World::quotas`] has the other kinds.
    pub daily_quota: Option<u64>,
}

/// Which requests the script counts and meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScriptHits {
    /// All of them, as they arrive.
    #[default]
    All,
    /// Questions for file reputation. What asks for usage and limits on the side neither shifts the numbers nor
    /// meets a fault.
    Lookups,
}

/// How a hash that the service has never seen appears in an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownMode {
    /// As an entry with the status UNKNOWN, in single and in bulk; the best supported reading.
    #[default]
    Entry,
    /// Not at all in bulk; a single query is answered 404.
    Omit,
    /// In bulk as a string in `rl.unknown_hashes`; a single query has an UNKNOWN entry.
    List,
    /// A bulk query without a single hit is answered 404, as is a single one; otherwise as [`UnknownMode::Omit`].
    Http404IfAll,
}

/// How a malformed hash in a batch appears. A malformed hash in a single query is always answered 400.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvalidMode {
    /// As a string in `rl.invalid_hashes`, as in the service's sister endpoints.
    #[default]
    List,
    /// Not at all.
    Omit,
    /// One malformed hash and the whole batch is answered 400.
    Http400,
}

/// What an answered request costs. Nothing but a 200 costs anything in any mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChargeMode {
    /// A unit for each well-formed hash sent, repeated ones included; the only reading with a worked figure.
    #[default]
    Sent,
    /// A unit for each entry returned.
    ReturnedAll,
    /// A unit for each entry returned with a status other than UNKNOWN.
    ReturnedFound,
}

/// How `Retry-After` is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetryAfterForm {
    /// As a number of whole seconds.
    #[default]
    Seconds,
    /// As an HTTP date.
    Date,
}

/// What becomes of a hash that is twice in a batch. It is charged twice under [`ChargeMode::Sent`] in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duplicates {
    /// It is answered once.
    #[default]
    Once,
    /// It is answered as often as it was sent.
    Each,
}

/// What becomes of a hash in upper-case hex.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Uppercase {
    /// It is a hash like any other, and comes back in the letters in which it was sent.
    #[default]
    Accept,
    /// It is malformed.
    Invalid,
}

/// What becomes of a batch of more than 100.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum OverLimit {
    /// It is answered 413.
    #[default]
    #[serde(rename = "413")]
    Refuse,
    /// The first 100 are answered, and the others as if they had not been sent.
    #[serde(rename = "truncate")]
    Truncate,
}

/// Which forms of file reputation are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialects {
    /// The documented one, TCA-0101.
    #[default]
    MalwarePresence,
    /// The one of the vendor's quick start.
    Quickstart,
    /// Both.
    Both,
}

/// What the TAXII feed holds: an object for each full hour, so that it moves on with the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feed {
    /// How many hours back a collection reaches, which is how many objects it holds.
    pub hours: u64,
    /// How a client gets from one page to the next.
    pub paging: Paging,
}

/// How a client gets from one page to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Paging {
    /// By `next`.
    #[default]
    Next,
    /// By asking again with `added_after` from the header `X-TAXII-Date-Added-Last`; `more` comes without `next`.
    DateAdded,
}

/// What the script says about one request.
pub(crate) struct Plan<'a> {
    pub(crate) delay: Duration,
    pub(crate) fault: Option<&'a Fault>,
}

impl World {
    /// What happens to a request. Its number is the one by which the script knows it, if it does.
    pub(crate) fn plan(&self, number: Option<u64>, n_hashes: usize) -> Plan<'_> {
        let for_hashes = self.latency_per_hash.saturating_mul(u32::try_from(n_hashes).unwrap_or(u32::MAX));
        let mut plan = Plan { delay: self.latency.saturating_add(for_hashes), fault: None };
        let fitting = |cue: &&Cue| number.is_some_and(|number| cue.when.fits(number));
        for cue in self.script.iter().filter(fitting) {
            match &cue.fault {
                Fault::Delay(more) => plan.delay = plan.delay.saturating_add(*more),
                other => plan.fault = plan.fault.or(Some(other)),
            }
        }
        plan
    }

    /// All quotas, those of the accounts first.
    pub(crate) fn all_quotas(&self) -> Vec<Quota> {
        let own = self.accounts.iter().filter_map(|account| {
            Some(Quota {
                products: vec![Product::FileReputation],
                users: vec![account.username.clone()],
                period: Period::Day,
                limit: account.daily_quota?,
            })
        });
        own.chain(self.quotas.iter().cloned()).collect()
    }

    pub(crate) fn entitles(&self, username: &str, product: Product) -> bool {
        self.entitlements.get(username).is_none_or(|products| products.contains(&product))
    }
}

/// Thirty days, as the vendor keeps them: two pages of the vendor's SDK, which asks for 500 at a time.
impl Default for Feed {
    fn default() -> Feed {
        Feed { hours: 720, paging: Paging::default() }
    }
}

impl Default for World {
    fn default() -> World {
        World {
            accounts: Vec::new(),
            unknown_mode: UnknownMode::default(),
            invalid_mode: InvalidMode::default(),
            charge_mode: ChargeMode::default(),
            shuffle: true,
            rate_limit_rps: Some(500),
            retry_after: None,
            retry_after_form: RetryAfterForm::default(),
            quotas: Vec::new(),
            allow_last: false,
            entitlements: BTreeMap::new(),
            duplicates: Duplicates::default(),
            uppercase: Uppercase::default(),
            over_limit: OverLimit::default(),
            dialects: Dialects::default(),
            gzip: false,
            feed: Feed::default(),
            starts_at: None,
            null_fields: false,
            latency: Duration::ZERO,
            latency_per_hash: Duration::ZERO,
            disliked: BTreeSet::new(),
            proxy_body_limit: None,
            monitoring: true,
            verdicts: Verdicts::default(),
            script: Vec::new(),
            script_hits: ScriptHits::default(),
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("username", &self.username)
            .field("password", &"[redacted]")
            .field("daily_quota", &self.daily_quota)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::When;

    #[test]
    fn delays_add_up_and_the_first_other_fault_happens() {
        let world = World {
            latency: Duration::from_secs(1),
            latency_per_hash: Duration::from_millis(10),
            script: vec![
                Cue::new(When::Always, Fault::Delay(Duration::from_secs(2))),
                Cue::new(When::From(2), Fault::HangBeforeCharge),
                Cue::new(When::Always, Fault::ShortBody),
                Cue::new(When::Listed(vec![2]), Fault::Delay(Duration::from_secs(4))),
            ],
            ..World::default()
        };
        let first = world.plan(Some(1), 0);
        assert_eq!((first.delay, first.fault), (Duration::from_secs(3), Some(&Fault::ShortBody)));
        let second = world.plan(Some(2), 0);
        assert_eq!((second.delay, second.fault), (Duration::from_secs(7), Some(&Fault::HangBeforeCharge)));
        let unscripted = world.plan(None, 100);
        assert_eq!((unscripted.delay, unscripted.fault), (Duration::from_secs(2), None));
    }

    #[test]
    fn an_account_prints_without_its_password() {
        let account = Account { username: "u/a/b".into(), password: "hunter2".into(), daily_quota: None };
        let printed = format!("{account:?}");
        assert!(printed.contains("u/a/b") && !printed.contains("hunter2"), "{printed}");
    }
}
