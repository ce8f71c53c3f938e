//! Lists of hashes, in whatever form they were sent.
//!
//! The first rows tell the form ([`recognise()`]), never the name; [`read`] makes a sighting of every row; and
//! [`RawRows`] goes through the list again when its rows are to be written out with something added. Row numbers
//! agree between the two because the one is built on the other, and a fingerprint of the whole file shows whether it
//! changed in between.
//!
//! ```text
//!  file ─► opened: unpacked, transcoded ─► tape: what is in memory ─► cut: where a row ends ─► its cells, its hashes
//!                                                                     (record, json, dfxml, …)
//! ```
//!
//! A row is a record of a table behind its header, a line of a text, a value of JSON, a file of a manifest, or one
//! hash of an extraction; all are counted from 1. Blank lines of a text are rows, and invalid; blank lines of a
//! table are none. Where a list ends before its end (a stream cut off, an error of the disk), one more row says so.

mod bodyfile;
mod coreutils;
mod cut;
mod dfxml;
mod error;
mod extract;
#[doc(hidden)]
pub mod fuzzing;
mod hashdeep;
mod json;
mod layout;
mod leaves;
mod opened;
mod raw;
mod recognise;
mod record;
mod sniff;
mod tape;
mod value;

pub use cut::{BadCell, Content, Several};
pub use error::{Columns, ListError};
pub use json::{JsonField, JsonShape};
pub use layout::{Column, InputFormat, Layout, Style, Table};
pub use opened::Packing;
pub use raw::{Fields, RawEnd, RawRow, RawRows};
pub use recognise::recognise;

use crate::rows::Outbox;
use crate::{Gauges, Rows};
use hashsweep_model::{Digests, HashKind, Kinds, Place, Seen};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What to read, and how. Whatever is not said is found out.
#[derive(Clone, Debug)]
pub struct ListOrder {
    /// An ordinary file: it is read twice.
    pub path: PathBuf,
    /// The user's kinds. A row is asked by the first of them that it has, else by SHA-256, SHA-1, MD5.
    pub kinds: Kinds,
    /// The column that the user named; a list with one is a table.
    pub column: Option<ColumnChoice>,
    /// The only kind that is taken for a hash, if the user said so.
    pub hash_type: Option<HashKind>,
    /// What stands between the cells of a table.
    pub delimiter: Option<u8>,
    /// The first record of a table is a row.
    pub no_header: bool,
    /// The form.
    pub format: Option<InputFormat>,
    /// The member of each JSON value that holds the hash, as a JSON pointer.
    pub field: Option<String>,
}

impl ListOrder {
    /// A list of which nothing is said.
    pub fn new(path: PathBuf, kinds: Kinds) -> ListOrder {
        ListOrder {
            path,
            kinds,
            column: None,
            hash_type: None,
            delimiter: None,
            no_header: false,
            format: None,
            field: None,
        }
    }
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnChoice {
    /// By its name in the header, if need be in another letter case.
    Name(String),
    /// By its place, from 1.
    Index(usize),
}

/// How the reading of a list ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRead {
    /// Whether every row was offered.
    pub finished: bool,
    /// Rows in the list, or up to where the reading was broken off.
    pub rows: u64,
    /// Rows that name a digest.
    pub with_digest: u64,
    /// Rows with a cell that should hold a hash and does not, beside one that does.
    pub with_bad_cell: u64,
    /// The first of them: its row, and the cell.
    pub first_bad_cell: Option<(u64, BadCell)>,
    /// SHA-256 of the whole file; `None` when the reading was broken off.
    pub fingerprint: Option<[u8; 32]>,
    /// Bytes read.
    pub n_bytes: u64,
}

/// Offers one sighting for every row from `first_row` on; the rows before it are in the case already.
///
/// `stop` is looked at between rows and within long ones; what was read by then is still offered.
pub fn read(
    order: &ListOrder,
    layout: &Layout,
    root: u32,
    rows: &dyn Rows,
    first_row: u64,
    gauges: &Gauges,
    stop: &Arc<AtomicBool>,
) -> Result<ListRead, ListError> {
    let closed = AtomicBool::new(false);
    let mut out = Outbox::new(rows, gauges, &closed);
    let mut list = RawRows::open(order, layout)?.stopped_by(Arc::clone(stop));
    let (mut n_rows, mut with_digest, mut with_bad_cell, mut first_bad_cell) = (0, 0, 0, None);
    let mut broken_off = false;
    loop {
        let row = list.next_content();
        // A row that was reached as the reading was stopped may be a part of one.
        if closed.load(Relaxed) || stop.load(Relaxed) {
            broken_off = true;
            break;
        }
        let Some((number, content)) = row else { break };
        n_rows = number;
        if number < first_row {
            continue;
        }
        let seen = match content {
            Content::One(digest) => {
                with_digest += 1;
                Seen::Listed { digests: Digests::default().with(digest), asked: digest.kind() }
            }
            Content::Several(several) => {
                let Several { digests, bad } = *several;
                with_digest += 1;
                if let Some(bad) = bad {
                    with_bad_cell += 1;
                    first_bad_cell.get_or_insert((number, bad));
                }
                let asked = order.kinds.choose(&digests).expect("there is one").kind();
                Seen::Listed { digests, asked }
            }
            Content::Invalid(why) => Seen::Invalid(why),
            Content::Lost(skip) => Seen::Skipped(skip),
        };
        out.put(root, Place::Line(number), seen);
    }
    out.flush();
    let finished = !broken_off && !closed.load(Relaxed);
    let n_bytes = list.n_bytes();
    let fingerprint = if broken_off { None } else { Some(list.finish()?.fingerprint) };
    Ok(ListRead { finished, rows: n_rows, with_digest, with_bad_cell, first_bad_cell, fingerprint, n_bytes })
}
