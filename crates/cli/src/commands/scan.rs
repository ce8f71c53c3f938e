//! `hashsweep scan`: files below roots.

use super::baseline::Baseline;
use super::desk::Desk;
use super::sweep::Ready;
use crate::args::{Rehashing, Scan};
use crate::exit::Exit;
use crate::outputs;
use crate::settings::{
    Ending, Filters, Outputs, Sending, StoredSending, absolute, case_path, overlap, roots, to_store,
};
use crate::shell::{Terminal, lines_safe, say};
use crate::stored::Stored;
use hashsweep_case::{NewRoot, NewSweep, StoredRoot};
use hashsweep_model::{Kinds, Stamp};
use hashsweep_pipeline::{Intake, now};
use hashsweep_source::{OwnFiles, Root, check_roots};
use std::num::NonZeroU64;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

pub(crate) fn run(scan: Scan, terminal: &Terminal) -> anyhow::Result<Exit> {
    let outputs = Outputs::resolve(&scan.output, terminal.stdout, Vec::new())?;
    let ending = Ending::resolve(&scan.ending, None);
    let sending = Sending::resolve(&scan.sending, &StoredSending::default())?;
    sending.speech.can_ask(scan.hashing.hash.first())?;
    let filters = Filters::new(&scan.walking)?;
    let given = roots(&scan.paths, &scan.walking)?;
    say_overlap(&given, terminal);
    let new_roots = given
        .into_iter()
        .map(|path| Ok(NewRoot { given: path.as_os_str().as_bytes().to_vec(), opened: absolute(&path)? }))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let path = case_path(&scan.case, scan.sending.sim)?;

    let stored_roots: Vec<StoredRoot> = new_roots.iter().map(StoredRoot::from).collect();
    let started = now();
    // A root that is not there is said before a case is made for it.
    let kinds = scan.hashing.hash.clone();
    check_roots(&filters.walk(walk_roots(&stored_roots), kinds, OwnFiles::default(), started)?)?;
    let desk = Desk::of(path, sending.dry_run);
    let open = outputs::open(&outputs, &desk.files())?;
    let mut case = desk.open()?;
    if let Some(service) = &sending.identity {
        case.belong_to(service)?;
    }
    Baseline::check(&case, scan.rehashing.baseline, outputs.emit)?;
    let stored = Stored::new(
        scan.hashing.hash.to_string(),
        Some(filters.clone()),
        None,
        to_store(&scan.sending)?,
        &outputs,
        &ending,
    )
    .distrusting(distrust(&scan.rehashing))
    .since(scan.rehashing.baseline);
    let new = NewSweep { command: "scan".to_owned(), settings: stored.json(), roots: new_roots };
    let sweep = case.group(|group| {
        let sweep = group.begin_sweep(&new, started)?;
        group.join_series(sweep, &stored.shape())?;
        Ok(sweep)
    })?;
    let own = desk.own(&case, &open);
    let intake = intake(&filters, &stored_roots, scan.hashing.hash, started, own)?;
    let distrust = stored.distrust;
    Ready { case, desk, sweep, intake, sending, outputs, open, ending, distrust }.run(terminal)
}

/// Not in a quiet night: the command line is the same every time.
pub(crate) fn say_overlap(roots: &[PathBuf], terminal: &Terminal) {
    if let Some(words) = overlap(roots).filter(|_| !terminal.talk.quiet) {
        say(lines_safe(&words));
    }
}

/// A walk that leaves our own files alone.
pub(crate) fn intake(
    filters: &Filters,
    roots: &[StoredRoot],
    kinds: Kinds,
    sweep_started: Stamp,
    own: OwnFiles,
) -> anyhow::Result<Intake> {
    Ok(Intake::Walk(filters.walk(walk_roots(roots), kinds, own, sweep_started)?))
}

fn walk_roots(roots: &[StoredRoot]) -> Vec<Root> {
    roots.iter().map(|root| Root { given: root.given.clone(), open_at: root.opened.clone() }).collect()
}

/// One file in how many is read although nothing tells of a change.
fn distrust(typed: &Rehashing) -> Option<NonZeroU64> {
    match typed.rehash_sample {
        _ if typed.rehash => Some(NonZeroU64::MIN),
        // Rounded down: a share of 30% reaches every file in three sweeps, not in four.
        Some(percent) => NonZeroU64::new(100 / u64::from(percent)),
        None => None,
    }
}
