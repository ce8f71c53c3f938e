//! Who is alive: each process that holds something in a database holds an OS lock on a file of its own beside it.
//!
//! A session is dead exactly when its lock can be taken, and then at once: no process numbers, which are used again,
//! and no time limits, which a stopped process outlasts. The cost is one small file beside the database for each
//! process at work.

use crate::CaseError;
use crate::open::{beside, io, private_file};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// One process at work on one database. Dropping it ends the session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) name: String,
    /// The database's own path, whatever links lead to it: everybody must look in the same place.
    pub(crate) database: PathBuf,
    pub(crate) path: PathBuf,
    _lock: File,
}

impl Session {
    /// Begins a session beside this database.
    pub(crate) fn begin(database: &Path) -> Result<Session, CaseError> {
        let database = database.canonicalize().unwrap_or_else(|_| database.to_owned());
        loop {
            let name = format!("{:016x}", fastrand::u64(..));
            let path = file_of(&database, &name);
            let lock = private_file(&path).map_err(io(&path))?;
            match lock.try_lock() {
                // Somebody who looked for the dead may have taken our file away between its making and its locking.
                Ok(()) if path.exists() => return Ok(Session { name, database, path, _lock: lock }),
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(CaseError::Io { path, source }),
            }
        }
    }

    /// Whether another session, of that name, is over. Its file, if it is still there, is cleared away.
    pub(crate) fn is_over(database: &Path, name: &str) -> Result<bool, CaseError> {
        let path = file_of(database, name);
        let lock = match File::open(&path) {
            Ok(lock) => lock,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
            Err(source) => return Err(CaseError::Io { path, source }),
        };
        match lock.try_lock() {
            Ok(()) => {
                // If it stays it is in nobody's way: its name is never used again.
                let _ = std::fs::remove_file(&path);
                Ok(true)
            }
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(source)) => Err(CaseError::Io { path, source }),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn file_of(database: &Path, name: &str) -> PathBuf {
    beside(database, &format!("-session-{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_over_when_its_process_is() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("case.db");
        let session = Session::begin(&database).unwrap();
        let name = session.name.clone();
        assert!(!Session::is_over(&database, &name).unwrap());
        drop(session);
        assert!(Session::is_over(&database, &name).unwrap());
        assert!(Session::is_over(&database, "never began").unwrap());
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    }
}
