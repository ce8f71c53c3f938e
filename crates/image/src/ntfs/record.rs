//! One record of the master file table, and the attributes in it.

use crate::fault::{Fault, damaged, le16, le32, le64};

/// Distance of the words that an update sequence guards, whatever the disk's sectors are.
const GUARDED: usize = 512;

/// Kinds of attributes.
pub(super) const ATTRIBUTE_LIST: u32 = 0x20;
pub(super) const FILE_NAME: u32 = 0x30;
pub(super) const DATA: u32 = 0x80;
pub(super) const INDEX_ROOT: u32 = 0x90;
pub(super) const INDEX_ALLOCATION: u32 = 0xa0;
pub(super) const BITMAP: u32 = 0xb0;
pub(super) const REPARSE_POINT: u32 = 0xc0;

/// Flags of an attribute.
pub(super) const COMPRESSED: u16 = 0x00ff;
pub(super) const ENCRYPTED: u16 = 0x4000;

/// A record's number, and how often that number was given away before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ref {
    pub(super) number: u64,
    pub(super) sequence: u16,
}

impl Ref {
    pub(super) fn read(bytes: &[u8], at: usize) -> Result<Ref, Fault> {
        let both = le64(bytes, at)?;
        let sequence = u16::try_from(both >> 48).expect("sixteen bits are left");
        Ok(Ref { number: both & 0xffff_ffff_ffff, sequence })
    }
}

/// Puts the words back that the update sequence stands in for, and finds writes that were cut short by that.
pub(super) fn mend(bytes: &mut [u8], at: u64) -> Result<(), Fault> {
    let (start, n) = (usize::from(le16(bytes, 4)?), usize::from(le16(bytes, 6)?));
    if n == 0 || (n - 1) * GUARDED != bytes.len() || start % 2 != 0 {
        return Err(damaged("an update sequence of the wrong length", at));
    }
    let sequence: Vec<[u8; 2]> =
        (0..n).map(|nth| le16(bytes, start + 2 * nth).map(u16::to_le_bytes)).collect::<Result<_, _>>()?;
    for (guarded, word) in bytes.chunks_exact_mut(GUARDED).zip(&sequence[1..]) {
        let end = &mut guarded[GUARDED - 2..];
        if end != sequence[0] {
            return Err(damaged("a record that was written in part", at));
        }
        end.copy_from_slice(word);
    }
    Ok(())
}

/// Whether a record is a file's, or was one's that was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    InUse,
    Freed,
}

/// A record that is or was in use.
pub(super) struct Record {
    bytes: Vec<u8>,
    pub(super) state: State,
    /// As others refer to it, or did so before it was freed.
    pub(super) me: Ref,
    /// Of which file it is a continuation.
    pub(super) base: Option<Ref>,
    pub(super) is_directory: bool,
    attributes: usize,
}

impl Record {
    /// The record with this number; `None` if it says that it is in another state. `at` is its position, for messages.
    pub(super) fn parse(
        mut bytes: Vec<u8>,
        number: u64,
        at: u64,
        state: State,
    ) -> Result<Option<Record>, Fault> {
        match bytes.first_chunk::<4>() {
            Some(b"FILE") => {}
            Some(b"BAAD") if state == State::InUse => {
                return Err(damaged("a record that Windows found damaged", at));
            }
            _ => return Ok(None),
        }
        let flags = le16(&bytes, 22)?;
        if (flags & 1 != 0) != (state == State::InUse) {
            return Ok(None);
        }
        mend(&mut bytes, at)?;
        let used = usize::try_from(le32(&bytes, 24)?).unwrap_or(usize::MAX);
        let attributes = usize::from(le16(&bytes, 20)?);
        if used > bytes.len() || attributes < 0x28 || attributes > used {
            return Err(damaged("a record whose sizes contradict each other", at));
        }
        bytes.truncate(used);
        let sequence = match (le16(&bytes, 16)?, state) {
            (sequence, State::InUse) => sequence,
            // It was counted up when the record was freed, and never to zero.
            (0 | 1, State::Freed) => u16::MAX,
            (sequence, State::Freed) => sequence - 1,
        };
        let me = Ref { number, sequence };
        let base = Ref::read(&bytes, 32)?;
        let base = (base.number != 0 || base.sequence != 0).then_some(base);
        Ok(Some(Record { state, me, base, is_directory: flags & 2 != 0, attributes, bytes }))
    }

    /// Its attributes in order. After the first that is damaged there is no other.
    pub(super) fn attributes(&self) -> Attributes<'_> {
        Attributes { record: self, at: Some(self.attributes) }
    }
}

pub(super) struct Attributes<'r> {
    record: &'r Record,
    at: Option<usize>,
}

/// One attribute, or a part of one that continues in other records.
#[derive(Clone)]
pub(super) struct Attribute<'r> {
    pub(super) kind: u32,
    /// UTF-16.
    pub(super) name: &'r [u8],
    pub(super) flags: u16,
    pub(super) body: Body<'r>,
}

#[derive(Clone)]
pub(super) enum Body<'r> {
    Resident(&'r [u8]),
    Runs {
        /// First cluster of this part, counted from the attribute's beginning.
        lowest: u64,
        /// Its last.
        highest: u64,
        /// Clusters that are compressed together, as a power of two.
        unit: u8,
        /// Bytes; said by the first part alone, as the next.
        size: u64,
        /// Bytes that were ever written; what follows is zeros.
        initialized: u64,
        packed: &'r [u8],
    },
}

impl<'r> Iterator for Attributes<'r> {
    type Item = Result<Attribute<'r>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at.take()?;
        let record = self.record;
        let step = |at: usize| -> Result<Option<(Attribute<'r>, usize)>, Fault> {
            if le32(&record.bytes, at)? == u32::MAX {
                return Ok(None);
            }
            let len = usize::try_from(le32(&record.bytes, at + 4)?).unwrap_or(usize::MAX);
            let end = at.checked_add(len).filter(|_| len >= 24 && len % 8 == 0);
            let bytes = end.and_then(|end| record.bytes.get(at..end));
            let bytes =
                bytes.ok_or_else(|| damaged("an attribute longer than its record", record.me.number))?;
            Ok(Some((Attribute::parse(bytes)?, at + len)))
        };
        match step(at) {
            Ok(None) => None,
            Ok(Some((attribute, next))) => {
                self.at = Some(next);
                Some(Ok(attribute))
            }
            Err(fault) => Some(Err(fault)),
        }
    }
}

impl<'r> Attribute<'r> {
    fn parse(bytes: &'r [u8]) -> Result<Attribute<'r>, Fault> {
        let part = |from: usize, len: usize| {
            let end = from.checked_add(len);
            end.and_then(|end| bytes.get(from..end)).ok_or_else(|| damaged("an attribute ends early", 0))
        };
        let name = part(usize::from(le16(bytes, 10)?), 2 * usize::from(bytes[9]))?;
        let body = if bytes[8] == 0 {
            let len = usize::try_from(le32(bytes, 16)?).unwrap_or(usize::MAX);
            Body::Resident(part(usize::from(le16(bytes, 20)?), len)?)
        } else {
            let lowest = le64(bytes, 16)?;
            let sizes = |at| if lowest == 0 { le64(bytes, at) } else { Ok(0) };
            Body::Runs {
                lowest,
                highest: le64(bytes, 24)?,
                unit: *bytes.get(34).ok_or_else(|| damaged("an attribute ends early", 0))?,
                size: sizes(48)?,
                initialized: sizes(56)?,
                packed: bytes.get(usize::from(le16(bytes, 32)?)..).unwrap_or_default(),
            }
        };
        Ok(Attribute { kind: le32(bytes, 0)?, name, flags: le16(bytes, 12)?, body })
    }
}
