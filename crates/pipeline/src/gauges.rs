//! Figures that a progress display reads while the rooms work. Nothing is decided from them.

use hashsweep_model::{Stamp, Verdict};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// What submit waits for, when it waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Waiting {
    /// For nothing but answers.
    #[default]
    ForAnswers,
    /// For digests: the queue is empty and the intake still open.
    ForDigests,
    /// For another process, which has claimed all that is left or takes the rows in.
    ForAnother,
    /// For its next slot under the rate.
    ForPace,
    /// For the service to recover.
    ForBackoff {
        /// When it is asked again.
        until: Stamp,
    },
    /// For the quota to begin anew.
    ForQuota {
        /// When it is asked again.
        until: Stamp,
    },
}

/// All figures of one run.
#[derive(Debug, Default)]
pub struct Gauges {
    /// The intake's own.
    pub source: hashsweep_source::Gauges,
    /// Files whose content changed while nothing about them told so.
    pub contradictions: AtomicU64,
    /// Digests waiting to be asked.
    pub queued: AtomicU64,
    /// Digests answered by the service.
    pub answered: AtomicU64,
    /// Digests that ended without an answer.
    pub failed: AtomicU64,
    /// Requests that have left.
    pub requests: AtomicU64,
    /// Requests on their way.
    pub in_flight: AtomicUsize,
    /// Digests answered, by verdict, in the order of `Verdict`.
    verdicts: [AtomicU64; 4],
    /// Digests answered with `malicious` or `suspicious` whose answers are in the case: whoever reads it finds them.
    pub found: AtomicU64,
    /// Whether more digests may still come.
    pub intake_finished: std::sync::atomic::AtomicBool,
    waiting: Mutex<Waiting>,
}

impl Gauges {
    /// Digests answered with this verdict.
    pub fn verdicts(&self, verdict: Verdict) -> u64 {
        self.verdicts[verdict as usize].load(Relaxed)
    }

    /// What submit waits for.
    pub fn waiting(&self) -> Waiting {
        *self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn count_verdict(&self, verdict: Verdict) {
        self.answered.fetch_add(1, Relaxed);
        self.verdicts[verdict as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn wait_for(&self, what: Waiting) {
        *self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = what;
    }
}
