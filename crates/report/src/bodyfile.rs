//! The bodyfile: what `mactime` of The Sleuth Kit makes a timeline of.
//!
//! `MD5|name|inode|mode|UID|GID|size|atime|mtime|ctime|crtime`, moments in whole seconds. Nothing quotes a cell, so
//! a name's bars and control characters are spelled as [`safe::unquoted`] does. A case keeps neither owner nor mode
//! nor the time of the last reading; those cells are 0, as are moments that nobody knows.

use crate::safe;
use hashsweep_model::Row;
use std::io::{self, Write};

/// A bodyfile being written. Hand in a buffered writer.
pub struct Bodyfile<W: Write> {
    out: W,
}

impl<W: Write> Bodyfile<W> {
    /// Writes nothing yet: a bodyfile has no header.
    pub fn new(out: W) -> Bodyfile<W> {
        Bodyfile { out }
    }

    /// Writes one file under this name.
    pub fn file(&mut self, path: &[u8], row: &Row) -> io::Result<()> {
        let md5 = row.digests.md5.map_or_else(|| "0".to_owned(), |md5| md5.to_string());
        let dates = &row.dates;
        let second = |at: Option<i64>| at.map_or(0, |ns| ns.div_euclid(1_000_000_000));
        writeln!(
            self.out,
            "{md5}|{}|{}|0|0|0|{}|0|{}|{}|{}",
            safe::unquoted(path),
            dates.inode.unwrap_or(0),
            row.size.unwrap_or(0),
            second(dates.modified_ns),
            second(dates.changed_ns),
            second(dates.born_ns),
        )
    }

    /// Flushes, and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}
