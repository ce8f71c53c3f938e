//! `hashsweep list`: rows of hash lists.

use super::sweep::Ready;
use crate::args::List;
use crate::exit::Exit;
use crate::outputs;
use crate::settings::{Ending, Outputs, Sending, absolute, case_path, to_store};
use crate::shell::Terminal;
use crate::stored::{Stored, StoredList, StoredSending};
use anyhow::{Context, bail};
use hashsweep_case::{Case, NewRoot, NewSweep, StoredRoot, Sweep};
use hashsweep_pipeline::{Intake, now};
use hashsweep_source::list::{self, ColumnChoice, ListOrder};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub(crate) fn run(list: List, terminal: &Terminal) -> anyhow::Result<Exit> {
    let outputs = Outputs::resolve(&list.output, terminal.stdout, Vec::new())?;
    let ending = Ending::resolve(&list.ending, None);
    let sending = Sending::resolve(&list.sending, &StoredSending::default())?;
    let path = case_path(&list.case, list.sending.sim)?;
    let chosen = StoredList {
        column: list.column.clone(),
        hash_type: list.hash_type.map(|kind| kind.name().to_owned()),
    };
    let stored = Stored::new(
        list.hashing.hash.to_string(),
        None,
        Some(chosen),
        to_store(&list.sending)?,
        &outputs,
        &ending,
    );
    if list.files.iter().filter(|file| is_stdin(file)).count() > 1 {
        bail!("stdin can be read only once");
    }
    let open = outputs::open(&outputs)?;
    // What cannot be recognised is said before a case is made for it; stdin has to be spooled to be looked at.
    let mut case = None;
    let mut roots = Vec::new();
    for file in &list.files {
        let opened = if is_stdin(file) {
            case.get_or_insert(Case::open(&path)?);
            spool(&path)?
        } else {
            absolute(file)?
        };
        roots.push(NewRoot { given: file.as_os_str().as_bytes().to_vec(), opened });
    }
    let stored_roots: Vec<StoredRoot> = roots.iter().map(StoredRoot::from).collect();
    let intake = intake(&stored_roots, &stored)?;
    let mut case = match case {
        Some(case) => case,
        None => Case::open(&path)?,
    };
    if let Some(service) = &sending.identity {
        case.belong_to(service)?;
    }
    let new = NewSweep { command: "list".to_owned(), settings: stored.json(), roots };
    let sweep = case.group(|group| group.begin_sweep(&new, now()))?;
    Ready { case, sweep, intake, sending, outputs, open, ending }.run(terminal)
}

/// The lists of a sweep, recognised.
pub(crate) fn intake(roots: &[StoredRoot], stored: &Stored) -> anyhow::Result<Intake> {
    let lists = roots
        .iter()
        .map(|root| {
            let order = order(&root.opened, stored)?;
            let layout = list::recognise(&order)?;
            Ok((order, layout))
        })
        .collect::<anyhow::Result<_>>()?;
    Ok(Intake::Lists(lists))
}

/// How one list is read.
pub(crate) fn order(path: &Path, stored: &Stored) -> anyhow::Result<ListOrder> {
    let chosen = stored.list.as_ref();
    let column = chosen.and_then(|list| list.column.as_deref()).map(|text| match text.parse() {
        Ok(number) if number > 0 => ColumnChoice::Index(number),
        _ => ColumnChoice::Name(text.to_owned()),
    });
    let hash_type = chosen.and_then(|list| list.hash_type.as_deref()).map(str::parse).transpose()?;
    Ok(ListOrder { path: path.to_owned(), kinds: stored.kinds.parse()?, column, hash_type })
}

/// What stdin is called where a list's name is shown; a sweep of it is spooled under another.
pub(crate) const STDIN: &[u8] = b"stdin";

fn is_stdin(file: &Path) -> bool {
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
fn spool(case: &Path) -> anyhow::Result<PathBuf> {
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
