//! Where reports go, and in which format.

use super::absolute;
use crate::args::{self, Emit, Format};
use anyhow::bail;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// One place a report goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Stdout(Format),
    File(PathBuf, Format),
}

/// Where reports go and what is in them.
#[derive(Clone, Debug)]
pub(crate) struct Outputs {
    pub(crate) targets: Vec<Target>,
    /// As the user said it; the default depends on the target.
    pub(crate) emit: Option<Emit>,
    pub(crate) no_clobber: bool,
    /// Whether the findings are shown as a table on stdout.
    pub(crate) table: bool,
}

impl Target {
    pub(crate) fn format(&self) -> Format {
        match self {
            Target::Stdout(format) | Target::File(_, format) => *format,
        }
    }
}

impl Outputs {
    /// What was typed; `before` is where the sweep's reports went earlier.
    pub(crate) fn resolve(
        typed: &args::Output,
        stdout_is_terminal: bool,
        before: Vec<Target>,
    ) -> anyhow::Result<Outputs> {
        let mut targets = Vec::new();
        for path in &typed.output {
            let format = match typed.format {
                Some(format) => format,
                None if path.as_os_str() == "-" => Format::Csv,
                None => format_of(path)?,
            };
            targets.push(if path.as_os_str() == "-" {
                Target::Stdout(format)
            } else {
                Target::File(absolute(path)?, format)
            });
        }
        let given = !targets.is_empty();
        if !given && typed.format.is_none() {
            // stdout may have been a pipe then and be a terminal now.
            targets = before;
            targets.retain(|target| matches!(target, Target::File(..)));
        }
        let stdout = targets.iter().any(|target| matches!(target, Target::Stdout(_)));
        if targets.is_empty() && (!stdout_is_terminal || typed.format.is_some()) {
            targets.push(Target::Stdout(typed.format.unwrap_or(Format::Csv)));
        }
        let table = stdout_is_terminal && !stdout && (typed.format.is_none() || given);
        Ok(Outputs { targets, emit: typed.emit, no_clobber: typed.no_clobber, table })
    }

    /// Refuses formats that have no words for rows of lists.
    pub(crate) fn of_list(self) -> anyhow::Result<Outputs> {
        match self.targets.iter().map(Target::format).find(|format| format.is_of_files()) {
            Some(format) => bail!(
                "a list has no files to write as {}\n  hint: csv, jsonl, html, markdown, sarif, stix and manifest can tell of its rows",
                format!("{format:?}").to_lowercase()
            ),
            None => Ok(self),
        }
    }
}

fn format_of(path: &Path) -> anyhow::Result<Format> {
    match path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase).as_deref() {
        Some("csv") => Ok(Format::Csv),
        Some("jsonl" | "ndjson") => Ok(Format::Jsonl),
        Some("html" | "htm") => Ok(Format::Html),
        Some("md" | "markdown") => Ok(Format::Markdown),
        // Only these names: whoever writes `rows.json` expects rows, and those are JSONL.
        Some("sarif") => Ok(Format::Sarif),
        Some("stix") => Ok(Format::Stix),
        Some("dfxml") => Ok(Format::Dfxml),
        Some("bodyfile" | "body") => Ok(Format::Bodyfile),
        Some("hashdeep") => Ok(Format::Hashdeep),
        Some("json") if ends_with(path, ".sarif.json") => Ok(Format::Sarif),
        Some("json") if ends_with(path, ".stix.json") => Ok(Format::Stix),
        Some("json") if is_manifest(path) => Ok(Format::Manifest),
        _ => bail!(
            "the ending of {} names no format (known: .csv, .jsonl, .html, .md, .manifest.json, .sarif, .stix, .dfxml, .bodyfile, .hashdeep)\n  hint: say it with --format",
            path.display()
        ),
    }
}

/// `report.json`, `evidence-7.manifest.json`
fn is_manifest(path: &Path) -> bool {
    let is_called = |name| path.file_name().is_some_and(|given| given.eq_ignore_ascii_case(name));
    is_called("report.json") || is_called("manifest.json") || ends_with(path, ".manifest.json")
}

fn ends_with(path: &Path, ending: &str) -> bool {
    path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.to_ascii_lowercase().ends_with(ending))
}
