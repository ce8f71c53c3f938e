//! A file's extents: in the metadata, on the disk, packed, or nowhere.

use super::space::{Method, Packed, Space, unpack};
use crate::fault::{Fault, damaged, le16, le64, plus};
use crate::item::{Data, Extent};

/// Of one file, as for every file system.
const MOST_EXTENTS: usize = 1 << 20;
/// What is packed within the metadata is in memory until it is hashed: Btrfs packs less than a sector there.
const MOST_UNPACKED_INLINE: u64 = 4096;
/// Btrfs packs 128 KiB at a time.
pub(super) const MOST_UNPACKED: u64 = 1 << 20;

/// The runs of one file so far, and the first fault.
#[derive(Default)]
pub(super) struct Runs {
    extents: Vec<Extent>,
    end: u64,
    fault: Option<Fault>,
}

impl Runs {
    /// Adds what a record says of the bytes from `logical` on. A fault is the file's, and comes with it.
    pub(super) fn add(&mut self, space: &Space, logical: u64, bytes: &[u8]) {
        if self.fault.is_none() {
            self.fault = self.record(space, logical, bytes).err();
        }
    }

    pub(super) fn finish(self, size: u64) -> Result<Vec<Extent>, Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if size > i64::MAX as u64 {
            return Err(damaged("a file of an impossible size", size));
        }
        let mut extents = self.extents;
        extents.retain(|extent| extent.logical < size);
        if let Some(last) = extents.last_mut() {
            last.len = last.len.min(size - last.logical);
        }
        Ok(extents)
    }

    fn record(&mut self, space: &Space, logical: u64, bytes: &[u8]) -> Result<(), Fault> {
        let ends = || damaged("an extent's record ends early", logical);
        if logical < self.end {
            return Err(damaged("extents that are not in order", logical));
        }
        if self.extents.len() >= MOST_EXTENTS {
            return Err(Fault::Limit { what: "extents of one file", limit: MOST_EXTENTS as u64 });
        }
        let unpacked = le64(bytes, 8)?;
        let (Some(&method), Some(&kind)) = (bytes.get(16), bytes.get(20)) else { return Err(ends()) };
        let method = match method {
            0 => None,
            1 => Some(Method::Zlib),
            2 => Some(Method::Lzo),
            3 => Some(Method::Zstd),
            _ => return Err(Fault::Unsupported("a file packed by an unknown method".into())),
        };
        if bytes[17] != 0 || le16(bytes, 18)? != 0 {
            return Err(Fault::Unsupported("an encrypted or encoded file".into()));
        }
        if method.is_some() && unpacked > MOST_UNPACKED {
            return Err(Fault::Limit { what: "bytes in a packed extent", limit: MOST_UNPACKED });
        }
        let (len, data) = if kind == 0 {
            // So a file has one, which bounds what of it is in memory.
            if logical != 0 {
                return Err(damaged("content within the metadata that is not a file's beginning", logical));
            }
            let stored = bytes.get(21..).ok_or_else(ends)?;
            let most = MOST_UNPACKED_INLINE.max(space.sector_size().into());
            if method.is_some() && unpacked > most {
                return Err(Fault::Limit { what: "bytes packed within the metadata", limit: most });
            }
            let content = match method {
                Some(method) => unpack(method, stored, unpacked, space.sector_size())?,
                None => stored.to_vec(),
            };
            (content.len() as u64, Data::Inline(content.into()))
        } else {
            let (at, stored_len) = (le64(bytes, 21)?, le64(bytes, 29)?);
            let (skip, len) = (le64(bytes, 37)?, le64(bytes, 45)?);
            let data = match (kind, at, method) {
                (1 | 2, 0, _) | (2, _, _) => Data::Zero,
                (1, _, None) => {
                    let from = plus(at, skip, "an extent beyond all sizes")?;
                    space.check(from, len)?;
                    Data::Disk(from)
                }
                (1, _, Some(method)) => {
                    if plus(skip, len, "a part beyond all sizes")? > unpacked {
                        return Err(damaged("a part beyond its packed extent", logical));
                    }
                    Data::Disk(plus(
                        space.pack(Packed { at, stored_len, unpacked, method })?,
                        skip,
                        "a place",
                    )?)
                }
                _ => return Err(damaged("an extent of an unknown kind", logical)),
            };
            (len, data)
        };
        self.end = plus(logical, len, "an extent beyond all sizes")?;
        self.extents.push(Extent { logical, len, data });
        Ok(())
    }
}
