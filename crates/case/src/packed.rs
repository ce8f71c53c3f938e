//! Answers one behind the other in a few dozen bytes each, for when millions are in memory.

use crate::CaseError;
use crate::codes::digest;
use crate::results::parse_verdict;
use hashsweep_model::{Answer, Digests, Settled, Stamp};

/// Answers as they were read from the case, each known by where it begins.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    bytes: Vec<u8>,
}

/// The columns that an answer is packed from, in the order in which they are packed.
pub(crate) const COLUMNS: &str =
    "digest, verdict, source, answered_at, trust_factor, threat_level, scanner_match,
    scanner_count, reason, threat_name, first_seen, last_seen";

/// The last of the columns that hold numbers, and of all.
const NUMBERS: std::ops::Range<usize> = 3..8;
const TEXTS: std::ops::Range<usize> = 8..12;

impl Packed {
    /// Adds the answer in the [`COLUMNS`] from `first` on, and says where it begins.
    pub(crate) fn push(&mut self, row: &rusqlite::Row<'_>, first: usize) -> Result<u64, CaseError> {
        let damaged = |error: rusqlite::types::FromSqlError| CaseError::Damaged(error.to_string());
        let at = self.bytes.len() as u64;
        let asked = row.get_ref(first)?.as_blob().map_err(damaged)?;
        self.put(Some(asked));
        for word in [first + 1, first + 2] {
            self.put(Some(row.get_ref(word)?.as_bytes().map_err(damaged)?));
        }
        for number in NUMBERS {
            match row.get::<_, Option<i64>>(first + number)? {
                None => self.bytes.push(0),
                Some(number) => {
                    self.bytes.push(1);
                    self.bytes.extend_from_slice(&number.to_le_bytes());
                }
            }
        }
        for text in TEXTS {
            let text = row.get_ref(first + text)?.as_str_or_null().map_err(damaged)?;
            self.put(text.map(str::as_bytes));
        }
        Ok(at)
    }

    /// A length of one byte, or of five for what is long; 255 is nothing.
    fn put(&mut self, bytes: Option<&[u8]>) {
        match bytes.map(|bytes| (bytes, bytes.len())) {
            None => self.bytes.push(u8::MAX),
            Some((bytes, n @ 0..254)) => {
                self.bytes.push(u8::try_from(n).expect("it is below 254"));
                self.bytes.extend_from_slice(bytes);
            }
            Some((bytes, n)) => {
                self.bytes.push(254);
                let n = u32::try_from(n).expect("SQLite's texts are below 2 GiB");
                self.bytes.extend_from_slice(&n.to_le_bytes());
                self.bytes.extend_from_slice(bytes);
            }
        }
    }

    /// Bytes of all of them.
    pub(crate) fn n_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The answer that begins there.
    pub(crate) fn get(&self, at: u64) -> Result<Settled, CaseError> {
        let mut rest = &self.bytes[usize::try_from(at).expect("it is in memory")..];
        let asked = digest(take(&mut rest).unwrap_or_default())?;
        let verdict = parse_verdict(&text(&mut rest).unwrap_or_default())?;
        let source = text(&mut rest).unwrap_or_default().parse();
        let source = source.map_err(|_| CaseError::Damaged("an answer from nowhere".to_owned()))?;
        let [answered_at, trust_factor, threat_level, scanner_match, scanner_count] =
            std::array::from_fn(|_| number(&mut rest));
        let [reason, threat_name, first_seen, last_seen] = std::array::from_fn(|_| text(&mut rest));
        let answered_at =
            answered_at.ok_or_else(|| CaseError::Damaged("an answer without a moment".to_owned()))?;
        Ok(Settled {
            answer: Answer {
                digest: asked,
                verdict,
                reason,
                threat_name,
                threat_level,
                trust_factor,
                scanner_match,
                scanner_count,
                first_seen,
                last_seen,
                sample: Digests::default(),
            },
            answered_at: Stamp(answered_at),
            source,
        })
    }
}

fn split<'a>(rest: &mut &'a [u8], n: usize) -> &'a [u8] {
    let (taken, behind) = rest.split_at(n);
    *rest = behind;
    taken
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    match split(rest, 1)[0] {
        u8::MAX => None,
        254 => {
            let n = u32::from_le_bytes(split(rest, 4).try_into().expect("four bytes"));
            Some(split(rest, n as usize))
        }
        n => Some(split(rest, usize::from(n))),
    }
}

fn text(rest: &mut &[u8]) -> Option<String> {
    take(rest).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

fn number(rest: &mut &[u8]) -> Option<i64> {
    match split(rest, 1)[0] {
        0 => None,
        _ => Some(i64::from_le_bytes(split(rest, 8).try_into().expect("eight bytes"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::{Connection, params};

    #[test]
    fn what_is_packed_comes_out_again() {
        let connection = Connection::open_in_memory().unwrap();
        let mut packed = Packed::default();
        let mut at = Vec::new();
        for length in [0, 1, 253, 254, 255, 70_000] {
            let (threat, reason) = ("x".repeat(length), (length > 0).then_some("reported"));
            let sql = "SELECT 7, ?1, 'malicious', 'service', 5, NULL, -3, 0, ?2, ?3, ?4, NULL, ''";
            let answer = params![[9_u8; 20], i64::MAX, reason, threat];
            at.push(connection.query_row(sql, answer, |row| Ok(packed.push(row, 1).unwrap())).unwrap());
        }
        for (at, length) in at.into_iter().zip([0, 1, 253, 254, 255, 70_000]) {
            let Settled { answer, answered_at, source } = packed.get(at).unwrap();
            assert_eq!((answer.digest.as_bytes(), answered_at), (&[9; 20][..], Stamp(5)));
            assert_eq!((source.name(), answer.verdict.name()), ("service", "malicious"));
            let numbers =
                [answer.trust_factor, answer.threat_level, answer.scanner_match, answer.scanner_count];
            assert_eq!(numbers, [None, Some(-3), Some(0), Some(i64::MAX)]);
            assert_eq!(answer.threat_name, Some("x".repeat(length)));
            assert_eq!(answer.reason.as_deref(), (length > 0).then_some("reported"));
            assert_eq!((answer.first_seen, answer.last_seen.as_deref()), (None, Some("")));
        }
    }
}
