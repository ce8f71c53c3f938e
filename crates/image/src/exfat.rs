//! exFAT.
//!
//! As with FAT the directories are walked from the root; here a bitmap says which clusters are in use, and those that
//! nothing consists of are given under `/$Orphans`, run by run.

mod deleted;
mod set;

use crate::budget::Budget;
use crate::clusters::{Chain, Clusters, Reached, Records, Width};
use crate::deleted::{Deleted, Remains};
use crate::fault::{Fault, damaged, le16, le32, le64, size};
use crate::found::{FileSystem, Found};
use crate::item::{Content, Item, Stream, Summary};
use crate::names::{Siblings, spelled};
use crate::reader::{ImageReader, read_vec};
use set::{Entry, Set};
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

/// As of FAT.
const MOST_DEPTH: usize = 256;

/// Sectors of the boot region that its checksum covers; that is the twelfth.
const CHECKED: usize = 11;

/// An exFAT volume.
pub(crate) struct ExFat {
    clusters: Clusters,
    root: u32,
    /// Bytes that the volume says it has.
    len: u64,
    /// The boot region is damaged, and its copy was read.
    is_copy: bool,
}

/// The boot region's fields, in sectors unless they say otherwise.
struct Boot {
    sector: u64,
    cluster: u64,
    len: u64,
    table: u64,
    table_len: u64,
    heap: u64,
    n_clusters: u32,
    root: u32,
    n_tables: u8,
    flags: u16,
}

impl Boot {
    /// Reads the region that begins at this sector, whose size the first sector tells.
    fn read(image: &dyn ImageReader, nth: u64, shift: u8) -> Result<Boot, Fault> {
        if !(9..=12).contains(&shift) {
            return Err(damaged("sectors of an impossible size", 108));
        }
        let at = nth << shift;
        let region = read_vec(image, at, (CHECKED + 1) << shift)?;
        let (boot, stored) = region.split_at(CHECKED << shift);
        // The flags and the share in use may change without it.
        let counted =
            boot.iter().enumerate().filter(|(at, _)| !matches!(at, 106 | 107 | 112)).map(|(_, b)| *b);
        let sum = counted.fold(0u32, |sum, byte| sum.rotate_right(1).wrapping_add(byte.into()));
        if !boot[3..].starts_with(b"EXFAT   ") || boot[108] != shift || le32(stored, 0)? != sum {
            return Err(damaged("the boot region fails its checksum", at));
        }
        if boot[109] > 25 - shift {
            return Err(damaged("clusters of an impossible size", at));
        }
        Ok(Boot {
            sector: 1 << shift,
            cluster: 1 << (shift + boot[109]),
            len: le64(boot, 72)?,
            table: le32(boot, 80)?.into(),
            table_len: le32(boot, 84)?.into(),
            heap: le32(boot, 88)?.into(),
            n_clusters: le32(boot, 92)?,
            root: le32(boot, 96)?,
            flags: le16(boot, 106)?,
            n_tables: boot[110],
        })
    }
}

impl ExFat {
    /// Reads the boot region, or its copy, and the table.
    pub(crate) fn open(image: Arc<dyn ImageReader>) -> Result<ExFat, Fault> {
        let shift = read_vec(&*image, 108, 1)?[0];
        let copy = CHECKED as u64 + 1;
        let (boot, is_copy) = match Boot::read(&*image, 0, shift) {
            Ok(boot) => (boot, false),
            Err(fault) => (
                [shift, 9, 12]
                    .into_iter()
                    .find_map(|shift| Boot::read(&*image, copy, shift).ok())
                    .ok_or(fault)?,
                true,
            ),
        };
        let is_second = boot.flags & 1 != 0 && boot.n_tables == 2;
        let table = boot.table + if is_second { boot.table_len } else { 0 };
        let beyond = || damaged("more clusters than a number can tell", boot.n_clusters.into());
        let heap = boot.heap * boot.sector;
        boot.n_clusters.checked_add(2).filter(|end| *end < 0xffff_fff7).ok_or_else(beyond)?;
        let place = (heap, boot.cluster, boot.n_clusters);
        let clusters = Clusters::read(Arc::clone(&image), Width::Whole, table * boot.sector, place)?;
        Ok(ExFat { clusters, root: boot.root, len: boot.len.saturating_mul(boot.sector), is_copy })
    }

    /// The bitmap that the root directory names.
    fn first_bitmap(&self) -> Option<Vec<u8>> {
        let mut reached = Reached::none_of(&self.clusters);
        let root = self.clusters.chain(self.root, &mut reached);
        let mut records = Records::of(self.clusters.content(&root).ok()?);
        while let Ok(Some(entry)) = set::next(&mut records) {
            if let Entry::Bitmap(set) = entry {
                return self.bitmap(&self.clusters.chain(set.first, &mut reached)).ok();
            }
        }
        None
    }

    /// A bit a cluster that is in use.
    fn bitmap(&self, chain: &Chain) -> Result<Vec<u8>, Fault> {
        let n_bytes = u64::from(self.clusters.n).div_ceil(8);
        let mut bytes = vec![0; size(n_bytes)?];
        let extents = self.clusters.extents(chain, n_bytes)?;
        let mut content = Content::new(Arc::clone(&self.clusters.image), n_bytes, extents);
        let mut done = 0;
        while done < bytes.len() {
            done += content.read(&mut bytes[done..])?;
        }
        Ok(bytes)
    }
}

impl FileSystem for ExFat {
    fn kind(&self) -> &'static str {
        "exFAT"
    }

    fn walk(&self, sink: &mut dyn FnMut(Item) -> ControlFlow<()>) -> Summary {
        let mut walk = Walk {
            volume: self,
            found: Found::new(sink),
            reached: Reached::none_of(&self.clusters),
            budget: Budget::of(self.clusters.n.into(), self.clusters.size),
            waiting: Vec::new(),
            directories: HashSet::new(),
            bitmap: None,
        };
        if self.is_copy {
            let fault = damaged("the boot region fails its checksum; its copy was read", 0);
            walk.found.problem(b"/".to_vec(), fault);
        }
        if self.len > self.clusters.image.size() {
            walk.found.problem(b"/".to_vec(), Fault::PastEnd { offset: self.clusters.image.size() });
        }
        walk.run();
        walk.found.summary
    }

    /// Without a bitmap nobody can say what is free, and the walk says that there is none.
    fn deleted(&self, sink: &mut dyn FnMut(Deleted) -> ControlFlow<()>) -> Option<Remains> {
        Some(self.first_bitmap().map(|bitmap| deleted::search(self, bitmap, sink)).unwrap_or_default())
    }
}

/// A directory that is known and not listed.
struct Waiting {
    path: Vec<u8>,
    set: Set,
    depth: usize,
}

struct Walk<'w, 's> {
    volume: &'w ExFat,
    found: Found<'s>,
    reached: Reached,
    budget: Budget,
    waiting: Vec<Waiting>,
    /// First clusters of directories.
    directories: HashSet<u32>,
    /// A bit a cluster that is in use.
    bitmap: Option<Vec<u8>>,
}

impl Walk<'_, '_> {
    fn run(&mut self) {
        self.found.summary.allocated += 1;
        let chain = self.volume.clusters.chain(self.volume.root, &mut self.reached);
        self.directories.insert(self.volume.root);
        self.directory(b"", 0, chain);
        while let Some(Waiting { path, set, depth }) = self.waiting.pop() {
            if self.found.stopped {
                return;
            }
            if set.first == 0 {
                self.found.summary.directories += 1;
            } else if self.directories.insert(set.first) {
                let chain = self.chain(&set);
                self.directory(&path, depth, chain);
            } else {
                self.found.lose(vec![path], damaged("a directory that was listed before", set.first.into()));
            }
        }
        self.orphans();
    }

    /// The clusters that an entry names.
    fn chain(&mut self, set: &Set) -> Chain {
        if set.first == 0 {
            return Chain::default();
        }
        let clusters = &self.volume.clusters;
        if set.is_straight {
            clusters.straight(set.first, set.size.div_ceil(clusters.size), &mut self.reached)
        } else {
            clusters.chain(set.first, &mut self.reached)
        }
    }

    fn directory(&mut self, path: &[u8], depth: usize, chain: Chain) {
        let shown = if path.is_empty() { b"/".to_vec() } else { path.to_vec() };
        match self.volume.clusters.content(&chain) {
            Ok(content) if content.left() > 0 => {
                self.found.summary.directories += 1;
                self.list(path, depth, content);
                self.doubts(&shown, chain, u64::MAX);
            }
            Ok(_) => {
                let fault = chain.fault.unwrap_or_else(|| damaged("a directory without clusters", 0));
                self.found.lose(vec![shown], fault);
            }
            Err(fault) => self.found.lose(vec![shown], fault),
        }
    }

    /// What is wrong with a chain that could be read all the same.
    fn doubts(&mut self, path: &[u8], chain: Chain, size: u64) {
        if let Some(fault) = self.volume.clusters.doubt(chain, size) {
            self.found.problem(path.to_vec(), fault);
        }
    }

    fn list(&mut self, path: &[u8], depth: usize, content: Content) {
        let shown = || if path.is_empty() { b"/".to_vec() } else { path.to_vec() };
        let mut records = Records::of(content);
        let mut siblings = Siblings::default();
        while !self.found.stopped {
            match set::next(&mut records) {
                Ok(Some(Entry::File(set))) => {
                    let path = [path, b"/", &spelled(&set.name)].concat();
                    let fault = siblings.check(&set.name);
                    self.entry(path.clone(), set, depth);
                    if let Some(fault) = fault {
                        self.found.problem(path, fault);
                    }
                }
                Ok(Some(Entry::Bitmap(set))) => self.bitmap(&set),
                Ok(Some(Entry::UpcaseTable(set))) => {
                    self.found.summary.allocated += 1;
                    self.found.summary.internal += 1;
                    self.chain(&set);
                }
                Ok(Some(Entry::Damaged(name, what))) => {
                    self.found.summary.allocated += 1;
                    let path = if name.is_empty() { shown() } else { [path, b"/", &spelled(&name)].concat() };
                    self.found.lose(vec![path], damaged(what, 0));
                }
                Ok(None) => return,
                Err(fault) => return self.found.problem(shown(), fault),
            }
        }
    }

    fn entry(&mut self, path: Vec<u8>, set: Set, depth: usize) {
        self.found.summary.allocated += 1;
        if !set.is_directory {
            let chain = self.chain(&set);
            return self.file(path, set.first.into(), (set.size, set.written), chain);
        }
        if depth >= MOST_DEPTH {
            let limit = Fault::Limit { what: "directories in one another", limit: MOST_DEPTH as u64 };
            return self.found.lose(vec![path], limit);
        }
        self.waiting.push(Waiting { path, set, depth: depth + 1 });
    }

    /// A file of `size` bytes of which the first `written` are on the disk; the rest reads as zeros.
    fn file(&mut self, path: Vec<u8>, node: u64, (size, written): (u64, u64), chain: Chain) {
        let clusters = &self.volume.clusters;
        let extents = clusters.extents(&chain, size).and_then(|_| {
            let extents = clusters.extents(&chain, written.min(size))?;
            self.budget.stream(size, &extents)?;
            Ok(extents)
        });
        match extents {
            Ok(extents) => {
                self.found.stream(Stream { node, paths: vec![path.clone()], size, extents });
                self.doubts(&path, chain, size);
            }
            Err(fault) => self.found.lose(vec![path], chain.fault.unwrap_or(fault)),
        }
    }

    fn bitmap(&mut self, set: &Set) {
        self.found.summary.allocated += 1;
        let chain = self.volume.clusters.chain(set.first, &mut self.reached);
        match self.volume.bitmap(&chain) {
            Ok(bytes) => {
                self.found.summary.internal += 1;
                self.bitmap = Some(bytes);
            }
            Err(fault) => self.found.lose(vec![b"/".to_vec()], fault),
        }
    }

    /// Clusters in use that nothing consists of, and the other way round.
    fn orphans(&mut self) {
        let Some(bitmap) = self.bitmap.take() else {
            let fault = damaged("no bitmap says which clusters are in use", 0);
            return self.found.problem(b"/".to_vec(), fault);
        };
        let is_used = |cluster: u32| {
            let nth = (cluster - 2) as usize;
            bitmap.get(nth / 8).is_some_and(|byte| byte >> (nth % 8) & 1 != 0)
        };
        let numbers = self.volume.clusters.numbers();
        let n_free = numbers.clone().filter(|n| self.reached.has(*n) && !is_used(*n)).count();
        if n_free > 0 {
            let fault = damaged("clusters of files that the bitmap calls free: so many, not", n_free as u64);
            self.found.problem(b"/".to_vec(), fault);
        }
        let mut at = numbers.start;
        while at < numbers.end && !self.found.stopped {
            let is_lost = |n: u32, reached: &Reached| is_used(n) && !reached.has(n);
            if !is_lost(at, &self.reached) {
                at += 1;
                continue;
            }
            let first = at;
            while at < numbers.end && is_lost(at, &self.reached) {
                at += 1;
            }
            let chain = self.volume.clusters.straight(first, (at - first).into(), &mut self.reached);
            let len = self.volume.clusters.len_of(&chain);
            self.found.summary.allocated += 1;
            self.file(format!("/$Orphans/{first}").into_bytes(), first.into(), (len, len), chain);
        }
    }
}
