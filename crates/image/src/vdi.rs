//! VDI of `VirtualBox`: one table that says where each block is.

use crate::fault::{Fault, damaged, le32, le64, plus, size, times};
use crate::mapped::{Map, Mapped, Run};
use crate::pieces::Piece;
use std::path::Path;

/// At byte 64, behind a text.
pub(crate) const SIGNATURE: &[u8] = b"\x7f\x10\xda\xbe";
/// 16 million blocks of the usual 1 MiB.
const MOST_TABLE: u64 = 64 << 20;
/// From here on an entry is no place: never written, or given back.
const DISCARDED: u32 = 0xffff_fffe;

pub(crate) struct Vdi {
    size: u64,
    block_size: u64,
    data_at: u64,
    /// Bytes before each block's data.
    extra: u64,
    blocks: Vec<u32>,
}

pub(crate) fn open(path: &Path) -> Result<Mapped<Vdi>, Fault> {
    let file = Piece::open(path)?;
    let head = file.record(0, 512, 512)?;
    let version = le32(&head, 68)?;
    if version >> 16 != 1 {
        return Err(Fault::Unsupported(format!("VDI of version {}.{}", version >> 16, version & 0xffff)));
    }
    match le32(&head, 76)? {
        1 | 2 => {}
        3 | 4 => return Err(Fault::Unsupported("VDI that holds only the differences from another".into())),
        kind => return Err(Fault::Unsupported(format!("VDI of the unknown kind {kind}"))),
    }
    let (size, block_size) = (le64(&head, 368)?, u64::from(le32(&head, 376)?));
    let n_blocks = u64::from(le32(&head, 384)?);
    if block_size == 0 || !block_size.is_multiple_of(512) || size.div_ceil(block_size) > n_blocks {
        return Err(damaged("the table of blocks is shorter than the disk", 384));
    }
    let table = file.record(le32(&head, 340)?.into(), n_blocks * 4, MOST_TABLE)?;
    let blocks = table.chunks_exact(4).map(|entry| le32(entry, 0)).collect::<Result<_, _>>()?;
    let map =
        Vdi { size, block_size, data_at: le32(&head, 344)?.into(), extra: le32(&head, 380)?.into(), blocks };
    Ok(Mapped::new(file, map, None))
}

impl Map for Vdi {
    fn size(&self) -> u64 {
        self.size
    }

    fn run(&self, _: &Piece, offset: u64) -> Result<(Run, u64), Fault> {
        let skip = offset % self.block_size;
        let block = self.blocks.get(size(offset / self.block_size)?);
        let run = match block.ok_or_else(|| damaged("past the table of blocks", offset))? {
            DISCARDED.. => Run::Zero,
            nth => {
                let at = times(u64::from(*nth), self.block_size + self.extra, "a block beyond all sizes")?;
                Run::Host(plus(at, self.data_at + self.extra + skip, "a block beyond all sizes")?)
            }
        };
        Ok((run, self.block_size - skip))
    }
}
