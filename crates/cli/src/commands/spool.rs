//! Copies of what can be read only once: a list from a pipe has to be read twice, and found again by a resume.

use anyhow::Context;
use hashsweep_case::StoredRoot;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What stdin is called where a list's name is shown; a sweep of it is spooled under another.
pub(crate) const STDIN: &[u8] = b"stdin";

pub(crate) fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// Whether a list is stdin, a pipe or anything else that is gone once it is read.
pub(crate) fn is_read_once(file: &Path) -> bool {
    is_stdin(file) || file.metadata().is_ok_and(|there| !there.is_file() && !there.is_dir())
}

/// Removes the copies that a sweep was read from. It owes nothing more, and its rows are in the case.
pub(crate) fn drop_spools(case: &Path, roots: &[StoredRoot]) {
    let ours = prefix(case);
    let is_ours =
        |path: &Path| path.as_os_str().as_encoded_bytes().starts_with(ours.as_os_str().as_encoded_bytes());
    for root in roots.iter().filter(|root| is_ours(&root.opened)) {
        if let Err(error) = std::fs::remove_file(&root.opened) {
            tracing::warn!("the copy of a list at {} stays: {error}", root.opened.display());
        }
    }
}

/// Copies a list to a file beside the case, where an interrupted sweep finds it again.
pub(crate) fn spool(list: &Path, case: &Path) -> anyhow::Result<PathBuf> {
    let prefix = prefix(case);
    let directory = prefix.parent().unwrap_or(Path::new("."));
    let copying = || format!("copy {} to {}", list.display(), directory.display());
    let mut file = tempfile::Builder::new()
        .prefix(prefix.file_name().unwrap_or_default())
        .tempfile_in(directory)
        .with_context(copying)?;
    let mut source: Box<dyn Read> = if is_stdin(list) {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(File::open(list).with_context(copying)?)
    };
    std::io::copy(&mut source, &mut file).with_context(copying)?;
    file.as_file().sync_all()?;
    let (_, path) = file.keep().with_context(copying)?;
    Ok(path)
}

/// What the copies' names begin with.
fn prefix(case: &Path) -> PathBuf {
    let mut prefix = case.as_os_str().to_owned();
    prefix.push("-list-");
    PathBuf::from(prefix)
}
