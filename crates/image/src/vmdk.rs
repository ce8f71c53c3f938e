//! VMDK: a text that names the extents, which are flat or sparse, and the sparse extent with the text in itself.
//!
//! ```text
//!  descriptor ─► RW 4192256 SPARSE "disk-s001.vmdk" ─► header │ directory ─► tables ─► grains
//!                RW 4192256 FLAT "disk-flat.vmdk" 0 ─► bytes
//! ```

mod descriptor;

use crate::cache::Chunks;
use crate::fault::{Fault, damaged, le16, le32, le64, size, times};
use crate::joined::Joined;
use crate::mapped::{Map, Mapped, Run, beside, parent};
use crate::pieces::Piece;
use crate::reader::{ImageReader, Window};
use descriptor::{Descriptor, Form};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

pub(crate) const SPARSE: &[u8] = b"KDMV";
pub(crate) const TEXT: &[u8] = b"# Disk DescriptorFile";
/// Tools write 64 KiB.
const MOST_GRAIN: u64 = 32 << 20;
/// 16 million tables of 512 grains.
const MOST_DIRECTORY: u64 = 64 << 20;
const MOST_TABLE: u64 = 1 << 20;
const MOST_TEXT: u64 = 1 << 20;
/// The directory lies at the end, as its copy of the header says.
const AT_THE_END: u64 = u64::MAX;

const HAS_ZERO_GRAINS: u32 = 1 << 2;
const IS_COMPRESSED: u32 = 1 << 16;

struct Sparse {
    /// Bytes.
    size: u64,
    grain_size: u64,
    per_table: u64,
    has_zero_grains: bool,
    is_compressed: bool,
    directory: Vec<u8>,
    tables: Chunks,
}

/// Bytes as they are.
struct Flat {
    start: u64,
    len: u64,
}

/// Opens a descriptor or a sparse extent that has its own.
pub(crate) fn open(path: &Path, depth: u32) -> Result<Arc<dyn ImageReader>, Fault> {
    let file = Piece::open(path)?;
    let Some(text) = text(&file)? else {
        let (file, map) = Sparse::read(file, &mut MOST_DIRECTORY.clone())?;
        return Ok(Arc::new(Mapped::new(file, map, None)));
    };
    let descriptor = Descriptor::read(&text)?;
    let upon = match &descriptor.parent {
        Some((named, cid)) => {
            let upon = parent(path, named, depth)?;
            if content_id(&beside(path, named)?)? != *cid {
                return Err(Fault::Missing(format!("{named:?} as it was; it was changed since")));
            }
            Some(upon)
        }
        None => None,
    };
    let mut disk = Joined::default();
    let mut left = MOST_DIRECTORY;
    for extent in &descriptor.extents {
        let len = times(extent.sectors, 512, "an extent beyond all sizes")?;
        let start = disk.size();
        let below = |upon: &Arc<dyn ImageReader>| {
            let start = start.min(upon.size());
            Window::new(Arc::clone(upon), start, len).map(|part| Arc::new(part) as Arc<dyn ImageReader>)
        };
        let below = upon.as_ref().map(below).transpose()?;
        let named = |name: &str| {
            // The only extent of a file with a descriptor in it is that file, whatever it was called before.
            if descriptor.extents.len() == 1 && extent.form == Form::Sparse && is_sparse(path)? {
                Piece::open(path)
            } else {
                Piece::open(&beside(path, name)?)
            }
        };
        let part: Arc<dyn ImageReader> = match (&extent.form, &extent.file) {
            (Form::Flat { start }, Some(name)) => {
                Arc::new(Mapped::new(named(name)?, Flat { start: times(*start, 512, "a place")?, len }, None))
            }
            (Form::Sparse, Some(name)) => {
                let (file, map) = Sparse::read(named(name)?, &mut left)?;
                Arc::new(Mapped::new(file, map, below))
            }
            (Form::Zero, _) => Arc::new(Zeros(len)),
            (_, None) => return Err(damaged("an extent without a file", 0)),
        };
        disk.push(part, len)?;
    }
    Ok(Arc::new(disk))
}

fn is_sparse(path: &Path) -> Result<bool, Fault> {
    let file = Piece::open(path)?;
    Ok(file.record(0, file.len.min(4), 4)? == SPARSE)
}

/// The descriptor's text; `None` if it is a sparse extent without one.
fn text(file: &Piece) -> Result<Option<Vec<u8>>, Fault> {
    let head = file.record(0, file.len.min(512), 512)?;
    if !head.starts_with(SPARSE) {
        return file.record(0, file.len, MOST_TEXT).map(Some);
    }
    let (at, len) = (le64(&head, 28)?, le64(&head, 36)?);
    if at == 0 {
        return Ok(None);
    }
    let beyond = "a descriptor beyond all sizes";
    file.record(times(at, 512, beyond)?, times(len, 512, beyond)?, MOST_TEXT).map(Some)
}

/// What a disk's content was called when it was last changed.
fn content_id(path: &Path) -> Result<u32, Fault> {
    let text = text(&Piece::open(path)?)?.ok_or_else(|| damaged("a parent without a descriptor", 0))?;
    Ok(Descriptor::read(&text)?.cid)
}

impl Sparse {
    /// `left` are the bytes that the directories of the disk's further extents may have: one file may be many extents.
    fn read(file: Piece, left: &mut u64) -> Result<(Piece, Sparse), Fault> {
        let mut head = file.record(0, file.len.min(512), 512)?;
        if le64(&head, 56)? == AT_THE_END {
            head = file.record(file.len.saturating_sub(1024), 512, 512)?;
        }
        let (version, flags) = (le32(&head, 4)?, le32(&head, 8)?);
        if !head.starts_with(SPARSE) || !(1..=3).contains(&version) {
            return Err(Fault::Unsupported(format!("a sparse extent of version {version}")));
        }
        // Set so that a transfer as text, which changes the ends of lines, is noticed.
        if flags & 1 != 0 && head[73..77] != *b"\n \r\n" {
            return Err(damaged("a sparse extent that was transferred as text", 73));
        }
        let is_compressed = flags & IS_COMPRESSED != 0;
        if is_compressed && le16(&head, 77)? != 1 {
            return Err(Fault::Unsupported("VMDK compressed by an unknown method".into()));
        }
        let beyond = "a sparse extent beyond all sizes";
        let size = times(le64(&head, 12)?, 512, beyond)?;
        let grain_size = times(le64(&head, 20)?, 512, beyond)?;
        let per_table = u64::from(le32(&head, 44)?);
        if !grain_size.is_power_of_two()
            || grain_size > MOST_GRAIN
            || !(1..=MOST_TABLE / 4).contains(&per_table)
        {
            return Err(damaged("a grain or table of no permitted size", 20));
        }
        let n_tables = size.div_ceil(grain_size).div_ceil(per_table);
        let directory_at = times(le64(&head, 56)?, 512, beyond)?;
        let directory_len = times(n_tables, 4, beyond)?;
        let directory = file.record(directory_at, directory_len, *left)?;
        *left -= directory_len;
        let map = Sparse {
            size,
            grain_size,
            per_table,
            has_zero_grains: flags & HAS_ZERO_GRAINS != 0,
            is_compressed,
            directory,
            tables: Chunks::default(),
        };
        Ok((file, map))
    }

    /// The sector of a grain: 0 for none, 1 for zeros.
    fn place(&self, file: &Piece, grain: u64) -> Result<u64, Fault> {
        let table = u64::from(le32(&self.directory, size(grain / self.per_table * 4)?)?);
        if table == 0 {
            return Ok(0);
        }
        let len = self.per_table * 4;
        let table = self.tables.get(table, || file.record(table * 512, len, MOST_TABLE))?;
        Ok(le32(&table, size(grain % self.per_table * 4)?)?.into())
    }
}

impl Map for Sparse {
    fn size(&self) -> u64 {
        self.size
    }

    fn run(&self, file: &Piece, offset: u64) -> Result<(Run, u64), Fault> {
        let (grain, skip) = (offset / self.grain_size, offset % self.grain_size);
        let run = match self.place(file, grain)? {
            0 => Run::Parent,
            1 if self.has_zero_grains => Run::Zero,
            _ if self.is_compressed => Run::Packed { key: grain, skip },
            sector => Run::Host(sector * 512 + skip),
        };
        Ok((run, self.grain_size - skip))
    }

    fn decode(&self, file: &Piece, grain: u64) -> Result<Vec<u8>, Fault> {
        let at = self.place(file, grain)? * 512;
        let marker = file.record(at, 12, 12)?;
        if le64(&marker, 0)? != grain * (self.grain_size / 512) {
            return Err(damaged("a compressed grain is another one's", at));
        }
        let stored = file.record(at + 12, le32(&marker, 8)?.into(), 2 * self.grain_size + 512)?;
        let mut bytes = Vec::new();
        // One byte more than a grain has, so that the stream's own checksum is reached and a longer one noticed.
        let mut decoder = flate2::read::ZlibDecoder::new(&stored[..]).take(self.grain_size + 1);
        decoder
            .read_to_end(&mut bytes)
            .map_err(|_| damaged("a compressed grain fails its checksum or cannot be unpacked", at))?;
        if bytes.len() as u64 > self.grain_size {
            return Err(damaged("a compressed grain is too long", at));
        }
        Ok(bytes)
    }
}

impl Map for Flat {
    fn size(&self) -> u64 {
        self.len
    }

    fn run(&self, _: &Piece, offset: u64) -> Result<(Run, u64), Fault> {
        let at = crate::fault::plus(self.start, offset, "a place beyond all sizes")?;
        Ok((Run::Host(at), self.len - offset))
    }
}

/// An extent that is zeros by its nature.
struct Zeros(u64);

impl ImageReader for Zeros {
    fn size(&self) -> u64 {
        self.0
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Fault> {
        let n = usize::try_from(self.0.saturating_sub(offset)).unwrap_or(usize::MAX).min(buf.len());
        buf[..n].fill(0);
        Ok(n)
    }

    fn locate(&self, _: u64) -> crate::reader::Place {
        crate::reader::Place::Zero
    }
}
