//! The pace: how soon the next request may leave. It smooths; what may be spent is the ledger's business.
//!
//! The account hands out slots, so that everybody who asks under it keeps one rate together; governor spaces what
//! this run sends within them. When the service says "slow down" the slots are taken further apart.

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::collections::VecDeque;
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

    /// How many requests may stand booked and ready beyond those that travel: a quarter of a second's worth, which
    /// outlasts a slow commit. More would only be in doubt after a kill.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 64")]
    pub(crate) fn lead(self) -> usize {
        (self.per_second() / 4.0).ceil().clamp(1.0, 64.0) as usize
    }

    /// Requests that may leave at one moment: 2 % of a second's, at least 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most a million")]
    fn burst(self) -> NonZeroU32 {
        match self {
            Rate::Unlimited => NonZeroU32::MIN,
            Rate::Limited { .. } => {
                NonZeroU32::new((self.per_second() * 0.02) as u32).unwrap_or(NonZeroU32::MIN)
            }
        }
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

/// Slots lie this much further apart than the rate has it, so that one that is left a little late cannot make a
/// second too full. What it costs is the same part of the rate.
const SLACK: f64 = 1.02;

/// How late a slot may be left: the part of a second that [`SLACK`] leaves free. After it the slot is lost.
const LATE: Duration = Duration::from_millis(20);

/// After "slow down" the pace begins anew at this part of what the service has just answered in a second.
const EASED_TO: f64 = 0.8;

/// It grows by this part of where it began, each second without another "slow down".
const GROWTH: f64 = 0.05;

/// Requests a second by which it grows at least, each second: else a pace cut to one would stay there for minutes.
const LEAST_GROWTH: f64 = 0.5;

/// Over which time answers are counted to know what the service can bear.
const SECOND: Duration = Duration::from_secs(1);

/// Says when requests may leave.
pub(crate) struct Pace {
    rate: Rate,
    limiter: Option<RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Moment>>>,
    eased: Option<Eased>,
    /// The answers of the last second.
    answers: VecDeque<Instant>,
}

/// A pace below the set one, because the service asked for it.
#[derive(Clone, Copy)]
struct Eased {
    from: f64,
    since: Instant,
}

impl Pace {
    /// Begins with a full burst.
    pub(crate) fn new(rate: Rate) -> Pace {
        let limiter = match rate {
            Rate::Unlimited => None,
            Rate::Limited { n, per } => {
                let quota = Quota::with_period(per / n.get())
                    .expect("a rate's period is above zero")
                    .allow_burst(rate.burst());
                Some(RateLimiter::direct_with_clock(quota, TokioClock))
            }
        };
        Pace { rate, limiter, eased: None, answers: VecDeque::new() }
    }

    /// Takes governor's leave for this moment, or says when the next one comes.
    pub(crate) fn take(&self) -> Result<(), Instant> {
        match &self.limiter {
            None => Ok(()),
            Some(limiter) => limiter.check().map_err(|not_yet| not_yet.earliest_possible().0),
        }
    }

    /// How far apart slots are to be taken; `None` where none are needed.
    pub(crate) fn apart(&mut self, now: Instant) -> Option<Duration> {
        let per_second = self.per_second(now);
        per_second.is_finite().then(|| Duration::from_secs_f64(SLACK / per_second))
    }

    /// How late a slot may be left.
    pub(crate) fn late(&self) -> Duration {
        let period = match self.rate {
            Rate::Unlimited => Duration::ZERO,
            Rate::Limited { n, per } => per / n.get(),
        };
        LATE + period * (self.rate.burst().get() - 1)
    }

    /// The service has answered.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.forget(now);
        self.answers.push_back(now);
    }

    /// The service asks for fewer requests in time. Without an answer to go by a pace that was cut before is halved,
    /// and one that was not is left to the pause and to fewer requests side by side.
    #[expect(clippy::cast_precision_loss, reason = "answers of a second")]
    pub(crate) fn ease(&mut self, now: Instant) {
        self.forget(now);
        let pace = self.per_second(now);
        let from = match self.answers.len() {
            0 if self.eased.is_none() => return,
            0 => pace / 2.0,
            n => (n as f64 * EASED_TO).min(pace),
        };
        self.eased = Some(Eased { from: from.max(1.0), since: now });
    }

    fn per_second(&mut self, now: Instant) -> f64 {
        let set = self.rate.per_second();
        if let Some(Eased { from, since }) = self.eased {
            let grown = from + (from * GROWTH).max(LEAST_GROWTH) * now.duration_since(since).as_secs_f64();
            if grown < set {
                return grown;
            }
            self.eased = None;
        }
        set
    }

    fn forget(&mut self, now: Instant) {
        while self.answers.front().is_some_and(|at| now.duration_since(*at) >= SECOND) {
            self.answers.pop_front();
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
    async fn after_slow_down_the_pace_begins_below_what_was_answered_and_grows_back() {
        let mut pace = Pace::new("100/s".parse().unwrap());
        let per_second = |pace: &mut Pace| SLACK / pace.apart(Instant::now()).unwrap().as_secs_f64();
        pace.ease(Instant::now());
        assert!((per_second(&mut pace) - 100.0).abs() < 0.1, "nothing to go by");
        for _ in 0..50 {
            pace.answered(Instant::now());
        }
        pace.ease(Instant::now());
        assert!((per_second(&mut pace) - 40.0).abs() < 0.1);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!((per_second(&mut pace) - 50.0).abs() < 0.1);
        pace.ease(Instant::now());
        assert!((per_second(&mut pace) - 25.0).abs() < 0.1, "still refused");
        tokio::time::advance(Duration::from_secs(100)).await;
        assert!((per_second(&mut pace) - 100.0).abs() < 0.1, "never above what is set");
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
