//! A service's bad days, scripted: what goes wrong at which request.
//!
//! It does not know how a fault is carried out; that is `service` for what changes an answer and `http` for what
//! happens to a connection.

use crate::invented::Lot;
use std::{num::NonZeroU64, time::Duration};

/// One line of the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// At which requests.
    pub when: When,
    /// What goes wrong.
    pub fault: Fault,
}

/// Which requests, counted from 1 in the order of arrival. Every request counts, refused ones too, except those to
/// the simulator's own ledger page; [`World::script_hits`](crate::World::script_hits) may narrow that to lookups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// Every request.
    Always,
    /// These.
    Listed(Vec<u64>),
    /// From the first to the second, both included.
    Between(u64, u64),
    /// This one and every later one.
    From(u64),
    /// Each whose number this divides.
    EveryNth(NonZeroU64),
    /// So many of a thousand, chosen by the seed: the same ones in every run.
    Chance {
        /// How many of a thousand, on average.
        per_1000: u32,
        /// Another seed chooses others.
        seed: u64,
    },
}

/// What goes wrong.
///
/// A fault that spoils a good answer leaves a refusal (401, 413, 429, …) as it is, and is uncharged then. Faults
/// that work on the list of entries do nothing to a single query, which has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This answer instead, before credentials, rate or quota are looked at. Nothing is charged. What
    /// HTTP cannot say, such as a code of 42, is sent as 500.
    Status {
        /// The status code.
        code: u16,
        /// The body, as it goes out.
        body: String,
        /// Names and values; a `content-type` is only sent when it is among them.
        headers: Vec<(String, String)>,
    },
    /// 302 to this address, before anything is looked at. Nothing is charged.
    Redirect {
        /// The `Location`.
        to: String,
    },
    /// The answer comes this much later. The request is charged when it arrives.
    Delay(Duration),
    /// No answer, ever, and nothing charged.
    HangBeforeCharge,
    /// No answer, ever, but the request was charged.
    HangAfterCharge,
    /// The head and half of the body arrive, then the connection drops. Charged.
    ResetMidBody,
    /// Half of the body, with a `Content-Length` that fits the half. Charged.
    ShortBody,
    /// A body of the right length and type that no JSON parser takes. Charged.
    BadJson,
    /// A 200 with a foreign body, as from a captive portal. Charged.
    NotJson {
        /// The body, as it goes out.
        body: String,
        /// Its content type.
        content_type: String,
    },
    /// A MALICIOUS entry for a hash that nobody asked about.
    ExtraEntry,
    /// The first entry comes once more at the end.
    DoubledEntry,
    /// The answer leaves out this many of the hashes, whatever the unknown mode. They are charged.
    OmitHashes(usize),
    /// 504 from something between the client and the service, which did answer. Charged.
    GatewayTimeoutAfterCharge,
}

impl Cue {
    /// One line of the script.
    pub fn new(when: When, fault: Fault) -> Cue {
        Cue { when, fault }
    }
}

impl When {
    pub(crate) fn fits(&self, number: u64) -> bool {
        match self {
            When::Always => true,
            When::Listed(numbers) => numbers.contains(&number),
            When::Between(first, last) => (*first..=*last).contains(&number),
            When::From(first) => number >= *first,
            When::EveryNth(n) => number.is_multiple_of(n.get()),
            When::Chance { per_1000, seed } => {
                let dice = [seed.to_be_bytes(), number.to_be_bytes()].concat();
                Lot::of_bytes("chance", &dice).number(0) % 1000 < u64::from(*per_1000)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_fits_the_requests_it_names() {
        let check = |when: When, expected: &[u64]| {
            let fitting: Vec<u64> = (1..=7).filter(|&number| when.fits(number)).collect();
            assert_eq!(fitting, expected, "{when:?}");
        };
        check(When::Always, &[1, 2, 3, 4, 5, 6, 7]);
        check(When::Listed(vec![2, 5]), &[2, 5]);
        check(When::Between(3, 4), &[3, 4]);
        check(When::Between(4, 3), &[]);
        check(When::From(6), &[6, 7]);
        check(When::EveryNth(NonZeroU64::new(3).expect("three is not zero")), &[3, 6]);
    }

    #[test]
    fn chance_hits_its_share_and_the_same_ones_every_time() {
        let hits = |per_1000, seed| {
            let when = When::Chance { per_1000, seed };
            (1..=10_000).filter(|&number| when.fits(number)).collect::<Vec<_>>()
        };
        assert_eq!((hits(0, 1).len(), hits(1000, 1).len()), (0, 10_000));
        let some = hits(50, 1);
        // Four standard deviations of 500 out of 10,000 are 87.
        assert!((413..=587).contains(&some.len()), "{}", some.len());
        assert_eq!(some, hits(50, 1));
        assert_ne!(some, hits(50, 2));
    }
}
