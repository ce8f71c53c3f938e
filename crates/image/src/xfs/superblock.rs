//! The superblock: sizes, features, and where a number of XFS's own is on the volume.

use crate::fault::{Fault, be16, be32, be64, damaged};
use crate::reader::{ImageReader, read_vec};

/// Of the features that change what is on the disk: names with kinds, sparse inodes, metadata UUID, large times,
/// repair needed, large counts of extents, exchanged ranges, parent pointers.
const KNOWN: u32 = 0xff;
const SPARSE_INODES: u32 = 1 << 1;
const NEEDS_REPAIR: u32 = 1 << 4;
const REFLINKS: u32 = 1 << 2;

pub(super) struct Superblock {
    pub(super) block_size: u64,
    pub(super) sector_size: u64,
    pub(super) n_blocks: u64,
    pub(super) n_groups: u32,
    pub(super) inode_size: u64,
    /// Bytes.
    pub(super) dir_block_size: u64,
    pub(super) root: u64,
    /// The file system's own inodes.
    pub(super) internal: Vec<u64>,
    /// Where the log is, in bytes, and its length; `None` if it is on another device.
    pub(super) log: Option<(u64, u64)>,
    /// Blocks on a realtime device.
    pub(super) has_realtime: bool,
    /// Version 5: metadata with checksums.
    pub(super) has_sums: bool,
    /// Directories say of each name what kind it is.
    pub(super) has_kinds: bool,
    pub(super) has_sparse_inodes: bool,
    pub(super) has_reflinks: bool,
    pub(super) needs_repair: bool,
    group_blocks: u32,
    group_bits: u32,
    inode_bits: u32,
}

impl Superblock {
    pub(super) fn read(image: &dyn ImageReader) -> Result<Superblock, Fault> {
        let head = read_vec(image, 0, 512)?;
        let wrong = || damaged("the superblock of XFS", 0);
        let version = be16(&head, 100)? & 0xf;
        if !head.starts_with(b"XFSB") || !matches!(version, 4 | 5) {
            return Err(Fault::Unsupported(format!("XFS of version {version}")));
        }
        let power = |value: u32, range: std::ops::RangeInclusive<u32>| {
            if value.is_power_of_two() && range.contains(&value) {
                Ok(u64::from(value))
            } else {
                Err(wrong())
            }
        };
        let block_size = power(be32(&head, 4)?, 512..=65_536)?;
        let sector_size = power(be16(&head, 102)?.into(), 512..=32_768)?;
        let inode_size = power(be16(&head, 104)?.into(), 256..=2048)?;
        let (group_bits, inode_bits) = (u32::from(head[124]), u32::from(head[123]));
        let group_blocks = be32(&head, 84)?;
        let n_groups = be32(&head, 88)?;
        let n_blocks = be64(&head, 8)?;
        let dir_bits = u32::from(head[192]);
        if group_bits > 32
            || group_blocks == 0
            || u64::from(group_blocks) > 1 << group_bits
            || inode_size << inode_bits.min(16) != block_size
            || n_blocks.div_ceil(u64::from(group_blocks)) != u64::from(n_groups)
            || n_blocks.checked_mul(block_size).is_none()
            || dir_bits > 7
            || block_size << dir_bits > 65_536
        {
            return Err(wrong());
        }
        let has_sums = version == 5;
        let incompatible = if has_sums { be32(&head, 216)? } else { 0 };
        if incompatible & !KNOWN != 0 {
            return Err(Fault::Unsupported("XFS with a feature of an unknown kind".into()));
        }
        let own = [64, 72, 160, 168].into_iter().chain(has_sums.then_some(232));
        let internal = own.map(|at| be64(&head, at)).collect::<Result<Vec<_>, _>>()?;
        let log = match be64(&head, 48)? {
            0 => None,
            block => Some((block, u64::from(be32(&head, 96)?) * block_size)),
        };
        let mut sb = Superblock {
            block_size,
            sector_size,
            n_blocks,
            n_groups,
            inode_size,
            dir_block_size: block_size << dir_bits,
            root: be64(&head, 56)?,
            internal: internal.into_iter().filter(|inode| !matches!(*inode, 0 | u64::MAX)).collect(),
            log: None,
            has_realtime: be64(&head, 16)? != 0,
            has_sums,
            has_kinds: if has_sums { incompatible & 1 != 0 } else { be32(&head, 200)? & 0x200 != 0 },
            has_sparse_inodes: incompatible & SPARSE_INODES != 0,
            has_reflinks: has_sums && be32(&head, 212)? & REFLINKS != 0,
            needs_repair: incompatible & NEEDS_REPAIR != 0,
            group_blocks,
            group_bits,
            inode_bits,
        };
        if let Some((block, len)) = log {
            sb.log = Some((sb.place(block, 1)?, len));
        }
        let sector = read_vec(image, 0, usize::try_from(sector_size).map_err(|_| wrong())?)?;
        sb.check(&sector, 224, 0)?;
        Ok(sb)
    }

    /// Where a group begins, in bytes.
    pub(super) fn group_at(&self, group: u32) -> u64 {
        u64::from(group) * u64::from(self.group_blocks) * self.block_size
    }

    /// Where a block of a group is, in bytes.
    pub(super) fn block_at(&self, group: u32, block: u32) -> Result<u64, Fault> {
        if group >= self.n_groups || block >= self.group_blocks {
            return Err(damaged("a block beyond its group", block.into()));
        }
        Ok(self.group_at(group) + u64::from(block) * self.block_size)
    }

    /// Where `n` blocks are, in bytes, the first of which has this number on the whole volume.
    pub(super) fn place(&self, number: u64, n: u64) -> Result<u64, Fault> {
        let beyond = || damaged("blocks beyond the volume", number);
        let group = u32::try_from(number.checked_shr(self.group_bits).unwrap_or(0)).map_err(|_| beyond())?;
        let block = number & ((1 << self.group_bits) - 1);
        if block.checked_add(n).is_none_or(|end| end > self.group_blocks.into()) {
            return Err(beyond());
        }
        self.block_at(group, u32::try_from(block).map_err(|_| beyond())?)
    }

    /// Numbers that inodes of one group can have.
    pub(super) fn inodes_of_a_group(&self) -> u64 {
        u64::from(self.group_blocks) << self.inode_bits
    }

    /// An inode's number on the volume.
    pub(super) fn number(&self, group: u32, within: u32) -> u64 {
        u64::from(group) << (self.group_bits + self.inode_bits) | u64::from(within)
    }

    /// Where an inode is, in bytes.
    pub(super) fn inode_at(&self, number: u64) -> Result<u64, Fault> {
        let block = self.place(number >> self.inode_bits, 1)?;
        Ok(block + (number & ((1 << self.inode_bits) - 1)) * self.inode_size)
    }
}
