//! How much the service is given at once: requests side by side, and hashes in each. Pure; moments are arguments.
//!
//! Both shrink by half when the service chokes and grow back while it answers: additive increase, multiplicative
//! decrease, as congestion control does it.

use std::time::Duration;
use tokio::time::Instant;

/// Several requests that were on their way together choke together; that is one sign, not many.
const ONE_SIGN: Duration = Duration::from_secs(1);

/// Failures of the "too much" kind without an answer between them, from which on batches shrink. One may be chance
/// (issue: a short delay first, smaller batches on repeats).
const REPEATS: u32 = 2;

/// Answers to shrunken batches before the next size up is tried. Guess, unmeasured.
const GROWS_AFTER: u32 = 20;

/// Batches shrink to this part of their full size and no further: 100, 50, 25.
const SMALLEST: usize = 4;

/// What the service is given at once.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    concurrency: usize,
    /// Requests that may travel now, between 1 and `concurrency`.
    allowed: f64,
    cut_at: Option<Instant>,
    full: usize,
    size: usize,
    /// Of the "too much" kind, since the last answer.
    choked: u32,
    /// Since the last change of size.
    answered: u32,
}

impl Load {
    /// Everything that the settings allow.
    #[expect(clippy::cast_precision_loss, reason = "a number of connections")]
    pub(crate) fn new(concurrency: usize, batch_size: usize) -> Load {
        let concurrency = concurrency.max(1);
        let allowed = concurrency as f64;
        Load {
            concurrency,
            allowed,
            cut_at: None,
            full: batch_size,
            size: batch_size,
            choked: 0,
            answered: 0,
        }
    }

    /// Requests that may travel side by side.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 1, at most usize")]
    pub(crate) fn concurrency(&self) -> usize {
        self.allowed as usize
    }

    /// Hashes that a batch may hold.
    pub(crate) fn batch_size(&self) -> usize {
        self.size
    }

    /// What batches shrink to and no further.
    pub(crate) fn smallest(&self) -> usize {
        self.full.div_ceil(SMALLEST)
    }

    /// The service has answered: one more request for each round of them.
    #[expect(clippy::cast_precision_loss, reason = "a number of connections")]
    pub(crate) fn answered(&mut self) {
        self.allowed = (self.allowed + 1.0 / self.allowed).min(self.concurrency as f64);
        self.choked = 0;
        if self.size < self.full {
            self.answered += 1;
            if self.answered == GROWS_AFTER {
                self.size = (self.size * 2).min(self.full);
                self.answered = 0;
            }
        }
    }

    /// The service asks for less, or shows that it is too much: half as many requests side by side. Returns whether
    /// this is a new sign.
    pub(crate) fn ease(&mut self, now: Instant) -> bool {
        let is_new = self.cut_at.is_none_or(|at| now.duration_since(at) >= ONE_SIGN);
        if is_new {
            self.allowed = (self.allowed / 2.0).max(1.0);
            self.cut_at = Some(now);
        }
        is_new
    }

    /// The service choked on a request (503, a timeout). On repeats batches are halved; what chokes together is no
    /// repeat, for a short delay may be all that the service needs.
    pub(crate) fn choke(&mut self, now: Instant) {
        if !self.ease(now) {
            return;
        }
        self.choked += 1;
        if self.choked == REPEATS {
            self.size = (self.size / 2).max(self.smallest());
            self.choked = 0;
            self.answered = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn batches_shrink_on_repeats_to_a_quarter_and_grow_back() {
        let mut load = Load::new(8, 100);
        let mut now = Instant::now();
        let mut sizes = Vec::new();
        for _ in 0..6 {
            now += ONE_SIGN;
            load.choke(now);
            sizes.push(load.batch_size());
        }
        assert_eq!(sizes, [100, 50, 50, 25, 25, 25]);
        for _ in 0..2 * GROWS_AFTER {
            load.answered();
        }
        assert_eq!(load.batch_size(), 100);
    }

    #[tokio::test]
    async fn an_answer_between_two_failures_makes_them_chance() {
        let mut load = Load::new(8, 100);
        let mut now = Instant::now();
        for _ in 0..10 {
            now += ONE_SIGN;
            load.choke(now);
            load.answered();
        }
        assert_eq!(load.batch_size(), 100);
    }

    #[tokio::test]
    async fn many_failures_at_one_time_are_one_sign() {
        let mut load = Load::new(16, 100);
        let now = Instant::now();
        for _ in 0..16 {
            load.choke(now);
        }
        assert_eq!((load.concurrency(), load.batch_size()), (8, 100));
        load.ease(now + ONE_SIGN);
        assert_eq!(load.concurrency(), 4);
        for _ in 0..3 {
            load.ease(now + Duration::from_secs(60));
        }
        assert_eq!(load.concurrency(), 2);
    }

    #[tokio::test]
    async fn concurrency_grows_by_one_a_round_up_to_what_is_set() {
        let mut load = Load::new(8, 100);
        load.ease(Instant::now());
        for _ in 0..5 {
            load.answered();
        }
        assert_eq!(load.concurrency(), 5);
        for _ in 0..200 {
            load.answered();
        }
        assert_eq!(load.concurrency(), 8);
    }
}
