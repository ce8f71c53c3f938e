//! Bytes of a container or a volume by position, without a cursor, so that threads share one reader.

use crate::fault::{Fault, damaged, plus};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where bytes lie on the host, so that files can be read in the order of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// As they are, at this position of the host's file or, in a set, of the pieces put together.
    Host(u64),
    /// In this compressed chunk; whoever wants several parts of it decodes it once.
    Chunk(u64),
    /// Nowhere: they are zeros.
    Zero,
}

/// The host's files that bytes come from, by device and inode, with the bytes that the host keeps of each: fewer than
/// a file is long where it has holes.
pub type Files = BTreeMap<(u64, u64), u64>;

/// What a container or a volume is to those who read it.
pub trait ImageReader: Send + Sync {
    /// Bytes in all.
    fn size(&self) -> u64;

    /// Reads from `offset` on and gives how many bytes were read: less than `buf` holds only at the end. Bytes that
    /// fail a checksum of the container are a fault and never data.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Fault>;

    /// Where the byte at `offset` lies.
    fn locate(&self, offset: u64) -> Place;

    /// Puts the files in that the bytes come from; what is in memory has none.
    fn files(&self, _files: &mut Files) {}
}

/// Fills `buf`, or says that the image ends before.
pub fn read_exact_at(image: &dyn ImageReader, offset: u64, buf: &mut [u8]) -> Result<(), Fault> {
    let mut done = 0;
    while done < buf.len() {
        let at = plus(offset, done as u64, "a position beyond all sizes")?;
        match image.read_at(at, &mut buf[done..])? {
            0 => return Err(Fault::PastEnd { offset: at }),
            n => done += n,
        }
    }
    Ok(())
}

pub(crate) fn read_vec(image: &dyn ImageReader, offset: u64, len: usize) -> Result<Vec<u8>, Fault> {
    if offset.checked_add(len as u64).is_none_or(|end| end > image.size()) {
        return Err(Fault::PastEnd { offset });
    }
    let mut bytes = vec![0; len];
    read_exact_at(image, offset, &mut bytes)?;
    Ok(bytes)
}

/// A part of another reader: a partition, or what is there of one that reaches past the end.
pub struct Window {
    image: Arc<dyn ImageReader>,
    start: u64,
    len: u64,
}

impl Window {
    /// The part from `start` on, `len` bytes at most.
    pub fn new(image: Arc<dyn ImageReader>, start: u64, len: u64) -> Result<Window, Fault> {
        let there =
            image.size().checked_sub(start).ok_or_else(|| damaged("a volume begins past the end", start))?;
        Ok(Window { image, start, len: len.min(there) })
    }
}

impl ImageReader for Window {
    fn size(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Fault> {
        let left = self.len.saturating_sub(offset);
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        if n == 0 { Ok(0) } else { self.image.read_at(self.start + offset, &mut buf[..n]) }
    }

    fn locate(&self, offset: u64) -> Place {
        self.image.locate(self.start.saturating_add(offset))
    }

    fn files(&self, files: &mut Files) {
        self.image.files(files);
    }
}
