//! Rows of cells as a CSV, in blocks on their way through a bounded channel.

use crate::{DELIMITER, MAX_ROW, TableError};
use std::sync::mpsc::SyncSender;

/// Bytes after which a block is handed on: what one read of a plain file gives.
const BLOCK: usize = 64 * 1024;

/// Nobody reads any further.
pub(crate) struct Gone;

/// Writes rows. Dropping it without [`finish`](Rows::finish) is a breakdown to the reader.
pub(crate) struct Rows {
    block: Vec<u8>,
    /// Where the row at hand begins.
    row: usize,
    n_cells: usize,
    /// The row is too long, and nothing is added to it.
    is_cut: bool,
    reader: SyncSender<Result<Vec<u8>, TableError>>,
}

impl Rows {
    pub(crate) fn new(reader: SyncSender<Result<Vec<u8>, TableError>>) -> Rows {
        Rows { block: Vec::new(), row: 0, n_cells: 0, is_cut: false, reader }
    }

    /// One more cell of the row.
    pub(crate) fn cell(&mut self, cell: &[u8]) {
        self.begin_cell();
        if self.is_cut || self.block.len() - self.row + cell.len() > MAX_ROW {
            self.is_cut = true;
        } else if cell.iter().any(|byte| needs_quotes(*byte)) {
            self.block.push(b'"');
            for piece in cell.split_inclusive(|byte| *byte == b'"') {
                self.block.extend_from_slice(piece);
                if piece.ends_with(b"\"") {
                    self.block.push(b'"');
                }
            }
            self.block.push(b'"');
        } else {
            self.block.extend_from_slice(cell);
        }
    }

    /// Bytes that are no text, as hexadecimal digits.
    pub(crate) fn hex(&mut self, bytes: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.begin_cell();
        if self.is_cut || self.block.len() - self.row + bytes.len() * 2 > MAX_ROW {
            self.is_cut = true;
        } else {
            let digits = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
            self.block.extend(bytes.iter().flat_map(digits));
        }
    }

    /// A number or a time; what it is written with needs no quotes.
    pub(crate) fn shown(&mut self, value: impl std::fmt::Display) {
        use std::io::Write as _;
        self.begin_cell();
        if !self.is_cut {
            write!(self.block, "{value}").expect("writing to memory does not fail");
        }
    }

    fn begin_cell(&mut self) {
        if self.n_cells > 0 && !self.is_cut {
            self.block.push(DELIMITER);
        }
        self.n_cells += 1;
    }

    pub(crate) fn end_row(&mut self) -> Result<(), Gone> {
        if self.is_cut {
            let row = &mut self.block[self.row..];
            for byte in row.iter_mut().filter(|byte| needs_quotes(**byte)) {
                *byte = b' ';
            }
            self.block.resize(self.row + MAX_ROW, b' ');
        } else if self.block.len() == self.row {
            // An empty line would be no row.
            self.block.extend_from_slice(b"\"\"");
        }
        self.block.push(b'\n');
        (self.row, self.n_cells, self.is_cut) = (self.block.len(), 0, false);
        if self.block.len() < BLOCK { Ok(()) } else { self.hand_on() }
    }

    fn hand_on(&mut self) -> Result<(), Gone> {
        self.row = 0;
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK + BLOCK / 4));
        self.reader.send(Ok(block)).map_err(|_| Gone)
    }

    /// What was made of the table: its end, or why it has none.
    pub(crate) fn finish(mut self, made: Result<(), TableError>) {
        // A row that an error broke off is none.
        self.block.truncate(self.row);
        if !self.block.is_empty() && self.hand_on().is_err() {
            return;
        }
        // Where nobody listens nobody needs it.
        let _ = self.reader.send(made.map(|()| Vec::new()));
    }
}

fn needs_quotes(byte: u8) -> bool {
    matches!(byte, b'"' | b'\n' | b'\r' | DELIMITER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::mpsc::sync_channel;

    fn written(table: &[Vec<Vec<u8>>]) -> Vec<u8> {
        let (sender, blocks) = sync_channel(1000);
        let mut rows = Rows::new(sender);
        for row in table {
            row.iter().for_each(|cell| rows.cell(cell));
            assert!(rows.end_row().is_ok());
        }
        rows.finish(Ok(()));
        blocks.iter().flat_map(|block| block.unwrap()).collect()
    }

    proptest! {
        #[test]
        fn the_csv_crate_reads_the_cells_that_were_written(
            table in (1usize..4).prop_flat_map(|n| prop::collection::vec(prop::collection::vec("[a\", \r\n]{0,5}", n), 0..5)),
        ) {
            let table: Vec<Vec<Vec<u8>>> =
                table.iter().map(|row| row.iter().map(|cell| cell.as_bytes().to_vec()).collect()).collect();
            let bytes = written(&table);
            let read: Vec<Vec<Vec<u8>>> = csv::ReaderBuilder::new()
                .has_headers(false)
                .from_reader(&bytes[..])
                .into_byte_records()
                .map(|record| record.unwrap().iter().map(<[u8]>::to_vec).collect())
                .collect();
            prop_assert_eq!(read, table);
        }
    }

    #[test]
    fn a_row_that_is_too_long_is_one_line_of_the_greatest_length() {
        let long = b"a\"\n,".repeat(MAX_ROW / 5);
        let table = [vec![b"a".to_vec()], vec![long.clone(), long], vec![b"b".to_vec()]];
        let bytes = written(&table);
        let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        assert_eq!((lines[0], lines[2], lines[3]), (&b"a"[..], &b"b"[..], &b""[..]));
        assert_eq!(lines[1].len(), MAX_ROW);
        assert!(!lines[1].contains(&b'"') && !lines[1].contains(&b','));
    }
}
