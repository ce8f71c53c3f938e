//! `hashsweep image`: the files inside disk images.

use super::baseline::Baseline;
use super::desk::Desk;
use super::sweep::Ready;
use crate::args::Image;
use crate::exit::Exit;
use crate::outputs::{self, Open};
use crate::settings::{Ending, Images, Outputs, Sending, StoredSending, absolute, case_path, to_store};
use crate::shell::Terminal;
use crate::stored::Stored;
use hashsweep_case::{NewRoot, NewSweep, StoredRoot};
use hashsweep_model::Kinds;
use hashsweep_pipeline::{Intake, now};
use hashsweep_source::{OwnFiles, Root, check_images};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

pub(crate) fn run(image: Image, terminal: &Terminal) -> anyhow::Result<Exit> {
    let outputs = Outputs::resolve(&image.output, terminal.stdout, Vec::new())?;
    let ending = Ending::resolve(&image.ending, None);
    let sending = Sending::resolve(&image.sending, &StoredSending::default())?;
    sending.speech.can_ask(image.hashing.hash.first())?;
    let images = Images::new(&image.reading);
    let mut roots: Vec<NewRoot> = Vec::new();
    for path in &image.images {
        let given = path.as_os_str().as_bytes().to_vec();
        if !roots.iter().any(|root| root.given == given) {
            roots.push(NewRoot { given, opened: absolute(path)? });
        }
    }
    let path = case_path(&image.case, image.sending.sim)?;
    let stored_roots: Vec<StoredRoot> = roots.iter().map(StoredRoot::from).collect();
    // An image that is not there is said before a case is made for it.
    let kinds = image.hashing.hash;
    check_images(&images.order(image_roots(&stored_roots), kinds.clone(), OwnFiles::default())?)?;
    let desk = Desk::of(path, sending.dry_run);
    let in_use: Vec<PathBuf> =
        desk.files().into_iter().chain(roots.iter().map(|root| root.opened.clone())).collect();
    let open = outputs::open(&outputs, &in_use)?;
    let mut case = desk.open()?;
    if let Some(service) = &sending.identity {
        case.belong_to(service)?;
    }
    Baseline::check(&case, image.baseline, outputs.emit)?;
    let stored = Stored::new(kinds.to_string(), None, None, to_store(&image.sending)?, &outputs, &ending)
        .of_images(&images)
        .since(image.baseline);
    let new = NewSweep { command: "image".to_owned(), settings: stored.json(), roots };
    let sweep = case.group(|group| group.begin_sweep(&new, now()))?;
    let intake = intake(&images, &stored_roots, kinds, &desk, &open)?;
    Ready { case, desk, sweep, intake, sending, outputs, open, ending, distrust: None }.run(terminal)
}

pub(crate) fn intake(
    images: &Images,
    roots: &[StoredRoot],
    kinds: Kinds,
    desk: &Desk,
    open: &[Open],
) -> anyhow::Result<Intake> {
    let paths: Vec<_> = desk.files().into_iter().chain(open.iter().flat_map(Open::paths)).collect();
    Ok(Intake::Images(images.order(image_roots(roots), kinds, OwnFiles::of(&paths))?))
}

fn image_roots(roots: &[StoredRoot]) -> Vec<Root> {
    roots.iter().map(|root| Root { given: root.given.clone(), open_at: root.opened.clone() }).collect()
}
