//! Disks and volumes that are put together from parts of others.

use crate::fault::{Fault, damaged, plus};
use crate::reader::{Files, ImageReader, Place};
use std::sync::Arc;

/// Parts, one behind the other.
#[derive(Default)]
pub(crate) struct Joined {
    /// With the position at which each begins.
    parts: Vec<(u64, Arc<dyn ImageReader>)>,
    len: u64,
}

impl Joined {
    /// Adds a part of `len` bytes, which it must have.
    pub(crate) fn push(&mut self, part: Arc<dyn ImageReader>, len: u64) -> Result<(), Fault> {
        if part.size() < len {
            return Err(damaged("a part is shorter than its whole says", self.len));
        }
        let end = plus(self.len, len, "parts longer than all sizes")?;
        self.parts.push((self.len, part));
        self.len = end;
        Ok(())
    }

    /// The part that has the byte, where it begins and where it ends.
    fn part(&self, offset: u64) -> Option<(u64, u64, &dyn ImageReader)> {
        let after = self.parts.partition_point(|(start, _)| *start <= offset);
        let (start, part) = self.parts.get(after.checked_sub(1)?)?;
        let end = self.parts.get(after).map_or(self.len, |(next, _)| *next);
        Some((*start, end, &**part))
    }
}

impl ImageReader for Joined {
    fn size(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Fault> {
        let mut done = 0;
        while done < buf.len() {
            let at = plus(offset, done as u64, "a position beyond all sizes")?;
            let Some((start, end, part)) = self.part(at).filter(|(_, end, _)| at < *end) else { break };
            let n = usize::try_from(end - at).unwrap_or(usize::MAX).min(buf.len() - done);
            match part.read_at(at - start, &mut buf[done..done + n])? {
                0 => return Err(Fault::PastEnd { offset: at }),
                n => done += n,
            }
        }
        Ok(done)
    }

    fn locate(&self, offset: u64) -> Place {
        match self.part(offset) {
            // Parts are files of their own, or lie in order.
            Some((start, _, part)) => match part.locate(offset - start) {
                Place::Host(at) => Place::Host(start.saturating_add(at)),
                place => place,
            },
            None => Place::Zero,
        }
    }

    fn files(&self, files: &mut Files) {
        self.parts.iter().for_each(|(_, part)| part.files(files));
    }
}
