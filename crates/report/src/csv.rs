//! CSV: the report of seventeen columns, and the user's own list with ours appended.
//!
//! Cells are quoted here and not by a library, because an enriched list has to keep the input's bytes and splice
//! ours behind them; one rule for both beats two. The csv crate judges it in the tests. Nothing here knows which
//! rows are wanted, or where the text goes.
//!
//! A row reaches the writer in one piece, so a failed write never leaves half a row of ours behind a whole one.
//! Hand in a buffered writer.

use crate::columns::{CHANGE, CONTENT, Cell, JUDGED, ListNames, content, judged, push_when};
use crate::list::{ListHeader, our_names, shape};
use crate::safe;
use hashsweep_model::{Digests, Judged, Row};
use std::io::{self, Write};

/// The report: one row for everything the user gave.
pub struct CsvReport<W: Write> {
    out: W,
    names: ListNames,
    line: Vec<u8>,
}

impl<W: Write> CsvReport<W> {
    /// Writes the header at once, so that a sweep of nothing still has one.
    pub fn new(mut out: W, names: ListNames) -> io::Result<CsvReport<W>> {
        let header: Vec<&str> = CONTENT.into_iter().chain(JUDGED).collect();
        writeln!(out, "{}", header.join(","))?;
        Ok(CsvReport { out, names, line: Vec::new() })
    }

    /// The same with a last column `change`, for [`marked_row`](CsvReport::marked_row).
    pub fn marked(mut out: W, names: ListNames) -> io::Result<CsvReport<W>> {
        let header: Vec<&str> = CONTENT.into_iter().chain(JUDGED).chain([CHANGE]).collect();
        writeln!(out, "{}", header.join(","))?;
        Ok(CsvReport { out, names, line: Vec::new() })
    }

    /// Writes one row.
    pub fn row(&mut self, row: &Row) -> io::Result<()> {
        self.put(row, &[])
    }

    /// Writes one row with what has happened to it.
    pub fn marked_row(&mut self, row: &Row, change: &'static str) -> io::Result<()> {
        self.put(row, &[Cell::Word(change)])
    }

    fn put(&mut self, row: &Row, more: &[Cell<'_>]) -> io::Result<()> {
        self.line.clear();
        push_content(&mut self.line, &self.names.path(row), row.size, &row.digests);
        for cell in judged(row.judged()).iter().chain(more) {
            self.line.push(b',');
            push_cell(&mut self.line, b',', *cell);
        }
        self.line.push(b'\n');
        self.out.write_all(&self.line)
    }

    /// Flushes, and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// The user's list, every byte of it, with our columns appended.
pub struct ListCsv<W: Write> {
    out: W,
    n_columns: usize,
    delimiter: u8,
    terminator: Vec<u8>,
    line: Vec<u8>,
}

impl<W: Write> ListCsv<W> {
    /// Writes the header. `terminator` is the list's line end; rows that lack one get it.
    pub fn new(mut out: W, header: &ListHeader<'_>, terminator: &[u8]) -> io::Result<ListCsv<W>> {
        let mut line = Vec::new();
        let (n_columns, delimiter) = match header {
            ListHeader::Cells { names } => {
                push_cells(&mut line, b',', names);
                (names.len(), b',')
            }
            ListHeader::Columns { raw, names, delimiter } => {
                line.extend_from_slice(raw);
                (names.len(), *delimiter)
            }
        };
        let terminator = if terminator.is_empty() { b"\n" } else { terminator };
        for name in our_names(&header.names()) {
            line.push(delimiter);
            line.extend_from_slice(name.as_bytes());
        }
        line.extend_from_slice(terminator);
        out.write_all(&line)?;
        Ok(ListCsv { out, n_columns, delimiter, terminator: terminator.to_vec(), line })
    }

    /// What puts rows in words: [`row`](ListCsv::row) and [`cells`](ListCsv::cells) append what it says.
    pub fn words(&self) -> CsvWords {
        CsvWords { delimiter: self.delimiter }
    }

    /// Writes one record of a table: its own bytes, then ours, then its own line end (or the list's, where it has
    /// none).
    ///
    /// A record with fewer cells than the header is filled up, and one that ends inside a quote is closed: else
    /// our columns would stand under the wrong names, or be swallowed. A record with too many cells keeps them.
    pub fn row(&mut self, record: &[u8], terminator: &[u8], words: &[u8]) -> io::Result<()> {
        self.line.clear();
        self.line.extend_from_slice(record);
        let shape = shape(record, self.delimiter);
        if shape.is_open {
            self.line.push(b'"');
        }
        self.finish_row(shape.n_cells, terminator, words)
    }

    /// Writes the cells of a row of a list that is no table, quoted where they have to be, and ours.
    pub fn cells(&mut self, cells: &[impl AsRef<[u8]>], terminator: &[u8], words: &[u8]) -> io::Result<()> {
        self.line.clear();
        push_cells(&mut self.line, self.delimiter, cells);
        self.finish_row(cells.len().max(1), terminator, words)
    }

    fn finish_row(&mut self, n_cells: usize, terminator: &[u8], words: &[u8]) -> io::Result<()> {
        for _ in n_cells..self.n_columns {
            self.line.push(self.delimiter);
        }
        self.line.extend_from_slice(words);
        self.line.extend_from_slice(if terminator.is_empty() { &self.terminator } else { terminator });
        self.out.write_all(&self.line)
    }

    /// Flushes, and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Writes our cells behind those of a list, each with the delimiter before it. Says the same of all rows that are judged
/// alike, so that it need not be asked for each.
#[derive(Clone, Copy, Debug)]
pub struct CsvWords {
    delimiter: u8,
}

impl CsvWords {
    /// Appends the cells.
    pub fn say(self, of: Judged<'_>, line: &mut Vec<u8>) {
        for cell in judged(of) {
            line.push(self.delimiter);
            push_cell(line, self.delimiter, cell);
        }
    }
}

fn push_cells(line: &mut Vec<u8>, delimiter: u8, cells: &[impl AsRef<[u8]>]) {
    for (i, cell) in cells.iter().enumerate() {
        if i > 0 {
            line.push(delimiter);
        }
        push_quoted(line, delimiter, cell.as_ref());
    }
}

/// The first five columns, without a line end.
pub(crate) fn push_content(line: &mut Vec<u8>, path: &[u8], size: Option<u64>, digests: &Digests) {
    push_quoted(line, b',', safe::cell(path).as_bytes());
    for cell in content(size, digests) {
        line.push(b',');
        push_cell(line, b',', cell);
    }
}

pub(crate) fn push_cell(line: &mut Vec<u8>, delimiter: u8, cell: Cell<'_>) {
    match cell {
        Cell::Absent => {}
        Cell::Count(n) => line.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
        Cell::Score(n) => line.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
        Cell::Digest(digest) => write!(line, "{digest}").expect("a Vec takes every byte"),
        Cell::Word(word) => line.extend_from_slice(word.as_bytes()),
        Cell::Text(text) => push_quoted(line, delimiter, safe::cell(text.as_bytes()).as_bytes()),
        Cell::When(stamp) => push_when(line, stamp),
    }
}

/// Quotes only what would be misread without (RFC 4180).
pub(crate) fn push_quoted(line: &mut Vec<u8>, delimiter: u8, text: &[u8]) {
    let is_special = |&byte: &u8| byte == delimiter || matches!(byte, b'"' | b'\n' | b'\r');
    if !text.iter().any(is_special) {
        line.extend_from_slice(text);
        return;
    }
    line.push(b'"');
    for &byte in text {
        if byte == b'"' {
            line.push(b'"');
        }
        line.push(byte);
    }
    line.push(b'"');
}
