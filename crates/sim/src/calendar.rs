//! UTC days, months and clock times as the service writes them.
//!
//! It reads no clock; a moment is seconds since 1970. The calendar is written out because one page is less than
//! another dependency. It is the proleptic Gregorian one without leap seconds.

use std::fmt;

pub(crate) const DAY: u64 = 86_400;

/// A day of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Date {
    pub(crate) month: Month,
    pub(crate) day: u64,
}

/// A month of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Month {
    year: u64,
    month: u64,
}

impl Date {
    /// The day that is so many after 1970-01-01.
    pub(crate) fn of_day(days: u64) -> Date {
        // Years from March on end with the leap day, in eras of 400; 719,468 days before 1970 began such a year 0.
        let days = days + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        Date { month: Month { year, month }, day }
    }

    pub(crate) fn of_moment(unix_seconds: u64) -> Date {
        Date::of_day(unix_seconds / DAY)
    }

    /// Days since 1970-01-01.
    pub(crate) fn days(self) -> u64 {
        let Month { year, month } = self.month;
        let year = year - u64::from(month <= 2);
        let (era, year_of_era) = (year / 400, year % 400);
        let from_march = (month + 9) % 12;
        let of_year = (153 * from_march + 2) / 5 + self.day - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
    }

    /// Reads `YYYY-MM-DD`; a day that no calendar has, or before 1970, is none.
    pub(crate) fn parse(text: &str) -> Option<Date> {
        let (month, day) = text.rsplit_once('-')?;
        let (month, day) = (Month::parse(month)?, digits(day, 2)?);
        (1..=month.n_days()).contains(&day).then_some(Date { month, day })
    }
}

impl Month {
    /// Reads `YYYY-MM`.
    pub(crate) fn parse(text: &str) -> Option<Month> {
        let (year, month) = text.split_once('-')?;
        let (year, month) = (digits(year, 4)?, digits(month, 2)?);
        (year >= 1970 && (1..=12).contains(&month)).then_some(Month { year, month })
    }

    pub(crate) fn next(self) -> Month {
        if self.month == 12 {
            Month { year: self.year + 1, month: 1 }
        } else {
            Month { month: self.month + 1, ..self }
        }
    }

    pub(crate) fn first(self) -> Date {
        Date { month: self, day: 1 }
    }

    /// Its days, since 1970-01-01.
    pub(crate) fn days(self) -> std::ops::Range<u64> {
        self.first().days()..self.next().first().days()
    }

    fn n_days(self) -> u64 {
        let days = self.days();
        days.end - days.start
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:02}", self.month, self.day)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

/// `YYYY-MM-DDThh:mm:ss`, UTC without saying so.
pub(crate) fn timestamp(unix_seconds: u64) -> String {
    format!("{}T{}", Date::of_moment(unix_seconds), clock_time(unix_seconds))
}

/// Reads [`timestamp`]'s form, with or without a `Z` and a fraction of a second, which is passed over.
pub(crate) fn parse_timestamp(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z').unwrap_or(text).split_once('T')?;
    let whole = match time.split_once('.') {
        Some((whole, fraction)) => {
            digits(fraction, fraction.len())?;
            whole
        }
        None => time,
    };
    let mut parts = whole.split(':');
    let mut part = |limit| digits(parts.next()?, 2).filter(|&value| value < limit);
    let (hour, minute, second) = (part(24)?, part(60)?, part(60)?);
    if parts.next().is_some() {
        return None;
    }
    Some(Date::parse(date)?.days() * DAY + hour * 3600 + minute * 60 + second)
}

/// The form of HTTP headers: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn http_date(unix_seconds: u64) -> String {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let date = Date::of_moment(unix_seconds);
    let weekday = WEEKDAYS.iter().cycle().nth(usize_of(unix_seconds / DAY % 7)).unwrap_or(&"");
    let month = MONTHS.get(usize_of(date.month.month - 1)).unwrap_or(&"");
    format!("{weekday}, {:02} {month} {:04} {} GMT", date.day, date.month.year, clock_time(unix_seconds))
}

fn usize_of(small: u64) -> usize {
    usize::try_from(small).expect("a weekday or a month is a small number")
}

fn clock_time(unix_seconds: u64) -> String {
    let of_day = unix_seconds % DAY;
    format!("{:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// Exactly so many digits.
fn digits(text: &str, n: usize) -> Option<u64> {
    let is_number = text.len() == n && n > 0 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_many_years_comes_back() {
        let mut before = Date::of_day(0);
        assert_eq!(before.to_string(), "1970-01-01");
        for day in 1..200_000 {
            let date = Date::of_day(day);
            assert!(date > before && date.days() == day, "{date}");
            assert!(date.day == before.day + 1 || (date.day == 1 && date.month == before.month.next()));
            assert_eq!(Date::parse(&date.to_string()), Some(date));
            before = date;
        }
    }

    #[test]
    fn dates_and_times_are_read_or_refused() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00", 0),
            ("2012-02-29T23:59:59", 1_330_559_999),
            ("2026-01-31T08:15:42Z", 1_769_847_342),
            ("2026-01-31T08:15:42.123456Z", 1_769_847_342),
        ] {
            assert_eq!(parse_timestamp(text), Some(seconds), "{text}");
            assert!(text.starts_with(&timestamp(seconds)));
        }
        for bad in [
            "",
            "2026-01-31",
            "2026-02-29T00:00:00Z",
            "2026-01-31T24:00:00",
            "2026-01-31T08:15",
            "2026-01-31T08:15:42.Z",
            "2026-01-31T08:15:42:00",
            "1969-12-31T00:00:00",
            "26-01-31T00:00:00",
        ] {
            assert_eq!(parse_timestamp(bad), None, "{bad}");
        }
        for bad in ["2026-13", "2026-00", "2026-1", "2026", "", "20260-1"] {
            assert_eq!(Month::parse(bad), None, "{bad}");
        }
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(Month::parse("2024-02").unwrap().n_days(), 29);
        assert_eq!(Month::parse("2025-12").unwrap().next().to_string(), "2026-01");
    }
}
