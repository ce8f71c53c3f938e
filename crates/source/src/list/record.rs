//! One record of a table with quotes (CSV, and its kin with other delimiters), found in the bytes at hand.
//!
//! The same records and cells as the csv crate finds, which judges this in the tests and under the fuzzer: a quote
//! opens a cell only at its start, a doubled one is a quote, `\n`, `\r\n` and `\r` end a record, blank lines are no
//! records. Here the record's own bytes are known too, and nothing is copied that stands there as it is.

use super::cut::{Cells, Cut, Extent};
use memchr::{memchr, memchr3};

/// Line breaks in a row that are kept to be told with the record behind them.
const MAX_BLANK: usize = 64 << 10;

/// The record at the beginning of `bytes`; its cells are pieces of its raw bytes.
pub(super) fn cut(bytes: &[u8], is_at_end: bool, delimiter: u8, cells: &mut Cells) -> Cut {
    cells.clear();
    let before = bytes.iter().take_while(|byte| is_break(**byte)).count();
    let rest = &bytes[before..];
    if rest.is_empty() {
        return match (is_at_end, before) {
            (true, _) => Cut::End,
            (false, ..MAX_BLANK) => Cut::More,
            (false, _) => Cut::Skip(before),
        };
    }
    let mut at = 0;
    let (mut is_open, mut is_quoted) = (false, false);
    loop {
        let cell = if rest.get(at) == Some(&b'"') {
            is_quoted = true;
            quoted(rest, at, is_at_end, delimiter, cells)
        } else {
            plain(rest, at, is_at_end, delimiter, cells)
        };
        let Some(end) = cell else { return Cut::More };
        at = end.at;
        is_open |= end.is_open;
        if rest.get(at) == Some(&delimiter) {
            at += 1;
            continue;
        }
        let terminator = match &rest[at..] {
            [b'\r', b'\n', ..] => 2,
            [b'\r'] if !is_at_end => return Cut::More,
            [b'\r' | b'\n', ..] => 1,
            _ => 0,
        };
        return Cut::Row(Extent { before, raw: at, terminator, is_open, is_quoted });
    }
}

/// Where a cell ends: at a delimiter, a line break or the end of the list.
struct End {
    at: usize,
    is_open: bool,
}

fn plain(rest: &[u8], at: usize, is_at_end: bool, delimiter: u8, cells: &mut Cells) -> Option<End> {
    let end = end_of_plain(rest, at, is_at_end, delimiter)?;
    cells.push_piece(at, end);
    Some(End { at: end, is_open: false })
}

fn quoted(rest: &[u8], at: usize, is_at_end: bool, delimiter: u8, cells: &mut Cells) -> Option<End> {
    let start_of_made = cells.make().len();
    let mut start = at + 1;
    loop {
        let Some(quote) = memchr(b'"', &rest[start..]).map(|n| start + n) else {
            if !is_at_end {
                return None;
            }
            finish(cells, start_of_made, rest, start, rest.len());
            return Some(End { at: rest.len(), is_open: true });
        };
        match rest.get(quote + 1) {
            None if !is_at_end => return None,
            Some(b'"') => {
                cells.make().extend_from_slice(&rest[start..=quote]);
                start = quote + 2;
            }
            Some(&byte) if byte != delimiter && !is_break(byte) => {
                // What follows the closing quote belongs to the cell, quotes and all.
                let end = end_of_plain(rest, quote + 1, is_at_end, delimiter)?;
                cells.make().extend_from_slice(&rest[start..quote]);
                cells.make().extend_from_slice(&rest[quote + 1..end]);
                cells.push_made_since(start_of_made);
                return Some(End { at: end, is_open: false });
            }
            _ => {
                finish(cells, start_of_made, rest, start, quote);
                return Some(End { at: quote + 1, is_open: false });
            }
        }
    }
}

/// A quoted cell without a doubled quote stands in the record as it is.
fn finish(cells: &mut Cells, start_of_made: usize, rest: &[u8], start: usize, end: usize) {
    if cells.make().len() == start_of_made {
        cells.push_piece(start, end);
    } else {
        cells.make().extend_from_slice(&rest[start..end]);
        cells.push_made_since(start_of_made);
    }
}

fn end_of_plain(rest: &[u8], at: usize, is_at_end: bool, delimiter: u8) -> Option<usize> {
    match memchr3(delimiter, b'\n', b'\r', &rest[at..]) {
        Some(n) => Some(at + n),
        None => is_at_end.then_some(rest.len()),
    }
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All records, given the bytes in pieces of this length at least.
    fn records(bytes: &[u8], delimiter: u8, piece: usize) -> Vec<Vec<Vec<u8>>> {
        let mut records = Vec::new();
        let mut cells = Cells::default();
        let (mut at, mut n_there) = (0, 0);
        loop {
            match cut(&bytes[at..n_there], n_there == bytes.len(), delimiter, &mut cells) {
                Cut::Row(extent) => {
                    let raw = &bytes[at + extent.before..at + extent.before + extent.raw];
                    records.push((0..cells.len()).map(|i| cells.get(raw, i).unwrap().to_vec()).collect());
                    at += extent.len();
                }
                Cut::Skip(n) => at += n,
                Cut::More => {
                    assert!(n_there < bytes.len(), "more is asked for at the end");
                    n_there = (n_there + piece).min(bytes.len());
                }
                Cut::End => return records,
            }
        }
    }

    fn by_the_crate(bytes: &[u8], delimiter: u8) -> Vec<Vec<Vec<u8>>> {
        let mut reader = csv::ReaderBuilder::new();
        reader.has_headers(false).flexible(true).delimiter(delimiter);
        reader
            .from_reader(bytes)
            .into_byte_records()
            .map(|record| record.unwrap().iter().map(<[u8]>::to_vec).collect())
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn the_csv_crate_finds_the_same_records(
            bytes in "[a\", ;\r\n]{0,40}",
            delimiter in prop::sample::select(&b",; a"[..]),
            piece in 1usize..9,
        ) {
            let bytes = bytes.as_bytes();
            prop_assert_eq!(records(bytes, delimiter, piece), by_the_crate(bytes, delimiter));
        }
    }
}
