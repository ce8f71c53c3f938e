//! The second reading of the catalog, which gives the files.

use super::catalog::{File, Key, Record, What};
use super::fork::{Blocks, Which};
use super::packed::{Content, Packed};
use super::survey::{Name, Places};
use super::tree::Tree;
use crate::budget::Budget;
use crate::fault::damaged;
use crate::found::Found;
use crate::item::{Extent, Kind, Stream};
use crate::reader::ImageReader;

/// As macOS spells it. Nothing can be below a file, so no other file has such a path.
const RESOURCE: &[u8] = b"/..namedfork/rsrc";

pub(super) struct Giving<'v, 's> {
    pub(super) image: &'v dyn ImageReader,
    pub(super) places: Places,
    pub(super) blocks: Blocks,
    pub(super) packed: Packed<'v>,
    pub(super) budget: Budget,
    pub(super) found: Found<'s>,
}

impl Giving<'_, '_> {
    /// Gives the files of these leaves, and then what is wrong with what is left.
    pub(super) fn all(&mut self, catalog: &Tree<'_>, leaves: &[u32]) {
        for leaf in leaves {
            if self.found.stopped {
                return;
            }
            let mut files = Vec::new();
            // What is wrong with a leaf was said at the first reading, which counted its files.
            catalog.read(&[*leaf], &mut self.budget, &mut Vec::new(), &mut |_, key, record| {
                if let (Ok(key), Ok(Record::File(file))) = (Key::read(key), Record::read(record)) {
                    files.push(((key.parent, key.name), file));
                }
            });
            for (name, file) in files {
                self.file(&name, &file);
            }
        }
        self.links();
        let left = self.blocks.left_over().into_iter().map(|fault| (b"/".to_vec(), fault));
        let doubts = std::mem::take(&mut self.places.doubts);
        self.found.problems(left.chain(doubts).collect());
    }

    fn file(&mut self, name: &Name, file: &File) {
        let own = self.places.path(name);
        let kind = match file.what() {
            What::File => None,
            What::Symlink => Some(Kind::Link),
            What::Fifo => Some(Kind::Fifo),
            What::Socket => Some(Kind::Socket),
            What::Device => Some(Kind::Device),
            What::LinkToFile(_) | What::LinkToFolder(_) => {
                if !file.data.is_empty() {
                    self.found.problem(own.clone(), damaged("a hard link with content", file.number.into()));
                }
                // A folder's has an alias there for older systems.
                return self.resource(file, &[own]);
            }
        };
        let paths = self.places.links_to(name).unwrap_or_else(|| vec![own]);
        let is_resource_used = match kind {
            None if file.is_compressed => self.compressed(file, &paths),
            None => {
                self.fork(file, Which::Data, paths.clone());
                false
            }
            Some(kind) => {
                if kind != Kind::Link && !file.data.is_empty() {
                    let fault = damaged("content of what is no file", file.number.into());
                    self.found.problem(paths[0].clone(), fault);
                }
                self.found.other(paths.clone(), kind);
                false
            }
        };
        if !is_resource_used {
            self.resource(file, &paths);
        }
    }

    /// Gives a compressed file, and says whether its resource fork is what its content lies in.
    fn compressed(&mut self, file: &File, paths: &[Vec<u8>]) -> bool {
        if !file.data.is_empty() {
            let fault = damaged("a compressed file with other content beside", file.number.into());
            self.found.problem(paths[0].clone(), fault);
        }
        let Giving { blocks, packed, budget, .. } = self;
        let mut resource = || {
            let runs = blocks.runs(&file.resource, file.number, Which::Resource)?;
            Ok(runs.extents)
        };
        let content = packed.content(file.number, self.image, &mut resource).and_then(|content| {
            budget.stream(content.size, &content.extents)?;
            Ok(content)
        });
        match content {
            Ok(Content { size, extents, is_in_resource }) => {
                self.stream(file, paths.to_vec(), size, extents);
                is_in_resource
            }
            Err(fault) => {
                self.found.lose(paths.to_vec(), fault);
                true
            }
        }
    }

    fn resource(&mut self, file: &File, paths: &[Vec<u8>]) {
        if !file.resource.is_empty() {
            self.found.summary.allocated += 1;
            self.fork(file, Which::Resource, paths.iter().map(|path| [path, RESOURCE].concat()).collect());
        }
    }

    fn fork(&mut self, file: &File, which: Which, paths: Vec<Vec<u8>>) {
        let fork = match which {
            Which::Data => &file.data,
            Which::Resource => &file.resource,
        };
        let runs = self.blocks.runs(fork, file.number, which).and_then(|runs| {
            self.budget.stream(fork.size, &runs.extents)?;
            Ok(runs)
        });
        match runs {
            Ok(runs) => {
                if runs.is_shared {
                    let fault = damaged("blocks that are another file's, too", file.number.into());
                    self.found.problem(paths[0].clone(), fault);
                }
                self.stream(file, paths, fork.size, runs.extents);
            }
            Err(fault) => self.found.lose(paths, fault),
        }
    }

    fn stream(&mut self, file: &File, paths: Vec<Vec<u8>>, size: u64, extents: Vec<Extent>) {
        self.found.stream(Stream { node: file.number.into(), paths, size, extents });
    }

    /// Gives the hard links of folders, which are rows as symbolic links are, and those of either kind that lead nowhere.
    fn links(&mut self) {
        for name in std::mem::take(&mut self.places.linked) {
            self.found.summary.allocated += 1;
            self.found.other(vec![self.places.path(&name)], Kind::Link);
        }
        let files = std::mem::take(&mut self.places.file_links).into_iter();
        let folders = std::mem::take(&mut self.places.folder_links).into_iter();
        for (to, names) in files.chain(folders) {
            for name in names {
                self.found.summary.allocated += 1;
                let fault = damaged("a hard link to what is not there", to.into());
                self.found.lose(vec![self.places.path(&name)], fault);
            }
        }
    }
}
