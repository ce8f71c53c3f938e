//! One inode.

use super::Ext;
use crate::crc32c::update as crc32c;
use crate::fault::{Fault, damaged, le16, le32, size};
use crate::reader::read_vec;

const ENCRYPTED: u32 = 0x800;
const COMPRESSED: u32 = 0x4;
const EXTENTS: u32 = 0x8_0000;
const ATTRIBUTE_VALUE: u32 = 0x20_0000;
const INLINE: u32 = 0x1000_0000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    File,
    Directory,
    Link,
    Fifo,
    Socket,
    Device,
    None,
}

/// The beginning of a content that lies in its inode, and the rest.
pub(crate) type Inline<'a> = (&'a [u8], &'a [u8]);

pub(crate) struct Inode {
    pub(crate) number: u32,
    pub(crate) mode: Mode,
    pub(crate) size: u64,
    flags: u32,
    /// Of the checksums of its extent and directory blocks.
    pub(crate) seed: Option<u32>,
    pub(crate) bytes: Vec<u8>,
}

impl Inode {
    pub(crate) fn read(ext: &Ext, number: u32) -> Result<Inode, Fault> {
        let at = ext.sb.place_of(number)?;
        let bytes = read_vec(&*ext.image, at, size(ext.sb.inode_size)?)?;
        let mode = match le16(&bytes, 0)? >> 12 {
            0x1 => Mode::Fifo,
            0x2 | 0x6 => Mode::Device,
            0x4 => Mode::Directory,
            0x8 => Mode::File,
            0xa => Mode::Link,
            0xc => Mode::Socket,
            _ => Mode::None,
        };
        let seed = ext.sb.seed.map(|seed| crc32c(crc32c(seed, &number.to_le_bytes()), &bytes[100..104]));
        if let Some(seed) = seed {
            let mut unsummed = bytes.clone();
            unsummed[124..126].fill(0);
            let has_high = bytes.len() > 128 && le16(&bytes, 128)? >= 4;
            let mut stored = u32::from(le16(&bytes, 124)?);
            if has_high {
                unsummed[130..132].fill(0);
                stored |= u32::from(le16(&bytes, 130)?) << 16;
            }
            let sum = crc32c(seed, &unsummed);
            let mask = if has_high { u32::MAX } else { 0xffff };
            if sum & mask != stored {
                return Err(damaged("an inode fails its checksum", at));
            }
        }
        let size = u64::from(le32(&bytes, 108)?) << 32 | u64::from(le32(&bytes, 4)?);
        if i64::try_from(size).is_err() {
            return Err(damaged("a size beyond all sizes", at));
        }
        Ok(Inode { number, mode, size, flags: le32(&bytes, 32)?, seed, bytes })
    }

    pub(crate) fn is_attribute_value(&self) -> bool {
        self.flags & ATTRIBUTE_VALUE != 0
    }

    pub(crate) fn has_extents(&self) -> bool {
        self.flags & EXTENTS != 0
    }

    /// Whether its map leads anywhere.
    pub(crate) fn has_blocks(&self) -> bool {
        self.block().iter().any(|byte| *byte != 0)
    }

    /// The 60 bytes that hold the map, or the content's beginning.
    pub(crate) fn block(&self) -> &[u8] {
        &self.bytes[40..100]
    }

    /// What makes the content unreadable, if anything does.
    pub(crate) fn refusal(&self) -> Option<Fault> {
        let reason = if self.flags & ENCRYPTED != 0 {
            "an encrypted file"
        } else if self.flags & COMPRESSED != 0 {
            "a file compressed by an ext2 patch"
        } else {
            return None;
        };
        Some(Fault::Unsupported(reason.into()))
    }

    /// Content that lies in the inode: its beginning, and what goes on in the attribute `system.data`.
    pub(crate) fn inline(&self) -> Result<Option<Inline<'_>>, Fault> {
        if self.flags & INLINE == 0 {
            return Ok(None);
        }
        let wrong = || damaged("inline data that is not there", self.number.into());
        let start = 128 + usize::from(le16(&self.bytes, 128)?);
        let rest = self.bytes.get(start..).ok_or_else(wrong)?;
        if le32(rest, 0)? != 0xea02_0000 {
            return Err(wrong());
        }
        let entries = &rest[4..];
        let mut at = 0;
        // Four zero bytes end the list.
        while le32(entries, at)? != 0 {
            let (name_len, index) = (usize::from(entries[at]), entries[at + 1]);
            let name = entries.get(at + 16..at + 16 + name_len).ok_or_else(wrong)?;
            if index == 7 && name == b"data" {
                if le32(entries, at + 4)? != 0 {
                    return Err(wrong());
                }
                let (from, len) = (usize::from(le16(entries, at + 2)?), le32(entries, at + 8)? as usize);
                let value = entries.get(from..).and_then(|value| value.get(..len)).ok_or_else(wrong)?;
                return Ok(Some((self.block(), value)));
            }
            at += (16 + name_len).next_multiple_of(4);
        }
        Err(wrong())
    }
}
