//! Where a sweep works: at its case, or, on a dry run, at a copy of it that is gone when the run ends.

use crate::outputs::Open;
use crate::shell::maker;
use hashsweep_case::{Case, CaseError};
use hashsweep_source::OwnFiles;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A case, and what is worked at in its place. Dropping it deletes a copy.
#[derive(Debug)]
pub(crate) struct Desk {
    case: PathBuf,
    copy: Option<PathBuf>,
}

impl Desk {
    /// A dry run needs as much room again as the case takes, beside it or, where nothing may be made there, in the
    /// directory for temporary files.
    pub(crate) fn of(case: PathBuf, dry_run: bool) -> Desk {
        let copy = dry_run.then(|| {
            let directory = case.parent().filter(|directory| may_be_written(directory));
            let directory = directory.map_or_else(std::env::temp_dir, Path::to_owned);
            directory.join(copy_name(&case, &format!("{:016x}", fastrand::u64(..))))
        });
        Desk { case, copy }
    }

    /// What is worked at.
    pub(crate) fn path(&self) -> &Path {
        self.copy.as_deref().unwrap_or(&self.case)
    }

    /// Opens it to work at, which from now on says who does.
    pub(crate) fn open(&self) -> Result<Case, CaseError> {
        if let Some(copy) = self.copy.as_ref().filter(|copy| self.case.exists() && !copy.exists()) {
            Case::open_to_read(&self.case)?.export(copy)?;
        }
        let mut case = Case::open(self.path())?;
        case.made_by(maker());
        Ok(case)
    }

    /// The files of the case, and of its copy.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let copy = self.copy.iter().flat_map(|copy| Case::files_of(copy));
        Case::files_of(&self.case).into_iter().chain(copy).collect()
    }

    /// What a walk leaves alone: those files and the outputs, also where they are not there yet.
    pub(crate) fn own(&self, case: &Case, open: &[Open]) -> OwnFiles {
        let paths: Vec<_> = self.files().into_iter().chain(open.iter().flat_map(Open::paths)).collect();
        let own = paths.iter().fold(OwnFiles::of(&paths), OwnFiles::expecting);
        let own = own.expecting_prefix(Case::sessions_of(&self.case));
        let own = own.passing(open.iter().filter_map(Open::temporary)).passing(case.session_file());
        match &self.copy {
            Some(copy) => own.expecting_prefix(copy),
            None => own,
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let Some((directory, name)) = self.copy.as_ref().and_then(|copy| copy.parent().zip(copy.file_name()))
        else {
            return;
        };
        // The copy, its log and lock, and the copies of lists that can be read only once.
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let is_ours = entry.file_name().as_encoded_bytes().starts_with(name.as_encoded_bytes());
            if is_ours && let Err(error) = std::fs::remove_file(entry.path()) {
                tracing::warn!("the copy of a dry run at {} stays: {error}", entry.path().display());
            }
        }
    }
}

fn copy_name(case: &Path, number: &str) -> OsString {
    let mut name = case.file_name().unwrap_or_default().to_owned();
    name.push("-plan-");
    name.push(number);
    name
}

fn may_be_written(directory: &Path) -> bool {
    tempfile::tempfile_in(directory).is_ok()
}
