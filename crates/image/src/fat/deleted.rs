//! Deleted files: entries whose first byte says so. The table no longer knows their clusters, so that they are supposed
//! to lie one behind the other from the first on, as those of most files do; all of them must be free now.

use super::names::{Long, erased};
use super::{DIRECTORY, Fat, LABEL, LONG_NAME, MOST_DEPTH, Root, Width};
use crate::clusters::{Next, Reached, Records};
use crate::deleted::{Confidence, Deleted, Finds, Found, Remains};
use crate::fault::{Fault, damaged};
use crate::item::{Content, Data, Extent};
use crate::names::spelled;
use crate::reader::read_vec;
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

/// What the first byte of a deleted entry is.
const ERASED: u8 = 0xe5;

/// A directory that is there, or was.
struct Directory {
    path: Vec<u8>,
    content: Content,
    depth: usize,
    is_deleted: bool,
}

struct Search<'w, 's> {
    fat: &'w Fat,
    finds: Finds<'s>,
    reached: Reached,
    waiting: Vec<Directory>,
    /// First clusters of directories.
    directories: HashSet<u32>,
}

pub(super) fn search(fat: &Fat, sink: &mut dyn FnMut(Deleted) -> ControlFlow<()>) -> Remains {
    let clusters = &fat.clusters;
    let mut search = Search {
        fat,
        finds: Finds::new((clusters.n.into(), clusters.size), sink),
        reached: Reached::none_of(clusters),
        waiting: Vec::new(),
        directories: HashSet::new(),
    };
    match fat.root {
        Root::Fixed(at, len) => {
            let extent = Extent { logical: 0, len, data: Data::Disk(at) };
            let content = Content::new(Arc::clone(&clusters.image), len, vec![extent]);
            search.waiting.push(Directory { path: Vec::new(), content, depth: 0, is_deleted: false });
        }
        Root::Chain(first) => search.live(Vec::new(), first, 0),
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
    /// A directory that is there. What is wrong with it is said of the live files.
    fn live(&mut self, path: Vec<u8>, first: u32, depth: usize) {
        if self.directories.insert(first) {
            let chain = self.fat.clusters.chain(first, &mut self.reached);
            if let Ok(content) = self.fat.clusters.content(&chain) {
                self.waiting.push(Directory { path, content, depth, is_deleted: false });
            }
        }
    }

    fn list(&mut self, directory: Directory) {
        let Directory { path, content, depth, is_deleted } = directory;
        let mut records = Records::of(content);
        let mut long = Long::default();
        let mut pieces: Vec<[u8; 32]> = Vec::new();
        while let (false, Ok(Some(record))) = (self.finds.stopped, records.next()) {
            let attributes = record[11];
            let is_piece = attributes & 0x3f == LONG_NAME;
            match (record[0] == ERASED, is_piece) {
                (true, true) => pieces.push(record),
                (false, true) => long.add(&record),
                (_, false) if attributes & LABEL != 0 => {}
                (true, false) => {
                    let path = [&path, &b"/"[..], &spelled(&erased(&pieces, &record))].concat();
                    self.erased(path, &record, depth);
                }
                (false, false) => {
                    let name = std::mem::take(&mut long).name_of(&record);
                    let is_self = matches!(&record[..11], b".          " | b"..         ");
                    let path = [&path, &b"/"[..], &spelled(&name)].concat();
                    if is_deleted && !is_self {
                        self.erased(path, &record, depth);
                    } else if attributes & DIRECTORY != 0 && !is_self && depth < MOST_DEPTH {
                        self.live(path, self.first(&record), depth + 1);
                    }
                }
            }
            if !is_piece {
                long = Long::default();
                pieces.clear();
            }
        }
    }

    fn first(&self, record: &[u8; 32]) -> u32 {
        let word = |at: usize| u32::from(u16::from_le_bytes([record[at], record[at + 1]]));
        if self.fat.width == Width::ThirtyTwo { word(20) << 16 | word(26) } else { word(26) }
    }

    fn erased(&mut self, path: Vec<u8>, record: &[u8; 32], depth: usize) {
        let first = self.first(record);
        if record[11] & DIRECTORY != 0 {
            return match self.below(first) {
                Ok(content) if depth < MOST_DEPTH => {
                    if self.directories.insert(first) {
                        self.waiting.push(Directory { path, content, depth: depth + 1, is_deleted: true });
                    }
                }
                Ok(_) => {
                    let limit = MOST_DEPTH as u64;
                    self.finds.gone(path, Fault::Limit { what: "directories in one another", limit });
                }
                Err(why) => self.finds.gone(path, why),
            };
        }
        let size = u64::from(u32::from_le_bytes([record[28], record[29], record[30], record[31]]));
        match self.content(first, size) {
            Ok(found) => self.finds.kept(first.into(), vec![path], found),
            Err(why) => self.finds.gone(path, why),
        }
    }

    /// The first cluster of a deleted directory, if it still is one: it begins with an entry for itself.
    fn below(&mut self, first: u32) -> Result<Content, Fault> {
        let (extents, n_bytes) = (self.straight(first, 1)?, self.fat.clusters.size);
        let Some(Extent { data: Data::Disk(at), .. }) = extents.first() else {
            return Err(damaged("a directory without clusters", first.into()));
        };
        let own = read_vec(&*self.fat.clusters.image, *at, 32)?;
        let is_self = own.first_chunk::<32>().is_some_and(|own| {
            own.starts_with(b".          ") && own[11] & DIRECTORY != 0 && self.first(own) == first
        });
        if is_self {
            Ok(Content::new(Arc::clone(&self.fat.clusters.image), n_bytes, extents))
        } else {
            Err(Fault::Overwritten { cluster: first.into() })
        }
    }

    fn content(&mut self, first: u32, size: u64) -> Result<Found, Fault> {
        if size == 0 {
            return Ok(Found { size, extents: Vec::new(), confidence: Confidence::Certain });
        }
        let mut extents = self.straight(first, size.div_ceil(self.fat.clusters.size))?;
        if let Some(extent) = extents.first_mut() {
            extent.len = size;
        }
        Ok(Found { size, extents, confidence: Confidence::Guess })
    }

    /// `n` clusters from the first on, all of them free.
    fn straight(&mut self, first: u32, n: u64) -> Result<Vec<Extent>, Fault> {
        let clusters = &self.fat.clusters;
        let run = clusters.run(first, n)?;
        let is_free =
            |cluster: u64| u32::try_from(cluster).is_ok_and(|cluster| clusters.next(cluster) == Next::Free);
        self.finds.all_free(u64::from(first)..u64::from(first) + n, &is_free)?;
        Ok(vec![run])
    }
}
