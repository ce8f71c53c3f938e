//! FAT12, FAT16 and FAT32.
//!
//! The directories are walked from the root, and the table is held against them: clusters that are in use and that no
//! file or directory consists of are given under `/$Orphans`, chain by chain, so that nothing on the volume goes
//! unseen for want of a name.

mod deleted;
mod names;

use crate::budget::Budget;
use crate::clusters::{Chain, Clusters, Next, Reached, Records, Width};
use crate::deleted::{Deleted, Remains};
use crate::fault::{Fault, damaged, le16, le32};
use crate::found::{FileSystem, Found};
use crate::item::{Content, Data, Extent, Item, Stream, Summary};
use crate::names::{Siblings, spelled};
use crate::reader::{ImageReader, read_exact_at, read_vec};
use names::Long;
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Deeper directories are a problem: no system writes them, and their paths would fill the memory.
const MOST_DEPTH: usize = 256;

const LABEL: u8 = 0x08;
const DIRECTORY: u8 = 0x10;
const LONG_NAME: u8 = 0x0f;

/// A FAT volume.
pub(crate) struct Fat {
    clusters: Clusters,
    width: Width,
    root: Root,
    /// Bytes that the volume says it has.
    len: u64,
    /// The copies of the table differ.
    has_unlike_copies: bool,
}

enum Root {
    /// Of so many bytes at this position.
    Fixed(u64, u64),
    Chain(u32),
}

/// The first sector's fields.
struct Boot {
    sector: u64,
    cluster: u64,
    reserved: u64,
    n_tables: u64,
    n_root: u64,
    n_sectors: u64,
    table_sectors: u64,
    is_32: bool,
}

impl Boot {
    fn parse(boot: &[u8]) -> Result<Boot, Fault> {
        let (few, short) = (le16(boot, 19)?, le16(boot, 22)?);
        let parsed = Boot {
            sector: le16(boot, 11)?.into(),
            cluster: boot[13].into(),
            reserved: le16(boot, 14)?.into(),
            n_tables: boot[16].into(),
            n_root: le16(boot, 17)?.into(),
            n_sectors: if few == 0 { le32(boot, 32)?.into() } else { few.into() },
            table_sectors: if short == 0 { le32(boot, 36)?.into() } else { short.into() },
            is_32: short == 0,
        };
        let is_jump = matches!(boot[..3], [0xeb, _, 0x90] | [0xe9, ..]);
        let is_sane = is_jump
            && matches!(parsed.sector, 512 | 1024 | 2048 | 4096)
            && parsed.cluster.is_power_of_two()
            && parsed.reserved > 0
            && matches!(parsed.n_tables, 1..=4)
            && boot[21] >= 0xf0
            && parsed.n_sectors > 0
            && parsed.table_sectors > 0
            && (parsed.n_root > 0) != parsed.is_32;
        if is_sane { Ok(parsed) } else { Err(damaged("no boot sector of FAT", 0)) }
    }

    fn first_cluster_at(&self) -> u64 {
        (self.reserved + self.n_tables * self.table_sectors) * self.sector + self.root_len()
    }

    fn root_len(&self) -> u64 {
        (self.n_root * 32).div_ceil(self.sector) * self.sector
    }
}

impl Fat {
    /// Whether the volume begins as one does.
    pub(crate) fn is_at(image: &dyn ImageReader) -> bool {
        read_vec(image, 0, 512).and_then(|boot| Boot::parse(&boot)).is_ok()
    }

    /// Bytes of the volume that has this first sector, if it begins as one does.
    pub(crate) fn len_of(sector: &[u8]) -> Option<u64> {
        Boot::parse(sector).ok().map(|boot| boot.n_sectors * boot.sector)
    }

    /// Reads the boot sector and the table.
    pub(crate) fn open(image: Arc<dyn ImageReader>) -> Result<Fat, Fault> {
        let sector = read_vec(&*image, 0, 512)?;
        let boot = Boot::parse(&sector)?;
        let heap = boot.first_cluster_at();
        let len = boot.n_sectors * boot.sector;
        let cluster = boot.cluster * boot.sector;
        let there =
            len.checked_sub(heap).ok_or_else(|| damaged("a volume without clusters", heap))? / cluster;
        let width = match there {
            _ if boot.is_32 => Width::ThirtyTwo,
            0..4085 => Width::Twelve,
            _ => Width::Sixteen,
        };
        let flags = if boot.is_32 { le16(&sector, 40)? } else { 0 };
        // Without mirroring one of the tables counts.
        let active = if flags & 0x80 == 0 { 0 } else { u64::from(flags & 0xf) };
        if active >= boot.n_tables {
            return Err(damaged("the table that counts is none of the tables", 40));
        }
        // The table may have room for fewer clusters than the volume.
        let most = match width {
            Width::Twelve => boot.table_sectors * boot.sector * 2 / 3,
            Width::Sixteen => boot.table_sectors * boot.sector / 2,
            Width::ThirtyTwo | Width::Whole => boot.table_sectors * boot.sector / 4,
        };
        let n = u32::try_from(there.min(most.saturating_sub(2)).min(0x0fff_fff5)).expect("28 bits fit");
        let table_at = |nth: u64| (boot.reserved + nth * boot.table_sectors) * boot.sector;
        let clusters = Clusters::read(Arc::clone(&image), width, table_at(active), (heap, cluster, n))?;
        let is_mirrored = flags & 0x80 == 0 && boot.n_tables > 1;
        let has_unlike_copies = is_mirrored && !is_same(&*image, table_at(1), clusters.table())?;
        let root = if boot.is_32 {
            Root::Chain(le32(&sector, 44)?)
        } else {
            Root::Fixed(heap - boot.root_len(), boot.n_root * 32)
        };
        Ok(Fat { clusters, width, root, len, has_unlike_copies })
    }
}

/// Whether the volume holds the same bytes there.
fn is_same(image: &dyn ImageReader, at: u64, bytes: &[u8]) -> Result<bool, Fault> {
    let mut block = vec![0; 64 * 1024];
    for (nth, part) in bytes.chunks(block.len()).enumerate() {
        let other = &mut block[..part.len()];
        read_exact_at(image, at + (nth * 64 * 1024) as u64, other)?;
        if other != part {
            return Ok(false);
        }
    }
    Ok(true)
}

impl FileSystem for Fat {
    fn kind(&self) -> &'static str {
        match self.width {
            Width::Twelve => "FAT12",
            Width::Sixteen => "FAT16",
            Width::ThirtyTwo | Width::Whole => "FAT32",
        }
    }

    fn walk(&self, sink: &mut dyn FnMut(Item) -> ControlFlow<()>) -> Summary {
        let mut walk = Walk {
            fat: self,
            found: Found::new(sink),
            reached: Reached::none_of(&self.clusters),
            budget: Budget::of(self.clusters.n.into(), self.clusters.size),
            waiting: Vec::new(),
            directories: HashSet::new(),
        };
        if self.len > self.clusters.image.size() {
            walk.found.problem(b"/".to_vec(), Fault::PastEnd { offset: self.clusters.image.size() });
        }
        if self.has_unlike_copies {
            walk.found.problem(b"/".to_vec(), damaged("the copies of the file allocation table differ", 0));
        }
        walk.run();
        walk.found.summary
    }

    fn deleted(&self, sink: &mut dyn FnMut(Deleted) -> ControlFlow<()>) -> Option<Remains> {
        Some(deleted::search(self, sink))
    }
}

struct Walk<'w, 's> {
    fat: &'w Fat,
    found: Found<'s>,
    reached: Reached,
    budget: Budget,
    /// Directories that are known and not listed: path, first cluster, depth.
    waiting: Vec<(Vec<u8>, u32, usize)>,
    /// Their first clusters.
    directories: HashSet<u32>,
}

impl Walk<'_, '_> {
    fn run(&mut self) {
        let clusters = &self.fat.clusters;
        self.found.summary.allocated += 1;
        match self.fat.root {
            Root::Fixed(at, len) => {
                let extent = Extent { logical: 0, len, data: Data::Disk(at) };
                self.found.summary.directories += 1;
                self.list(b"", 0, Content::new(Arc::clone(&clusters.image), len, vec![extent]));
            }
            Root::Chain(first) => self.directory(b"", first, 0),
        }
        while let Some((path, first, depth)) = self.waiting.pop() {
            if self.found.stopped {
                return;
            }
            self.directory(&path, first, depth);
        }
        self.orphans();
    }

    fn directory(&mut self, path: &[u8], first: u32, depth: usize) {
        let shown = if path.is_empty() { b"/".to_vec() } else { path.to_vec() };
        if !self.directories.insert(first) {
            return self.found.lose(vec![shown], damaged("a directory that was listed before", first.into()));
        }
        let chain = self.fat.clusters.chain(first, &mut self.reached);
        match self.fat.clusters.content(&chain) {
            Ok(content) if content.left() > 0 => {
                self.found.summary.directories += 1;
                self.list(path, depth, content);
                self.doubts(&shown, chain, u64::MAX);
            }
            Ok(_) => {
                let fault =
                    chain.fault.unwrap_or_else(|| damaged("a directory without clusters", first.into()));
                self.found.lose(vec![shown], fault);
            }
            Err(fault) => self.found.lose(vec![shown], fault),
        }
    }

    /// What is wrong with a chain that could be read all the same.
    fn doubts(&mut self, path: &[u8], chain: Chain, size: u64) {
        if let Some(fault) = self.fat.clusters.doubt(chain, size) {
            self.found.problem(path.to_vec(), fault);
        }
    }

    fn list(&mut self, path: &[u8], depth: usize, content: Content) {
        let mut records = Records::of(content);
        let mut long = Long::default();
        let mut siblings = Siblings::default();
        while !self.found.stopped {
            let record = match records.next() {
                Ok(Some(record)) => record,
                Ok(None) => return,
                Err(fault) => {
                    let shown = if path.is_empty() { b"/" } else { path };
                    return self.found.problem(shown.to_vec(), fault);
                }
            };
            let attributes = record[11];
            if record[0] == 0xe5 {
                long = Long::default();
            } else if attributes & 0x3f == LONG_NAME {
                long.add(&record);
            } else if attributes & LABEL != 0 {
                long = Long::default();
            } else {
                let name = std::mem::take(&mut long).name_of(&record);
                if !matches!(&record[..11], b".          " | b"..         ") {
                    let path = [path, b"/", &spelled(&name)].concat();
                    self.entry(path.clone(), &record, depth);
                    if let Some(fault) = siblings.check(&name) {
                        self.found.problem(path, fault);
                    }
                }
            }
        }
    }

    fn entry(&mut self, path: Vec<u8>, record: &[u8; 32], depth: usize) {
        self.found.summary.allocated += 1;
        let word = |at: usize| u32::from(u16::from_le_bytes([record[at], record[at + 1]]));
        let high = if self.fat.width == Width::ThirtyTwo { word(20) << 16 } else { 0 };
        let first = high | word(26);
        let size = u64::from(word(28) | word(30) << 16);
        if record[11] & DIRECTORY != 0 {
            if depth >= MOST_DEPTH {
                let limit = Fault::Limit { what: "directories in one another", limit: MOST_DEPTH as u64 };
                return self.found.lose(vec![path], limit);
            }
            return self.waiting.push((path, first, depth + 1));
        }
        // An empty file has no cluster.
        let chain = match first {
            0 => Chain::default(),
            first => self.fat.clusters.chain(first, &mut self.reached),
        };
        self.file(path, first.into(), size, chain);
    }

    fn file(&mut self, path: Vec<u8>, node: u64, size: u64, chain: Chain) {
        let extents = self.fat.clusters.extents(&chain, size).and_then(|extents| {
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

    /// Chains that no directory knows.
    fn orphans(&mut self) {
        let fat = self.fat;
        let clusters = &fat.clusters;
        let is_lost = |cluster: u32, reached: &Reached| {
            !reached.has(cluster) && !matches!(clusters.next(cluster), Next::Free | Next::Bad)
        };
        let mut inner = Reached::none_of(clusters);
        for cluster in clusters.numbers().filter(|cluster| is_lost(*cluster, &self.reached)) {
            if let Next::Cluster(next) = clusters.next(cluster) {
                inner.take(next);
            }
        }
        // First those that nothing leads to; what then remains are circles.
        for is_head in [true, false] {
            for cluster in clusters.numbers() {
                if self.found.stopped {
                    return;
                }
                if is_lost(cluster, &self.reached) && (!is_head || !inner.has(cluster)) {
                    let chain = clusters.chain(cluster, &mut self.reached);
                    self.found.summary.allocated += 1;
                    let path = format!("/$Orphans/{cluster}").into_bytes();
                    let len = clusters.len_of(&chain);
                    self.file(path, cluster.into(), len, chain);
                }
            }
        }
    }
}
