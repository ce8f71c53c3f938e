//! Copies of stdin: a list from a pipe has to be read twice, and found again by a resume.

use anyhow::Context;
use hashsweep_case::Sweep;
use std::path::{Path, PathBuf};

/// What stdin is called where a list's name is shown; a sweep of it is spooled under another.
pub(crate) const STDIN: &[u8] = b"stdin";

pub(crate) fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// Removes the copies of stdin of a sweep that owes nothing more: its rows are in the case.
pub(crate) fn drop_spools(sweep: &Sweep) {
    for root in sweep.roots.iter().filter(|root| sweep.command == "list" && root.given == b"-") {
        if let Err(error) = std::fs::remove_file(&root.opened) {
            tracing::warn!("the copy of stdin at {} stays: {error}", root.opened.display());
        }
    }
}

/// Copies stdin to a file beside the case, where an interrupted sweep finds it again.
pub(crate) fn spool(case: &Path) -> anyhow::Result<PathBuf> {
    let directory = case.parent().unwrap_or(Path::new("."));
    let mut prefix = case.file_name().unwrap_or_default().to_owned();
    prefix.push("-stdin-");
    let mut file = tempfile::Builder::new()
        .prefix(&prefix)
        .tempfile_in(directory)
        .with_context(|| format!("spool stdin in {}", directory.display()))?;
    std::io::copy(&mut std::io::stdin().lock(), &mut file).context("spool stdin")?;
    file.as_file().sync_all()?;
    let (_, path) = file.keep().context("keep the spool of stdin")?;
    Ok(path)
}
