//! ext2, ext3 and ext4: every allocated inode, whether a directory names it or not.
//!
//! Three passes, each in the order of the disk or of the names: the inode tables say what is allocated, the
//! directories say what it is called, and then every file is given with its extents. A file that no directory names
//! is given under `/$Orphans`. Where the volume has metadata checksums they are held against inodes, extent blocks and
//! directory blocks.
//!
//! Memory grows with the names, by about 100 bytes each. The journal is not replayed: a volume that needs it is given
//! as it lies on the disk, together with a problem that says so.

mod dirs;
mod inode;
mod map;
mod superblock;

use crate::fault::{Fault, damaged};
use crate::item::{Data, Extent, Item, Kind, Stream, Summary};
use crate::reader::{ImageReader, read_vec};
use inode::{Inode, Mode};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use superblock::Superblock;

/// Paths of one file: more hard links than ext4 permits (65,000) are damage.
const MOST_NAMES: usize = 65_000;
/// Deeper directories are given under `/$Orphans`, so that a path stays short.
const MOST_DEPTH: usize = 1024;
/// Bytes of holes that a volume's files may have together before the rest is reported: zeros cost time to hash.
const MOST_HOLES: u64 = 1 << 40;

/// An ext2, ext3 or ext4 volume.
pub struct Ext {
    image: Arc<dyn ImageReader>,
    sb: Superblock,
}

/// Work that the volume's size permits: a hostile one asks for the same blocks again and again.
struct Budget {
    /// Metadata blocks of maps and directories.
    blocks: u64,
    /// Bytes of content.
    content: u64,
    holes: u64,
}

impl Budget {
    fn block(&mut self) -> Result<(), Fault> {
        self.blocks = self
            .blocks
            .checked_sub(1)
            .ok_or_else(|| damaged("more metadata than the volume has room for", 0))?;
        Ok(())
    }

    fn stream(&mut self, size: u64, extents: &[Extent]) -> Result<(), Fault> {
        let on_disk = extents.iter().filter(|e| matches!(e.data, Data::Disk(_))).map(|e| e.len).sum();
        let content = self.content.checked_sub(on_disk);
        self.content = content.ok_or_else(|| damaged("more content than the volume has room for", 0))?;
        let holes = self.holes.checked_sub(size.saturating_sub(on_disk));
        self.holes = holes.ok_or(Fault::Limit { what: "bytes of holes in one volume", limit: MOST_HOLES })?;
        Ok(())
    }
}

struct Found<'s> {
    sink: &'s mut dyn FnMut(Item) -> ControlFlow<()>,
    summary: Summary,
    stopped: bool,
}

impl Found<'_> {
    fn give(&mut self, item: Item) {
        if let Item::Problem { .. } = item {
            self.summary.problems += 1;
        }
        self.stopped = self.stopped || (self.sink)(item).is_break();
    }

    fn problem(&mut self, path: Vec<u8>, fault: Fault) {
        self.give(Item::Problem { path, fault });
    }
}

/// Names by inode: the directory's inode and the name in it.
type Names = HashMap<u32, Vec<(u32, Box<[u8]>)>>;

impl Ext {
    /// Whether the volume says that it is one.
    pub fn is_at(image: &dyn ImageReader) -> bool {
        read_vec(image, 1024 + 56, 2).is_ok_and(|magic| magic == [0x53, 0xef])
    }

    /// Reads the superblock and the group descriptors.
    pub fn open(image: Arc<dyn ImageReader>) -> Result<Ext, Fault> {
        let sb = Superblock::read(&*image)?;
        Ok(Ext { image, sb })
    }

    /// The volume's bytes, for [`Content`](crate::Content).
    pub fn image(&self) -> &dyn ImageReader {
        &*self.image
    }

    /// Gives every file, other entry and problem to `sink`, which may break off; the sum is then not whole.
    pub fn walk(&self, sink: &mut dyn FnMut(Item) -> ControlFlow<()>) -> Summary {
        let mut found = Found { sink, summary: Summary::default(), stopped: false };
        let mut budget = Budget {
            blocks: self.sb.n_blocks.saturating_mul(2).saturating_add(64),
            content: self.sb.n_blocks.saturating_mul(self.sb.block_size).saturating_mul(2),
            holes: MOST_HOLES,
        };
        if self.sb.needs_recovery {
            let fault = Fault::Unsupported(
                "the journal holds changes that are not on the disk; it was not replayed".into(),
            );
            found.problem(b"/".to_vec(), fault);
        }
        if self.sb.n_blocks.saturating_mul(self.sb.block_size) > self.image.size() {
            found.problem(b"/".to_vec(), Fault::PastEnd { offset: self.image.size() });
        }
        let allocated = self.allocated(&mut found);
        let dirs: Vec<u32> =
            allocated.iter().filter(|(_, mode)| **mode == Some(Mode::Directory)).map(|(n, _)| *n).collect();
        let names = self.names(&dirs, &allocated, &mut budget, &mut found);
        for (number, mode) in &allocated {
            if found.stopped {
                break;
            }
            if matches!(mode, Some(Mode::Directory)) {
                continue;
            }
            self.give(*number, &names, &mut budget, &mut found);
        }
        found.summary
    }

    /// Every inode that the bitmaps call used, with what it is; `None` if it cannot be read.
    fn allocated(&self, found: &mut Found<'_>) -> BTreeMap<u32, Option<Mode>> {
        let mut all = BTreeMap::new();
        for group in 0..self.sb.groups.len() {
            let bits = match self.sb.inode_bitmap(&*self.image, group) {
                Ok(bits) => bits,
                Err(fault) => {
                    found.problem(format!("/$Group/{group}").into_bytes(), fault);
                    continue;
                }
            };
            for number in self.sb.numbers(group, &bits) {
                found.summary.allocated += 1;
                all.insert(number, Inode::read(self, number).ok().map(|inode| inode.mode));
            }
        }
        all
    }

    fn names(
        &self,
        dirs: &[u32],
        allocated: &BTreeMap<u32, Option<Mode>>,
        budget: &mut Budget,
        found: &mut Found<'_>,
    ) -> Names {
        let mut names = Names::new();
        let mut unallocated = Vec::new();
        for number in dirs {
            if found.stopped {
                break;
            }
            let entries = Inode::read(self, *number).and_then(|inode| dirs::entries(self, &inode, budget));
            match entries {
                Ok((entries, fault)) => {
                    found.summary.directories += 1;
                    for (inode, name) in entries {
                        if !allocated.contains_key(&inode) {
                            unallocated.push((*number, name.clone()));
                        }
                        let known = names.entry(inode).or_default();
                        if known.len() < MOST_NAMES {
                            known.push((*number, name));
                        } else {
                            let limit = Fault::Limit { what: "names of one inode", limit: MOST_NAMES as u64 };
                            found.problem(format!("/$Inode/{inode}").into_bytes(), limit);
                        }
                    }
                    if let Some(fault) = fault {
                        found.problem(format!("/$Inode/{number}").into_bytes(), fault);
                    }
                }
                Err(fault) => {
                    found.summary.lost += 1;
                    found.problem(format!("/$Inode/{number}").into_bytes(), fault);
                }
            }
        }
        for (dir, name) in unallocated {
            let path = path_of(dir, Some(&name), &names);
            found.problem(path, damaged("a name of an inode that is not in use", 0));
        }
        names
    }

    /// Gives the one inode to the sink.
    fn give(&self, number: u32, names: &Names, budget: &mut Budget, found: &mut Found<'_>) {
        let paths = || paths_of(number, names);
        let inode = match Inode::read(self, number) {
            Ok(inode) => inode,
            // The reserved ones may hold anything.
            Err(_) if self.sb.is_internal(number) => {
                found.summary.internal += 1;
                return;
            }
            Err(fault) => return lose(found, paths(), fault),
        };
        if self.sb.is_internal(number) || inode.is_attribute_value() {
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
                        found.summary.streams += 1;
                        let node = u64::from(number);
                        found.give(Item::Stream(Stream { node, paths: paths(), size: inode.size, extents }));
                    }
                    Err(fault) => lose(found, paths(), fault),
                }
            }
            Mode::Link => other(found, paths(), Kind::Link),
            Mode::Fifo => other(found, paths(), Kind::Fifo),
            Mode::Socket => other(found, paths(), Kind::Socket),
            Mode::Device => other(found, paths(), Kind::Device),
            Mode::Directory | Mode::None => {
                lose(found, paths(), damaged("an inode in use that is nothing", u64::from(number)));
            }
        }
    }
}

fn other(found: &mut Found<'_>, paths: Vec<Vec<u8>>, kind: Kind) {
    found.summary.others += 1;
    found.give(Item::Other { paths, kind });
}

fn lose(found: &mut Found<'_>, paths: Vec<Vec<u8>>, fault: Fault) {
    found.summary.lost += 1;
    found.problem(paths.into_iter().next().unwrap_or_default(), fault);
}

fn paths_of(number: u32, names: &Names) -> Vec<Vec<u8>> {
    let Some(known) = names.get(&number) else {
        return vec![format!("/$Orphans/{number}").into_bytes()];
    };
    known.iter().map(|(dir, name)| path_of(*dir, Some(name), names)).collect()
}

/// The path of a directory, and of a name in it. What the root does not reach begins with `/$Orphans`.
fn path_of(mut dir: u32, name: Option<&[u8]>, names: &Names) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = name.into_iter().collect();
    let mut seen = HashSet::new();
    let orphan = loop {
        if dir == superblock::ROOT {
            break None;
        }
        let parent = names.get(&dir).and_then(|known| known.first());
        match parent {
            Some((parent, name)) if seen.insert(dir) && parts.len() < MOST_DEPTH => {
                parts.push(name);
                dir = *parent;
            }
            _ => break Some(format!("/$Orphans/{dir}")),
        }
    };
    let mut path = orphan.unwrap_or_default().into_bytes();
    for part in parts.iter().rev() {
        path.push(b'/');
        path.extend_from_slice(part);
    }
    path
}
