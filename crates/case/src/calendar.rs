//! The windows of a quota: days and months begin at 00:00 UTC (vendor, "Limits and quotas").

use hashsweep_model::Stamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use std::ops::Range;

/// Milliseconds of a day; UTC as computers count it has no other.
const DAY: i64 = 86_400_000;

/// The day that holds this moment.
pub fn day_of(moment: Stamp) -> Range<Stamp> {
    let day = day_number(moment);
    first_moment(day)..first_moment(day + 1)
}

/// The month that holds this moment.
pub fn month_of(moment: Stamp) -> Range<Stamp> {
    let first = date(moment).first_of_month();
    // The calendar ends in the year 9999, and so does its last month.
    let next = first.checked_add(1.month()).unwrap_or(Date::MAX);
    let begins = |date: Date| {
        date.to_zoned(TimeZone::UTC)
            .map_or(Stamp(i64::MAX), |zoned| Stamp(zoned.timestamp().as_millisecond()))
    };
    begins(first)..begins(next)
}

/// Days since 1970-01-01.
pub(crate) fn day_number(moment: Stamp) -> i64 {
    moment.0.div_euclid(DAY)
}

/// Its first moment.
pub(crate) fn first_moment(day: i64) -> Stamp {
    Stamp(day.saturating_mul(DAY))
}

/// The day of UTC, as people write it.
pub(crate) fn date(moment: Stamp) -> Date {
    Timestamp::from_millisecond(moment.0).unwrap_or_default().to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Stamp {
        Stamp(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn windows_begin_at_midnight_utc() {
        let moment = at("2028-02-29T23:59:59.999Z");
        assert_eq!(day_of(moment), at("2028-02-29T00:00:00Z")..at("2028-03-01T00:00:00Z"));
        assert_eq!(month_of(moment), at("2028-02-01T00:00:00Z")..at("2028-03-01T00:00:00Z"));
        assert_eq!(month_of(at("2026-12-31T00:00:00Z")).end, at("2027-01-01T00:00:00Z"));
        assert_eq!(day_of(at("2028-03-01T00:00:00Z")).start, day_of(moment).end);
    }
}
