//! The part of a list that is in memory: what the row at hand needs, and a little more.

use super::opened::{Opened, Packing, is_utf16};
use hashsweep_model::{Skip, SkipKind};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What is read at least when more is needed.
const BLOCK: usize = 64 * 1024;

/// A list on its way to whoever finds rows in it.
#[derive(Debug)]
pub(super) struct Tape {
    opened: Opened,
    /// Bytes of the list, those before `at` used up.
    kept: Vec<u8>,
    at: usize,
    is_at_end: bool,
    trouble: Option<Skip>,
    /// Nobody wants more once it is set.
    pub(super) stop: Option<Arc<AtomicBool>>,
}

impl Tape {
    pub(super) fn open(path: &Path) -> io::Result<Tape> {
        let opened = Opened::new(path)?;
        let mut tape = Tape { opened, kept: Vec::new(), at: 0, is_at_end: false, trouble: None, stop: None };
        while tape.kept.len() < 4 && tape.more() {}
        if !tape.is_table()
            && let Some(big_endian) = is_utf16(&tape.kept)
        {
            tape.kept = tape.opened.transcode(big_endian, &tape.kept);
        }
        Ok(tape)
    }

    /// What is there and not used up.
    pub(super) fn unread(&self) -> &[u8] {
        &self.kept[self.at..]
    }

    /// Whether nothing will come behind what is unread.
    pub(super) fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    /// What ended the list before its time.
    pub(super) fn trouble(&self) -> Option<&Skip> {
        self.trouble.as_ref()
    }

    pub(super) fn packing(&self) -> Option<Packing> {
        self.opened.packing()
    }

    /// Whether the rows are those of a binary table, with its names above them.
    pub(super) fn is_table(&self) -> bool {
        matches!(self.packing(), Some(Packing::Table(_)))
    }

    pub(super) fn left_out(&self) -> &[String] {
        self.opened.left_out()
    }

    pub(super) fn n_bytes(&self) -> u64 {
        self.opened.n_bytes()
    }

    /// Uses up the next `n` bytes.
    pub(super) fn consume(&mut self, n: usize) {
        self.at += n;
        debug_assert!(self.at <= self.kept.len());
    }

    /// Gets more of the list; `false` at its end. As much again as is unread, so that whoever looks at all of it
    /// anew after each call still takes linear time.
    pub(super) fn more(&mut self) -> bool {
        if self.stop.as_ref().is_some_and(|stop| stop.load(Relaxed)) {
            self.is_at_end = true;
        }
        if self.is_at_end {
            return false;
        }
        self.kept.drain(..self.at);
        self.at = 0;
        let n = self.kept.len().max(BLOCK);
        match self.opened.read_more(n, &mut self.kept) {
            Ok(true) => true,
            Ok(false) => {
                self.is_at_end = true;
                false
            }
            Err(error) => {
                self.is_at_end = true;
                let detail =
                    self.packing().map_or_else(|| error.to_string(), |packing| packing.damage(&error));
                self.trouble = Some(Skip { kind: SkipKind::IoError, detail });
                false
            }
        }
    }

    /// SHA-256 and length of the whole file.
    pub(super) fn finish(self) -> io::Result<([u8; 32], u64)> {
        self.opened.finish()
    }
}
