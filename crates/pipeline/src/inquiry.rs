//! Whether the account's limits are known, when they are asked for the run's sake, and how long everybody waits for
//! them. Pure; moments are arguments. What they mean for a 429 is `exhaustion`'s.

use std::time::Duration;
use tokio::time::Instant;

/// How long everybody waits for the limits once the service has proved itself. They take two or three round trips,
/// and without them the requests of that time would run into a limit that is near, all or nothing each. A service
/// that hesitates longer is asked beside the lookups.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known of the limits.
#[derive(Clone, Debug)]
pub(crate) struct Inquiry {
    /// To leave something of the limits one must know them before anything is sent, and to the end.
    leaves_some: bool,
    is_answered: bool,
    asked_at: Option<Instant>,
    /// Whether they are asked although the service has not proved itself: a wait for quota is over.
    is_to_look: bool,
    /// Whether everybody waited for quota when last looked at.
    waits_for_quota: bool,
}

impl Inquiry {
    pub(crate) fn new(leaves_some: bool) -> Inquiry {
        Inquiry { leaves_some, is_answered: false, asked_at: None, is_to_look: false, waits_for_quota: false }
    }

    /// When a wait for quota is over the limits are asked anew, before anything is sent: the service's own count of
    /// the new window tells more than our guess at what it made of the old one's last minutes.
    pub(crate) fn look_after_a_wait(&mut self, waits_for_quota: bool) {
        if self.waits_for_quota && !waits_for_quota {
            self.is_answered = false;
            self.asked_at = None;
            self.is_to_look = true;
        }
        self.waits_for_quota = waits_for_quota;
    }

    /// Whether to ask for the run's sake: when the service has proved itself, and before anything else when
    /// something is to be left.
    pub(crate) fn is_due(&self, is_proven: bool) -> bool {
        !self.is_answered && (is_proven || self.leaves_some || self.is_to_look)
    }

    /// They are being asked.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.asked_at.get_or_insert(now);
    }

    /// The service has said what it says of them, or `false` if it is to be asked again.
    pub(crate) fn end(&mut self, is_answered: bool) {
        self.is_answered = is_answered;
        self.is_to_look = false;
    }

    /// Whether nothing leaves before they are known: to leave something of them one must know them, and to spend the
    /// last of them too.
    pub(crate) fn holds_back(&self, now: Instant) -> bool {
        !self.is_answered && (self.leaves_some || self.patience_ends(now).is_some())
    }

    /// When nobody waits for the answer any longer, while that lies ahead.
    pub(crate) fn patience_ends(&self, now: Instant) -> Option<Instant> {
        self.asked_at.map(|asked| asked + PATIENCE).filter(|ends| !self.is_answered && now < *ends)
    }
}
