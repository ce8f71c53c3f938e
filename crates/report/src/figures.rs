//! Figures as people read them: thousands set apart, three digits that matter, the unit that fits.
//!
//! It knows numbers and durations; what they count is the caller's business.

use std::time::Duration;

/// `1,234,567`
pub fn thousands(n: u64) -> String {
    group(&n.to_string())
}

/// `4.2 GB`: decimal units, as disks are sold and links are rated.
pub fn bytes(n: u64) -> String {
    scaled(real(n))
}

/// `1.35 GB/s`, or nothing when no time passed.
pub(crate) fn bytes_rate(n: u64, time: Duration) -> Option<String> {
    rate(n, time).map(|rate| format!("{}/s", scaled(rate)))
}

/// `5,400` a second, or nothing when no time passed.
pub(crate) fn per_second(n: u64, time: Duration) -> Option<String> {
    rate(n, time).map(three_digits)
}

/// Things a second; `None` when no time passed.
pub(crate) fn rate(n: u64, time: Duration) -> Option<f64> {
    (!time.is_zero()).then(|| real(n) / time.as_secs_f64())
}

/// `12 ms`, `3.1 s`, `5 min 12 s`, `2 h 05 min`
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", three_digits(time.as_secs_f64() * 1e3)),
        1..60 => format!("{} s", three_digits(time.as_secs_f64())),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", thousands(seconds / 3600), seconds / 60 % 60),
    }
}

/// `4.2 GB` of a number that need not be whole.
pub(crate) fn scaled(n: f64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    // Rounded first, so that 999,999 is 1 MB and not 1,000 kB.
    let mut n = round(n);
    let mut unit = 0;
    while n >= 1000.0 && unit + 1 < UNITS.len() {
        n = round(n / 1000.0);
        unit += 1;
    }
    format!("{} {}", three_digits(n), UNITS[unit])
}

/// Three significant digits, trailing zeros after the point dropped.
fn three_digits(n: f64) -> String {
    let n = round(n);
    let n_decimals = match n {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    let text = format!("{n:.n_decimals$}");
    match text.split_once('.') {
        Some((whole, decimals)) => {
            let decimals = decimals.trim_end_matches('0');
            format!("{}{}{decimals}", group(whole), if decimals.is_empty() { "" } else { "." })
        }
        None => group(&text),
    }
}

/// To three significant digits. The decimal text does it without the errors of dividing by powers of ten.
fn round(n: f64) -> f64 {
    format!("{n:.2e}").parse().expect("a number that was just written reads back")
}

fn group(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "three digits of it are shown")]
fn real(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_like_this() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(999_999), "1 MB");
        assert_eq!(bytes(4_200_000_000), "4.2 GB");
        assert_eq!(bytes(u64::MAX), "18.4 EB");
        assert_eq!(bytes_rate(4_185_000_000, Duration::from_millis(3100)).unwrap(), "1.35 GB/s");
        assert_eq!(bytes_rate(1, Duration::ZERO), None);
        assert_eq!(per_second(16_740, Duration::from_millis(3100)).unwrap(), "5,400");
        assert_eq!(per_second(1, Duration::from_secs(8)).unwrap(), "0.125");
        assert_eq!(per_second(0, Duration::from_secs(8)).unwrap(), "0");
        assert_eq!(duration(Duration::ZERO), "0 ms");
        assert_eq!(duration(Duration::from_micros(12_345)), "12.3 ms");
        assert_eq!(duration(Duration::from_millis(3100)), "3.1 s");
        assert_eq!(duration(Duration::from_secs(312)), "5 min 12 s");
        assert_eq!(duration(Duration::from_secs(7503)), "2 h 05 min");
    }
}
