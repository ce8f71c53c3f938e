//! How sizes, times, rates and the like are typed.

use std::num::NonZeroU64;
use std::time::Duration;

/// `5%`, or `5`.
pub(super) fn percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse().ok();
    number
        .filter(|percent| (1..=100).contains(percent))
        .ok_or_else(|| "write a share from 1% to 100%".to_owned())
}

/// `;`, `tab`.
pub(super) fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        b"\"" | b"\n" | b"\r" => Err("a quote or a line break divides no cells".to_owned()),
        [byte] if byte.is_ascii() => Ok(*byte),
        _ => Err(format!("'{text}' is not one ASCII character (or tab)")),
    }
}

/// `10M`, `10MB`, `4096`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        other => return Err(format!("'{other}' is no unit of size (known: k, M, G, T, kB, MB, GB, TB)")),
    };
    let n: u64 = digits.parse().map_err(|_| format!("'{text}' is no size (write 4096, 10M, 2GB)"))?;
    n.checked_mul(unit).ok_or_else(|| format!("'{text}' is too large"))
}

/// `200MB/s`.
pub(super) fn read_rate(text: &str) -> Result<NonZeroU64, String> {
    let no_rate = || format!("'{text}' is no rate (write 200MB/s)");
    NonZeroU64::new(size(text.strip_suffix("/s").ok_or_else(no_rate)?)?).ok_or_else(no_rate)
}

/// `60s`, `10m`, `7d`, `1h 30m`.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let no_time = || format!("'{text}' is no time (write 60s, 10m, 24h, 7d)");
    let span: jiff::Span = text.parse().map_err(|_| no_time())?;
    let length = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| no_time())?;
    Duration::try_from(length).ok().filter(|t| !t.is_zero()).ok_or_else(no_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_read() {
        assert_eq!((delimiter(";"), delimiter("tab"), delimiter("\t")), (Ok(b';'), Ok(b'\t'), Ok(b'\t')));
        assert!(delimiter("").is_err() && delimiter("\"").is_err() && delimiter("::").is_err());
        assert_eq!(size("10M"), Ok(10 << 20));
        assert_eq!(size("2GB"), Ok(2_000_000_000));
        assert_eq!(size("4096"), Ok(4096));
        assert!(size("10X").is_err() && size("M").is_err() && size("99999999T").is_err());
        assert_eq!(read_rate("200MB/s").map(NonZeroU64::get), Ok(200_000_000));
        assert!(read_rate("200MB").is_err() && read_rate("0/s").is_err() && read_rate("x/s").is_err());
        assert_eq!(time("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(time("7d"), Ok(Duration::from_secs(7 * 86400)));
        assert!(time("soon").is_err() && time("0s").is_err() && time("-1s").is_err());
    }
}
