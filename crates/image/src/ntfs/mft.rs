//! The master file table: every record by its number, also where the table lies in pieces.

use super::boot::Boot;
use super::file::{File, Stream};
use super::record::{DATA, Record, Ref};
use crate::fault::{Fault, damaged, plus, size, times};
use crate::item::{Content, Data, Extent};
use crate::reader::ImageReader;
use std::sync::Arc;

/// Bytes of records that are read at once when all are.
const AT_ONCE: u64 = 1 << 20;

pub(super) struct Mft {
    pub(super) image: Arc<dyn ImageReader>,
    pub(super) boot: Boot,
    extents: Vec<Extent>,
    /// Records that the table has room for.
    pub(super) n_records: u64,
    /// Why the copy of the first record was taken for it.
    pub(super) mended: Option<Fault>,
}

impl Mft {
    pub(super) fn open(image: Arc<dyn ImageReader>) -> Result<Mft, Fault> {
        let boot = Boot::read(&*image)?;
        let first = |lcn: u64, boot: &Boot| {
            let at = times(lcn, boot.cluster, "a cluster beyond all sizes")?;
            let bytes = crate::reader::read_vec(&*image, at, size(boot.record)?)?;
            let record = Record::parse(bytes, 0, at)?;
            record.ok_or_else(|| damaged("the first record of the master file table is not in use", at))
        };
        let (record, mended) = match first(boot.mft, &boot) {
            Ok(record) => (record, None),
            Err(fault) => (first(boot.mirror, &boot)?, Some(fault)),
        };
        // Continuations of the first record lie within what the parts before them describe.
        let mut mft = Mft { image, boot, extents: Vec::new(), n_records: 0, mended };
        let known = Stream::first_part(&record, &mft.boot)?;
        mft.take(known);
        let file = File::read(&mft, &record);
        if let Some(fault) = file.faults.into_iter().next() {
            return Err(fault);
        }
        let table = file.streams.into_iter().find(|stream| stream.kind == DATA && stream.name.is_empty());
        let table = table.ok_or_else(|| damaged("a master file table without content", 0))?;
        mft.take((table.size, table.extents?));
        Ok(mft)
    }

    fn take(&mut self, (size, extents): (u64, Vec<Extent>)) {
        self.n_records = size / self.boot.record;
        self.extents = extents;
    }

    /// Where a record lies, in bytes from the beginning of the volume.
    fn place(&self, number: u64) -> Result<u64, Fault> {
        let beyond = || damaged("a record behind the end of the master file table", number);
        if number >= self.n_records {
            return Err(beyond());
        }
        let at = times(number, self.boot.record, "a record beyond all sizes")?;
        let nth =
            self.extents.partition_point(|extent| extent.logical <= at).checked_sub(1).ok_or_else(beyond)?;
        let extent = &self.extents[nth];
        match extent.data {
            Data::Disk(start) if at - extent.logical + self.boot.record <= extent.len => {
                plus(start, at - extent.logical, "a record beyond all sizes")
            }
            _ => Err(beyond()),
        }
    }

    /// The record with this number, or nothing if it is not in use.
    pub(super) fn record(&self, number: u64) -> Result<Option<Record>, Fault> {
        let at = self.place(number)?;
        Record::parse(crate::reader::read_vec(&*self.image, at, size(self.boot.record)?)?, number, at)
    }

    /// A record that another refers to.
    pub(super) fn referred(&self, to: Ref) -> Result<Record, Fault> {
        let record = self.record(to.number)?;
        record
            .filter(|record| record.me.sequence == to.sequence)
            .ok_or_else(|| damaged("a reference to a record that is another file's now", to.number))
    }

    /// Gives every record in the order of the numbers, until `each` breaks off.
    pub(super) fn all(
        &self,
        mut each: impl FnMut(u64, Result<Option<Record>, Fault>) -> bool,
    ) -> Result<(), Fault> {
        let record = self.boot.record;
        let mut number = 0;
        let mut content =
            Content::new(Arc::clone(&self.image), self.n_records * record, self.extents.clone());
        let mut block = vec![0; size(AT_ONCE.max(record))?];
        while number < self.n_records {
            let n = (self.n_records - number).min(AT_ONCE.max(record) / record);
            let block = &mut block[..size(n * record)?];
            if fill(&mut content, block).is_err() {
                // One by one, so that what cannot be read costs no more than itself.
                for nth in number..number + n {
                    if !each(nth, self.record(nth)) {
                        return Ok(());
                    }
                }
                let rest = (number + n) * record;
                content =
                    Content::new(Arc::clone(&self.image), self.n_records * record, self.extents.clone());
                content.skip(rest);
            } else {
                for (nth, bytes) in (number..).zip(block.chunks_exact(size(record)?)) {
                    if !each(nth, Record::parse(bytes.to_vec(), nth, nth * record)) {
                        return Ok(());
                    }
                }
            }
            number += n;
        }
        Ok(())
    }
}

fn fill(content: &mut Content, mut block: &mut [u8]) -> Result<(), Fault> {
    while !block.is_empty() {
        match content.read(block)? {
            0 => return Err(damaged("the master file table ends early", 0)),
            n => block = &mut block[n..],
        }
    }
    Ok(())
}
