//! The calendar: which moment it is, everywhere in the pipeline. Rooms take moments as arguments or ask this.

use hashsweep_model::Stamp;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// This moment, by the system's clock.
pub fn now() -> Stamp {
    Clock::System.now()
}

/// Where moments come from.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The system's, which may be set while we run.
    System,
    /// One that shows a moment at an instant and follows tokio's clock from there: a scenario can pass a midnight.
    From(Stamp, Instant),
}

impl Clock {
    /// A clock that shows this moment now and follows tokio's clock.
    pub fn starting_at(moment: Stamp) -> Clock {
        Clock::From(moment, Instant::now())
    }

    /// This moment.
    pub fn now(self) -> Stamp {
        Stamp(self.nanos() / 1_000_000)
    }

    /// Nanoseconds since 1970.
    #[expect(clippy::disallowed_methods, reason = "the named shell: rooms get their moments from here")]
    pub(crate) fn nanos(self) -> i64 {
        let since = match self {
            Clock::System => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            Clock::From(moment, began) => {
                Duration::from_millis(u64::try_from(moment.0).unwrap_or(0)) + began.elapsed()
            }
        };
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    }

    /// The instant at which this clock shows these nanoseconds, unless it is set meanwhile.
    pub(crate) fn instant(self, nanos: i64) -> Instant {
        let (now, ahead) = (Instant::now(), nanos.saturating_sub(self.nanos()));
        match u64::try_from(ahead) {
            Ok(ahead) => now + Duration::from_nanos(ahead),
            Err(_) => now.checked_sub(Duration::from_nanos(ahead.unsigned_abs())).unwrap_or(now),
        }
    }
}
