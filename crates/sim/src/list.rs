//! The fixture list as text: one file a line, read strictly.
//!
//! It does not know what a list is for, only when a line of it makes sense. A list is written by hand or by a
//! script, so the reader says which line it cannot use and why instead of guessing.

use crate::{
    digest::{Digest, Kind},
    verdicts::{Sample, Standing},
};
use std::{error, fmt};

const HEADER: [&str; 11] = [
    "md5",
    "sha1",
    "sha256",
    "status",
    "threat_name",
    "threat_level",
    "trust_factor",
    "scanner_match",
    "scanner_count",
    "first_seen",
    "last_seen",
];

/// Why a fixture list cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictListError {
    line: usize,
    reason: String,
}

/// One usable line.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) number: usize,
    pub(crate) digests: [Digest; 3],
    /// `None` for UNKNOWN.
    pub(crate) sample: Option<Sample>,
}

/// Blank lines are passed over, so that a list may end in one.
pub(crate) fn parse(text: &str) -> Result<Vec<Line>, VerdictListError> {
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    let header = lines.next().map_or("", |(_, line)| line);
    if !header.split(',').eq(HEADER) {
        return Err(VerdictListError::new(1, format!("the header is not {}", HEADER.join(","))));
    }
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| read(number, line).map_err(|reason| VerdictListError { line: number, reason }))
        .collect()
}

fn read(number: usize, line: &str) -> Result<Line, String> {
    let cells: Vec<&str> = line.split(',').map(str::trim).collect();
    let [md5, sha1, sha256, status, facts @ ..] = cells.as_slice() else {
        return Err(format!("{} columns instead of {}", cells.len(), HEADER.len()));
    };
    let Ok(facts) = <[&str; 7]>::try_from(facts) else {
        return Err(format!("{} columns instead of {}", cells.len(), HEADER.len()));
    };
    let digest = |kind: Kind, text: &str| {
        Digest::parse(kind, text).ok_or_else(|| format!("bad {}: {text}", kind.name()))
    };
    let digests = [digest(Kind::Md5, md5)?, digest(Kind::Sha1, sha1)?, digest(Kind::Sha256, sha256)?];
    let sample = if *status == "UNKNOWN" {
        if facts.iter().any(|fact| !fact.is_empty()) {
            return Err("an UNKNOWN file has nothing but its digests".to_owned());
        }
        None
    } else {
        Some(sample(digests, status, facts)?)
    };
    Ok(Line { number, digests, sample })
}

fn sample(digests: [Digest; 3], status: &str, facts: [&str; 7]) -> Result<Sample, String> {
    let [threat_name, threat_level, trust_factor, scanner_match, scanner_count, first_seen, last_seen] =
        facts;
    let standing = match (status, threat_name) {
        ("KNOWN", "") => Standing::Known,
        ("KNOWN", _) => return Err("a KNOWN file has no threat_name".to_owned()),
        ("SUSPICIOUS" | "MALICIOUS", "") => return Err(format!("a {status} file needs a threat_name")),
        ("SUSPICIOUS", name) => Standing::Suspicious { threat_name: name.to_owned() },
        ("MALICIOUS", name) => Standing::Malicious { threat_name: name.to_owned() },
        _ => return Err(format!("bad status: {status}")),
    };
    let up_to = |most: u8, column: &str, text: &str| match text.parse::<u8>() {
        Ok(value) if value <= most => Ok(value),
        _ => Err(format!("bad {column}, a number from 0 to {most} is wanted: {text}")),
    };
    let scanner_count = up_to(u8::MAX, "scanner_count", scanner_count)?;
    let seen = |column: &str, text: &str| {
        if is_timestamp(text) { Ok(text.to_owned()) } else { Err(format!("bad {column}: {text}")) }
    };
    Ok(Sample {
        digests,
        standing,
        threat_level: up_to(5, "threat_level", threat_level)?,
        trust_factor: up_to(5, "trust_factor", trust_factor)?,
        scanner_match: up_to(scanner_count, "scanner_match", scanner_match)?,
        scanner_count,
        first_seen: seen("first_seen", first_seen)?,
        last_seen: seen("last_seen", last_seen)?,
    })
}

/// The service's `YYYY-MM-DDThh:mm:ss`, by shape alone.
fn is_timestamp(text: &str) -> bool {
    let shape = b"0000-00-00T00:00:00";
    text.len() == shape.len()
        && text.bytes().zip(shape).all(|(found, &wanted)| match wanted {
            b'0' => found.is_ascii_digit(),
            mark => found == mark,
        })
}

impl VerdictListError {
    pub(crate) fn new(line: usize, reason: String) -> VerdictListError {
        VerdictListError { line, reason }
    }

    /// Counted from 1, the header included.
    pub fn line(&self) -> usize {
        self.line
    }
}

impl fmt::Display for VerdictListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "read line {} of the verdict list: {}", self.line, self.reason)
    }
}

impl error::Error for VerdictListError {}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5: &str = "00000000000000000000000000000001";
    const SHA1: &str = "0000000000000000000000000000000000000001";
    const SHA256: &str = "0000000000000000000000000000000000000000000000000000000000000001";

    /// Each case is what follows the digests; `Ok` when the line can be used, else a part of the reason.
    #[test]
    fn each_line_is_used_or_refused_with_a_reason() {
        let check = |rest: &str, expected: Result<(), &str>| {
            let text = format!("{}\n\n{MD5},{SHA1},{SHA256},{rest}\n", HEADER.join(","));
            match (parse(&text), expected) {
                (Ok(lines), Ok(())) => assert_eq!(lines.len(), 1),
                (Err(error), Err(part)) => {
                    assert_eq!(error.line(), 3);
                    assert!(error.to_string().contains(part), "{rest}: {error}");
                }
                (found, _) => panic!("{rest}: {found:?}"),
            }
        };
        let dates = "2020-01-02T03:04:05,2021-01-02T03:04:05";
        check("UNKNOWN,,,,,,,", Ok(()));
        check(&format!("KNOWN,,0,1,0,40,{dates}"), Ok(()));
        check(&format!("SUSPICIOUS,Win32.PUA.Placebo,1,5,2,40,{dates}"), Ok(()));
        check(&format!("MALICIOUS,Win32.Trojan.Simulated,5,5,40,40,{dates}"), Ok(()));
        check("UNKNOWN,,,,,,", Err("10 columns instead of 11"));
        check("UNKNOWN,,,,,,,,", Err("12 columns instead of 11"));
        check("UNKNOWN,,0,,,,,", Err("nothing but its digests"));
        check(&format!("GOODWARE,,0,1,0,40,{dates}"), Err("bad status"));
        check(&format!("KNOWN,Name,0,1,0,40,{dates}"), Err("no threat_name"));
        check(&format!("MALICIOUS,,5,5,40,40,{dates}"), Err("needs a threat_name"));
        check(&format!("KNOWN,,6,1,0,40,{dates}"), Err("bad threat_level"));
        check(&format!("KNOWN,,0,x,0,40,{dates}"), Err("bad trust_factor"));
        check(&format!("KNOWN,,0,1,41,40,{dates}"), Err("bad scanner_match, a number from 0 to 40"));
        check(&format!("KNOWN,,0,1,0,256,{dates}"), Err("bad scanner_count"));
        check("KNOWN,,0,1,0,40,2020-01-02,2021-01-02T03:04:05", Err("bad first_seen"));
        check("KNOWN,,0,1,0,40,2020-01-02T03:04:05,2021-01-02 03:04:05", Err("bad last_seen"));
    }

    #[test]
    fn bad_digests_and_headers_are_named() {
        let error = parse(&format!("{}\n{MD5},{MD5},{SHA256},UNKNOWN,,,,,,,", HEADER.join(","))).unwrap_err();
        assert_eq!((error.line(), error.to_string().contains("bad sha1")), (2, true));
        for header in ["", "md5,sha1", "sha1,md5,sha256"] {
            assert_eq!(parse(header).unwrap_err().line(), 1);
        }
    }
}
