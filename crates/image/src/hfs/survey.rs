//! A first reading of the catalog: where the folders are, and what hard links there are.

use super::catalog::{self, Key, Record, What, number_behind};
use super::header::Header;
use crate::fault::{Fault, damaged};
use crate::item::Summary;
use crate::names::{Names, Siblings};
use std::collections::BTreeMap;

/// As of other file systems; macOS permits 32,767.
const MOST_NAMES: usize = 65_000;

/// A folder, and a name in it.
pub(super) type Name = (u32, Box<[u8]>);

/// What the catalog has.
#[derive(Default)]
pub(super) struct Survey {
    n_files: u32,
    n_folders: u32,
    /// Files that are not hard links, which are names only.
    n_in_use: u64,
    has_root: bool,
    /// With their numbers, the root aside.
    folders: Vec<(u32, Name)>,
    /// Names of files and of folders that have several, by what those are called among their like.
    file_links: BTreeMap<u32, Vec<Name>>,
    folder_links: BTreeMap<u32, Vec<Name>>,
    /// The folders that hold what has several names.
    of_files: Option<u32>,
    of_folders: Option<u32>,
    /// The folder that the last record was in, and the names there.
    last: u32,
    siblings: Siblings,
    is_out_of_order: bool,
    doubts: Vec<(Name, Fault)>,
    faults: Vec<Fault>,
}

/// Where everything is.
pub(super) struct Places {
    pub(super) names: Names,
    pub(super) of_files: Option<u32>,
    /// What is left of these at the end leads nowhere.
    pub(super) file_links: BTreeMap<u32, Vec<Name>>,
    pub(super) folder_links: BTreeMap<u32, Vec<Name>>,
    /// The folders' hard links that lead to one.
    pub(super) linked: Vec<Name>,
    /// What is wrong with names, with the paths.
    pub(super) doubts: Vec<(Vec<u8>, Fault)>,
}

impl Survey {
    /// Adds a record of a leaf.
    pub(super) fn add(&mut self, key: &[u8], record: &[u8]) {
        match Key::read(key).and_then(|key| Ok((key, Record::read(record)?))) {
            Ok((_, Record::Thread)) => {}
            Ok((key, record)) => {
                self.check(&key);
                self.place(key, record);
            }
            Err(fault) => self.faults.push(fault),
        }
    }

    /// Records are in the order of their folders, so that the names of one folder come together.
    fn check(&mut self, key: &Key) {
        if self.last != key.parent {
            if key.parent < self.last && !self.is_out_of_order {
                self.is_out_of_order = true;
                self.faults.push(damaged("records of the catalog that are not in order", key.parent.into()));
            }
            self.last = key.parent;
            self.siblings = Siblings::default();
        }
        let is_own = key.is_of_files() || key.is_root();
        let colon = key.has_colon.then(|| damaged("a name with a colon in it", key.parent.into()));
        if let Some(fault) = self.siblings.check(&key.name).or(colon).filter(|_| !is_own) {
            self.doubts.push(((key.parent, key.name.clone()), fault));
        }
    }

    fn place(&mut self, key: Key, record: Record) {
        match record {
            Record::Thread => {}
            Record::Folder(catalog::ROOT) if key.is_root() => self.has_root = true,
            Record::Folder(number) => {
                self.n_folders = self.n_folders.saturating_add(1);
                if key.is_of_files() {
                    self.of_files = Some(number);
                } else if key.is_of_folders() {
                    self.of_folders = Some(number);
                }
                self.folders.push((number, (key.parent, key.name)));
            }
            Record::File(file) => {
                self.n_files = self.n_files.saturating_add(1);
                let name = (key.parent, key.name);
                match file.what() {
                    What::LinkToFile(to) => self.faults.extend(add(&mut self.file_links, to, name).err()),
                    What::LinkToFolder(to) => self.faults.extend(add(&mut self.folder_links, to, name).err()),
                    What::File | What::Symlink | What::Fifo | What::Socket | What::Device => {
                        self.n_in_use += 1;
                    }
                }
            }
        }
    }

    /// What is wrong with the catalog as a whole.
    pub(super) fn contradictions(&mut self, header: &Header) -> Vec<Fault> {
        let mut faults = std::mem::take(&mut self.faults);
        if !self.has_root {
            faults.push(damaged("a root that is no folder", catalog::ROOT.into()));
        }
        // The copy's counts are old.
        if !header.is_copy && (self.n_files, self.n_folders) != (header.n_files, header.n_folders) {
            let what = "the catalog has another number of files or folders than the header says";
            faults.push(damaged(what, header.n_files.into()));
        }
        faults
    }

    /// Counts what is in use and finds the paths of folders. Of one with several names the first is its place.
    pub(super) fn places(self, summary: &mut Summary) -> Places {
        let Survey { folders, mut folder_links, of_folders, .. } = self;
        let n_folders = folders.len() as u64 + u64::from(self.has_root);
        summary.allocated += n_folders + self.n_in_use;
        summary.directories += n_folders;
        let mut names = Names::below(catalog::ROOT.into());
        let (mut linked, mut twice) = (Vec::new(), Vec::new());
        for (number, (parent, name)) in folders {
            let to = number_behind(&name, b"dir_").filter(|_| Some(parent) == of_folders);
            let links = to.and_then(|to| folder_links.remove(&to)).unwrap_or_default();
            let (parent, name) = links.first().cloned().unwrap_or((parent, name));
            linked.extend(links);
            if names.is_named(number.into()) {
                twice.push((number, (parent, name.clone())));
            }
            // What is wrong with the name itself is known, and each more than one is said below.
            names.add(number.into(), parent.into(), name).ok();
        }
        let at = |(parent, name): &Name| names.path_of((*parent).into(), Some(name));
        let in_two_places = |number: u32| damaged("a directory that is in two places", number.into());
        let twice = twice.iter().map(|(number, name)| (at(name), in_two_places(*number)));
        let doubts = twice.chain(self.doubts.into_iter().map(|(name, fault)| (at(&name), fault))).collect();
        Places { doubts, names, of_files: self.of_files, file_links: self.file_links, folder_links, linked }
    }
}

/// Adds a name of what has several.
fn add(links: &mut BTreeMap<u32, Vec<Name>>, to: u32, name: Name) -> Result<(), Fault> {
    let known = links.entry(to).or_default();
    if known.len() >= MOST_NAMES {
        return Err(Fault::Limit { what: "names of one inode", limit: MOST_NAMES as u64 });
    }
    known.push(name);
    Ok(())
}

impl Places {
    pub(super) fn path(&self, (parent, name): &Name) -> Vec<u8> {
        self.names.path_of((*parent).into(), Some(name))
    }

    /// The paths of the hard links that lead to the file of this name, which is then one of the file system's own.
    pub(super) fn links_to(&mut self, (parent, name): &Name) -> Option<Vec<Vec<u8>>> {
        let number = number_behind(name, b"iNode").filter(|_| Some(*parent) == self.of_files)?;
        let links = self.file_links.remove(&number)?;
        Some(links.iter().map(|link| self.path(link)).collect())
    }
}
