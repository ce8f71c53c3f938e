//! One inode.

use super::Xfs;
use crate::fault::{Fault, be16, be32, be64, damaged};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    None,
    File,
    Directory,
    Link,
    Fifo,
    Socket,
    Device,
}

/// Where the content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Local,
    Extents,
    Tree,
    Other,
}

pub(super) struct Inode {
    pub(super) number: u64,
    pub(super) mode: Mode,
    pub(super) size: u64,
    pub(super) format: Format,
    pub(super) n_extents: u64,
    pub(super) is_realtime: bool,
    fork: Vec<u8>,
}

const REALTIME: u16 = 1;
const LARGE_COUNTS: u64 = 1 << 4;

impl Inode {
    pub(super) fn read(xfs: &Xfs, number: u64) -> Result<Inode, Fault> {
        let at = xfs.sb.inode_at(number)?;
        let record = xfs.record(at, xfs.sb.inode_size, 100)?;
        let is_large = record[4] >= 3;
        if !record.starts_with(b"IN") || is_large != xfs.sb.has_sums {
            return Err(damaged("an inode without its signature", at));
        }
        if is_large && be64(&record, 152)? != number {
            return Err(damaged("an inode with another number", at));
        }
        let flags = if is_large { be64(&record, 120)? } else { 0 };
        let n_extents =
            if flags & LARGE_COUNTS != 0 { be64(&record, 24)? } else { be32(&record, 76)?.into() };
        let core = if is_large { 176 } else { 100 };
        let end = match usize::from(record[82]) {
            0 => record.len(),
            eighths => core + eighths * 8,
        };
        let fork = record.get(core..end).ok_or_else(|| damaged("an inode's attributes beyond it", at))?;
        Ok(Inode {
            number,
            mode: match be16(&record, 2)? >> 12 {
                0 => Mode::None,
                1 => Mode::Fifo,
                2 | 6 => Mode::Device,
                4 => Mode::Directory,
                8 => Mode::File,
                10 => Mode::Link,
                12 => Mode::Socket,
                _ => return Err(damaged("an inode of an unknown kind", at)),
            },
            size: be64(&record, 56)?,
            format: match record[5] {
                1 => Format::Local,
                2 => Format::Extents,
                3 => Format::Tree,
                _ => Format::Other,
            },
            n_extents,
            is_realtime: be16(&record, 90)? & REALTIME != 0,
            fork: fork.to_vec(),
        })
    }

    /// The content, its extents, or the root of their tree.
    pub(super) fn fork(&self) -> &[u8] {
        &self.fork
    }
}
