//! Where a file's blocks are: extents, the older indirect blocks, or the inode itself.

use super::Ext;
use super::inode::Inode;
use crate::budget::Budget;
use crate::crc32c::update as crc32c;
use crate::fault::{Fault, damaged, le16, le32, size};
use crate::item::{Data, Extent};
use crate::reader::read_vec;

/// Of one file. A file of 1 GiB in single blocks of 1 KiB has as many.
const MOST_EXTENTS: usize = 1 << 20;
/// The kernel's own limit.
const MOST_DEPTH: u16 = 5;
/// Longer extents are allocated and not written.
const WRITTEN: u64 = 32768;

/// The content's runs, in order, within its size.
pub(crate) fn extents(ext: &Ext, inode: &Inode, budget: &mut Budget) -> Result<Vec<Extent>, Fault> {
    if let Some(fault) = inode.refusal() {
        return Err(fault);
    }
    if let Some((head, tail)) = inode.inline()? {
        let mut bytes = [head, tail].concat();
        // The kernel reads zeros behind what there is; mke2fs makes such files of holes.
        let len = inode.size.min(bytes.len() as u64);
        bytes.truncate(size(len)?);
        return Ok(if len == 0 {
            Vec::new()
        } else {
            vec![Extent { logical: 0, len, data: Data::Inline(bytes.into()) }]
        });
    }
    let mut map = Map { ext, inode, budget, extents: Vec::new(), end: 0 };
    if inode.has_extents() {
        let depth = le16(inode.block(), 6)?;
        map.node(inode.block(), depth, (0, 1 << 32))?;
    } else {
        map.indirect()?;
    }
    let mut extents = map.extents;
    extents.retain(|e| e.logical < inode.size);
    if let Some(last) = extents.last_mut() {
        last.len = last.len.min(inode.size - last.logical);
    }
    Ok(extents)
}

struct Map<'m> {
    ext: &'m Ext,
    inode: &'m Inode,
    budget: &'m mut Budget,
    extents: Vec<Extent>,
    /// First logical block after the last extent: what comes must not lie before.
    end: u64,
}

impl Map<'_> {
    fn wrong(&self, what: &'static str) -> Fault {
        damaged(what, self.inode.number.into())
    }

    fn block(&mut self, nth: u64) -> Result<Vec<u8>, Fault> {
        self.budget.block()?;
        let sb = &self.ext.sb;
        if nth == 0 || nth >= sb.n_blocks {
            return Err(self.wrong("a block beyond the volume"));
        }
        read_vec(&*self.ext.image, nth * sb.block_size, size(sb.block_size)?)
    }

    /// Adds `n` blocks from logical block `at` on; `None` means zeros.
    fn add(&mut self, at: u64, n: u64, start: Option<u64>) -> Result<(), Fault> {
        let sb = &self.ext.sb;
        if n == 0 || at < self.end {
            return Err(self.wrong("extents that are not in order"));
        }
        self.end = at + n;
        let data = match start {
            None => Data::Zero,
            Some(start) => {
                if start == 0 || start.checked_add(n).is_none_or(|end| end > sb.n_blocks) {
                    return Err(self.wrong("an extent beyond the volume"));
                }
                Data::Disk(start * sb.block_size)
            }
        };
        let (logical, len) = (at * sb.block_size, n * sb.block_size);
        if let Some(last) = self.extents.last_mut()
            && last.logical + last.len == logical
        {
            match (&last.data, &data) {
                (Data::Disk(before), Data::Disk(here)) if before + last.len == *here => {
                    last.len += len;
                    return Ok(());
                }
                _ => {}
            }
        }
        if self.extents.len() == MOST_EXTENTS {
            return Err(Fault::Limit { what: "extents in one file", limit: MOST_EXTENTS as u64 });
        }
        self.extents.push(Extent { logical, len, data });
        Ok(())
    }

    /// A node of the extent tree, whose keys lie within `range`.
    fn node(&mut self, node: &[u8], depth: u16, range: (u64, u64)) -> Result<(), Fault> {
        if le16(node, 0)? != 0xf30a || le16(node, 6)? != depth || depth > MOST_DEPTH {
            return Err(self.wrong("a node of the extent tree that is none"));
        }
        let n = usize::from(le16(node, 2)?);
        if n > usize::from(le16(node, 4)?) || 12 + n * 12 > node.len() {
            return Err(self.wrong("a node of the extent tree with too many entries"));
        }
        // The kernel takes it for damage, too.
        if n == 0 && depth > 0 {
            return Err(self.wrong("a node of the extent tree with nothing below"));
        }
        for nth in 0..n {
            let at = 12 + nth * 12;
            let first = u64::from(le32(node, at)?);
            if first < range.0 || first >= range.1 {
                return Err(self.wrong("an extent outside its node"));
            }
            if depth == 0 {
                let raw = u64::from(le16(node, at + 4)?);
                let start = u64::from(le16(node, at + 6)?) << 32 | u64::from(le32(node, at + 8)?);
                let (n, start) = if raw > WRITTEN { (raw - WRITTEN, None) } else { (raw, Some(start)) };
                self.add(first, n, start)?;
                continue;
            }
            let end = if nth + 1 < n { u64::from(le32(node, at + 12)?) } else { range.1 };
            let child = u64::from(le16(node, at + 8)?) << 32 | u64::from(le32(node, at + 4)?);
            let child = self.block(child)?;
            if let Some(seed) = self.inode.seed {
                let tail = 12 + usize::from(le16(&child, 4)?) * 12;
                let sum = le32(&child, tail)?;
                if crc32c(seed, &child[..tail]) != sum {
                    return Err(self.wrong("an extent block fails its checksum"));
                }
            }
            self.node(&child, depth - 1, (first, end))?;
        }
        Ok(())
    }

    /// Twelve blocks, then blocks of blocks, of blocks of blocks, and once more. A pointer of 0 is a hole.
    fn indirect(&mut self) -> Result<(), Fault> {
        let per_block = self.ext.sb.block_size / 4;
        let n_blocks = self.inode.size.div_ceil(self.ext.sb.block_size);
        let mut at = 0;
        for (nth, level) in [0; 12].into_iter().chain(1..=3).enumerate() {
            let span = match nth {
                12 => per_block,
                13 => per_block * per_block,
                14 => per_block * per_block * per_block,
                _ => 1,
            };
            if at < n_blocks {
                let pointer = le32(self.inode.block(), nth * 4)?;
                self.pointer(pointer.into(), level, at, span, n_blocks)?;
            }
            at += span;
        }
        if at < n_blocks {
            return Err(self.wrong("a file larger than its map can be"));
        }
        Ok(())
    }

    fn pointer(&mut self, pointer: u64, level: u32, at: u64, span: u64, n_blocks: u64) -> Result<(), Fault> {
        if pointer == 0 {
            return Ok(());
        }
        if level == 0 {
            return self.add(at, 1, Some(pointer));
        }
        let block = self.block(pointer)?;
        let below = span / (self.ext.sb.block_size / 4);
        let mut at = at;
        for entry in block.chunks_exact(4) {
            if at >= n_blocks {
                break;
            }
            self.pointer(le32(entry, 0)?.into(), level - 1, at, below, n_blocks)?;
            at += below;
        }
        Ok(())
    }
}
