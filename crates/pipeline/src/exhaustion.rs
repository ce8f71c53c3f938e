//! The 429 that does not say which limit it means, and the waiting for a quota to begin anew. Pure; moments and dice
//! are arguments.
//!
//! ```text
//!   429, empty ──► ask the limits once ──exceeded──► over: end the run, or wait for the reset
//!                          │                           ▲
//!                          ├──not exceeded──► unclear: a few more tries ──► as if exceeded
//!                          └──no such endpoint────────►┘
//! ```

use hashsweep_case::{day_of, month_of};
use hashsweep_model::Stamp;
use hashsweep_spectra::{Allowance, Fault, Renewal};

/// Tries after an unclear 429 of a service that says its quota is not used up, or cannot say it just now, before it is
/// believed to be after all. Its count lags behind by an unknown time.
const UNCLEAR_TRIES: u8 = 3;

/// After a reset nobody knows whether the service's clock has passed it too, so what left shortly before still
/// counts for this long (DESIGN, "quota cost").
const AFTER_RESET: i64 = 120_000;

/// Everybody's quota begins anew at the same moment; we do not all come at once.
const JITTER: f64 = 60_000.0;

/// What is known of the quota, beyond what the ledger knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exhaustion {
    waits_for_reset: bool,
    /// Whether the limits are to be asked about a 429.
    asks: bool,
    unclear: u8,
    until: Option<Stamp>,
    /// Resets that were waited for without an answer since.
    waited_day: bool,
    waited_month: bool,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A short wait for everybody, then another try.
    Backoff,
    /// Everybody waits for the reset; [`Exhaustion::until`] says until when.
    Wait,
    /// Nothing more is asked: the quota is used up until then, as far as is known.
    Over(Stamp),
    /// Nothing more is asked: no quota outlasts its reset, so it is probably an appliance whose licence has expired.
    Licence,
}

impl Exhaustion {
    pub(crate) fn new(waits_for_reset: bool) -> Exhaustion {
        Exhaustion { waits_for_reset, ..Exhaustion::default() }
    }

    /// A 429 came that did not say what it means. During a wait it had left before, and means nothing new.
    pub(crate) fn doubted(&mut self) {
        self.asks |= self.until.is_none();
    }

    /// Whether the limits are to be asked, and nobody sends until they are known.
    pub(crate) fn asks(&self) -> bool {
        self.asks
    }

    /// An answer came: there is quota. During a wait or while the limits are asked it had left before, and says
    /// nothing.
    pub(crate) fn refuted(&mut self) {
        if !self.asks && self.until.is_none() {
            *self = Exhaustion::new(self.waits_for_reset);
        }
    }

    /// The moment before which there is no quota, while it lies ahead.
    pub(crate) fn until(&mut self, now: Stamp) -> Option<Stamp> {
        self.until = self.until.filter(|until| *until > now);
        self.until
    }

    /// What the limits said about the 429.
    pub(crate) fn told(&mut self, told: Result<&Allowance, &Fault>, now: Stamp, dice: f64) -> Next {
        self.asks = false;
        match told.map(Allowance::exceeded) {
            Ok(Some(window)) => self.over(window.renewal, now, dice),
            Ok(None) if self.unclear < UNCLEAR_TRIES => self.once_more(),
            Err(fault) if fault.may_pass() && self.unclear < UNCLEAR_TRIES => self.once_more(),
            Err(fault) if self.waited_day && !fault.may_pass() => Next::Licence,
            Ok(None) | Err(_) => self.over(None, now, dice),
        }
    }

    fn once_more(&mut self) -> Next {
        self.unclear += 1;
        Next::Backoff
    }

    /// The quota is used up, of this window if that is known. Where it is not, the next day's beginning tells, and
    /// after that the month's. During a wait it is no news.
    pub(crate) fn over(&mut self, renewal: Option<Renewal>, now: Stamp, dice: f64) -> Next {
        if self.until(now).is_some() {
            return Next::Wait;
        }
        let is_months = match renewal {
            Some(Renewal::Monthly) => true,
            Some(Renewal::Daily) => false,
            None => self.waits_for_reset && self.waited_day,
        };
        // Shortly after a reset it is the window before that is used up: the service's clock may be behind.
        let then = Stamp(now.0.saturating_sub(AFTER_RESET));
        let reset = if is_months { month_of(then).end } else { day_of(then).end };
        if !self.waits_for_reset || self.waited_month || (self.waited_day && !is_months) {
            let is_past = reset <= now;
            return Next::Over(Stamp(reset.0.saturating_add(if is_past { AFTER_RESET } else { 0 })));
        }
        self.waited_month |= is_months;
        self.waited_day |= !is_months;
        self.unclear = 0;
        #[expect(clippy::cast_possible_truncation, reason = "a minute of milliseconds")]
        let jitter = (JITTER * dice) as i64;
        self.until = Some(Stamp(reset.0.saturating_add(AFTER_RESET + jitter)));
        Next::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashsweep_spectra::Window;

    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;

    /// 2026-01-30, ten in the morning.
    const NOW: Stamp = Stamp(20_483 * DAY + 10 * HOUR);

    const TOMORROW: Stamp = Stamp(20_484 * DAY);
    const MARCH: Stamp = Stamp((20_485 + 28) * DAY);

    fn allowance(renewal: Option<Renewal>, is_exceeded: bool) -> Allowance {
        Allowance { windows: vec![Window { renewal, limit: Some(10), used: None, is_exceeded }] }
    }

    fn hours_until(exhaustion: &mut Exhaustion, now: Stamp) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "hours")]
        let hours = (exhaustion.until(now).unwrap().0 - now.0) as f64 / HOUR as f64;
        hours
    }

    #[test]
    fn what_is_exceeded_ends_the_run_unless_it_is_to_wait() {
        let daily = allowance(Some(Renewal::Daily), true);
        assert_eq!(Exhaustion::new(false).told(Ok(&daily), NOW, 0.5), Next::Over(TOMORROW));
        let mut waiting = Exhaustion::new(true);
        assert_eq!(waiting.told(Ok(&daily), NOW, 0.5), Next::Wait);
        let hours = hours_until(&mut waiting, NOW);
        assert!((14.03..14.06).contains(&hours), "{hours}");
        assert_eq!(waiting.until(Stamp(NOW.0 + DAY)), None);
    }

    #[test]
    fn a_monthly_quota_is_waited_for_until_the_first() {
        let mut waiting = Exhaustion::new(true);
        let monthly = allowance(Some(Renewal::Monthly), true);
        assert_eq!(waiting.told(Ok(&monthly), NOW, 0.0), Next::Wait);
        let hours = hours_until(&mut waiting, NOW);
        assert!((38.0..38.1).contains(&hours), "{hours}");
    }

    #[test]
    fn nobody_waits_past_one_daily_and_one_monthly_reset() {
        let mut waiting = Exhaustion::new(true);
        let unknown = allowance(None, true);
        let mut steps = Vec::new();
        for days in 0..3 {
            steps.push(waiting.told(Ok(&unknown), Stamp(NOW.0 + days * DAY), 0.0));
        }
        assert_eq!(steps, [Next::Wait, Next::Wait, Next::Over(MARCH)]);
        assert_eq!(waiting.until(Stamp(NOW.0 + 40 * DAY)), None);
        waiting.refuted();
        assert_eq!(waiting.told(Ok(&unknown), NOW, 0.0), Next::Wait);
    }

    /// It used to be taken for the month's, and waited for until the first.
    #[test]
    fn a_day_that_is_used_up_twice_over_is_not_the_month() {
        let mut waiting = Exhaustion::new(true);
        assert_eq!(waiting.over(Some(Renewal::Daily), NOW, 0.0), Next::Wait);
        let until = waiting.until(NOW);
        assert_eq!(waiting.over(Some(Renewal::Daily), Stamp(NOW.0 + HOUR), 0.0), Next::Wait);
        assert_eq!(waiting.until(NOW), until, "no news during the wait");
        let next = waiting.over(Some(Renewal::Daily), Stamp(NOW.0 + DAY), 0.0);
        assert_eq!(next, Next::Over(Stamp(TOMORROW.0 + DAY)));
    }

    #[test]
    fn shortly_after_a_reset_nobody_waits_for_the_next_one() {
        let soon = Stamp(TOMORROW.0 + 30_000);
        let mut waiting = Exhaustion::new(true);
        assert_eq!(waiting.over(Some(Renewal::Daily), soon, 0.0), Next::Wait);
        assert_eq!(waiting.until(soon), Some(Stamp(TOMORROW.0 + AFTER_RESET)));
        let over = Exhaustion::new(false).over(Some(Renewal::Daily), soon, 0.0);
        assert_eq!(over, Next::Over(Stamp(TOMORROW.0 + AFTER_RESET)));
    }

    #[test]
    fn an_unclear_429_is_tried_again_a_few_times_and_then_taken_as_quota() {
        let mut exhaustion = Exhaustion::new(false);
        let open = allowance(Some(Renewal::Daily), false);
        let steps: Vec<Next> = (0..4).map(|_| exhaustion.told(Ok(&open), NOW, 0.0)).collect();
        assert_eq!(steps, [Next::Backoff, Next::Backoff, Next::Backoff, Next::Over(TOMORROW)]);
    }

    #[test]
    fn limits_that_cannot_be_asked_just_now_are_no_sign_of_an_appliance() {
        let mut exhaustion = Exhaustion::new(false);
        let down = Fault::Unavailable { retry_after: None, proxied: false };
        let steps: Vec<Next> = (0..4).map(|_| exhaustion.told(Err(&down), NOW, 0.0)).collect();
        assert_eq!(steps, [Next::Backoff, Next::Backoff, Next::Backoff, Next::Over(TOMORROW)]);
    }

    #[test]
    fn a_429_that_survives_a_reset_where_no_limits_can_be_asked_is_a_licence() {
        let mut waiting = Exhaustion::new(true);
        let absent = Fault::NotFound { looks_like_the_api: true };
        assert_eq!(waiting.told(Err(&absent), NOW, 0.0), Next::Wait);
        assert_eq!(waiting.told(Err(&absent), Stamp(NOW.0 + DAY), 0.0), Next::Licence);
        assert_eq!(Exhaustion::new(false).told(Err(&absent), NOW, 0.0), Next::Over(TOMORROW));
    }
}
