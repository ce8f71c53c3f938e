//! VHDX, fixed and dynamic: two headers, two region tables, metadata, and one table of blocks.
//!
//! Headers and region tables carry a CRC-32C and have a copy each. An image whose log was not replayed is refused:
//! its table of blocks may be half written.

use crate::crc32c;
use crate::fault::{Fault, damaged, le16, le32, le64, plus, size};
use crate::mapped::{Map, Mapped, Run};
use crate::pieces::Piece;
use std::path::Path;

pub(crate) const SIGNATURE: &[u8] = b"vhdxfile";
const HEADERS: [u64; 2] = [64 << 10, 128 << 10];
const REGIONS: [u64; 2] = [192 << 10, 256 << 10];
const REGION_LEN: u64 = 64 << 10;
/// The list of all metadata; they themselves lie behind it.
const METADATA_TABLE: u64 = 64 << 10;
/// A disk of 64 TiB, the most, in blocks of 8 MiB; with blocks of 1 MiB one of 8 TiB.
const MOST_TABLE: u64 = 64 << 20;

const BAT: [u8; 16] = *b"\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64\x11\x5e\x9b\xfd\x4a\x08";
const METADATA: [u8; 16] = *b"\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e";
const PARAMETERS: [u8; 16] = *b"\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b";
const DISK_SIZE: [u8; 16] = *b"\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8";
const SECTOR_SIZE: [u8; 16] = *b"\x1d\xbf\x41\x81\x6f\xa9\x09\x47\xba\x47\xf2\x33\xa8\xfa\xab\x5f";

pub(crate) struct Vhdx {
    size: u64,
    block_size: u64,
    /// Blocks between two entries that are of bitmaps and not of blocks.
    ratio: u64,
    table: Vec<u8>,
}

pub(crate) fn open(path: &Path) -> Result<Mapped<Vhdx>, Fault> {
    let file = Piece::open(path)?;
    let header = header(&file)?;
    if header[48..64] != [0; 16] {
        return Err(Fault::Unsupported("VHDX whose log holds changes that are not in their place".into()));
    }
    let (table_at, table_len, metadata_at, metadata_len) = regions(&file)?;
    let metadata = Metadata { file: &file, at: metadata_at, len: metadata_len };
    let parameters = metadata.item(PARAMETERS, 8)?;
    let (block_size, flags) = (u64::from(le32(&parameters, 0)?), le32(&parameters, 4)?);
    if flags & 2 != 0 {
        return Err(Fault::Unsupported("VHDX that holds only the differences from another".into()));
    }
    let sector = u64::from(le32(&metadata.item(SECTOR_SIZE, 4)?, 0)?);
    if !block_size.is_power_of_two()
        || !(1 << 20..=256 << 20).contains(&block_size)
        || !matches!(sector, 512 | 4096)
    {
        return Err(damaged("a block or sector of no permitted size", metadata_at));
    }
    let size = le64(&metadata.item(DISK_SIZE, 8)?, 0)?;
    let ratio = (sector << 23) / block_size;
    let n_blocks = size.div_ceil(block_size);
    let n_entries = n_blocks + n_blocks.saturating_sub(1) / ratio;
    if n_entries > table_len / 8 {
        return Err(damaged("the table of blocks is shorter than the disk", table_at));
    }
    let table = file.record(table_at, n_entries * 8, MOST_TABLE)?;
    Ok(Mapped::new(file, Vhdx { size, block_size, ratio, table }, None))
}

/// The newer of the two headers that agree with their checksum.
fn header(file: &Piece) -> Result<Vec<u8>, Fault> {
    let whole = |at: &u64| {
        let record = file.record(*at, 4096, 4096).ok()?;
        let is_whole = record.starts_with(b"head") && le32(&record, 4).ok()? == crc32c::of_record(&record, 4);
        is_whole.then_some(record)
    };
    let newest = HEADERS.iter().filter_map(whole).max_by_key(|record| le64(record, 8).unwrap_or(0));
    let header =
        newest.ok_or_else(|| damaged("neither header of a VHDX agrees with its checksum", HEADERS[0]))?;
    match le16(&header, 66)? {
        1 => Ok(header),
        version => Err(Fault::Unsupported(format!("VHDX of version {version}"))),
    }
}

/// Place and length of the table of blocks and of the metadata.
fn regions(file: &Piece) -> Result<(u64, u64, u64, u64), Fault> {
    let whole = |at: &u64| {
        let record = file.record(*at, REGION_LEN, REGION_LEN).ok()?;
        let is_whole = record.starts_with(b"regi") && le32(&record, 4).ok()? == crc32c::of_record(&record, 4);
        is_whole.then_some(record)
    };
    let record = REGIONS.iter().find_map(whole);
    let record =
        record.ok_or_else(|| damaged("neither region table agrees with its checksum", REGIONS[0]))?;
    let (mut table, mut metadata) = (None, None);
    for entry in record[16..].chunks_exact(32).take(size(le32(&record, 8)?.into())?) {
        let region = (le64(entry, 16)?, u64::from(le32(entry, 24)?));
        match &entry[..16] {
            kind if *kind == BAT => table = Some(region),
            kind if *kind == METADATA => metadata = Some(region),
            _ if le32(entry, 28)? & 1 != 0 => {
                return Err(Fault::Unsupported("VHDX with a region of an unknown kind".into()));
            }
            _ => {}
        }
    }
    let absent = || damaged("a region is absent", REGIONS[0]);
    let ((table_at, table_len), (at, len)) = (table.ok_or_else(absent)?, metadata.ok_or_else(absent)?);
    Ok((table_at, table_len, at, len))
}

struct Metadata<'f> {
    file: &'f Piece,
    at: u64,
    len: u64,
}

impl Metadata<'_> {
    /// The first bytes of what they say of one thing.
    fn item(&self, kind: [u8; 16], len: u64) -> Result<Vec<u8>, Fault> {
        let absent = || damaged("metadata of a VHDX", self.at);
        let entries = self.file.record(self.at, self.len.min(METADATA_TABLE), METADATA_TABLE)?;
        if !entries.starts_with(b"metadata") {
            return Err(absent());
        }
        let n = usize::from(le16(&entries, 10)?);
        let mut known = entries.get(32..).unwrap_or_default().chunks_exact(32).take(n);
        let at = u64::from(le32(known.find(|entry| entry[..16] == kind).ok_or_else(absent)?, 16)?);
        if at.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(absent());
        }
        self.file.record(plus(self.at, at, "metadata beyond all sizes")?, len, len)
    }
}

impl Map for Vhdx {
    fn size(&self) -> u64 {
        self.size
    }

    fn run(&self, _: &Piece, offset: u64) -> Result<(Run, u64), Fault> {
        let (block, skip) = (offset / self.block_size, offset % self.block_size);
        let entry = le64(&self.table, size((block + block / self.ratio) * 8)?)?;
        let run = match entry & 7 {
            0..=3 => Run::Zero,
            6 => Run::Host((entry >> 20 << 20) + skip),
            _ => return Err(damaged("a block of an unknown kind", offset)),
        };
        Ok((run, self.block_size - skip))
    }
}
