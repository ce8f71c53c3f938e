//! Lists of hashes: a CSV with a header and one column of them, or a text with one on each line.
//!
//! The first rows tell which of the two a list is ([`recognise()`]); [`read`] makes a sighting of every row; and
//! [`RawRows`] goes through the list again when its rows are to be written out with something added, byte for
//! byte as they came. Row numbers agree between the two because the one is built on the other, and a fingerprint
//! of the whole file shows whether it changed in between.
//!
//! A row is a record of the CSV behind the header, counted from 1, or a line of the text, a blank one included:
//! it is an invalid row. Blank lines of a CSV are no records, as usual for that format.
//!
//! Known to be weak, until lists of every form are read: fields are divided by commas only; a CSV has a header,
//! or is refused; a text line holds nothing beside its hash; one column of hashes is read, not several.

mod raw;
mod recognise;
mod value;

pub use raw::{Fields, RawEnd, RawRow, RawRows};
pub use recognise::recognise;

use crate::rows::Outbox;
use crate::{Gauges, Rows};
use hashsweep_model::{Digests, HashKind, Kinds, Place, Seen};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use thiserror::Error;

/// Longest CSV record that is kept in memory, and far longer than an honest one. What reaches it is a quote that
/// was opened and never closed, which makes one record of the rest of the file.
const MAX_RECORD: usize = 16 << 20;

/// How much of a text line is kept; a hash with its prefix and quotes is 70 bytes long.
const MAX_LINE: usize = 4 << 10;

/// What to read, and how.
#[derive(Clone, Debug)]
pub struct ListOrder {
    /// An ordinary file: it is read twice.
    pub path: PathBuf,
    /// The user's kinds. A row is asked by the kind of hash it holds, whichever that is.
    pub kinds: Kinds,
    /// The column that the user named; a list with one is a CSV.
    pub column: Option<ColumnChoice>,
    /// The only kind that is taken for a hash, if the user said so.
    pub hash_type: Option<HashKind>,
}

/// A column of a CSV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnChoice {
    /// By its name in the header, if need be in another letter case.
    Name(String),
    /// By its place, from 1.
    Index(usize),
}

/// What a list looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One hash on each line.
    Text,
    /// Records behind a header.
    Csv {
        /// Where the hashes are, from 0.
        column: usize,
        /// The names of the columns.
        header: Vec<Vec<u8>>,
    },
}

/// How the reading of a list ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRead {
    /// Whether every row was offered.
    pub finished: bool,
    /// Rows in the list, or up to where the reading was broken off.
    pub rows: u64,
    /// SHA-256 of the whole file; `None` when the reading was broken off.
    pub fingerprint: Option<[u8; 32]>,
    /// Bytes read.
    pub n_bytes: u64,
}

/// Why a list cannot be read.
#[derive(Debug, Error)]
pub enum ListError {
    /// The file itself.
    #[error("read {path:?}: {source}")]
    Unreadable {
        /// The list.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Two bytes for every character, as some Windows tools write.
    #[error("read {path:?}: it is UTF-16\n  hint: convert it to UTF-8")]
    Utf16 {
        /// The list.
        path: PathBuf,
    },
    /// The first record holds a hash, so there is no header, and reading on would lose that record.
    #[error(
        "read {path:?} as a CSV: its first line holds the hash {seen}, not a header\n  hint: put a header line before it"
    )]
    NoHeader {
        /// The list.
        path: PathBuf,
        /// The hash.
        seen: String,
    },
    /// A text without one hash in its first rows.
    #[error(
        "find a hash in {path:?}: it begins with {seen:?}\n  hint: a list is one hash a line, or a CSV with commas and a header; --column names the column"
    )]
    NoHashes {
        /// The list.
        path: PathBuf,
        /// How it begins.
        seen: String,
    },
    /// No column holds hashes.
    #[error(
        "find a column of hashes in {path:?}: its columns are {columns}\n  hint: name one with --column NAME or --column N"
    )]
    NoHashColumn {
        /// The list.
        path: PathBuf,
        /// All columns.
        columns: Columns,
    },
    /// More than one column holds hashes.
    #[error(
        "choose a column of {path:?}: hashes stand in {columns}\n  hint: name one with --column NAME or --column N"
    )]
    SeveralHashColumns {
        /// The list.
        path: PathBuf,
        /// Those with hashes.
        columns: Columns,
    },
    /// There is no column as the user named it.
    #[error(
        "find the column {wanted} in {path:?}: its columns are {columns}\n  hint: --column takes a name or a number"
    )]
    NoSuchColumn {
        /// The list.
        path: PathBuf,
        /// As it was named.
        wanted: String,
        /// All columns.
        columns: Columns,
    },
    /// A record that does not end.
    #[error(
        "read {path:?}: the record after row {row} is longer than 16 MiB\n  hint: a quote that is opened and never closed does that"
    )]
    RecordTooLong {
        /// The list.
        path: PathBuf,
        /// The last row that was whole.
        row: u64,
    },
}

/// Columns of a list, with their numbers from 1, as a message shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns(pub Vec<(usize, String)>);

impl std::fmt::Display for Columns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // More would push the hint off the screen.
        const MAX_SHOWN: usize = 20;
        for (i, (number, name)) in self.0.iter().take(MAX_SHOWN).enumerate() {
            write!(f, "{}{number} {name:?}", if i == 0 { "" } else { ", " })?;
        }
        match self.0.len().saturating_sub(MAX_SHOWN) {
            0 => Ok(()),
            n_more => write!(f, " and {n_more} more"),
        }
    }
}

/// Offers one sighting for every row from `first_row` on; the rows before it are in the case already.
///
/// `stop` is looked at between rows; what was read by then is still offered.
pub fn read(
    order: &ListOrder,
    layout: &Layout,
    root: u32,
    rows: &dyn Rows,
    first_row: u64,
    gauges: &Gauges,
    stop: &AtomicBool,
) -> Result<ListRead, ListError> {
    let closed = AtomicBool::new(false);
    let mut out = Outbox::new(rows, gauges, &closed);
    let mut list = RawRows::open(&order.path, layout)?;
    let mut n_rows = 0;
    let mut broken_off = false;
    let outcome = loop {
        if closed.load(Relaxed) || stop.load(Relaxed) {
            broken_off = true;
            break Ok(());
        }
        let row = match list.next() {
            Ok(Some(row)) => row,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        n_rows = row.number;
        if row.number < first_row {
            continue;
        }
        let seen = match row.digest(layout, order.hash_type) {
            Ok(digest) => {
                let digests = Digests::default().with(digest);
                let asked = order.kinds.choose(&digests).expect("there is one").kind();
                Seen::Listed { digests, asked }
            }
            Err(reason) => Seen::Invalid(reason),
        };
        out.put(root, Place::Line(row.number), seen);
    };
    // Rows before a record that cannot be read are as good as any.
    out.flush();
    outcome?;
    let finished = !broken_off && !closed.load(Relaxed);
    let n_bytes = list.n_bytes();
    let fingerprint = if broken_off { None } else { Some(list.finish()?.fingerprint) };
    Ok(ListRead { finished, rows: n_rows, fingerprint, n_bytes })
}
