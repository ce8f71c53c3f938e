//! The service's own books: what arrived, what was answered, what it cost, and who has how much left.
//!
//! The client under test keeps its own accounts; these are the other side's, so that the two can be compared. They
//! know nothing of answers beyond their number, and read no clock.

use crate::{
    digest::Digest,
    door::{Door, Service},
    exchange::{Delivery, Moment, Response},
    product::Product,
    question::Question,
    quota::{Bill, Meter, Quota},
    world::ScriptHits,
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::Duration,
};

/// What the simulator has seen so far: a copy, which does not change any more. Requests to the simulator's own
/// ledger page are not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    /// All requests, however they ended.
    pub requests: u64,
    /// How many got which status line; one that was cut in the middle of the body has its status here too.
    pub by_status: BTreeMap<u16, u64>,
    /// Requests that a scripted fault left without any answer.
    pub unanswered: u64,
    /// Requests to the bulk paths of file reputation, by whatever method and however they ended.
    pub bulk_requests: u64,
    /// How many of them got which status line.
    pub bulk_by_status: BTreeMap<u16, u64>,
    /// When each of them arrived, since the start of the simulator.
    pub bulk_arrivals: Vec<Duration>,
    /// Requests for file reputation in any form.
    pub lookups: u64,
    /// How many hashes each readable one of them held, malformed and repeated ones included, in order of arrival.
    pub batch_sizes: Vec<usize>,
    /// How often each well-formed hash arrived, in lower-case hex, in single and bulk queries for file reputation,
    /// whatever became of the request.
    pub hashes: BTreeMap<String, u64>,
    /// How many malformed ones arrived.
    pub malformed: u64,
    /// The user names that were presented, right or wrong. Passwords are not kept.
    pub usernames: BTreeSet<String>,
    /// When each request arrived, since the start of the simulator.
    pub arrivals: Vec<Duration>,
    /// The most requests that were being handled at once, from the head's arrival until the answer's first byte.
    pub max_concurrent: usize,
    /// Totals of all accounts.
    pub total: AccountTotals,
    /// By user name; those without credentials in an open world are `anonymous`. A request with credentials that
    /// were refused belongs to nobody and is only in the total's requests and hashes.
    pub accounts: BTreeMap<String, AccountTotals>,
    /// Units by user name and product, as usage shows them. Unlike [`AccountTotals::charged`] it counts requests for
    /// usage too, which cost no quota.
    pub usage: BTreeMap<String, BTreeMap<Product, u64>>,
}

/// What one account did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AccountTotals {
    /// Requests, however they ended.
    pub requests: u64,
    /// Well-formed hashes in them, repeats included, whatever became of the request.
    pub sent: u64,
    /// Entries in the answers that were composed, before any scripted fault spoiled them.
    pub returned: u64,
    /// Units of quota that they cost.
    pub charged: u64,
}

impl Witness {
    /// The largest bulk request.
    pub fn max_batch(&self) -> usize {
        self.batch_sizes.iter().copied().max().unwrap_or_default()
    }

    /// Units of quota charged to all accounts together.
    pub fn charged(&self) -> u64 {
        self.total.charged
    }

    /// Hashes that arrived more than once.
    pub fn repeated(&self) -> impl Iterator<Item = &str> {
        self.hashes.iter().filter(|(_, times)| **times > 1).map(|(hash, _)| hash.as_str())
    }
}

/// The running state behind one lock. Hashes are kept as bytes here and written out only for a [`Witness`].
#[derive(Debug, Default)]
pub(crate) struct Books {
    seen: Witness,
    times_asked: HashMap<Digest, u64>,
    in_flight: usize,
    /// Arrivals of the last second that were let through, by account.
    recent: HashMap<String, VecDeque<Duration>>,
    meter: Meter,
}

/// What there is to write down about an arrival.
pub(crate) struct Arrival<'a> {
    /// As presented, right or wrong.
    pub(crate) username: Option<&'a str>,
    /// Who it is, if the service lets them in.
    pub(crate) account: Option<&'a str>,
    /// The door that the path names.
    pub(crate) door: Option<Door>,
    /// What is asked about hashes, if it can be read.
    pub(crate) question: Option<&'a Question>,
}

/// What the ledger page shows.
#[derive(Serialize)]
pub(crate) struct Ledger {
    requests: u64,
    by_status: BTreeMap<u16, u64>,
    unanswered: u64,
    bulk_requests: u64,
    max_batch: usize,
    distinct_hashes: usize,
    malformed: u64,
    max_concurrent: usize,
    sent: u64,
    returned: u64,
    charged: u64,
    accounts: BTreeMap<String, AccountTotals>,
    usage: BTreeMap<String, BTreeMap<Product, u64>>,
}

impl Books {
    /// Empty ones, which hold everybody to these quotas.
    pub(crate) fn new(quotas: Vec<Quota>) -> Books {
        Books { meter: Meter::new(quotas), ..Books::default() }
    }

    /// Writes an arrival down. Afterwards the counts of the witness include it.
    pub(crate) fn arrive(&mut self, arrival: &Arrival<'_>, now: Moment) {
        self.seen.requests += 1;
        self.seen.arrivals.push(now.since_start);
        self.seen.usernames.extend(arrival.username.map(str::to_owned));
        self.seen.lookups += u64::from(arrival.door.is_some_and(Door::is_lookup));
        if arrival.door.is_some_and(Door::is_bulk_lookup) {
            self.seen.bulk_requests += 1;
            self.seen.bulk_arrivals.push(now.since_start);
        }
        let n_sent = arrival.question.map_or(0, |question| question.asked.len() as u64);
        if let Some(question) = arrival.question.filter(|question| question.service != Service::Reports) {
            self.seen.malformed += question.malformed.len() as u64;
            if !question.is_single() {
                self.seen.batch_sizes.push(question.n_hashes());
            }
            for asked in &question.asked {
                *self.times_asked.entry(asked.digest).or_default() += 1;
            }
        }
        self.book(arrival.account, |totals| {
            totals.requests += 1;
            totals.sent += n_sent;
        });
    }

    /// The number by which the script knows the request that has just arrived, counted from 1.
    pub(crate) fn script_number(&self, door: Option<Door>, hits: ScriptHits) -> Option<u64> {
        match hits {
            ScriptHits::All => Some(self.seen.requests),
            ScriptHits::Lookups => door.is_some_and(Door::is_lookup).then_some(self.seen.lookups),
        }
    }

    /// Lets a request through unless the account has made `limit` in the second before it. Refused ones do not
    /// count, so that a client which is too fast gets its rate and not less.
    pub(crate) fn admit(&mut self, account: &str, limit: u32, now: Moment) -> bool {
        let recent = self.recent.entry(account.to_owned()).or_default();
        while recent.front().is_some_and(|&then| then + Duration::from_secs(1) <= now.since_start) {
            recent.pop_front();
        }
        let admitted = recent.len() < limit as usize;
        if admitted {
            recent.push_back(now.since_start);
        }
        admitted
    }

    /// Charges an answer, or refuses it when a quota has too few units left.
    pub(crate) fn charge(&mut self, bill: Bill<'_>, allow_last: bool, now: Moment) -> bool {
        let charged = self.meter.charge(bill, allow_last, now.unix_seconds);
        if charged {
            self.book(Some(bill.account), |totals| {
                totals.charged += if bill.product.is_charged() { bill.units } else { 0 };
                totals.returned += bill.n_entries;
            });
        }
        charged
    }

    /// The days and the quotas.
    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Writes down how a request ends.
    pub(crate) fn leave(&mut self, door: Option<Door>, response: &Response) {
        match response.delivery {
            Delivery::Never => self.seen.unanswered += 1,
            Delivery::Whole | Delivery::CutAfter(_) => {
                *self.seen.by_status.entry(response.status).or_default() += 1;
                if door.is_some_and(Door::is_bulk_lookup) {
                    *self.seen.bulk_by_status.entry(response.status).or_default() += 1;
                }
            }
        }
    }

    pub(crate) fn enter(&mut self) {
        self.in_flight += 1;
        self.seen.max_concurrent = self.seen.max_concurrent.max(self.in_flight);
    }

    pub(crate) fn exit(&mut self) {
        self.in_flight -= 1;
    }

    pub(crate) fn witness(&self) -> Witness {
        let hashes = self.times_asked.iter().map(|(digest, times)| (digest.to_string(), *times)).collect();
        Witness { hashes, usage: self.meter.totals(), ..self.seen.clone() }
    }

    pub(crate) fn ledger(&self) -> Ledger {
        Ledger {
            requests: self.seen.requests,
            by_status: self.seen.by_status.clone(),
            unanswered: self.seen.unanswered,
            bulk_requests: self.seen.bulk_requests,
            max_batch: self.seen.max_batch(),
            distinct_hashes: self.times_asked.len(),
            malformed: self.seen.malformed,
            max_concurrent: self.seen.max_concurrent,
            sent: self.seen.total.sent,
            returned: self.seen.total.returned,
            charged: self.seen.total.charged,
            accounts: self.seen.accounts.clone(),
            usage: self.meter.totals(),
        }
    }

    fn book(&mut self, account: Option<&str>, write: impl Fn(&mut AccountTotals)) {
        write(&mut self.seen.total);
        if let Some(account) = account {
            write(self.seen.accounts.entry(account.to_owned()).or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Moment {
        Moment { since_start: Duration::from_millis(milliseconds), unix_seconds: 0 }
    }

    #[test]
    fn the_rate_is_that_of_any_one_second() {
        let mut books = Books::default();
        let mut check = |account: &str, milliseconds, expected: bool| {
            assert_eq!(books.admit(account, 2, at(milliseconds)), expected, "{account} at {milliseconds} ms");
        };
        check("a", 0, true);
        check("a", 900, true);
        check("a", 999, false);
        check("b", 999, true);
        check("a", 1000, true);
        check("a", 1100, false);
        check("a", 1899, false);
        check("a", 1900, true);
    }

    #[test]
    fn a_limit_of_nothing_lets_nothing_through() {
        assert!(!Books::default().admit("a", 0, at(0)));
    }
}
