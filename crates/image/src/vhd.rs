//! VHD: fixed, dynamic and differencing. Numbers are big-endian; a footer of 512 bytes ends the file.
//!
//! ```text
//!  fixed:   disk │ footer
//!  dynamic: footer's copy │ header │ table │ blocks, each: bits of its sectors │ sectors … │ footer
//! ```
//!
//! A sector whose bit is not set is zeros, or the parent's.

use crate::cache::Chunks;
use crate::fault::{Fault, be16, be32, be64, damaged, size};
use crate::mapped::{Map, Mapped, Run, parent};
use crate::pieces::Piece;
use std::cmp::Ordering;
use std::path::Path;

pub(crate) const SIGNATURE: &[u8] = b"conectix";
/// 16 million blocks of the usual 2 MiB.
const MOST_TABLE: u64 = 64 << 20;
const MOST_BLOCK: u64 = 256 << 20;
const UNUSED: u32 = u32::MAX;
/// Sectors looked at for how far an answer holds: all of a block of 2 MiB, so that a large block's bits are not gone
/// through again for every few bytes of it.
const MOST_SAME: usize = 4096;

pub(crate) struct Vhd {
    size: u64,
    /// `None`: fixed, and the disk is the file's beginning.
    blocks: Option<Blocks>,
}

struct Blocks {
    block_size: u64,
    /// Of a block's sectors, rounded up to whole sectors.
    bits_len: u64,
    /// In sectors.
    places: Vec<u32>,
    bits: Chunks,
}

/// A VHD that was opened.
pub(crate) struct Opened {
    pub(crate) disk: Mapped<Vhd>,
    /// Whether the file is the disk as it lies, but for the footer.
    pub(crate) is_fixed: bool,
    /// What is not read of it, and at which byte.
    pub(crate) gap: Option<(&'static str, u64)>,
}

/// A fixed disk that lacks its beginning is read as it lies, for what is left of it may begin with a volume.
pub(crate) fn open(path: &Path, depth: u32) -> Result<Opened, Fault> {
    let file = Piece::open(path)?;
    let foot = footer(&file)?;
    let size = be64(&foot, 48)?;
    match be32(&foot, 60)? {
        2 => {
            let there = file.len.saturating_sub(512);
            let gap = match size.cmp(&there) {
                Ordering::Less => Some(("bytes between a fixed VHD's disk and its footer", size)),
                Ordering::Equal => None,
                Ordering::Greater => Some(("a fixed VHD is shorter than its disk", there)),
            };
            let disk = Mapped::new(file, Vhd { size: size.min(there), blocks: None }, None);
            Ok(Opened { disk, is_fixed: true, gap })
        }
        kind @ (3 | 4) => {
            let head = file.record(be64(&foot, 16)?, 1024, 1024)?;
            let blocks = Blocks::read(&file, &head, size)?;
            let upon = match kind {
                4 => Some(upon(path, &head, depth)?),
                _ => None,
            };
            let disk = Mapped::new(file, Vhd { size, blocks: Some(blocks) }, upon);
            Ok(Opened { disk, is_fixed: false, gap: None })
        }
        kind => Err(Fault::Unsupported(format!("VHD of the unknown kind {kind}"))),
    }
}

/// The footer, or its copy at the beginning. Very old writers left out the last byte.
fn footer(file: &Piece) -> Result<Vec<u8>, Fault> {
    let places = [file.len.checked_sub(512), file.len.checked_sub(511), Some(0)];
    for at in places.into_iter().flatten() {
        let mut foot = file.record(at, 512.min(file.len - at), 512)?;
        foot.resize(512, 0);
        if foot.starts_with(SIGNATURE) && summed(&foot, 64) == be32(&foot, 64)? {
            return Ok(foot);
        }
    }
    Err(damaged("no footer of a VHD that agrees with its checksum", file.len))
}

/// The checksum of a record, in which its own four bytes count as zeros.
fn summed(record: &[u8], sum_at: usize) -> u32 {
    let bytes = record.iter().enumerate().filter(|(at, _)| !(sum_at..sum_at + 4).contains(at));
    !bytes.fold(0_u32, |sum, (_, byte)| sum.wrapping_add(u32::from(*byte)))
}

/// The disk of a parent, which must be the one that was meant: both carry its identity.
fn upon(
    child: &Path,
    head: &[u8],
    depth: u32,
) -> Result<std::sync::Arc<dyn crate::reader::ImageReader>, Fault> {
    let units = head[64..576].chunks_exact(2).map(|unit| be16(unit, 0)).collect::<Result<Vec<_>, _>>()?;
    let name: Vec<u16> = units.into_iter().take_while(|unit| *unit != 0).collect();
    let name = String::from_utf16_lossy(&name);
    let path = crate::mapped::beside(child, &name)?;
    let foot = footer(&Piece::open(&path)?)?;
    if foot[68..84] != head[40..56] {
        return Err(Fault::Missing(format!("{name:?} as it was; the file beside the image is another disk")));
    }
    parent(child, &name, depth)
}

impl Blocks {
    fn read(file: &Piece, head: &[u8], size: u64) -> Result<Blocks, Fault> {
        if !head.starts_with(b"cxsparse") || summed(head, 36) != be32(head, 36)? {
            return Err(damaged("the header of a dynamic VHD", 512));
        }
        let (n_blocks, block_size) = (u64::from(be32(head, 28)?), u64::from(be32(head, 32)?));
        if !block_size.is_power_of_two() || !(512..=MOST_BLOCK).contains(&block_size) {
            return Err(damaged("a block of no permitted size", block_size));
        }
        if size.div_ceil(block_size) > n_blocks {
            return Err(damaged("the table of blocks is shorter than the disk", n_blocks));
        }
        let table = file.record(be64(head, 16)?, n_blocks * 4, MOST_TABLE)?;
        let places = table.chunks_exact(4).map(|entry| be32(entry, 0)).collect::<Result<_, _>>()?;
        let bits_len = (block_size / 512).div_ceil(8).next_multiple_of(512);
        Ok(Blocks { block_size, bits_len, places, bits: Chunks::default() })
    }
}

impl Map for Vhd {
    fn size(&self) -> u64 {
        self.size
    }

    fn run(&self, file: &Piece, offset: u64) -> Result<(Run, u64), Fault> {
        let Some(blocks) = &self.blocks else { return Ok((Run::Host(offset), self.size - offset)) };
        let skip = offset % blocks.block_size;
        let nth = size(offset / blocks.block_size)?;
        let place = *blocks.places.get(nth).ok_or_else(|| damaged("past the table of blocks", offset))?;
        if place == UNUSED {
            return Ok((Run::Parent, blocks.block_size - skip));
        }
        let at = u64::from(place) * 512;
        let bits = blocks.bits.get(at, || file.record(at, blocks.bits_len, blocks.bits_len))?;
        let is_set = |sector: u64| bits[(sector / 8) as usize] & 0x80 >> (sector % 8) != 0;
        let first = skip / 512;
        let is_here = is_set(first);
        let same = (first..blocks.block_size / 512)
            .take(MOST_SAME)
            .take_while(|sector| is_set(*sector) == is_here)
            .count();
        let run = if is_here { Run::Host(at + blocks.bits_len + skip) } else { Run::Parent };
        Ok((run, (first + same as u64) * 512 - skip))
    }
}
