//! How much work a volume may ask for.

use crate::fault::{Fault, damaged};
use crate::item::{Extent, Stream};
use std::collections::HashSet;

/// Bytes of holes that a volume's files may have together before the rest is reported: zeros cost time to hash.
const MOST_HOLES: u64 = 1 << 40;

/// Work that the volume's size permits: a hostile one asks for the same blocks again and again.
pub(crate) struct Budget {
    /// Metadata blocks of maps and directories.
    blocks: u64,
    /// Bytes of content.
    content: u64,
    holes: u64,
    /// Where the blocks of directories are that were listed.
    listed: HashSet<u64>,
}

impl Budget {
    /// Of a volume of so many blocks of so many bytes.
    pub(crate) fn of(n_blocks: u64, block_size: u64) -> Budget {
        Budget::of_shared(n_blocks, block_size, 1)
    }

    /// The same where so many files may have the same content.
    pub(crate) fn of_shared(n_blocks: u64, block_size: u64, n_files: u64) -> Budget {
        Budget {
            blocks: n_blocks.saturating_mul(2).saturating_add(64),
            content: n_blocks.saturating_mul(block_size).saturating_mul(2).saturating_mul(n_files),
            holes: MOST_HOLES,
            listed: HashSet::new(),
        }
    }

    pub(crate) fn block(&mut self) -> Result<(), Fault> {
        self.blocks = self
            .blocks
            .checked_sub(1)
            .ok_or_else(|| damaged("more metadata than the volume has room for", 0))?;
        Ok(())
    }

    /// A block of a directory at this place, which can be listed once: names are in memory, and a directory of the same
    /// block again and again would have as many as it likes.
    pub(crate) fn listed(&mut self, at: u64) -> Result<(), Fault> {
        if self.listed.insert(at) { Ok(()) } else { Err(damaged("a block that two directories have", at)) }
    }

    pub(crate) fn stream(&mut self, size: u64, extents: &[Extent]) -> Result<(), Fault> {
        let on_disk = on_disk(extents);
        let content = self.content.checked_sub(on_disk);
        self.content = content.ok_or_else(|| damaged("more content than the volume has room for", 0))?;
        let holes = self.holes.checked_sub(size.saturating_sub(on_disk));
        self.holes = holes.ok_or(Fault::Limit { what: "bytes of holes in one volume", limit: MOST_HOLES })?;
        Ok(())
    }
}

fn on_disk(extents: &[Extent]) -> u64 {
    extents.iter().filter(|e| e.data.is_on_disk()).map(|e| e.len).sum()
}

/// Holes that the files of all volumes of an image may have together: a volume of some kilobytes can claim as many as
/// one may, and an image can have thousands of these.
pub(crate) struct Holes(u64);

impl Default for Holes {
    fn default() -> Holes {
        Holes(MOST_HOLES)
    }
}

impl Holes {
    pub(crate) fn take(&mut self, stream: &Stream) -> Result<(), Fault> {
        let holes = stream.size.saturating_sub(on_disk(&stream.extents));
        let left = self.0.checked_sub(holes);
        self.0 = left.ok_or(Fault::Limit { what: "bytes of holes in one image", limit: MOST_HOLES })?;
        Ok(())
    }
}
