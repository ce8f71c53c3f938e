//! What disks of Apple's systems are known by, whether HFS+ is read or not: the partition map, headers of volumes.

use crate::fault::{Fault, be16, be32, damaged};
use crate::reader::{ImageReader, read_vec};
use crate::signature::HFS_PLUS;
use crate::volumes::Volume;

/// Where a volume's header is; its copy is as far from the end.
pub(crate) const HEADER: u64 = 1024;
/// Entries of a map that are read: the most that Linux takes.
const MOST: u32 = 256;
/// Larger ones are no drivers.
const MOST_EXCUSED: u64 = 256 << 20;

/// A partition of an Apple partition map, and what the map says that it is.
struct Entry {
    volume: Volume,
    kind: Vec<u8>,
}

/// Whether the disk has a partition map of Apple's. Linux takes one only with a mark in the first sector, macOS also
/// without, which counts where nothing else is known of the disk.
pub(crate) fn has_map(disk: &dyn ImageReader, is_unknown: bool) -> bool {
    let is_marked = || read_vec(disk, 0, 2).is_ok_and(|mark| mark == b"ER");
    block_size(disk).is_some() && (is_unknown || is_marked())
}

/// The bytes of a block of the map, which the first one says.
fn block_size(disk: &dyn ImageReader) -> Option<u64> {
    let first = read_vec(disk, 0, 4).ok()?;
    let said = u64::from(be16(&first, 2).ok()?);
    let is_map = |at: u64| read_vec(disk, at, 4).is_ok_and(|magic| magic == b"PM\0\0");
    let said = first.starts_with(b"ER").then_some(said).filter(|size| size.is_power_of_two() && *size >= 512);
    said.into_iter().chain([512, 2048]).find(|size| is_map(*size))
}

/// The partitions of the map that may hold files. `of_disc` leaves out those that stand for parts of an ISO9660 volume
/// of the whole disk.
pub(crate) fn partitions(disk: &dyn ImageReader, of_disc: bool) -> Result<Vec<Volume>, Fault> {
    let block = block_size(disk).ok_or_else(|| damaged("no Apple partition map", 512))?;
    let mut volumes = Vec::new();
    let mut n = 1;
    let mut nth = 1;
    while nth <= n {
        let (entry, n_entries) = entry(disk, nth, block)?;
        if n_entries > MOST {
            return Err(Fault::Limit { what: "entries in an Apple partition map", limit: MOST.into() });
        }
        n = n_entries;
        nth += 1;
        match &entry.kind[..] {
            b"Apple_partition_map" | b"Apple_Free" | b"Apple_Void" => {}
            b"ISO9660_data" | b"CD_DA" if of_disc => {}
            _ => volumes.push(entry.volume),
        }
    }
    Ok(volumes)
}

/// An entry, counted from 1, and how many there are.
fn entry(disk: &dyn ImageReader, nth: u32, block: u64) -> Result<(Entry, u32), Fault> {
    let at = u64::from(nth) * block;
    let bytes = read_vec(disk, at, 512)?;
    if !bytes.starts_with(b"PM") {
        return Err(damaged("an entry of an Apple partition map", at));
    }
    let kind = bytes[48..80].split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
    let (start, len) = (u64::from(be32(&bytes, 8)?) * block, u64::from(be32(&bytes, 12)?) * block);
    let is_driver = (kind.starts_with(b"Apple_Driver") || kind == b"Apple_Patches") && len <= MOST_EXCUSED;
    let purpose = is_driver.then_some("Apple driver");
    Ok((Entry { volume: Volume { name: format!("p{nth}"), start, len, purpose }, kind }, be32(&bytes, 4)?))
}

/// A classic HFS volume to those who look for files.
pub(crate) enum Classic {
    /// It has its own.
    Plain,
    /// A shell, so that old systems have something to show, around HFS+: where that is, in bytes.
    Around {
        #[cfg_attr(
            not(feature = "hfs"),
            expect(dead_code, reason = "what is in it is read with the feature")
        )]
        place: (u64, u64),
    },
}

/// A classic HFS volume, if its header is one that a system could have written.
pub(crate) fn classic(volume: &dyn ImageReader) -> Option<Classic> {
    let bytes = read_vec(volume, HEADER, 512).ok()?;
    let (n_blocks, block_size) = (be16(&bytes, 18).ok()?, u64::from(be32(&bytes, 20).ok()?));
    let first = u64::from(be16(&bytes, 28).ok()?) * 512;
    let is_sane = bytes.starts_with(b"BD")
        && n_blocks > 0
        && block_size > 0
        && block_size.is_multiple_of(512)
        && first > HEADER
        // The name's length.
        && (1..=27).contains(&bytes[36])
        && first + block_size <= volume.size();
    if !is_sane {
        return None;
    }
    let inner = u64::from(be16(&bytes, 126).ok()?) * block_size;
    let len = u64::from(be16(&bytes, 128).ok()?) * block_size;
    Some(match &bytes[124..126] {
        b"H+" | b"HX" => Classic::Around { place: (first + inner, len) },
        _ => Classic::Plain,
    })
}

/// Whether these are the first bytes of a header of HFS+.
pub(crate) fn is_header(bytes: &[u8]) -> bool {
    let block_size = be32(bytes, 40).unwrap_or(0);
    let is_known = matches!(bytes.get(..4), Some(b"H+\0\x04" | b"HX\0\x05"));
    is_known && block_size.is_power_of_two() && block_size >= 512 && be32(bytes, 44).is_ok_and(|n| n > 0)
}

/// What a volume is that is known as neither by a longer mark: HFS, or HFS+ in it, or HFS+ whose header is lost and
/// whose copy of it at the end is there.
pub(crate) fn hfs(volume: &dyn ImageReader) -> Option<&'static str> {
    match classic(volume) {
        Some(Classic::Plain) => return Some("HFS"),
        Some(Classic::Around { .. }) => return Some(HFS_PLUS),
        None => {}
    }
    let copy = volume.size().checked_sub(HEADER).filter(|at| *at > HEADER);
    let is_copy = |at| read_vec(volume, at, 512).is_ok_and(|bytes| is_header(&bytes));
    copy.filter(|at| is_copy(*at)).map(|_| HFS_PLUS)
}
