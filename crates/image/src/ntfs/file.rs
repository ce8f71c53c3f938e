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
use std::collections::HashSet;
use std::sync::Arc;

/// NTFS permits 256 KiB.
const LONGEST_LIST: u64 = 1 << 20;
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
    pub(super) size: u64,
    pub(super) extents: Result<Vec<Extent>, Fault>,
}

/// What is known of a stream while its parts come in.
struct Parts {
    kind: u32,
    name: Box<[u8]>,
    flags: u16,
    body: Whole,
}

enum Whole {
    Resident(Box<[u8]>),
    Runs { unit: u8, size: u64, initialized: u64, parts: Vec<(u64, u64, Result<Vec<Run>, Fault>)> },
}

impl File {
    /// Puts together what begins in this record.
    pub(super) fn read(mft: &Mft, base: Record) -> Result<File, Fault> {
        let mut faults = Vec::new();
        let mut parts = Vec::new();
        let list = take(&base, &mft.boot, &mut parts, &mut faults);
        let mut continued_in = Vec::new();
        if let Some(list) = list {
            match list.and_then(|list| list.resolve(mft)).and_then(|bytes| listed(&bytes)) {
                Ok(others) => {
                    for other in others.into_iter().filter(|other| other.number != base.me.number) {
                        let record = mft.referred(other).and_then(|record| match record.base {
                            Some(of) if of == base.me => Ok(record),
                            _ => Err(damaged("a record that continues another file", other.number)),
                        });
                        match record {
                            Ok(record) => {
                                continued_in.push(other.number);
                                if take(&record, &mft.boot, &mut parts, &mut faults).is_some() {
                                    faults.push(damaged("a list of attributes within another", other.number));
                                }
                            }
                            Err(fault) => faults.push(fault),
                        }
                    }
                }
                Err(fault) => faults.push(fault),
            }
        }
        let streams = parts.into_iter().map(|parts| parts.join(&mft.boot)).collect();
        Ok(File { me: base.me, is_directory: base.is_directory, streams, continued_in, faults })
    }

    pub(super) fn stream(&self, kind: u32, name: &[u8]) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.kind == kind && *stream.name == *name)
    }

    /// What the file stands for, if it has a reparse point.
    pub(super) fn reparse_tag(&self, mft: &Mft) -> Option<Result<u32, Fault>> {
        let stream = self.stream(REPARSE_POINT, b"")?;
        Some(stream.resolve(mft).and_then(|bytes| le32(&bytes, 0)))
    }
}

/// Adds the record's attributes to the parts; gives the list of attributes, if it has one.
fn take(
    record: &Record,
    boot: &Boot,
    parts: &mut Vec<Parts>,
    faults: &mut Vec<Fault>,
) -> Option<Result<Stream, Fault>> {
    let mut list = None;
    for attribute in record.attributes() {
        let attribute = match attribute {
            Ok(attribute) => attribute,
            Err(fault) => {
                faults.push(fault);
                continue;
            }
        };
        match attribute.kind {
            ATTRIBUTE_LIST => {
                let mut whole = Vec::new();
                Parts::add(&mut whole, &attribute, boot);
                list = whole.pop().map(|parts| Ok(parts.join(boot)));
            }
            DATA | INDEX_ROOT | INDEX_ALLOCATION | BITMAP | REPARSE_POINT => {
                Parts::add(parts, &attribute, boot)
            }
            _ => {}
        }
    }
    list
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

impl Parts {
    fn add(all: &mut Vec<Parts>, attribute: &Attribute<'_>, boot: &Boot) {
        let same =
            all.iter_mut().find(|parts| parts.kind == attribute.kind && *parts.name == *attribute.name);
        match &attribute.body {
            Body::Resident(bytes) => all.push(Parts {
                kind: attribute.kind,
                name: attribute.name.into(),
                flags: attribute.flags,
                body: Whole::Resident((*bytes).into()),
            }),
            Body::Runs { lowest, highest, unit, size, initialized, packed } => {
                let part = (*lowest, *highest, unpack(packed, *lowest, *highest, boot.n_clusters));
                match same {
                    Some(Parts {
                        flags,
                        body: Whole::Runs { unit: u, size: s, initialized: i, parts },
                        ..
                    }) => {
                        if *lowest == 0 {
                            (*flags, *u, *s, *i) = (attribute.flags, *unit, *size, *initialized);
                        }
                        parts.push(part);
                    }
                    _ => all.push(Parts {
                        kind: attribute.kind,
                        name: attribute.name.into(),
                        flags: attribute.flags,
                        body: Whole::Runs {
                            unit: *unit,
                            size: *size,
                            initialized: *initialized,
                            parts: vec![part],
                        },
                    }),
                }
            }
        }
    }

    fn join(self, boot: &Boot) -> Stream {
        let Parts { kind, name, flags, body } = self;
        match body {
            Whole::Resident(bytes) => {
                let size = bytes.len() as u64;
                let extent = Extent { logical: 0, len: size, data: Data::Inline(bytes) };
                let extents = Ok(if size == 0 { Vec::new() } else { vec![extent] });
                Stream { kind, name, flags, size, extents }
            }
            Whole::Runs { unit, size, initialized, parts } => {
                let unit = (flags & COMPRESSED != 0 && unit > 0).then(|| 1_u64.checked_shl(unit.into()));
                let unit = unit.map(|unit| unit.filter(|unit| *unit <= LARGEST_UNIT / boot.cluster));
                let extents = match (flags & COMPRESSED, unit) {
                    (2.., _) => Err(Fault::Unsupported("a compression that is not LZNT1".into())),
                    (_, Some(None)) => Err(damaged("no possible size of a compressed unit", 0)),
                    (_, unit) => {
                        let unit = unit.flatten();
                        let shape =
                            Shape { cluster: boot.cluster, size, initialized: initialized.min(size), unit };
                        joined(parts, size, boot).and_then(|runs| extents(&runs, &shape))
                    }
                };
                Stream { kind, name, flags, size, extents }
            }
        }
    }
}

/// The runs of all parts in order, from the first cluster to the last, without a gap.
fn joined(
    mut parts: Vec<(u64, u64, Result<Vec<Run>, Fault>)>,
    size: u64,
    boot: &Boot,
) -> Result<Vec<Run>, Fault> {
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
        Fault::Unsupported(_) | Fault::Missing(_) | Fault::Limit { .. } => 0,
    }
}
