//! Whose turn it is to write, where several processes do.
//!
//! SQLite lets in whoever asks at the right moment, and who has just committed asks again at once: a process that
//! takes rows in would keep another's settlements out for as long as it goes on. So everybody stands in line first,
//! in a file's lock, and holds it only until the database's own lock is theirs; who comes back from a commit stands
//! behind whoever waits. The cost is two calls of the system for each group.

use crate::CaseError;
use crate::open::{PATIENCE, beside, io, private_file};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often one looks whether the place at the front is free. Blocking on the lock would be simpler, but a process
/// that was stopped while it stood there would then hold everybody up for good.
const LOOK: Duration = Duration::from_millis(1);

/// The line before one database.
#[derive(Debug)]
pub(crate) struct Line {
    front: File,
    path: PathBuf,
    /// How long one waits at most.
    pub(crate) patience: Duration,
}

/// The place at the front. Dropping it lets the next one there.
#[derive(Debug)]
pub(crate) struct AtFront<'line>(&'line File);

impl Line {
    pub(crate) fn before(database: &Path) -> Result<Line, CaseError> {
        let path = beside(database, "-lock");
        Ok(Line { front: private_file(&path).map_err(io(&path))?, path, patience: PATIENCE })
    }

    /// Waits for the place at the front.
    #[expect(clippy::disallowed_methods, reason = "the one wait for another process's turn, bounded")]
    pub(crate) fn stand(&self) -> Result<AtFront<'_>, CaseError> {
        let mut left = self.patience;
        loop {
            match self.front.try_lock() {
                Ok(()) => return Ok(AtFront(&self.front)),
                Err(TryLockError::WouldBlock) if left.is_zero() => return Err(CaseError::Busy),
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK),
                Err(TryLockError::Error(source)) => {
                    return Err(CaseError::Io { path: self.path.clone(), source });
                }
            }
            left = left.saturating_sub(LOOK);
        }
    }
}

impl Drop for AtFront<'_> {
    fn drop(&mut self) {
        // Should it fail, closing the file lets go as well.
        let _ = self.0.unlock();
    }
}
