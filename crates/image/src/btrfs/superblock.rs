//! The superblock, at 64 KiB.

use super::tree::Root;
use crate::crc32c;
use crate::fault::{Fault, damaged, le16, le32, le64};
use crate::reader::{ImageReader, read_vec};

const AT: u64 = 64 << 10;
/// Incompatible features that are understood or change nothing for a reader: all up to zones, and simple quotas.
const KNOWN: u64 = 0x1_1fff;

pub(super) struct Superblock {
    /// Of the device, in bytes.
    pub(super) size: u64,
    pub(super) root: Root,
    pub(super) chunks: Root,
    pub(super) has_log: bool,
    pub(super) node_size: u64,
    pub(super) sector_size: u32,
    /// Whether checksums are CRC-32C; others are not checked.
    pub(super) has_crc: bool,
    /// The chunks that hold the tree of chunks.
    pub(super) first_chunks: Vec<u8>,
}

impl Superblock {
    pub(super) fn read(device: &dyn ImageReader) -> Result<Superblock, Fault> {
        let bytes = read_vec(device, AT, 4096)?;
        let wrong = || damaged("the superblock of Btrfs", AT);
        let has_crc = match le16(&bytes, 196)? {
            0 => true,
            1..=3 => false,
            _ => return Err(Fault::Unsupported("Btrfs with checksums of an unknown kind".into())),
        };
        if !bytes[64..].starts_with(b"_BHRfS_M") {
            return Err(wrong());
        }
        if has_crc && crc32c::hash(&bytes[32..]) != le32(&bytes, 0)? {
            return Err(damaged("the superblock of Btrfs fails its checksum", AT));
        }
        if le64(&bytes, 188)? & !KNOWN != 0 {
            return Err(Fault::Unsupported("Btrfs with a feature of an unknown kind".into()));
        }
        if le64(&bytes, 136)? != 1 {
            return Err(Fault::Unsupported("Btrfs over several devices".into()));
        }
        let (sector_size, node_size) = (le32(&bytes, 144)?, le32(&bytes, 148)?);
        let is_permitted = |n: u32, least: u32| n.is_power_of_two() && (least..=65_536).contains(&n);
        if !is_permitted(sector_size, 512) || !is_permitted(node_size, 4096) {
            return Err(wrong());
        }
        let len = usize::try_from(le32(&bytes, 160)?).map_err(|_| wrong())?;
        let first_chunks = bytes[811..811 + 2048].get(..len).ok_or_else(wrong)?.to_vec();
        Ok(Superblock {
            size: le64(&bytes, 112)?,
            root: Root { at: le64(&bytes, 80)?, level: bytes[198] },
            chunks: Root { at: le64(&bytes, 88)?, level: bytes[199] },
            has_log: le64(&bytes, 96)? != 0,
            node_size: node_size.into(),
            sector_size,
            has_crc,
            first_chunks,
        })
    }
}
