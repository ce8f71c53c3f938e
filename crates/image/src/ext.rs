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

use crate::budget::Budget;
use crate::fault::{Fault, damaged, size};
use crate::found::{FileSystem, Found};
use crate::item::{Content, Item, Kind, Stream, Summary};
use crate::names::Names;
use crate::reader::{ImageReader, read_vec};
use inode::{Inode, Mode};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use superblock::Superblock;

/// An ext2, ext3 or ext4 volume.
pub struct Ext {
    image: Arc<dyn ImageReader>,
    sb: Superblock,
}

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
}

impl FileSystem for Ext {
    fn kind(&self) -> &'static str {
        "ext"
    }

    fn walk(&self, sink: &mut dyn FnMut(Item) -> ControlFlow<()>) -> Summary {
        let mut found = Found::new(sink);
        let mut budget = Budget::of(self.sb.n_blocks, self.sb.block_size);
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
        if allocated.get(&superblock::ROOT) != Some(&Some(Mode::Directory)) {
            found.problem(
                b"/".to_vec(),
                damaged("a root that is no directory in use", superblock::ROOT.into()),
            );
        }
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
        found.problems(names.contradictions(dirs.iter().map(|dir| (*dir).into()), &[]));
        found.summary
    }
}

impl Ext {
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
        let mut names = Names::below(superblock::ROOT.into());
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
                        if let Err(limit) = names.add(inode.into(), (*number).into(), name) {
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
            let path = names.path_of(dir.into(), Some(&name));
            found.problem(path, damaged("a name of an inode that is not in use", 0));
        }
        names
    }

    /// Whether an inode of the file system's own has content that is none of the file system's: of those that have no
    /// use any more any, of the others what does not begin as a journal or quotas do.
    fn holds_a_file(&self, inode: &Inode) -> bool {
        if inode.mode != Mode::File || inode.size == 0 {
            return false;
        }
        match inode.number {
            5 | 6 | 9 | 10 => true,
            ..=superblock::LAST_RESERVED => false,
            _ => !self.begins_as_own(inode).unwrap_or(false),
        }
    }

    fn begins_as_own(&self, inode: &Inode) -> Result<bool, Fault> {
        let mut once = Budget::of(self.sb.n_blocks, self.sb.block_size);
        let extents = map::extents(self, inode, &mut once)?;
        let mut block = vec![0; size(self.sb.block_size)?];
        let mut content = Content::new(Arc::clone(&self.image), inode.size, extents);
        let n = content.read(&mut block)?;
        let has = |magics: &[[u8; 4]], at: usize| {
            block.get(at..at + 4).is_some_and(|own| magics.iter().any(|magic| own == magic))
        };
        // The orphan file's is at the end of each block.
        let is_orphan_file = n == block.len() && has(&[0x0b10_ca04_u32.to_le_bytes()], n - 8);
        let quotas = [0xd9c0_1f11_u32, 0xd9c0_1927, 0xd9c0_3f14].map(u32::to_le_bytes);
        Ok(has(&[0xc03b_3998_u32.to_be_bytes()], 0) || has(&quotas, 0) || is_orphan_file)
    }

    /// Gives the one inode to the sink.
    fn give(&self, number: u32, names: &Names, budget: &mut Budget, found: &mut Found<'_>) {
        let paths = || names.paths_of(number.into());
        let is_internal = self.sb.is_internal(number) && !names.is_named(number.into());
        let inode = match Inode::read(self, number) {
            Ok(inode) => inode,
            // The reserved ones may hold anything.
            Err(_) if is_internal => {
                found.summary.internal += 1;
                return;
            }
            Err(fault) => return found.lose(paths(), fault),
        };
        let is_value = self.sb.has_attribute_inodes && inode.is_attribute_value();
        if is_internal && !self.holds_a_file(&inode) || is_value && !names.is_named(number.into()) {
            if number == superblock::BAD_BLOCKS && inode.has_blocks() {
                let what = "blocks that are marked bad; nobody looked at them";
                found.problem(format!("/$Inode/{number}").into_bytes(), Fault::Unsupported(what.into()));
            }
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
                        let node = u64::from(number);
                        found.stream(Stream { node, paths: paths(), size: inode.size, extents });
                    }
                    Err(fault) => found.lose(paths(), fault),
                }
            }
            Mode::Link => found.other(paths(), Kind::Link),
            Mode::Fifo => found.other(paths(), Kind::Fifo),
            Mode::Socket => found.other(paths(), Kind::Socket),
            Mode::Device => found.other(paths(), Kind::Device),
            Mode::Directory | Mode::None => {
                found.lose(paths(), damaged("an inode in use that is nothing", u64::from(number)));
            }
        }
    }
}
