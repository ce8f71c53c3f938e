//! The logical space that Btrfs addresses: chunks of the device and, behind all of them, what packed extents unpack to.
//!
//! A stream's positions are positions in this space, so that packed files are read like any other and an extent of
//! 128 KiB is unpacked once for the files that share it.

use super::extents::MOST_UNPACKED;
use super::superblock::Superblock;
use super::tree::{GO_ON, Key, Walker};
use crate::budget::Budget;
use crate::cache::Chunks;
use crate::fault::{Fault, damaged, le16, le32, le64, plus, size};
use crate::reader::{ImageReader, Place, read_exact_at};
use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::sync::{Arc, RwLock};

const CHUNK: u8 = 228;
/// Kinds of chunks whose bytes are spread over their stripes: RAID 0, 10, 5 and 6.
const SPREAD: u64 = 1 << 3 | 1 << 6 | 1 << 7 | 1 << 8;
/// Where unpacked extents begin: behind every device.
const UNPACKED: u64 = 1 << 62;
const MOST_PACKED: usize = 1 << 26;
/// Of zstd, as a power of two: eight times what Btrfs packs at once.
const MOST_WINDOW: u32 = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Zlib,
    Lzo,
    Zstd,
}

#[derive(Clone, Copy)]
pub(super) struct Packed {
    pub(super) at: u64,
    pub(super) stored_len: u64,
    pub(super) unpacked: u64,
    pub(super) method: Method,
}

struct Chunk {
    len: u64,
    /// Places on the device, each with all of it.
    copies: Vec<u64>,
}

pub(super) struct Space {
    device: Arc<dyn ImageReader>,
    chunks: BTreeMap<u64, Chunk>,
    sector_size: u32,
    packed: RwLock<Table>,
    decoded: Chunks,
}

#[derive(Default)]
struct Table {
    /// With the position in the space.
    all: Vec<(u64, Packed)>,
    /// Which one of all has this place on the disk.
    by_place: HashMap<u64, usize>,
    end: u64,
}

impl Space {
    pub(super) fn read(device: Arc<dyn ImageReader>, sb: &Superblock) -> Result<Space, Fault> {
        let mut space = Space {
            device,
            chunks: BTreeMap::new(),
            sector_size: sb.sector_size,
            packed: RwLock::default(),
            decoded: Chunks::default(),
        };
        let mut rest = &sb.first_chunks[..];
        while !rest.is_empty() {
            let key = Key::read(rest)?;
            let record = rest.get(17..).unwrap_or_default();
            space.add(key.offset, record)?;
            let len = 17 + 48 + 32 * usize::from(le16(record, 44)?);
            rest = rest.get(len..).ok_or_else(|| damaged("a chunk's record ends early", key.offset))?;
        }
        let mut found = Vec::new();
        let mut faults = Vec::new();
        let mut budget = Budget::of(sb.size.min(space.device.size()) / sb.node_size, sb.node_size);
        Walker { space: &space, sb }.scan(sb.chunks, &mut budget, &mut faults, &mut |key, bytes| {
            if key.kind == CHUNK {
                found.push((key.offset, bytes.to_vec()));
            }
            GO_ON
        });
        // Without a chunk nobody knows where anything in it is.
        if let Some(fault) = faults.into_iter().next() {
            return Err(fault);
        }
        found.into_iter().try_for_each(|(at, record)| space.add(at, &record))?;
        Ok(space)
    }

    fn add(&mut self, at: u64, record: &[u8]) -> Result<(), Fault> {
        let (len, kind, n) = (le64(record, 0)?, le64(record, 24)?, usize::from(le16(record, 44)?));
        if kind & SPREAD != 0 && n != 1 {
            return Err(Fault::Unsupported("Btrfs with chunks spread over stripes".into()));
        }
        let stripes = record.get(48..48 + n * 32).filter(|stripes| !stripes.is_empty());
        let stripes = stripes.ok_or_else(|| damaged("a chunk's record ends early", at))?;
        let copies = stripes.chunks_exact(32).map(|stripe| le64(stripe, 8)).collect::<Result<Vec<_>, _>>()?;
        if plus(at, len, "a chunk beyond all sizes")? > UNPACKED {
            return Err(damaged("a chunk beyond all sizes", at));
        }
        self.chunks.insert(at, Chunk { len, copies });
        Ok(())
    }

    pub(super) fn device(&self) -> &dyn ImageReader {
        &*self.device
    }

    pub(super) fn sector_size(&self) -> u32 {
        self.sector_size
    }

    /// The chunk that has the byte: where it is in it, and the chunk.
    fn chunk(&self, at: u64) -> Result<(u64, &Chunk), Fault> {
        let before = self.chunks.range(..=at).next_back();
        let found =
            before.map(|(start, chunk)| (at - start, chunk)).filter(|(skip, chunk)| *skip < chunk.len);
        found.ok_or_else(|| damaged("a place in no chunk", at))
    }

    /// Whether all of a file's extent is in chunks: otherwise it could be in what others unpack to.
    pub(super) fn check(&self, at: u64, len: u64) -> Result<(), Fault> {
        let (skip, chunk) = self.chunk(at)?;
        if len <= chunk.len - skip { Ok(()) } else { Err(damaged("an extent across two chunks", at)) }
    }

    /// All places of `len` bytes, which must lie in one chunk.
    pub(super) fn copies(&self, at: u64, len: u64) -> Result<Vec<u64>, Fault> {
        let (skip, chunk) = self.chunk(at)?;
        self.check(at, len)?;
        chunk.copies.iter().map(|start| plus(*start, skip, "a chunk beyond all sizes")).collect()
    }

    /// Where a packed extent's content is in the space.
    pub(super) fn pack(&self, packed: Packed) -> Result<u64, Fault> {
        if packed.stored_len > MOST_UNPACKED {
            return Err(Fault::Limit { what: "bytes in a packed extent", limit: MOST_UNPACKED });
        }
        self.check(packed.at, packed.stored_len)?;
        let mut table = self.packed.write().expect("no panic while it is held");
        if let Some(nth) = table.by_place.get(&packed.at) {
            let (at, known) = table.all[*nth];
            let is_same = known.stored_len == packed.stored_len
                && known.unpacked == packed.unpacked
                && known.method == packed.method;
            return if is_same { Ok(at) } else { Err(damaged("an extent packed in two ways", packed.at)) };
        }
        if table.all.len() >= MOST_PACKED {
            return Err(Fault::Limit { what: "packed extents", limit: MOST_PACKED as u64 });
        }
        let at = UNPACKED + table.end;
        let nth = table.all.len();
        table.by_place.insert(packed.at, nth);
        table.all.push((at, packed));
        table.end += MOST_UNPACKED;
        Ok(at)
    }

    /// The packed extent that has the byte: which one, where it is in it, and the extent.
    fn packed(&self, at: u64) -> Option<(usize, u64, Packed)> {
        let nth = usize::try_from((at - UNPACKED) / MOST_UNPACKED).ok()?;
        let table = self.packed.read().expect("no panic while it is held");
        table.all.get(nth).map(|(start, packed)| (nth, at - start, *packed))
    }

    fn read_packed(&self, at: u64, buf: &mut [u8]) -> Result<usize, Fault> {
        let Some((nth, skip, packed)) = self.packed(at) else { return Ok(0) };
        let content = self.decoded.get(nth as u64, || {
            let mut stored = vec![0; size(packed.stored_len)?];
            read_exact_at(self, packed.at, &mut stored)?;
            unpack(packed.method, &stored, packed.unpacked, self.sector_size)
        })?;
        let rest = content.get(size(skip)?..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
}

impl ImageReader for Space {
    fn size(&self) -> u64 {
        u64::MAX
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Fault> {
        if offset >= UNPACKED {
            return self.read_packed(offset, buf);
        }
        let (skip, chunk) = self.chunk(offset)?;
        let n = usize::try_from(chunk.len - skip).unwrap_or(usize::MAX).min(buf.len());
        let start = chunk.copies.first().ok_or_else(|| damaged("a chunk without a place", offset))?;
        let from = plus(*start, skip, "a chunk beyond all sizes")?;
        read_exact_at(&*self.device, from, &mut buf[..n])?;
        Ok(n)
    }

    fn locate(&self, offset: u64) -> Place {
        if offset >= UNPACKED {
            return self
                .packed(offset)
                .map_or(Place::Zero, |(_, _, packed)| self.locate(packed.at.min(UNPACKED - 1)));
        }
        let place = self.copies(offset, 1).ok().and_then(|copies| copies.first().copied());
        place.map_or(Place::Zero, |place| self.device.locate(place))
    }
}

/// What a packed extent holds, `len` bytes; zeros behind what its stream gives, as the kernel has it.
pub(super) fn unpack(method: Method, stored: &[u8], len: u64, sector_size: u32) -> Result<Vec<u8>, Fault> {
    let len = size(len)?;
    let wrong = || damaged("a packed extent cannot be unpacked", 0);
    let mut bytes = Vec::new();
    match method {
        Method::Zlib => {
            let mut decoder = flate2::read::ZlibDecoder::new(stored).take(len as u64);
            decoder.read_to_end(&mut bytes).map_err(|_| wrong())?;
        }
        Method::Zstd => {
            // What is behind the frame fills the sector.
            let decoder = zstd::stream::read::Decoder::with_buffer(stored).map_err(|_| wrong())?;
            let mut decoder = decoder.single_frame();
            decoder.window_log_max(MOST_WINDOW).map_err(|_| wrong())?;
            decoder.take(len as u64).read_to_end(&mut bytes).map_err(|_| wrong())?;
        }
        Method::Lzo => unpack_lzo(stored, len, size(sector_size.into())?, &mut bytes).ok_or_else(wrong)?,
    }
    if bytes.is_empty() && len > 0 {
        return Err(wrong());
    }
    bytes.resize(len, 0);
    Ok(bytes)
}

/// A length of all, and then pieces, each a length and a sector packed; no length goes across a sector's end.
fn unpack_lzo(stored: &[u8], len: usize, sector: usize, bytes: &mut Vec<u8>) -> Option<()> {
    let end = usize::try_from(le32(stored, 0).ok()?).ok()?;
    let stored = stored.get(..end)?;
    let mut at = 4;
    let mut piece = vec![0; sector];
    while at < end && bytes.len() < len {
        if sector - at % sector < 4 {
            at = at.next_multiple_of(sector);
        }
        let n = usize::try_from(le32(stored, at).ok()?).ok()?;
        let packed = stored.get(at + 4..)?.get(..n)?;
        let unpacked = lzokay::decompress::decompress(packed, &mut piece).ok()?;
        bytes.extend_from_slice(&piece[..unpacked]);
        at += 4 + n;
    }
    bytes.truncate(len);
    Some(())
}
