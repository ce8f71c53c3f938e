//! Where a file's blocks are: extents in the inode, or in a tree whose root is there.

use super::Xfs;
use super::inode::{Format, Inode};
use crate::budget::Budget;
use crate::fault::{Fault, be16, be64, damaged, times};
use crate::item::{Data, Extent};

/// Of one file, as for every file system.
const MOST_EXTENTS: u64 = 1 << 20;
const MOST_LEVELS: u16 = 16;
/// From this byte of a directory on there is its index.
pub(super) const INDEX: u64 = 32 << 30;

/// The content's runs, in order, within its size.
pub(super) fn extents(xfs: &Xfs, inode: &Inode, budget: &mut Budget) -> Result<Vec<Extent>, Fault> {
    if inode.size > i64::MAX as u64 {
        return Err(damaged("a file of an impossible size", inode.number));
    }
    let mut extents = all(xfs, inode, budget)?;
    extents.retain(|extent| extent.logical < inode.size);
    if let Some(last) = extents.last_mut() {
        last.len = last.len.min(inode.size - last.logical);
    }
    Ok(extents)
}

/// The same, also behind the end of what the inode's size says.
pub(super) fn all(xfs: &Xfs, inode: &Inode, budget: &mut Budget) -> Result<Vec<Extent>, Fault> {
    if inode.is_realtime {
        return Err(Fault::Unsupported("a file on the realtime device".into()));
    }
    if inode.n_extents > MOST_EXTENTS {
        return Err(Fault::Limit { what: "extents of one file", limit: MOST_EXTENTS });
    }
    let mut map = Map { xfs, inode, budget, extents: Vec::new(), end: 0 };
    let fork = inode.fork();
    match inode.format {
        Format::Extents => {
            let n = usize::try_from(inode.n_extents).unwrap_or(usize::MAX);
            fork.chunks_exact(16).take(n).try_for_each(|record| map.add(record))?;
        }
        Format::Tree => {
            let (level, n) = (be16(fork, 0)?, usize::from(be16(fork, 2)?));
            // The root has no header but these four bytes, and as many keys as pointers find room.
            let most = (fork.len() - 4) / 16;
            if n > most || !(1..=MOST_LEVELS).contains(&level) {
                return Err(map.wrong("the root of a tree of extents"));
            }
            for child in fork[4 + most * 8..].chunks_exact(8).take(n) {
                map.node(be64(child, 0)?, level - 1)?;
            }
        }
        Format::Local | Format::Other => return Err(map.wrong("content where there is none")),
    }
    if map.extents.len() as u64 != inode.n_extents {
        return Err(map.wrong("a file has other extents than its inode says"));
    }
    Ok(map.extents)
}

struct Map<'m> {
    xfs: &'m Xfs,
    inode: &'m Inode,
    budget: &'m mut Budget,
    extents: Vec<Extent>,
    /// First logical block after the last extent: what comes must not lie before.
    end: u64,
}

impl Map<'_> {
    fn wrong(&self, what: &'static str) -> Fault {
        damaged(what, self.inode.number)
    }

    fn node(&mut self, block: u64, level: u16) -> Result<(), Fault> {
        self.budget.block()?;
        let sb = &self.xfs.sb;
        let node = self.xfs.record(sb.place(block, 1)?, sb.block_size, 64)?;
        let (magic, head): (&[u8], usize) = if sb.has_sums { (b"BMA3", 72) } else { (b"BMAP", 24) };
        let n = usize::from(be16(&node, 6)?);
        let most = (node.len() - head) / 16;
        // None is empty: each that is read takes the file on, so that a tree that comes back to itself ends.
        if !node.starts_with(magic) || be16(&node, 4)? != level || !(1..=most).contains(&n) {
            return Err(self.wrong("a block of a tree of extents"));
        }
        if sb.has_sums && be64(&node, 56)? != self.inode.number {
            return Err(self.wrong("a block of another file's tree of extents"));
        }
        if level == 0 {
            return node[head..].chunks_exact(16).take(n).try_for_each(|record| self.add(record));
        }
        for child in node[head + most * 8..].chunks_exact(8).take(n) {
            self.node(be64(child, 0)?, level - 1)?;
        }
        Ok(())
    }

    /// Adds a record: a bit for unwritten, 54 of the place in the file, 52 of that on the volume, 21 of the length.
    fn add(&mut self, record: &[u8]) -> Result<(), Fault> {
        let (high, low) = (be64(record, 0)?, be64(record, 8)?);
        let (at, n) = (high >> 9 & ((1 << 54) - 1), low & ((1 << 21) - 1));
        let block = (high & 0x1ff) << 43 | low >> 21;
        if n == 0 || at < self.end || self.extents.len() as u64 >= MOST_EXTENTS {
            return Err(self.wrong("extents that are not in order"));
        }
        self.end = at + n;
        let sb = &self.xfs.sb;
        let place = sb.place(block, n)?;
        let data = if high >> 63 == 0 { Data::Disk(place) } else { Data::Zero };
        let beyond = "an extent beyond all sizes";
        let logical = times(at, sb.block_size, beyond)?;
        self.extents.push(Extent { logical, len: n * sb.block_size, data });
        times(self.end, sb.block_size, beyond).map(|_| ())
    }
}
