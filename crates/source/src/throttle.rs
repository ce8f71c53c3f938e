//! A ceiling on what is read a second, shared by all reading threads.
//!
//! The bytes are booked after they were read and the thread waits then, so that a reading is late by its own cost
//! and never by another's. The rules know no clock; [`Throttle::pass`] is the shell around them.

use std::num::NonZeroU64;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// What may be caught up on after a pause, so that a walk over small files is not slowed by its own hiccups.
const SLACK: Duration = Duration::from_millis(100);

/// How long a thread sleeps before it looks whether the run was stopped.
const NAP: Duration = Duration::from_millis(50);

pub(crate) struct Throttle {
    books: Mutex<Books>,
    began: Instant,
}

/// Times count from the beginning of the walk.
struct Books {
    per_second: NonZeroU64,
    /// When everything that was read so far would have been read at the permitted rate.
    paid_until: Duration,
}

impl Books {
    /// Books `n_bytes` read by `now`; returns when the reader may go on.
    fn book(&mut self, now: Duration, n_bytes: u64) -> Duration {
        let nanos = u128::from(n_bytes) * 1_000_000_000 / u128::from(self.per_second.get());
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.paid_until = self.paid_until.max(now.saturating_sub(SLACK)).saturating_add(cost);
        self.paid_until
    }
}

impl Throttle {
    /// At most so many bytes a second, from now on.
    #[expect(clippy::disallowed_methods, reason = "a named shell: the rate is one of real time")]
    pub(crate) fn new(per_second: NonZeroU64) -> Throttle {
        Throttle {
            books: Mutex::new(Books { per_second, paid_until: Duration::ZERO }),
            began: Instant::now(),
        }
    }

    /// Waits until `n_bytes`, which were just read, are within the rate, or until it is over.
    #[expect(
        clippy::disallowed_methods,
        reason = "reading threads have nothing else to do; no request waits here"
    )]
    pub(crate) fn pass(&self, n_bytes: u64, is_over: impl Fn() -> bool) {
        let until = self.books.lock().expect("no panic while it is held").book(self.began.elapsed(), n_bytes);
        loop {
            let left = until.saturating_sub(self.began.elapsed());
            if left.is_zero() || is_over() {
                return;
            }
            thread::sleep(left.min(NAP));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn books(per_second: u64) -> Books {
        Books { per_second: NonZeroU64::new(per_second).unwrap(), paid_until: Duration::ZERO }
    }

    #[test]
    fn no_second_sees_more_than_the_rate_and_the_slack() {
        let mut books = books(10_000_000);
        let mut now = Duration::ZERO;
        for _ in 0..1000 {
            now = now.max(books.book(now, 100_000));
        }
        assert_eq!(now, Duration::from_secs(10));
    }

    #[test]
    fn a_pause_is_caught_up_on_for_a_tenth_of_a_second_and_no_longer() {
        let mut books = books(1000);
        assert_eq!(books.book(Duration::from_secs(60), 100), Duration::from_secs(60));
        assert_eq!(books.book(Duration::from_secs(60), 500), Duration::from_millis(60_500));
    }

    #[test]
    fn a_wait_ends_when_the_run_is_stopped() {
        Throttle::new(NonZeroU64::MIN).pass(u64::MAX, || true);
    }
}
