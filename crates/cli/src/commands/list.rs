//! `hashsweep list`: rows of hash lists.

use super::baseline::needs_none;
use super::desk::Desk;
use super::spool::{drop_spools, is_read_once, is_stdin, spool};
use super::sweep::Ready;
use super::written::agree;
use crate::args::List;
use crate::exit::Exit;
use crate::outputs;
use crate::settings::{Ending, Outputs, Sending, StoredSending, absolute, case_path, to_store};
use crate::shell::Terminal;
use crate::stored::{Stored, StoredList};
use anyhow::bail;
use hashsweep_case::{NewRoot, NewSweep, StoredRoot};
use hashsweep_pipeline::{Intake, now};
use hashsweep_source::list;
use std::os::unix::ffi::OsStrExt;

pub(crate) fn run(list: List, terminal: &Terminal) -> anyhow::Result<Exit> {
    let outputs = Outputs::resolve(&list.output, terminal.stdout, Vec::new())?.of_list()?;
    if list.baseline.is_some() {
        bail!(
            "a list has no baseline: its rows are lines, and where the list has changed nobody can tell which line was which\n  hint: 'hashsweep diff OLD NEW' compares two sweeps of the same list"
        );
    }
    needs_none(outputs.emit)?;
    let ending = Ending::resolve(&list.ending, None);
    let sending = Sending::resolve(&list.sending, &StoredSending::default())?;
    let path = case_path(&list.case, list.sending.sim)?;
    let stored = Stored::new(
        list.hashing.hash.to_string(),
        None,
        Some(StoredList::new(&list.reading)),
        to_store(&list.sending)?,
        &outputs,
        &ending,
    );
    if list.files.iter().filter(|file| is_stdin(file)).count() > 1 {
        bail!("stdin can be read only once");
    }
    let desk = Desk::of(path, sending.dry_run);
    let in_use = desk.files().into_iter().chain(list.files.iter().cloned()).collect::<Vec<_>>();
    let open = outputs::open(&outputs, &in_use)?;
    // What cannot be recognised is said before a case is made for it; stdin has to be spooled to be looked at.
    let mut case = None;
    let mut roots = Vec::new();
    for file in &list.files {
        let opened = if is_read_once(file) {
            if case.is_none() {
                case = Some(desk.open()?);
            }
            spool(file, desk.path())?
        } else {
            absolute(file)?
        };
        roots.push(NewRoot { given: file.as_os_str().as_bytes().to_vec(), opened });
    }
    let stored_roots: Vec<StoredRoot> = roots.iter().map(StoredRoot::from).collect();
    let intake = intake(&stored_roots, &stored).and_then(|intake| one_header(&intake).map(|()| intake));
    let intake = intake.inspect_err(|_| drop_spools(desk.path(), &stored_roots))?;
    let mut case = match case {
        Some(case) => case,
        None => desk.open()?,
    };
    if let Some(service) = &sending.identity {
        case.belong_to(service)?;
    }
    let new = NewSweep { command: "list".to_owned(), settings: stored.json(), roots };
    let sweep = case.group(|group| group.begin_sweep(&new, now()))?;
    Ready { case, desk, sweep, intake, sending, outputs, open, ending, distrust: None }.run(terminal)
}

/// Lists share an output, so their columns must agree; better said before a unit of quota is spent.
fn one_header(intake: &Intake) -> anyhow::Result<()> {
    let Intake::Lists(lists) = intake else { return Ok(()) };
    for pair in lists.windows(2) {
        if !agree(&pair[0].1, &pair[1].1) {
            bail!(
                "{} and {} have different columns, so one output cannot hold both\n  hint: sweep them one by one",
                pair[0].0.path.display(),
                pair[1].0.path.display()
            );
        }
    }
    Ok(())
}

/// The lists of a sweep, recognised.
pub(crate) fn intake(roots: &[StoredRoot], stored: &Stored) -> anyhow::Result<Intake> {
    let lists = roots
        .iter()
        .map(|root| {
            let order = stored.list_order(&root.opened)?;
            let layout = list::recognise(&order)?;
            Ok((order, layout))
        })
        .collect::<anyhow::Result<_>>()?;
    Ok(Intake::Lists(lists))
}
