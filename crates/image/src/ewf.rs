//! Expert Witness images (E01, s01): segments of sections, tables of chunks, a checksum on every chunk.
//!
//! ```text
//!  segment: signature │ header … volume … sectors  table  table2 │ … │ next or done
//!                                         chunks ◄─┘ (offsets; table2 is its copy)
//! ```
//!
//! A chunk that fails its Adler-32 is a fault, never data. What the acquiring tool could not read is in
//! [`Ewf::unread`]: those sectors are zeros that nobody saw.

use crate::cache::Chunks;
use crate::fault::{Fault, damaged, le16, le32, le64, size, times};
use crate::pieces::Piece;
use crate::reader::{Files, ImageReader, Place};
use crate::segments;
use sha1::{Digest as _, Sha1};
use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::Path;

pub(crate) const SIGNATURE: &[u8] = b"EVF\x09\x0d\x0a\xff\x00";
const DESCRIPTOR: u64 = 76;
/// Sections that are read into memory; a table of 16 million chunks fits.
const MOST_BYTES: u64 = 64 << 20;
/// Tools write 16 to 2048 KiB.
const MOST_CHUNK: u64 = 16 << 20;

/// Sixteen bytes: a disk of a tebibyte has 32 million of them.
#[derive(Clone, Copy)]
struct Chunk {
    offset: u64,
    len: u32,
    segment: u16,
    is_compressed: bool,
}

/// The digests that the acquiring tool stored of the whole disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// MD5.
    pub md5: Option<[u8; 16]>,
    /// SHA-1.
    pub sha1: Option<[u8; 20]>,
}

/// An E01 or s01 image with all its segments.
pub struct Ewf {
    segments: Vec<Piece>,
    chunks: Vec<Chunk>,
    chunk_size: u64,
    sector_size: u64,
    len: u64,
    stored: Stored,
    unread: Vec<(u64, u64)>,
    decoded: Chunks,
}

#[derive(Default)]
struct Building {
    chunks: Vec<Chunk>,
    n_chunks: u64,
    chunk_size: u64,
    sector_size: u64,
    len: u64,
    stored: Stored,
    unread: Vec<(u64, u64)>,
    /// End of the last `sectors` section of this segment.
    sectors_end: Option<u64>,
    /// The fault of a table whose copy may still serve.
    broken_table: Option<Fault>,
    is_done: bool,
}

impl Ewf {
    /// Opens the image whose first segment is at `path`.
    pub fn open(path: &Path) -> Result<Ewf, Fault> {
        let mut building = Building::default();
        let mut segments = Vec::new();
        let mut path = path.to_path_buf();
        let mut nth = 1;
        loop {
            let segment = Piece::open(&path)?;
            building.segment(&segment, nth)?;
            segments.push(segment);
            if building.is_done {
                break;
            }
            path = segments::next(&path)
                .ok_or_else(|| Fault::Missing(format!("the segment after {}", path.display())))?;
            if !path.exists() {
                return Err(Fault::Missing(path.display().to_string()));
            }
            nth += 1;
        }
        let Building { chunks, n_chunks, chunk_size, sector_size, len, stored, unread, .. } = building;
        if chunk_size == 0 {
            return Err(damaged("no volume section", 0));
        }
        if chunks.len() as u64 != n_chunks || len.div_ceil(chunk_size) != n_chunks {
            return Err(damaged("chunks listed are not the chunks announced", chunks.len() as u64));
        }
        Ok(Ewf { segments, chunks, chunk_size, sector_size, len, stored, unread, decoded: Chunks::default() })
    }

    /// What the acquiring tool stored. Nothing has been compared.
    pub fn stored(&self) -> Stored {
        self.stored
    }

    /// Runs of bytes, as position and length, that the acquiring tool could not read.
    pub fn unread(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.unread
            .iter()
            .map(|(sector, n)| (sector.saturating_mul(self.sector_size), n.saturating_mul(self.sector_size)))
    }

    /// Reads the whole disk and holds it against the stored digests. `on_block` hears of every block's length in
    /// bytes and may break off. `None`: nothing was stored, or it was broken off.
    pub fn verify(&self, on_block: &mut dyn FnMut(usize) -> ControlFlow<()>) -> Result<Option<bool>, Fault> {
        let (mut md5, mut sha1) = (md5::Md5::new(), Sha1::new());
        for nth in 0..self.chunks.len() as u64 {
            let bytes = self.decode(nth)?;
            md5.update(&bytes);
            sha1.update(&bytes);
            if on_block(bytes.len()).is_break() {
                return Ok(None);
            }
        }
        let md5 = self.stored.md5.map(|stored| md5.finalize()[..] == stored);
        let sha1 = self.stored.sha1.map(|stored| sha1.finalize()[..] == stored);
        Ok(md5.into_iter().chain(sha1).reduce(|a, b| a && b))
    }

    fn decode(&self, nth: u64) -> Result<Vec<u8>, Fault> {
        let start = nth * self.chunk_size;
        let expected = size(self.chunk_size.min(self.len - start))?;
        let chunk = self.chunks[size(nth)?];
        let mut stored = vec![0; chunk.len as usize];
        self.segments[usize::from(chunk.segment)].read_exact(chunk.offset, &mut stored)?;
        let wrong = || damaged("a chunk fails its checksum", start);
        let mut bytes = if chunk.is_compressed {
            let mut bytes = Vec::with_capacity(size(self.chunk_size)?);
            // The decoder checks the Adler-32 at the end of the stream, which it sees only when asked for more.
            let mut decoder = flate2::read::ZlibDecoder::new(&stored[..]).take(self.chunk_size + 1);
            decoder.read_to_end(&mut bytes).map_err(|_| wrong())?;
            bytes
        } else {
            let sum = stored.split_off(stored.len().checked_sub(4).ok_or_else(wrong)?);
            if adler2::adler32_slice(&stored) != le32(&sum, 0)? {
                return Err(wrong());
            }
            stored
        };
        if bytes.len() < expected || bytes.len() as u64 > self.chunk_size {
            return Err(damaged("a chunk has the wrong length", start));
        }
        bytes.truncate(expected);
        Ok(bytes)
    }
}

impl ImageReader for Ewf {
    fn size(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Fault> {
        if offset >= self.len || buf.is_empty() {
            return Ok(0);
        }
        let nth = offset / self.chunk_size;
        let chunk = self.decoded.get(nth, || self.decode(nth))?;
        let rest = &chunk[size(offset % self.chunk_size)?..];
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn locate(&self, offset: u64) -> Place {
        Place::Chunk(offset / self.chunk_size)
    }

    fn files(&self, files: &mut Files) {
        self.segments.iter().for_each(|segment| segment.count(files));
    }
}

fn checked(bytes: &[u8], len: usize, what: &'static str, at: u64) -> Result<(), Fault> {
    let sum = le32(bytes, len)?;
    if bytes.get(..len).map(adler2::adler32_slice) == Some(sum) { Ok(()) } else { Err(damaged(what, at)) }
}

impl Building {
    fn segment(&mut self, segment: &Piece, nth: u16) -> Result<(), Fault> {
        let head = segment.record(0, 13, 13)?;
        if !head.starts_with(SIGNATURE) {
            return Err(damaged("no signature of an EWF segment", 0));
        }
        if le16(&head, 9)? != nth {
            return Err(damaged("a segment with another number than its name", 9));
        }
        self.sectors_end = None;
        let mut at = 13;
        loop {
            let descriptor = segment.record(at, DESCRIPTOR, DESCRIPTOR)?;
            checked(&descriptor, 72, "a section's descriptor fails its checksum", at)?;
            let kind = descriptor[..16].split(|b| *b == 0).next().unwrap_or_default();
            let (next, len) = (le64(&descriptor, 16)?, le64(&descriptor, 24)?);
            match kind {
                b"next" => break,
                b"done" => {
                    self.is_done = true;
                    break;
                }
                _ => {}
            }
            // Every section lies behind the one before it, so that the chain ends.
            if next < at + DESCRIPTOR || next > segment.len {
                return Err(damaged("a section's successor lies before it", at));
            }
            // Some writers leave the size out of sections other than the last.
            let end = if len < DESCRIPTOR { next } else { at.saturating_add(len).min(next) };
            self.section(segment, nth - 1, kind, at, end)?;
            at = next;
        }
        self.broken_table.take().map_or(Ok(()), Err)
    }

    fn section(&mut self, segment: &Piece, nth: u16, kind: &[u8], at: u64, end: u64) -> Result<(), Fault> {
        let start = at + DESCRIPTOR;
        let body = |most: u64| segment.record(start, end - start, most);
        match kind {
            b"volume" | b"disk" => self.volume(&body(MOST_BYTES)?, start)?,
            b"sectors" => self.sectors_end = Some(end),
            b"table" | b"table2" => self.table(segment, nth, kind == b"table2", start, end)?,
            b"hash" => {
                let bytes = body(MOST_BYTES)?;
                checked(&bytes, 32, "the stored hash fails its checksum", start)?;
                self.stored.md5 = bytes.first_chunk().copied();
            }
            b"digest" => {
                let bytes = body(MOST_BYTES)?;
                checked(&bytes, 76, "the stored digests fail their checksum", start)?;
                self.stored.md5 = bytes.first_chunk().copied();
                self.stored.sha1 = bytes.get(16..).and_then(|rest| rest.first_chunk().copied());
            }
            b"error2" => {
                let bytes = body(MOST_BYTES)?;
                checked(&bytes, 516, "the list of unread sectors fails its checksum", start)?;
                for entry in 0..le32(&bytes, 0)? as usize {
                    let at = 520 + entry * 8;
                    self.unread.push((le32(&bytes, at)?.into(), le32(&bytes, at + 4)?.into()));
                }
            }
            // Texts about the case, and sessions of optical disks: no content.
            _ => {}
        }
        Ok(())
    }

    fn volume(&mut self, bytes: &[u8], at: u64) -> Result<(), Fault> {
        let is_smart = bytes.len() < 1052;
        let len = if is_smart { 90 } else { 1048 };
        checked(bytes, len, "the volume section fails its checksum", at)?;
        if self.chunk_size != 0 {
            return Ok(());
        }
        self.n_chunks = le32(bytes, 4)?.into();
        self.sector_size = le32(bytes, 12)?.into();
        let n_sectors = if is_smart { le32(bytes, 16)?.into() } else { le64(bytes, 16)? };
        self.chunk_size = times(le32(bytes, 8)?.into(), self.sector_size, "a chunk beyond all sizes")?;
        self.len = times(n_sectors, self.sector_size, "a disk beyond all sizes")?;
        if self.chunk_size == 0 || self.chunk_size > MOST_CHUNK {
            return Err(Fault::Limit { what: "bytes in a chunk", limit: MOST_CHUNK });
        }
        Ok(())
    }

    fn table(&mut self, segment: &Piece, nth: u16, is_copy: bool, start: u64, end: u64) -> Result<(), Fault> {
        if is_copy && self.broken_table.take().is_none() {
            return Ok(());
        }
        let before = self.chunks.len();
        if let Err(fault) = self.entries(segment, nth, start, end) {
            self.chunks.truncate(before);
            if is_copy {
                return Err(fault);
            }
            self.broken_table = Some(fault);
        }
        Ok(())
    }

    fn entries(&mut self, segment: &Piece, nth: u16, start: u64, end: u64) -> Result<(), Fault> {
        let head = segment.record(start, 24, 24)?;
        checked(&head, 20, "a table's head fails its checksum", start)?;
        let (n, base) = (le32(&head, 0)?, le64(&head, 8)?);
        let n_bytes = u64::from(n) * 4;
        let table = segment.record(start + 24, n_bytes, MOST_BYTES)?;
        // In SMART's form the chunks follow within the section, and no checksum does.
        let chunks_end = match self.sectors_end {
            Some(chunks_end) => {
                let sum = segment.record(start + 24 + n_bytes, 4, 4)?;
                if adler2::adler32_slice(&table) != le32(&sum, 0)? {
                    return Err(damaged("a table fails its checksum", start));
                }
                chunks_end
            }
            None => end,
        };
        let offsets: Vec<u32> = table.chunks_exact(4).map(|e| le32(e, 0)).collect::<Result<_, _>>()?;
        for (i, raw) in offsets.iter().enumerate() {
            let place = |raw: u32| base.checked_add(u64::from(raw & 0x7fff_ffff));
            let offset = place(*raw).ok_or_else(|| damaged("a chunk beyond all sizes", start))?;
            let next = offsets.get(i + 1).map_or(Some(chunks_end), |raw| place(*raw));
            let len = next.and_then(|next| next.checked_sub(offset)).filter(|len| *len > 0);
            let Some(len) = len.filter(|_| next.is_some_and(|next| next <= segment.len)) else {
                return Err(damaged("chunks that are not in order", start));
            };
            // Incompressible data grows a little.
            if len > self.chunk_size + self.chunk_size / 8 + 1024 {
                return Err(damaged("a chunk longer than its data can be", offset));
            }
            let len =
                u32::try_from(len).map_err(|_| damaged("a chunk longer than its data can be", offset))?;
            self.chunks.push(Chunk { segment: nth, is_compressed: raw & 0x8000_0000 != 0, offset, len });
        }
        Ok(())
    }
}
