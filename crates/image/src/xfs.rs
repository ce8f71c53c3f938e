//! XFS, versions 4 and 5: every inode that the inode trees call in use, whether a directory names it or not.
//!
//! ```text
//!  allocation group: superblock │ inode header ─► tree of inodes ─► inode ─► extents (in it, or a tree of its own)
//! ```
//!
//! Where the volume has checksums (version 5) they are held against all that is read but content, which has none. The
//! log is not replayed: a volume whose log holds changes is given as it lies on the disk, with a problem that says so.

mod dirs;
mod inode;
mod log;
mod map;
mod superblock;

use crate::budget::Budget;
use crate::crc32c;
use crate::fault::{Fault, be16, be32, be64, damaged, size};
use crate::found::{FileSystem, Found};
use crate::item::{Data, Item, Kind, Stream, Summary};
use crate::names::Names;
use crate::reader::{ImageReader, read_vec};
use inode::{Inode, Mode};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use superblock::Superblock;

/// The kernel's own limit of a tree.
const MOST_LEVELS: u32 = 16;
/// Files of a volume with reflinks may share their blocks: so many times its size, all of them together.
const MOST_SHARED: u64 = 64;
/// Of groups that cannot be read: a superblock may claim four billion.
const MOST_LOST_GROUPS: u32 = 65_536;

/// An XFS volume.
pub struct Xfs {
    image: Arc<dyn ImageReader>,
    sb: Superblock,
}

impl Xfs {
    /// Reads the superblock.
    pub fn open(image: Arc<dyn ImageReader>) -> Result<Xfs, Fault> {
        let sb = Superblock::read(&*image)?;
        Ok(Xfs { image, sb })
    }

    /// A record of metadata whose checksum, if the volume has any, is right.
    fn record(&self, at: u64, len: u64, sum_at: usize) -> Result<Vec<u8>, Fault> {
        let record = read_vec(&*self.image, at, size(len)?)?;
        self.sb.check(&record, sum_at, at)?;
        Ok(record)
    }

    fn say_what_is_wrong_with_the_whole(&self, found: &mut Found<'_>) {
        let mut whole = |fault| found.problem(b"/".to_vec(), fault);
        match log::is_clean(&*self.image, &self.sb) {
            Ok(true) => {}
            Ok(false) => whole(Fault::Unsupported(
                "the log holds changes that are not on the disk; it was not replayed".into(),
            )),
            Err(fault) => whole(fault),
        }
        if self.sb.needs_repair {
            whole(damaged("a volume that says it needs repair", 0));
        }
        if self.sb.n_blocks.saturating_mul(self.sb.block_size) > self.image.size() {
            whole(Fault::PastEnd { offset: self.image.size() });
        }
    }

    /// Every inode in use, with what it is; `None` if it cannot be read.
    fn allocated(&self, budget: &mut Budget, found: &mut Found<'_>) -> BTreeMap<u64, Option<Mode>> {
        let mut all = BTreeMap::new();
        let mut n_lost = 0;
        for group in 0..self.sb.n_groups {
            if found.stopped {
                break;
            }
            if n_lost == MOST_LOST_GROUPS {
                let fault = Fault::Limit { what: "groups that cannot be read", limit: n_lost.into() };
                found.problem(b"/".to_vec(), fault);
                break;
            }
            let mut listing = Listing { xfs: self, group, next: 0, numbers: Vec::new() };
            if let Err(fault) = listing.read(budget) {
                n_lost += 1;
                found.problem(format!("/$Group/{group}").into_bytes(), fault);
            }
            for number in listing.numbers {
                let mode = Inode::read(self, number).ok().map(|inode| inode.mode);
                if all.insert(number, mode).is_none() {
                    found.summary.allocated += 1;
                }
            }
        }
        all
    }

    fn names(
        &self,
        allocated: &BTreeMap<u64, Option<Mode>>,
        budget: &mut Budget,
        found: &mut Found<'_>,
    ) -> Names {
        let mut names = Names::below(self.sb.root);
        let mut unallocated = Vec::new();
        for number in directories(allocated) {
            if found.stopped {
                break;
            }
            match Inode::read(self, number).and_then(|inode| dirs::entries(self, &inode, budget)) {
                Ok((entries, fault)) => {
                    found.summary.directories += 1;
                    let mut problem = |inode: u64, fault| {
                        found.problem(format!("/$Inode/{inode}").into_bytes(), fault);
                    };
                    for (inode, name) in entries {
                        if !allocated.contains_key(&inode) {
                            unallocated.push((number, name.clone()));
                        }
                        if let Err(fault) = names.add(inode, number, name) {
                            problem(inode, fault);
                        }
                    }
                    if let Some(fault) = fault {
                        problem(number, fault);
                    }
                }
                Err(fault) => found.lose(vec![format!("/$Inode/{number}").into_bytes()], fault),
            }
        }
        for (dir, name) in unallocated {
            let fault = damaged("a name of an inode that is not in use", 0);
            found.problem(names.path_of(dir, Some(&name)), fault);
        }
        names
    }

    /// Whether an inode that the superblock calls its own has content that neither quotas nor a realtime device have.
    fn holds_a_file(&self, inode: &Inode) -> bool {
        if inode.mode != Mode::File || inode.size == 0 || self.sb.has_realtime {
            return false;
        }
        let mut once = Budget::of(self.sb.n_blocks, self.sb.block_size);
        let begin = map::extents(self, inode, &mut once).ok().and_then(|extents| {
            let mut magic = [0; 2];
            let first = extents.iter().find(|extent| extent.data.is_on_disk())?;
            let Data::Disk(at) = first.data else { return None };
            crate::reader::read_exact_at(&*self.image, at, &mut magic).ok()?;
            Some(magic)
        });
        begin.is_none_or(|magic| magic != *b"DQ")
    }

    /// Gives the one inode to the sink.
    fn give(&self, number: u64, names: &Names, budget: &mut Budget, found: &mut Found<'_>) {
        let paths = || names.paths_of(number);
        let inode = match Inode::read(self, number) {
            Ok(inode) => inode,
            Err(fault) => return found.lose(paths(), fault),
        };
        if self.sb.internal.contains(&number) && !names.is_named(number) && !self.holds_a_file(&inode) {
            found.summary.internal += 1;
            return;
        }
        match inode.mode {
            Mode::File => {
                let extents = map::extents(self, &inode, budget).and_then(|extents| {
                    budget.stream(inode.size, &extents)?;
                    Ok(extents)
                });
                match extents {
                    Ok(extents) => {
                        found.stream(Stream { node: number, paths: paths(), size: inode.size, extents });
                    }
                    Err(fault) => found.lose(paths(), fault),
                }
            }
            Mode::Link => found.other(paths(), Kind::Link),
            Mode::Fifo => found.other(paths(), Kind::Fifo),
            Mode::Socket => found.other(paths(), Kind::Socket),
            Mode::Device => found.other(paths(), Kind::Device),
            Mode::Directory | Mode::None => {
                found.lose(paths(), damaged("an inode in use that is nothing", number));
            }
        }
    }
}

fn directories(allocated: &BTreeMap<u64, Option<Mode>>) -> impl Iterator<Item = u64> {
    allocated.iter().filter(|(_, mode)| **mode == Some(Mode::Directory)).map(|(number, _)| *number)
}

/// The inodes in use of one allocation group, also those before a fault.
struct Listing<'x> {
    xfs: &'x Xfs,
    group: u32,
    /// No inode before this one may follow: so a tree that comes back to itself ends, and no list of inodes is
    /// longer than its group has room for.
    next: u32,
    numbers: Vec<u64>,
}

impl Listing<'_> {
    fn read(&mut self, budget: &mut Budget) -> Result<(), Fault> {
        let sb = &self.xfs.sb;
        let at = sb.group_at(self.group) + 2 * sb.sector_size;
        let header = self.xfs.record(at, sb.sector_size, 312)?;
        if !header.starts_with(b"XAGI") || be32(&header, 8)? != self.group {
            return Err(damaged("the header of a group's inodes", at));
        }
        let levels = be32(&header, 24)?;
        if !(1..=MOST_LEVELS).contains(&levels) {
            return Err(damaged("a tree of inodes of no permitted height", at));
        }
        self.tree(be32(&header, 20)?, levels - 1, true, budget)?;
        let in_use = be32(&header, 16)?.checked_sub(be32(&header, 28)?);
        if in_use.map(u64::from) != Some(self.numbers.len() as u64) {
            return Err(damaged("a group has other inodes in use than its header says", at));
        }
        Ok(())
    }

    fn tree(&mut self, block: u32, level: u32, is_root: bool, budget: &mut Budget) -> Result<(), Fault> {
        budget.block()?;
        let sb = &self.xfs.sb;
        let at = sb.block_at(self.group, block)?;
        let node = self.xfs.record(at, sb.block_size, 52)?;
        let (magic, head): (&[u8], usize) = if sb.has_sums { (b"IAB3", 56) } else { (b"IABT", 16) };
        let (found_level, n) = (be16(&node, 4)?, usize::from(be16(&node, 6)?));
        let body = &node[head..];
        let most = if level == 0 { body.len() / 16 } else { body.len() / 8 };
        // Only a volume without inodes has an empty block, its root.
        let is_empty = n == 0 && !(is_root && level == 0);
        if !node.starts_with(magic) || u32::from(found_level) != level || n > most || is_empty {
            return Err(damaged("a block of the tree of inodes", at));
        }
        if level == 0 {
            return body.chunks_exact(16).take(n).try_for_each(|record| self.chunk(record));
        }
        let children = &body[most * 4..];
        for child in children.chunks_exact(4).take(n) {
            self.tree(be32(child, 0)?, level - 1, false, budget)?;
        }
        Ok(())
    }

    /// 64 inodes: one bit each for free, and in sparse chunks one for every four that are not there at all.
    fn chunk(&mut self, record: &[u8]) -> Result<(), Fault> {
        let sb = &self.xfs.sb;
        let first = be32(record, 0)?;
        let end = first.checked_add(64).filter(|end| u64::from(*end) <= sb.inodes_of_a_group());
        let end = end.ok_or_else(|| damaged("an inode beyond its group", first.into()))?;
        if first < self.next {
            return Err(damaged("a tree of inodes that is not in order", first.into()));
        }
        self.next = end;
        let holes = if sb.has_sparse_inodes { be16(record, 4)? } else { 0 };
        let free = be64(record, 8)?;
        for nth in 0..64_u32 {
            if free >> nth & 1 == 0 && holes >> (nth / 4) & 1 == 0 {
                self.numbers.push(sb.number(self.group, first + nth));
            }
        }
        Ok(())
    }
}

impl FileSystem for Xfs {
    fn kind(&self) -> &'static str {
        "XFS"
    }

    fn walk(&self, sink: &mut dyn FnMut(Item) -> ControlFlow<()>) -> Summary {
        let mut found = Found::new(sink);
        let n_times = if self.sb.has_reflinks { MOST_SHARED } else { 1 };
        let n_blocks = self.sb.n_blocks.min(self.image.size() / self.sb.block_size);
        let mut budget = Budget::of_shared(n_blocks, self.sb.block_size, n_times);
        self.say_what_is_wrong_with_the_whole(&mut found);
        let allocated = self.allocated(&mut budget, &mut found);
        if allocated.get(&self.sb.root) != Some(&Some(Mode::Directory)) {
            found.problem(b"/".to_vec(), damaged("a root that is no directory in use", self.sb.root));
        }
        let names = self.names(&allocated, &mut budget, &mut found);
        for (number, mode) in &allocated {
            if found.stopped {
                break;
            }
            if *mode != Some(Mode::Directory) {
                self.give(*number, &names, &mut budget, &mut found);
            }
        }
        found.problems(names.contradictions(directories(&allocated), &[]));
        found.summary
    }
}

impl Superblock {
    fn check(&self, record: &[u8], sum_at: usize, at: u64) -> Result<(), Fault> {
        if self.has_sums && crate::fault::le32(record, sum_at)? != crc32c::of_record(record, sum_at) {
            return Err(damaged("metadata that fails its checksum", at));
        }
        Ok(())
    }
}
