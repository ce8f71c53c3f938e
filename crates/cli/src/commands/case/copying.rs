//! `hashsweep case vacuum` and `export`.

use super::open_to_change;
use crate::args::{CaseExport, CaseLook};
use crate::exit::Exit;
use crate::json::path_text;
use crate::settings::{absolute, case_path};
use crate::shell::{json_line, lines_safe};
use hashsweep_case::Case;
use hashsweep_report::bytes;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;

pub(crate) fn vacuum(look: &CaseLook) -> anyhow::Result<Exit> {
    let mut case = open_to_change(look)?;
    let before = case.size()?;
    case.vacuum(&temporary_directory())?;
    let after = case.size()?;
    let gained = (before.file + before.log).saturating_sub(after.file + after.log);
    let mut out = std::io::stdout().lock();
    if look.json {
        let all = json!({
            "case": path_text(case.path()), "bytes_before": before.file + before.log,
            "bytes_after": after.file + after.log, "bytes_gained": gained,
        });
        writeln!(out, "{}", json_line(&all.to_string()))?;
    } else {
        writeln!(
            out,
            "{} before, {} after: {} gained",
            bytes(before.file + before.log),
            bytes(after.file + after.log),
            bytes(gained)
        )?;
    }
    Ok(Exit::Clean)
}

/// Where SQLite puts what it writes in between.
fn temporary_directory() -> PathBuf {
    let named = ["SQLITE_TMPDIR", "TMPDIR"].into_iter().filter_map(std::env::var_os).map(PathBuf::from);
    let usual = ["/var/tmp", "/usr/tmp", "/tmp"].into_iter().map(PathBuf::from);
    named.chain(usual).find(|directory| directory.is_dir()).unwrap_or_else(|| PathBuf::from("."))
}

pub(crate) fn export(export: &CaseExport) -> anyhow::Result<Exit> {
    let case = Case::open_to_read(&case_path(&export.look.case, export.look.sim)?)?;
    let to = absolute(&export.to)?;
    case.export(&to)?;
    let size = Case::open_to_read(&to)?.size()?;
    let mut out = std::io::stdout().lock();
    if export.look.json {
        let all = json!({ "case": path_text(case.path()), "copy": path_text(&to), "bytes": size.file });
        writeln!(out, "{}", json_line(&all.to_string()))?;
    } else {
        writeln!(out, "{} written to {}", bytes(size.file), lines_safe(&to.to_string_lossy()))?;
    }
    Ok(Exit::Clean)
}
