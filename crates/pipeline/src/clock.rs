//! The one place in the pipeline that reads the calendar; everything else takes moments as arguments.

use hashsweep_model::Stamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// This moment.
#[expect(clippy::disallowed_methods, reason = "the named shell: rooms get their moments from here")]
pub fn now() -> Stamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Stamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
