//! The master file table: every record by its number, also where the table lies in pieces.

use super::boot::Boot;
use super::file::{File, Stream};
use super::record::{DATA, Record, Ref, State};
use crate::fault::{Fault, damaged, plus, size, times};
use crate::item::{Data, Extent};
use crate::reader::{ImageReader, read_exact_at};
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
            let record = Record::parse(bytes, 0, at, State::InUse)?;
            record.ok_or_else(|| damaged("the first record of the master file table is not in use", at))
        };
        let (record, mended) = match first(boot.mft, &boot) {
            Ok(record) => (record, None),
            Err(fault) => (first(boot.mirror, &boot)?, Some(fault)),
        };
        // Continuations of the first record lie within what the parts before them describe.
        let mut mft = Mft { image, boot, extents: Vec::new(), n_records: 0, mended };
        let known = Stream::first_part(&record, &mft.boot)?;
        mft.take(known)?;
        let file = File::read(&mft, &record);
        if let Some(fault) = file.faults.into_iter().next() {
            return Err(fault);
        }
        let table = file.streams.into_iter().find(|stream| stream.kind == DATA && stream.name.is_empty());
        let table = table.ok_or_else(|| damaged("a master file table without content", 0))?;
        mft.take((table.size, table.extents?))?;
        Ok(mft)
    }

    /// A table is never sparse, so one that is larger than its volume is none.
    fn take(&mut self, (size, extents): (u64, Vec<Extent>)) -> Result<(), Fault> {
        if size > self.boot.n_clusters * self.boot.cluster {
            return Err(damaged("a master file table larger than its volume", size));
        }
        self.n_records = size / self.boot.record;
        self.extents = extents;
        Ok(())
    }

    /// The record with this number, or nothing if it is not in this state.
    pub(super) fn record(&self, number: u64, state: State) -> Result<Option<Record>, Fault> {
        if number >= self.n_records {
            return Err(damaged("a record behind the end of the master file table", number));
        }
        let at = times(number, self.boot.record, "a record beyond all sizes")?;
        let mut bytes = vec![0; size(self.boot.record)?];
        self.read(at, &mut bytes)?;
        Record::parse(bytes, number, at, state)
    }

    /// Reads from the table. A record may lie in two pieces where clusters are smaller than records.
    fn read(&self, mut at: u64, mut buf: &mut [u8]) -> Result<(), Fault> {
        while !buf.is_empty() {
            let beyond = || damaged("a part of the master file table that is nowhere", at);
            let nth = self.extents.partition_point(|extent| extent.logical <= at).checked_sub(1);
            let extent = &self.extents[nth.ok_or_else(beyond)?];
            let skip = at - extent.logical;
            let (Data::Disk(start), true) = (&extent.data, skip < extent.len) else { return Err(beyond()) };
            let n = size(extent.len - skip)?.min(buf.len());
            read_exact_at(&*self.image, plus(*start, skip, "a record beyond all sizes")?, &mut buf[..n])?;
            at += n as u64;
            buf = &mut buf[n..];
        }
        Ok(())
    }

    /// A record that another refers to.
    pub(super) fn referred(&self, to: Ref, state: State) -> Result<Record, Fault> {
        let record = self.record(to.number, state)?;
        record
            .filter(|record| record.me.sequence == to.sequence)
            .ok_or_else(|| damaged("a reference to a record that is another file's now", to.number))
    }

    /// Gives every record of this state in the order of the numbers, and nothing for each other, until `each` breaks off.
    pub(super) fn all(
        &self,
        state: State,
        mut each: impl FnMut(u64, Result<Option<Record>, Fault>) -> bool,
    ) -> Result<(), Fault> {
        let record = self.boot.record;
        let at_once = (AT_ONCE / record).max(1);
        let mut block = vec![0; size(at_once * record)?];
        let mut number = 0;
        while number < self.n_records {
            let n = (self.n_records - number).min(at_once);
            let block = &mut block[..size(n * record)?];
            // What cannot be read at once is read one by one, so that it costs no more than itself.
            let whole = self.read(number * record, block).is_ok();
            for (nth, bytes) in (number..).zip(block.chunks_exact(size(record)?)) {
                let parsed = if whole {
                    Record::parse(bytes.to_vec(), nth, nth * record, state)
                } else {
                    self.record(nth, state)
                };
                if !each(nth, parsed) {
                    return Ok(());
                }
            }
            number += n;
        }
        Ok(())
    }
}
