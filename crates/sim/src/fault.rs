//! A service's bad days, scripted: what goes wrong at which request.
//!
//! It does not know how a fault is carried out; that is `service` for what changes an answer and `http` for what
//! happens to a connection.

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
/// the simulator's own ledger page.
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
}
