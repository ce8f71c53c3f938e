//! The bytes of a logical volume: segments one behind the other, each a run of a physical volume or stripes of several.

use super::group::{Group, Segment};
use crate::fault::{Fault, damaged, plus, times};
use crate::reader::{ImageReader, Place, read_exact_at};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) struct Striped {
    /// With the position at which each begins.
    runs: Vec<(u64, Run)>,
    len: u64,
}

struct Run {
    stripe_size: u64,
    /// Each with the position of the first byte.
    stripes: Vec<(Arc<dyn ImageReader>, u64)>,
}

impl Striped {
    /// The volume, and why it is not whole if its physical volumes end before it does.
    pub(super) fn new(
        group: &Group,
        segments: &[Segment],
        there: &BTreeMap<String, Arc<dyn ImageReader>>,
    ) -> Result<(Striped, Option<Fault>), Fault> {
        let beyond = "a logical volume beyond all sizes";
        let mut volume = Striped { runs: Vec::new(), len: 0 };
        for segment in segments {
            let len = times(segment.n_extents, group.extent_size, beyond)?;
            let of_each = len / segment.stripes.len() as u64;
            if segment.stripes.len() > 1 && !of_each.is_multiple_of(segment.stripe_size) {
                return Err(damaged("stripes that do not fill their segment", 0));
            }
            let mut stripes = Vec::new();
            let mut least = of_each;
            for (name, first) in &segment.stripes {
                let area = group.physical.get(name).ok_or_else(|| damaged("a stripe on nothing", 0))?;
                let bytes = there.get(&area.id).ok_or_else(|| {
                    Fault::Missing(format!("the physical volume {} of the group {}", area.id, group.name))
                })?;
                let start = plus(area.start, times(*first, group.extent_size, beyond)?, beyond)?;
                least = least.min(bytes.size().saturating_sub(start));
                stripes.push((Arc::clone(bytes), start));
            }
            let is_cut = least < of_each;
            // Of stripes that end early only whole rows could be used; of a run, all that is there.
            let len = if is_cut && stripes.len() == 1 {
                least
            } else if is_cut {
                0
            } else {
                len
            };
            volume.runs.push((volume.len, Run { stripe_size: segment.stripe_size, stripes }));
            volume.len = plus(volume.len, len, beyond)?;
            if is_cut {
                let fault = damaged("a logical volume reaches past the end of a physical one", volume.len);
                return Ok((volume, Some(fault)));
            }
        }
        Ok((volume, None))
    }

    /// Where the byte is, and for how many bytes from it on the answer holds.
    fn place(&self, offset: u64) -> Option<(&dyn ImageReader, u64, u64)> {
        let nth = self.runs.partition_point(|(start, _)| *start <= offset).checked_sub(1)?;
        let (start, run) = &self.runs[nth];
        let end = self.runs.get(nth + 1).map_or(self.len, |(next, _)| *next);
        let left = end.checked_sub(offset).filter(|left| *left > 0)?;
        let within = offset - start;
        if let [(bytes, at)] = &run.stripes[..] {
            return Some((&**bytes, at + within, left));
        }
        let (stripe, skip) = (within / run.stripe_size, within % run.stripe_size);
        let n = run.stripes.len() as u64;
        let (bytes, at) = run.stripes.get(usize::try_from(stripe % n).ok()?)?;
        Some((&**bytes, at + stripe / n * run.stripe_size + skip, run.stripe_size - skip))
    }
}

impl ImageReader for Striped {
    fn size(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Fault> {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let end = left.min(buf.len());
        let mut done = 0;
        while done < end {
            let Some((bytes, at, len)) = self.place(offset + done as u64) else { break };
            let n = usize::try_from(len).unwrap_or(usize::MAX).min(end - done);
            read_exact_at(bytes, at, &mut buf[done..done + n])?;
            done += n;
        }
        Ok(done)
    }

    fn locate(&self, offset: u64) -> Place {
        self.place(offset).map_or(Place::Zero, |(bytes, at, _)| bytes.locate(at))
    }
}
