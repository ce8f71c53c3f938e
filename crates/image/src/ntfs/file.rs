//! One file: its base record, the records that continue it, and the attributes put together from them.

use super::boot::Boot;
use super::mft::Mft;
use super::record::{
    ATTRIBUTE_LIST, Attribute, BITMAP, Body, COMPRESSED, DATA, ENCRYPTED, INDEX_ALLOCATION, INDEX_ROOT,
    REPARSE_POINT, Record, Ref,
};
use super::runs::{Run, Shape, extents, unpack};
use crate::fault::{Fault, damaged, le16, le32, size};
use crate::item::{Content, Data, Extent};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// NTFS permits no more.
const LONGEST_LIST: u64 = 256 << 10;
/// Bytes of one index or bitmap, which are in memory at once: a directory of several million files.
const LARGEST_METADATA: u64 = 512 << 20;
/// Bytes that are compressed together; Windows takes 64 KiB at most.
const LARGEST_UNIT: u64 = 1 << 20;

pub(super) struct File {
    pub(super) me: Ref,
    pub(super) is_directory: bool,
    pub(super) streams: Vec<Stream>,
    /// Numbers of the records that continue it.
    pub(super) continued_in: Vec<u64>,
    /// What is lost of it besides streams that are at fault themselves.
    pub(super) faults: Vec<Fault>,
}

/// An attribute that holds content of the user's or of a directory, put together.
pub(super) struct Stream {
    pub(super) kind: u32,
    /// UTF-16.
    pub(super) name: Box<[u8]>,
    pub(super) flags: u16,
    /// Within a record.
    pub(super) is_resident: bool,
    pub(super) size: u64,
    pub(super) extents: Result<Vec<Extent>, Fault>,
}

/// Clusters of an attribute: its first, its last, and where they lie.
type Part = (u64, u64, Result<Vec<Run>, Fault>);

/// The attributes of a file while its records come in.
#[derive(Default)]
struct Gathered {
    /// Those within a record, which are whole.
    resident: Vec<Stream>,
    /// The others by kind and name: they may have parts in several records.
    spread: BTreeMap<(u32, Box<[u8]>), Spread>,
}

/// What is said of an attribute by the part that it begins with, and its parts.
#[derive(Default)]
struct Spread {
    flags: u16,
    unit: u8,
    size: u64,
    initialized: u64,
    parts: Vec<Part>,
}

impl File {
    /// Puts together what begins in this record.
    pub(super) fn read(mft: &Mft, base: &Record) -> File {
        let mut faults = Vec::new();
        let mut parts = Gathered::default();
        let list = parts.take(base, &mft.boot, &mut faults);
        let mut continued_in = Vec::new();
        if let Some(list) = list {
            match list.resolve(mft).and_then(|bytes| listed(&bytes)) {
                Ok(others) => {
                    for other in others.into_iter().filter(|other| other.number != base.me.number) {
                        let record = mft.referred(other, base.state).and_then(|record| match record.base {
                            Some(of) if of == base.me => Ok(record),
                            _ => Err(damaged("a record that continues another file", other.number)),
                        });
                        match record {
                            Ok(record) => {
                                continued_in.push(other.number);
                                if parts.take(&record, &mft.boot, &mut faults).is_some() {
                                    faults.push(damaged("a list of attributes within another", other.number));
                                }
                            }
                            Err(fault) => {
                                // One such list may name the same wrong record ten thousand times.
                                faults.push(fault);
                                break;
                            }
                        }
                    }
                }
                Err(fault) => faults.push(fault),
            }
        }
        let streams = parts.join(&mft.boot);
        File { me: base.me, is_directory: base.is_directory, streams, continued_in, faults }
    }

    pub(super) fn stream(&self, kind: u32, name: &[u8]) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.kind == kind && *stream.name == *name)
    }

    /// What the file stands for, if it has a reparse point.
    pub(super) fn reparse_tag(&self, mft: &Mft) -> Option<Result<u32, Fault>> {
        Some(self.reparse_point(mft)?.and_then(|bytes| le32(&bytes, 0)))
    }

    /// What it says, from its tag on.
    pub(super) fn reparse_point(&self, mft: &Mft) -> Option<Result<Vec<u8>, Fault>> {
        Some(self.stream(REPARSE_POINT, b"")?.resolve(mft))
    }
}

impl Gathered {
    /// Adds the record's attributes; gives the list of attributes, if it has one.
    fn take(&mut self, record: &Record, boot: &Boot, faults: &mut Vec<Fault>) -> Option<Stream> {
        let mut list = None;
        for attribute in record.attributes() {
            match attribute {
                Ok(attribute) => match attribute.kind {
                    ATTRIBUTE_LIST => {
                        let mut alone = Gathered::default();
                        alone.add(&attribute, boot);
                        list = alone.join(boot).pop();
                    }
                    DATA | INDEX_ROOT | INDEX_ALLOCATION | BITMAP | REPARSE_POINT => {
                        self.add(&attribute, boot);
                    }
                    _ => {}
                },
                Err(fault) => faults.push(fault),
            }
        }
        list
    }

    fn add(&mut self, attribute: &Attribute<'_>, boot: &Boot) {
        let (kind, flags) = (attribute.kind, attribute.flags);
        match &attribute.body {
            Body::Resident(bytes) => {
                let size = bytes.len() as u64;
                let extent = Extent { logical: 0, len: size, data: Data::Inline((*bytes).into()) };
                let extents = Ok(if size == 0 { Vec::new() } else { vec![extent] });
                let name = attribute.name.into();
                self.resident.push(Stream { kind, name, flags, is_resident: true, size, extents });
            }
            Body::Runs { lowest, highest, unit, size, initialized, packed } => {
                let spread = self.spread.entry((kind, attribute.name.into())).or_default();
                if *lowest == 0 {
                    (spread.flags, spread.unit) = (flags, *unit);
                    (spread.size, spread.initialized) = (*size, *initialized);
                }
                spread.parts.push((*lowest, *highest, unpack(packed, *lowest, *highest, boot.n_clusters)));
            }
        }
    }

    fn join(self, boot: &Boot) -> Vec<Stream> {
        let spread = self.spread.into_iter().map(|((kind, name), spread)| Stream {
            kind,
            name,
            flags: spread.flags,
            is_resident: false,
            size: spread.size,
            extents: spread.extents(boot),
        });
        self.resident.into_iter().chain(spread).collect()
    }
}

impl Spread {
    fn extents(self, boot: &Boot) -> Result<Vec<Extent>, Fault> {
        let unit = match (self.flags & COMPRESSED, self.unit) {
            (0, _) | (1, 0) => None,
            (1, log) => Some(
                (1_u64.checked_shl(log.into()))
                    .filter(|unit| *unit <= LARGEST_UNIT / boot.cluster)
                    .ok_or_else(|| damaged("no possible size of a compressed unit", log.into()))?,
            ),
            _ => return Err(Fault::Unsupported("a compression that is not LZNT1".into())),
        };
        let (size, initialized) = (self.size, self.initialized.min(self.size));
        extents(&joined(self.parts, size, boot)?, &Shape { cluster: boot.cluster, size, initialized, unit })
    }
}

/// The records that a list of attributes refers to, each once.
fn listed(mut bytes: &[u8]) -> Result<Vec<Ref>, Fault> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    while bytes.len() >= 26 {
        let len = usize::from(le16(bytes, 4)?);
        let rest = bytes.get(len..).filter(|_| len >= 26);
        let at = Ref::read(bytes, 16)?;
        if seen.insert(at) {
            all.push(at);
        }
        bytes = rest.ok_or_else(|| damaged("a list of attributes that ends early", at.number))?;
    }
    Ok(all)
}

/// The runs of all parts in order, from the first cluster to the last, without a gap.
fn joined(mut parts: Vec<Part>, size: u64, boot: &Boot) -> Result<Vec<Run>, Fault> {
    parts.sort_by_key(|(lowest, ..)| *lowest);
    let mut runs = Vec::new();
    let (mut next, mut n_there) = (0, 0_u64);
    for (lowest, highest, part) in parts {
        if lowest != next {
            return Err(damaged("an attribute of which a part is missing", lowest));
        }
        next = highest.wrapping_add(1);
        for run in part? {
            if run.lcn.is_some() {
                n_there = n_there.saturating_add(run.len);
            }
            runs.push(run);
        }
    }
    if n_there > boot.n_clusters {
        return Err(damaged("an attribute larger than its volume", n_there));
    }
    if next < size.div_ceil(boot.cluster) {
        return Err(damaged("an attribute of which the end is missing", next));
    }
    Ok(runs)
}

impl Stream {
    /// Size and extents of the table, as far as its first record knows them.
    pub(super) fn first_part(record: &Record, boot: &Boot) -> Result<(u64, Vec<Extent>), Fault> {
        for attribute in record.attributes() {
            let attribute = attribute?;
            if let (DATA, b"", Body::Runs { lowest: 0, highest, size, packed, .. }) =
                (attribute.kind, attribute.name, &attribute.body)
            {
                let runs = unpack(packed, 0, *highest, boot.n_clusters)?;
                let shape = Shape { cluster: boot.cluster, size: *size, initialized: *size, unit: None };
                return Ok((*size, extents(&runs, &shape)?));
            }
        }
        Err(damaged("a master file table without content", 0))
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.flags & ENCRYPTED != 0
    }

    /// The bytes of a small attribute of the file system's own.
    fn resolve(&self, mft: &Mft) -> Result<Vec<u8>, Fault> {
        let limit = LONGEST_LIST;
        if self.size > limit {
            return Err(Fault::Limit { what: "bytes of one list of attributes or reparse point", limit });
        }
        self.bytes(mft)
    }

    /// All bytes.
    pub(super) fn bytes(&self, mft: &Mft) -> Result<Vec<u8>, Fault> {
        let extents = match &self.extents {
            Ok(extents) => extents.clone(),
            Err(fault) => return Err(damaged("metadata whose place is not known", fault_place(fault))),
        };
        if self.size > mft.image.size() {
            return Err(damaged("metadata larger than its volume", self.size));
        }
        if self.size > LARGEST_METADATA {
            return Err(Fault::Limit { what: "bytes of one index or bitmap", limit: LARGEST_METADATA });
        }
        let mut bytes = vec![0; size(self.size)?];
        let mut content = Content::new(Arc::clone(&mft.image), self.size, extents);
        let mut at = 0;
        while at < bytes.len() {
            match content.read(&mut bytes[at..])? {
                0 => return Err(damaged("metadata that ends early", at as u64)),
                n => at += n,
            }
        }
        Ok(bytes)
    }
}

fn fault_place(fault: &Fault) -> u64 {
    match fault {
        Fault::Damaged { offset, .. } | Fault::PastEnd { offset } | Fault::Io { offset, .. } => *offset,
        Fault::Unsupported(_)
        | Fault::Missing(_)
        | Fault::Limit { .. }
        | Fault::Snapshots { .. }
        | Fault::Overwritten { .. } => 0,
    }
}
