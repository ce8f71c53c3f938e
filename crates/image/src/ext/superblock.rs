//! The superblock, the group descriptors and the inode bitmaps.

use crate::crc32c::update as crc32c;
use crate::fault::{Fault, damaged, le16, le32, plus, size, times};
use crate::reader::{ImageReader, read_vec};

pub(crate) const ROOT: u32 = 2;

const FILETYPE: u32 = 0x2;
const RECOVER: u32 = 0x4;
const META_BG: u32 = 0x10;
const BIT64: u32 = 0x80;
const CSUM_SEED: u32 = 0x2000;
/// Also extents, flexible groups, multiple mount protection, attribute inodes, large directories, inline data,
/// encryption (refused file by file) and case folding.
const UNDERSTOOD: u32 = FILETYPE
    | RECOVER
    | META_BG
    | BIT64
    | CSUM_SEED
    | 0x40
    | 0x100
    | 0x200
    | 0x400
    | 0x4000
    | 0x8000
    | 0x1_0000
    | 0x2_0000;
const GDT_CSUM: u32 = 0x10;
const METADATA_CSUM: u32 = 0x400;
const INODE_UNINIT: u16 = 1;
pub(crate) const LAST_RESERVED: u32 = 10;
pub(crate) const BAD_BLOCKS: u32 = 1;
const ATTRIBUTE_INODES: u32 = 0x400;

pub(crate) struct Group {
    inode_bitmap: u64,
    inode_table: u64,
    is_uninit: bool,
}

pub(crate) struct Superblock {
    pub(crate) block_size: u64,
    pub(crate) n_blocks: u64,
    inodes_per_group: u32,
    pub(crate) inode_size: u64,
    pub(crate) groups: Vec<Group>,
    pub(crate) needs_recovery: bool,
    /// Large values of attributes have inodes of their own.
    pub(crate) has_attribute_inodes: bool,
    /// Where the volume's metadata has checksums.
    pub(crate) seed: Option<u32>,
    /// Inodes of quotas and of the journal, wherever they are.
    own: Vec<u32>,
}

impl Superblock {
    pub(crate) fn read(image: &dyn ImageReader) -> Result<Superblock, Fault> {
        let sb = read_vec(image, 1024, 1024)?;
        if le16(&sb, 56)? != 0xef53 {
            return Err(damaged("no superblock of ext2, ext3 or ext4", 1024));
        }
        let (incompat, ro_compat) = (le32(&sb, 96)?, le32(&sb, 100)?);
        let unknown = incompat & !UNDERSTOOD;
        if unknown != 0 {
            return Err(Fault::Unsupported(format!("ext features {unknown:#x}")));
        }
        let log = le32(&sb, 24)?;
        if log > 6 {
            return Err(damaged("a block size beyond 64 KiB", 1024 + 24));
        }
        let block_size = 1024_u64 << log;
        let has_sums = ro_compat & METADATA_CSUM != 0;
        if has_sums && crc32c(!0, &sb[..1020]) != le32(&sb, 1020)? {
            return Err(damaged("the superblock fails its checksum", 1024));
        }
        let is_64 = incompat & BIT64 != 0;
        let high = if is_64 { le32(&sb, 336)? } else { 0 };
        let n_blocks = u64::from(high) << 32 | u64::from(le32(&sb, 4)?);
        times(n_blocks, block_size, "a volume beyond all sizes")?;
        let is_old = le32(&sb, 76)? == 0;
        let inode_size = if is_old { 128 } else { u64::from(le16(&sb, 88)?) };
        let inodes_per_group = le32(&sb, 40)?;
        if !(128..=block_size).contains(&inode_size) || !inode_size.is_power_of_two() {
            return Err(damaged("an impossible size of inodes", 1024 + 88));
        }
        if inodes_per_group == 0 || u64::from(inodes_per_group) > block_size * 8 {
            return Err(damaged("an impossible number of inodes", 1024 + 40));
        }
        let seed = if !has_sums {
            None
        } else if incompat & CSUM_SEED != 0 {
            Some(le32(&sb, 0x270)?)
        } else {
            Some(crc32c(!0, &sb[104..120]))
        };
        let own = [0xe0, 0x240, 0x244, 0x26c, 0x280].map(|at| le32(&sb, at));
        let mut read = Superblock {
            block_size,
            n_blocks,
            inodes_per_group,
            inode_size,
            groups: Vec::new(),
            needs_recovery: incompat & RECOVER != 0,
            has_attribute_inodes: incompat & ATTRIBUTE_INODES != 0,
            seed,
            own: if is_old { Vec::new() } else { own.into_iter().collect::<Result<_, _>>()? },
        };
        read.groups = read.descriptors(image, &sb, incompat, ro_compat)?;
        Ok(read)
    }

    fn descriptors(
        &self,
        image: &dyn ImageReader,
        sb: &[u8],
        incompat: u32,
        ro_compat: u32,
    ) -> Result<Vec<Group>, Fault> {
        let is_64 = incompat & BIT64 != 0;
        let entry = if is_64 { u64::from(le16(sb, 254)?) } else { 32 };
        if !(32..=self.block_size).contains(&entry) || !entry.is_power_of_two() {
            return Err(damaged("an impossible size of group descriptors", 1024 + 254));
        }
        let (first, per_group) = (u64::from(le32(sb, 20)?), u64::from(le32(sb, 32)?));
        let n_groups = match self.n_blocks.checked_sub(first) {
            Some(n) if per_group > 0 => n.div_ceil(per_group),
            _ => return Err(damaged("an impossible number of blocks", 1024 + 4)),
        };
        let n_inodes = times(n_groups, self.inodes_per_group.into(), "too many groups")?;
        if n_inodes != u64::from(le32(sb, 0)?) {
            return Err(damaged("groups and inodes do not agree", 1024));
        }
        // No honest volume has tables larger than itself, and this bounds the work.
        if times(n_inodes, self.inode_size, "too many inodes")? > image.size() {
            return Err(damaged("more inodes than the volume has room for", 1024));
        }
        let per_block = self.block_size / entry;
        let first_meta = if incompat & META_BG != 0 { u64::from(le32(sb, 260)?) } else { u64::MAX };
        let home = u64::from(self.block_size == 1024);
        let flags_mean = ro_compat & (GDT_CSUM | METADATA_CSUM) != 0;
        let mut groups = Vec::new();
        for nth in 0..n_groups.div_ceil(per_block) {
            let block = if nth < first_meta {
                home + nth + 1
            } else {
                let group = nth * per_block;
                let mut copy = u64::from(has_superblock(group, ro_compat));
                copy += u64::from(self.block_size == 1024 && nth == 0 && first == 0);
                plus(
                    times(group, per_group, "groups beyond all sizes")?,
                    first + copy,
                    "groups beyond all sizes",
                )?
            };
            let bytes = read_vec(
                image,
                times(block, self.block_size, "groups beyond all sizes")?,
                size(self.block_size)?,
            )?;
            for descriptor in bytes.chunks_exact(size(entry)?).take(size(n_groups - nth * per_block)?) {
                let wide = |low, high| -> Result<u64, Fault> {
                    let high = if entry >= 64 { le32(descriptor, high)? } else { 0 };
                    Ok(u64::from(high) << 32 | u64::from(le32(descriptor, low)?))
                };
                if let Some(seed) = self.seed {
                    let group = u32::try_from(groups.len()).map_err(|_| damaged("too many groups", 1024))?;
                    let mut unsummed = descriptor.to_vec();
                    unsummed[30..32].fill(0);
                    let sum = crc32c(crc32c(seed, &group.to_le_bytes()), &unsummed);
                    if sum & 0xffff != u32::from(le16(descriptor, 30)?) {
                        return Err(damaged("a group descriptor fails its checksum", u64::from(group)));
                    }
                }
                groups.push(Group {
                    inode_bitmap: wide(4, 36)?,
                    inode_table: wide(8, 40)?,
                    is_uninit: flags_mean && le16(descriptor, 18)? & INODE_UNINIT != 0,
                });
            }
        }
        Ok(groups)
    }

    /// One bit an inode of the group.
    pub(crate) fn inode_bitmap(&self, image: &dyn ImageReader, group: usize) -> Result<Vec<u8>, Fault> {
        let len = size(u64::from(self.inodes_per_group).div_ceil(8))?;
        if self.groups[group].is_uninit {
            return Ok(vec![0; len]);
        }
        read_vec(
            image,
            times(self.groups[group].inode_bitmap, self.block_size, "a bitmap beyond all sizes")?,
            len,
        )
    }

    /// The inodes whose bits are set.
    pub(crate) fn numbers<'b>(&self, group: usize, bits: &'b [u8]) -> impl Iterator<Item = u32> + 'b {
        let first = u32::try_from(group).expect("inodes are 32-bit, so groups are") * self.inodes_per_group;
        (0..self.inodes_per_group)
            .filter(|n| bits[*n as usize / 8] >> (n % 8) & 1 == 1)
            .map(move |n| first + n + 1)
    }

    /// Where an inode lies on the volume.
    pub(crate) fn place_of(&self, number: u32) -> Result<u64, Fault> {
        let nth = number.checked_sub(1).ok_or_else(|| damaged("inode 0", 0))?;
        let group = self.groups.get((nth / self.inodes_per_group) as usize);
        let table = group.ok_or_else(|| damaged("an inode beyond the last", nth.into()))?.inode_table;
        let within = u64::from(nth % self.inodes_per_group) * self.inode_size;
        plus(times(table, self.block_size, "a table beyond all sizes")?, within, "a table beyond all sizes")
    }

    /// Whether the inode is the file system's own, if no directory names it. What the superblock calls the first of the
    /// others is not believed: files can be hidden below it.
    pub(crate) fn is_internal(&self, number: u32) -> bool {
        number != ROOT && (number <= LAST_RESERVED || self.own.contains(&number))
    }
}

fn has_superblock(group: u64, ro_compat: u32) -> bool {
    let power_of = |base: u64| {
        let mut n = group;
        while n > 1 && n.is_multiple_of(base) {
            n /= base;
        }
        n == 1
    };
    ro_compat & 1 == 0 || group <= 1 || power_of(3) || power_of(5) || power_of(7)
}
