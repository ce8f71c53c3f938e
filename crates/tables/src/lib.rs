//! Binary tables that others made, Parquet files and SQLite databases, as text: a CSV with a header, row by row.
//!
//! Whoever reads lists of hashes then has one kind of table to understand and not three. What a hash is, nobody here
//! knows, and the evidence is only read: a database is opened immutable, so that not even a lock is taken.
//!
//! ```text
//!  file ─► a thread: decode, render ──blocks of whole rows (bounded)──► Transcript: Read
//! ```

mod parquet;
mod rows;
mod sqlite;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use thiserror::Error;

/// The delimiter of every transcript.
pub const DELIMITER: u8 = b',';

/// Longest row of a transcript. A longer one is a single line of this length, without a quote or a delimiter, so
/// that its reader sees that it is too long and where the next one begins.
pub const MAX_ROW: usize = 5 << 20;

/// Blocks on their way to the reader: enough that neither waits for the other's every step.
const MAX_BLOCKS: usize = 4;

/// What a file is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Apache Parquet.
    Parquet,
    /// SQLite 3.
    Sqlite,
}

impl Kind {
    /// Bytes that are enough to tell.
    pub const MAGIC_LEN: usize = 16;

    /// `None` is anything else.
    pub fn of(start: &[u8]) -> Option<Kind> {
        if start.starts_with(b"SQLite format 3\0") {
            return Some(Kind::Sqlite);
        }
        // The second is that of a file whose footer is encrypted.
        (start.starts_with(b"PAR1") || start.starts_with(b"PARE")).then_some(Kind::Parquet)
    }

    /// As it is called in a message.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Parquet => "Parquet file",
            Kind::Sqlite => "SQLite database",
        }
    }
}

/// Why a table cannot be read, or not to its end.
#[derive(Debug, Error)]
pub enum TableError {
    /// The file itself.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The Parquet reader's reason.
    #[error(transparent)]
    Parquet(#[from] ::parquet::errors::ParquetError),
    /// SQLite's reason.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// What the file has, and what is asked of it.
    #[error("{0}")]
    Form(String),
}

enum Table {
    Parquet(Box<parquet::Table>),
    Sqlite(sqlite::Table),
}

/// A table on its way to whoever reads it as a CSV. Dropping it ends the thread that makes it.
#[derive(Debug)]
pub struct Transcript {
    blocks: Receiver<Result<Vec<u8>, TableError>>,
    block: Vec<u8>,
    at: usize,
    /// Whether the last row has come.
    is_whole: bool,
    left_out: Vec<String>,
}

impl Transcript {
    /// Opens the table and begins to read it. The file is the one at the path.
    pub fn open(kind: Kind, file: &File, path: &Path) -> Result<Transcript, TableError> {
        let (sender, blocks) = sync_channel(MAX_BLOCKS);
        let table = match kind {
            Kind::Parquet => Table::Parquet(Box::new(parquet::Table::open(file.try_clone()?)?)),
            Kind::Sqlite => Table::Sqlite(sqlite::Table::open(path)?),
        };
        let left_out = match &table {
            Table::Parquet(table) => table.nested().to_vec(),
            Table::Sqlite(_) => Vec::new(),
        };
        thread::Builder::new().name("table".to_owned()).spawn(move || {
            let mut rows = rows::Rows::new(sender);
            let end = match table {
                Table::Parquet(table) => table.read(&mut rows),
                Table::Sqlite(table) => table.read(&mut rows),
            };
            rows.finish(end);
        })?;
        Ok(Transcript { blocks, block: Vec::new(), at: 0, is_whole: false, left_out })
    }

    /// The names of columns whose values lie in lists or maps, so that a row has no cell for them.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }
}

impl Read for Transcript {
    /// Rows come whole and in their order before an error does; the end is only said where it was reached.
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() && !self.is_whole {
            match self.blocks.recv() {
                Ok(Ok(block)) => {
                    // The block behind the last is empty.
                    self.is_whole = block.is_empty();
                    (self.block, self.at) = (block, 0);
                }
                Ok(Err(TableError::Io(error))) => return Err(error),
                Ok(Err(error)) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
                Err(_) => return Err(io::Error::other("its reader broke down over what it found in it")),
            }
        }
        let n = (&self.block[self.at..]).read(space)?;
        self.at += n;
        Ok(n)
    }
}
