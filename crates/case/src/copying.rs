//! A case as a file: how large it is, made smaller, and copied while others work at it.

use crate::open::{io, private_file_anew};
use crate::{Case, CaseError};
use std::path::Path;

/// How large a case is, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// The file itself.
    pub file: u64,
    /// The log beside it, part of which may be in the file already.
    pub log: u64,
    /// What of the file holds nothing, and [`Case::vacuum`] gives back.
    pub free: u64,
}

impl Size {
    /// What of the file holds something.
    pub fn in_use(&self) -> u64 {
        self.file.saturating_sub(self.free)
    }
}

impl Case {
    /// How large it is now.
    pub fn size(&self) -> Result<Size, CaseError> {
        let pragma = |name| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let (page, pages, free) = (pragma("page_size")?, pragma("page_count")?, pragma("freelist_count")?);
        let log = crate::open::beside(self.path(), "-wal").metadata().map_or(0, |log| log.len());
        let bytes = |n: i64| u64::try_from(n.saturating_mul(page)).unwrap_or_default();
        Ok(Size { file: bytes(pages), log, free: bytes(free) })
    }

    /// Writes the case anew without what is free in it, and puts it back in one step. Needs room for two more copies
    /// of what it holds, one of them in the directory where SQLite puts temporary files; says so before it begins if
    /// there is none.
    pub fn vacuum(&mut self, temporary: &Path) -> Result<(), CaseError> {
        self.write_log_back()?;
        let needed = self.size()?.in_use();
        let directory = self.path().parent().unwrap_or(Path::new(".")).to_owned();
        if device_of(&directory) == device_of(temporary) {
            has_room(&directory, needed.saturating_mul(2))?;
        } else {
            has_room(&directory, needed)?;
            has_room(temporary, needed)?;
        }
        let at_front = self.line().map(crate::turn::Line::stand).transpose()?;
        self.connection.execute_batch("VACUUM")?;
        drop(at_front);
        self.write_log_back()
    }

    /// Writes the case as it is at one moment to a new file, 0600, beside whoever works at it. Refuses to replace
    /// anything, and says before it begins if there is no room.
    pub fn export(&self, to: &Path) -> Result<(), CaseError> {
        let directory = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        has_room(directory, self.size()?.in_use())?;
        match private_file_anew(to) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(CaseError::Taken(to.to_owned()));
            }
            Err(error) => return Err(io(to)(error)),
        }
        let written = self.write_copy(to);
        if written.is_err() {
            // Nothing of it is of use, and it is ours: it was not there before.
            let _ = std::fs::remove_file(to);
        }
        written
    }

    fn write_copy(&self, to: &Path) -> Result<(), CaseError> {
        let name = to.to_str().ok_or_else(|| CaseError::Io {
            path: to.to_owned(),
            source: std::io::Error::new(std::io::ErrorKind::InvalidFilename, "SQLite takes UTF-8 names only"),
        })?;
        // A reader's connection refuses every writing, the one to the new file as well.
        let was_query_only: bool =
            self.connection.pragma_query_value(None, "query_only", |row| row.get(0))?;
        self.connection.pragma_update(None, "query_only", false)?;
        let copied = self.connection.execute("VACUUM INTO ?1", [name]);
        self.connection.pragma_update(None, "query_only", was_query_only)?;
        copied?;
        // Nobody has it open: it is ours to open and close.
        std::fs::File::open(to).and_then(|file| file.sync_all()).map_err(io(to))
    }

    /// As far as readers of older states allow.
    fn write_log_back(&self) -> Result<(), CaseError> {
        Ok(self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }
}

fn device_of(directory: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    directory.metadata().ok().map(|meta| meta.dev())
}

/// A file system that does not tell how much room it has is believed to have enough.
fn has_room(directory: &Path, needed: u64) -> Result<(), CaseError> {
    let Ok(found) = rustix::fs::statvfs(directory) else { return Ok(()) };
    let available = found.f_bavail.saturating_mul(found.f_frsize);
    if available < needed {
        return Err(CaseError::NoRoom { directory: directory.to_owned(), needed, available });
    }
    Ok(())
}
