//! What the user's own list looks like, and how our columns find room beside its own.
//!
//! Its bytes are never changed. This module only reads them: how many cells a record has, whether it ends inside an
//! open quote, and which names are taken. It does not know where the list was read from.

use crate::columns::JUDGED;
use std::collections::HashSet;

/// Put before a name of ours that the input already uses, until it is free.
const PREFIX: &str = "hashsweep_";

/// What an enriched list begins with.
#[derive(Clone, Copy, Debug)]
pub enum ListHeader<'a> {
    /// A list that is no table: its rows' cells are written as a CSV with these columns.
    Cells {
        /// Their names.
        names: &'a [Vec<u8>],
    },
    /// A table.
    Columns {
        /// The header's bytes without its line end.
        raw: &'a [u8],
        /// The names in it, unquoted.
        names: &'a [Vec<u8>],
        /// What stands between the cells; ours are appended with the same.
        delimiter: u8,
    },
}

impl ListHeader<'_> {
    /// The names of the input's columns.
    pub(crate) fn names(&self) -> Vec<Vec<u8>> {
        match self {
            ListHeader::Cells { names } | ListHeader::Columns { names, .. } => names.to_vec(),
        }
    }
}

/// Our column names, in order, none of which the input uses in any letter case.
pub(crate) fn our_names(input: &[Vec<u8>]) -> Vec<String> {
    let taken: HashSet<Vec<u8>> = input.iter().map(|name| name.trim_ascii().to_ascii_lowercase()).collect();
    JUDGED
        .iter()
        .map(|name| {
            let mut ours = (*name).to_owned();
            while taken.contains(ours.as_bytes()) {
                ours.insert_str(0, PREFIX);
            }
            ours
        })
        .collect()
}

/// The shape of one record as its reader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) n_cells: usize,
    /// It ends inside a quoted cell: whatever is appended would be part of that cell.
    pub(crate) is_open: bool,
}

/// Reads a record as the csv crate does: a quote opens a cell only at its start, and a doubled one is a quote.
pub(crate) fn shape(record: &[u8], delimiter: u8) -> Shape {
    enum At {
        Start,
        Plain,
        Quoted,
        /// After a quote within a quoted cell: its end, or the first half of a doubled one.
        Quote,
    }
    if memchr::memchr(b'"', record).is_none() {
        let n_cells = 1 + memchr::memchr_iter(delimiter, record).count();
        return Shape { n_cells, is_open: false };
    }
    let mut at = At::Start;
    let mut n_cells = 1;
    for &byte in record {
        at = match (at, byte) {
            (At::Quoted, b'"') => At::Quote,
            (At::Quoted, _) | (At::Start | At::Quote, b'"') => At::Quoted,
            (_, byte) if byte == delimiter => {
                n_cells += 1;
                At::Start
            }
            (At::Start | At::Plain | At::Quote, _) => At::Plain,
        };
    }
    Shape { n_cells, is_open: matches!(at, At::Quoted) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_taken_name_is_prefixed_until_it_is_free() {
        let names = |input: &[&str]| {
            let input: Vec<Vec<u8>> = input.iter().map(|name| name.as_bytes().to_vec()).collect();
            our_names(&input)
        };
        assert_eq!(names(&["hash"]), JUDGED);
        assert_eq!(names(&["Verdict", " source "])[0], "hashsweep_verdict");
        assert_eq!(names(&["Verdict", " source "])[11], "hashsweep_source");
        assert_eq!(names(&["verdict", "hashsweep_verdict"])[0], "hashsweep_hashsweep_verdict");
    }

    #[test]
    fn the_shape_of_a_record() {
        let check = |record: &str, n_cells, is_open| {
            assert_eq!(shape(record.as_bytes(), b','), Shape { n_cells, is_open }, "{record}");
        };
        check("", 1, false);
        check("a,b", 2, false);
        check("\"a,b\",c", 2, false);
        check("\"a \"\" b\",c", 2, false);
        check("5\" disk,x", 2, false);
        check("a,\"open, still", 2, true);
        check("a,\"two\nlines\",", 3, false);
    }

    proptest! {
        #[test]
        fn the_csv_crate_counts_the_same_cells(record in "[a,\" ]{1,20}") {
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(record.as_bytes());
            let read = reader.byte_records().next().unwrap().unwrap();
            prop_assert_eq!(shape(record.as_bytes(), b',').n_cells, read.len());
        }
    }
}
