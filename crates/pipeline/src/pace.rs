//! The pace: how soon the next request may leave. It smooths; what may be spent is the ledger's business.

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::fmt;
use std::num::NonZeroU32;
use std::ops::Add;
use std::str::FromStr;
use std::time::Duration;
use tokio::time::Instant;

/// How many requests may leave in how much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// As fast as answers come.
    Unlimited,
    /// So many in so long, evenly spaced.
    Limited {
        /// Requests.
        n: NonZeroU32,
        /// In this time.
        per: Duration,
    },
}

impl Rate {
    /// Requests a second.
    fn per_second(self) -> f64 {
        match self {
            Rate::Unlimited => f64::INFINITY,
            Rate::Limited { n, per } => f64::from(n.get()) / per.as_secs_f64(),
        }
    }

    /// How many requests may stand ready for their slot: about one second's worth. More would only be booked
    /// without leaving soon.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    pub(crate) fn ahead(self) -> usize {
        self.per_second().ceil().max(1.0) as usize
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rate::Unlimited => f.write_str("unlimited"),
            Rate::Limited { n, per } if *per == Duration::from_secs(60) => write!(f, "{n}/m"),
            Rate::Limited { n, .. } => write!(f, "{n}/s"),
        }
    }
}

/// `100/s`, `30/m`, `unlimited`; a bare number is a second's.
impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        if text == "unlimited" {
            return Ok(Rate::Unlimited);
        }
        let (n, per) = match text.split_once('/') {
            None | Some((_, "s")) => (text.strip_suffix("/s").unwrap_or(text), 1),
            Some((n, "m")) => (n, 60),
            Some((_, unit)) => return Err(format!("'{unit}' is no unit of a rate (known: s, m)")),
        };
        match n.parse::<NonZeroU32>() {
            // governor counts in whole nanoseconds.
            Ok(n) if n.get() <= 1_000_000 => Ok(Rate::Limited { n, per: Duration::from_secs(per) }),
            Ok(_) => Err("a rate is at most 1000000; 'unlimited' lifts it".to_owned()),
            Err(_) => Err(format!("'{text}' is no rate (write 100/s, 30/m or unlimited)")),
        }
    }
}

/// Hands out slots.
pub(crate) struct Pace {
    limiter: Option<RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Moment>>>,
}

impl Pace {
    /// Begins with a full burst: 2 % of a second's requests, at least 1.
    pub(crate) fn new(rate: Rate) -> Pace {
        let Rate::Limited { n, per } = rate else { return Pace { limiter: None } };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most a million")]
        let burst = NonZeroU32::new((rate.per_second() * 0.02) as u32).unwrap_or(NonZeroU32::MIN);
        let quota =
            Quota::with_period(per / n.get()).expect("a rate's period is above zero").allow_burst(burst);
        Pace { limiter: Some(RateLimiter::direct_with_clock(quota, TokioClock)) }
    }

    /// Takes the slot of this moment, or says when the next one comes.
    pub(crate) fn take(&self) -> Result<(), Instant> {
        match &self.limiter {
            None => Ok(()),
            Some(limiter) => limiter.check().map_err(|not_yet| not_yet.earliest_possible().0),
        }
    }
}

/// governor on tokio's clock, so that a paused clock paces too.
#[derive(Clone, Copy, Debug)]
struct TokioClock;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(Instant);

impl Clock for TokioClock {
    type Instant = Moment;

    fn now(&self) -> Moment {
        Moment(Instant::now())
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Moment) -> Nanos {
        self.0.duration_since(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Moment {
        Moment(self.0.checked_sub(duration.into()).unwrap_or(self.0))
    }
}

impl Add<Nanos> for Moment {
    type Output = Moment;

    fn add(self, duration: Nanos) -> Moment {
        Moment(self.0 + Duration::from(duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_read_and_write() {
        for text in ["100/s", "30/m", "unlimited"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        assert_eq!("7".parse::<Rate>().unwrap().to_string(), "7/s");
        for text in ["0/s", "-1", "5/h", "fast", "", "2000000/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_sees_more_than_the_rate_and_the_burst() {
        let pace = Pace::new("50/s".parse().unwrap());
        let start = Instant::now();
        let mut left = Vec::new();
        while start.elapsed() < Duration::from_secs(4) {
            match pace.take() {
                Ok(()) => left.push(start.elapsed()),
                Err(at) => tokio::time::advance(at - Instant::now()).await,
            }
        }
        assert!((199..=202).contains(&left.len()), "{}", left.len());
        for from in &left {
            let window =
                left.iter().filter(|at| *at >= from && **at < *from + Duration::from_secs(1)).count();
            assert!(window <= 51, "{window} in the second after {from:?}");
        }
    }
}
