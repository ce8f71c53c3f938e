//! The label of a physical volume, in one of its first four sectors, and the areas of metadata that it leads to.

use crate::fault::{Fault, damaged, le32, le64, plus, size};
use crate::reader::{ImageReader, read_vec};

const SECTOR: u64 = 512;
/// Of text. The usual area has 1 MiB, two texts among it.
const MOST_TEXT: u64 = 8 << 20;
/// LVM makes two at most.
const MOST_AREAS: usize = 16;
const AREA: &[u8] = b" LVM2 x[5A%r0N*>\x01\0\0\0";
const IS_IGNORED: u32 = 1;

pub(super) struct Label {
    /// 32 characters.
    pub(super) id: String,
    /// Position and length of each area of metadata.
    areas: Vec<(u64, u64)>,
}

/// Whether a label is where LVM looks for it.
pub(crate) fn is_at(volume: &dyn ImageReader) -> bool {
    place(volume).is_some()
}

fn place(volume: &dyn ImageReader) -> Option<u64> {
    (0..4).map(|nth| nth * SECTOR).find(|at| {
        read_vec(volume, *at, 32)
            .is_ok_and(|head| head.starts_with(b"LABELONE") && head[24..] == *b"LVM2 001")
    })
}

/// LVM's checksum: a CRC-32 that begins elsewhere and is not inverted.
pub(super) fn summed(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(!0xf597_a6cf);
    hasher.update(bytes);
    !hasher.finalize()
}

impl Label {
    pub(super) fn read(volume: &dyn ImageReader) -> Result<Label, Fault> {
        let at = place(volume).ok_or_else(|| damaged("no label of LVM2", 0))?;
        let sector = read_vec(volume, at, size(SECTOR)?)?;
        if summed(&sector[20..]) != le32(&sector, 16)? {
            return Err(damaged("the label of LVM2 fails its checksum", at));
        }
        if le64(&sector, 8)? != at / SECTOR {
            return Err(damaged("the label of LVM2 is another sector's", at));
        }
        let ends = || damaged("the label of LVM2 ends early", at);
        let header = sector.get(size(le32(&sector, 20)?.into())?..).ok_or_else(ends)?;
        let id = header.get(..32).filter(|id| id.is_ascii()).ok_or_else(ends)?;
        // Two lists, each with an end: areas of data and areas of metadata.
        let mut rest = header.get(40..).ok_or_else(ends)?;
        let mut list = || {
            let mut areas = Vec::new();
            loop {
                let area = (le64(rest, 0)?, le64(rest, 8)?);
                rest = &rest[16..];
                if area.0 == 0 {
                    return Ok(areas);
                }
                areas.push(area);
            }
        };
        let _data: Vec<_> = list()?;
        let areas = list()?;
        if areas.len() > MOST_AREAS {
            return Err(Fault::Limit { what: "areas of metadata", limit: MOST_AREAS as u64 });
        }
        Ok(Label { id: String::from_utf8_lossy(id).into_owned(), areas })
    }

    /// The text in each area that has one.
    pub(super) fn texts(&self, volume: &dyn ImageReader) -> impl Iterator<Item = Result<Vec<u8>, Fault>> {
        self.areas.iter().filter_map(|(at, len)| text(volume, *at, *len).transpose())
    }
}

fn text(volume: &dyn ImageReader, at: u64, len: u64) -> Result<Option<Vec<u8>>, Fault> {
    let header = read_vec(volume, at, size(SECTOR)?)?;
    if summed(&header[4..]) != le32(&header, 0)? || header[4..24] != *AREA || le64(&header, 24)? != at {
        return Err(damaged("the header of an area of metadata", at));
    }
    let (start, text_len) = (le64(&header, 40)?, le64(&header, 48)?);
    if text_len == 0 || le32(&header, 60)? & IS_IGNORED != 0 {
        return Ok(None);
    }
    if text_len > MOST_TEXT {
        return Err(Fault::Limit { what: "bytes of metadata", limit: MOST_TEXT });
    }
    if !(SECTOR..len).contains(&start) || text_len > len - SECTOR {
        return Err(damaged("metadata beyond their area", at));
    }
    // The area is a ring behind its header.
    let first = text_len.min(len - start);
    let mut text = read_vec(volume, plus(at, start, "metadata beyond all sizes")?, size(first)?)?;
    text.extend(read_vec(volume, plus(at, SECTOR, "metadata beyond all sizes")?, size(text_len - first)?)?);
    if summed(&text) != le32(&header, 56)? {
        return Err(damaged("metadata that fail their checksum", at));
    }
    Ok(Some(text))
}
