//! Deleted files: sets of records of which the first bit was cleared. The set's checksum says that it is still whole.
//! A file without a chain says by itself where all its clusters are; a chain is followed where the table still has it.

use super::set::{Set, next_erased};
use super::{ExFat, MOST_DEPTH};
use crate::clusters::{Chain, Reached, Records};
use crate::deleted::{Confidence, Deleted, Finds, Found, Remains};
use crate::fault::{Fault, damaged};
use crate::item::Content;
use crate::names::spelled;
use std::collections::HashSet;
use std::ops::ControlFlow;

/// A directory that is there, or was.
struct Directory {
    path: Vec<u8>,
    content: Content,
    depth: usize,
    is_deleted: bool,
}

struct Search<'w, 's> {
    volume: &'w ExFat,
    finds: Finds<'s>,
    reached: Reached,
    bitmap: Vec<u8>,
    waiting: Vec<Directory>,
    /// First clusters of directories.
    directories: HashSet<u32>,
}

pub(super) fn search(
    volume: &ExFat,
    bitmap: Vec<u8>,
    sink: &mut dyn FnMut(Deleted) -> ControlFlow<()>,
) -> Remains {
    let clusters = &volume.clusters;
    let mut search = Search {
        volume,
        finds: Finds::new((clusters.n.into(), clusters.size), sink),
        reached: Reached::none_of(clusters),
        bitmap,
        waiting: Vec::new(),
        directories: HashSet::from([volume.root]),
    };
    let root = clusters.chain(volume.root, &mut search.reached);
    if let Ok(content) = clusters.content(&root) {
        search.waiting.push(Directory { path: Vec::new(), content, depth: 0, is_deleted: false });
    }
    while let Some(directory) = search.waiting.pop() {
        if search.finds.stopped {
            break;
        }
        search.list(directory);
    }
    search.finds.remains
}

impl Search<'_, '_> {
    fn list(&mut self, directory: Directory) {
        let Directory { path, content, depth, is_deleted } = directory;
        let mut records = Records::of(content);
        // What is wrong with a directory that is there is said of the live files.
        while let (false, Ok(Some((set, is_erased)))) = (self.finds.stopped, next_erased(&mut records)) {
            let path = [&path, &b"/"[..], &spelled(&set.name)].concat();
            if is_erased || is_deleted {
                self.erased(path, &set, depth);
            } else if set.is_directory && depth < MOST_DEPTH && self.directories.insert(set.first) {
                let chain = self.chain(&set);
                if let Ok(content) = self.volume.clusters.content(&chain) {
                    self.waiting.push(Directory { path, content, depth: depth + 1, is_deleted: false });
                }
            }
        }
    }

    fn chain(&mut self, set: &Set) -> Chain {
        let clusters = &self.volume.clusters;
        // Of one cluster there is no chain that could have been cleared.
        if set.is_straight || set.size <= clusters.size {
            clusters.straight(set.first, set.size.div_ceil(clusters.size), &mut self.reached)
        } else {
            clusters.chain(set.first, &mut self.reached)
        }
    }

    fn erased(&mut self, path: Vec<u8>, set: &Set, depth: usize) {
        let is_empty = set.size == 0 || set.first == 0;
        match self.free(set) {
            Ok(_) if set.is_directory && is_empty => {}
            Ok(chain) if set.is_directory => match self.volume.clusters.content(&chain) {
                Ok(content) if depth < MOST_DEPTH => {
                    if self.directories.insert(set.first) {
                        self.waiting.push(Directory { path, content, depth: depth + 1, is_deleted: true });
                    }
                }
                Ok(_) => {
                    let limit = MOST_DEPTH as u64;
                    self.finds.gone(path, Fault::Limit { what: "directories in one another", limit });
                }
                Err(why) => self.finds.gone(path, why),
            },
            Ok(chain) => {
                let confidence = match (is_empty, set.is_straight || set.size <= self.volume.clusters.size) {
                    (true, _) => Confidence::Certain,
                    (false, true) => Confidence::Likely,
                    (false, false) => Confidence::Guess,
                };
                match self.volume.clusters.extents(&chain, set.written.min(set.size)) {
                    Ok(extents) => {
                        let found = Found { size: set.size, extents, confidence };
                        self.finds.kept(set.first.into(), vec![path], found);
                    }
                    Err(why) => self.finds.gone(path, why),
                }
            }
            Err(why) => self.finds.gone(path, why),
        }
    }

    /// The clusters that a deleted set names, all of them free.
    fn free(&mut self, set: &Set) -> Result<Chain, Fault> {
        if set.size == 0 || set.first == 0 {
            return Ok(Chain::default());
        }
        let mut chain = self.chain(set);
        if let Some(fault) = chain.fault.take() {
            return Err(fault);
        }
        let clusters = &self.volume.clusters;
        let there = clusters.len_of(&chain);
        if there < set.size || there - set.size >= clusters.size {
            return Err(damaged("a chain of clusters that is another file's", set.first.into()));
        }
        let is_free = |cluster: u64| {
            let nth = cluster.saturating_sub(2);
            let byte = usize::try_from(nth / 8).ok().and_then(|at| self.bitmap.get(at));
            byte.is_some_and(|byte| byte >> (nth % 8) & 1 == 0)
        };
        self.finds.all_free(chain.clusters(), &is_free)?;
        Ok(chain)
    }
}
