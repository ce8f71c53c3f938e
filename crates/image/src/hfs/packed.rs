//! Files that macOS compresses behind the back of whoever reads them: what describes them is an attribute, their
//! content is there too or in pieces of 64 KiB in the resource fork.

use super::fork::pieces;
use super::tree::{Place, Tree};
use crate::budget::Budget;
use crate::fault::{Fault, be16, be32, damaged, le32, le64, size};
use crate::item::{Data, Extent};
use crate::reader::{ImageReader, read_exact_at};
use std::collections::HashMap;

/// `com.apple.decmpfs`, as attributes have their names.
const NAME: &[u8] = b"\0c\0o\0m\0.\0a\0p\0p\0l\0e\0.\0d\0e\0c\0m\0p\0f\0s";
/// In front of the content: a mark, the method, the length.
const HEADER: u64 = 16;
const PIECE: u64 = 64 << 10;
const MOST_PIECES: u64 = 1 << 20;
/// A compressed unit, as for NTFS; an attribute is smaller.
const MOST_UNPACKED: u64 = 1 << 20;

/// Where the attributes are that describe compressed files.
pub(super) struct Packed<'v> {
    tree: Option<Tree<'v>>,
    places: HashMap<u32, Place>,
}

/// A compressed file's content.
pub(super) struct Content {
    pub(super) size: u64,
    pub(super) extents: Vec<Extent>,
    /// The resource fork is where it lies, and no content of its own.
    pub(super) is_in_resource: bool,
}

impl<'v> Packed<'v> {
    pub(super) fn read(tree: Option<Tree<'v>>, budget: &mut Budget, faults: &mut Vec<Fault>) -> Packed<'v> {
        let mut places = HashMap::new();
        let mut wrong = None;
        if let Some(tree) = &tree {
            tree.visit(budget, faults, &mut |place, key, _| match attribute(key) {
                Ok(Some(file)) if places.insert(file, place).is_some() => {
                    wrong = Some(damaged("a file that is described as compressed twice", file.into()));
                }
                Ok(_) => {}
                Err(fault) => wrong = Some(fault),
            });
        }
        faults.extend(wrong);
        Packed { tree, places }
    }

    /// The content of a compressed file; `resource` gives where its resource fork is.
    pub(super) fn content(
        &self,
        file: u32,
        image: &dyn ImageReader,
        resource: &mut dyn FnMut() -> Result<Vec<Extent>, Fault>,
    ) -> Result<Content, Fault> {
        let missing = || damaged("a compressed file that nothing describes", file.into());
        let tree = self.tree.as_ref().ok_or_else(missing)?;
        let (record, at) = tree.record(*self.places.get(&file).ok_or_else(missing)?)?;
        if be32(&record, 0)? != 0x10 {
            return Err(Fault::Unsupported("a compressed file whose description is not in its tree".into()));
        }
        let value_len = u64::from(be32(&record, 12)?);
        let value = record.get(16..).and_then(|value| value.get(..size(value_len).ok()?));
        let value = value.ok_or_else(|| damaged("an attribute ends early", file.into()))?;
        if !value.starts_with(b"fpmc") {
            return Err(damaged("the description of a compressed file", file.into()));
        }
        let content_len = le64(value, 8)?;
        let inline = |skip: u64, data: &dyn Fn(Vec<(u64, u64)>) -> Result<Vec<Extent>, Fault>| {
            if content_len > MOST_UNPACKED {
                return Err(Fault::Limit { what: "bytes in a compressed attribute", limit: MOST_UNPACKED });
            }
            let skip = HEADER + skip;
            let len = value_len.checked_sub(skip).ok_or_else(missing)?;
            let extents = data(if len == 0 { Vec::new() } else { tree.pieces(at + 16 + skip, len)? })?;
            Ok(Content { size: content_len, extents, is_in_resource: false })
        };
        match le32(value, 4)? {
            1 => inline(0, &|pieces| plain(pieces, content_len)),
            // A byte says that it is stored as it is.
            9 => inline(1, &|pieces| plain(pieces, content_len)),
            3 => inline(0, &|pieces| Ok(vec![zlib(0, content_len, pieces)])),
            4 => Ok(Content {
                size: content_len,
                extents: in_resource(image, &resource()?, content_len)?,
                is_in_resource: true,
            }),
            5 => Err(Fault::Unsupported("a file whose content is kept elsewhere".into())),
            7 | 8 => Err(Fault::Unsupported("a file compressed with LZVN".into())),
            11 | 12 => Err(Fault::Unsupported("a file compressed with LZFSE".into())),
            other => Err(Fault::Unsupported(format!("a file compressed by the method {other}"))),
        }
    }
}

/// The file that the attribute of this key describes as compressed.
fn attribute(key: &[u8]) -> Result<Option<u32>, Fault> {
    let file = be32(key, 2)?;
    let end = 12 + 2 * usize::from(be16(key, 10)?);
    let name = key.get(12..end).ok_or_else(|| damaged("a name of an attribute ends early", file.into()))?;
    Ok((name == NAME).then_some(file))
}

fn zlib(logical: u64, len: u64, pieces: Vec<(u64, u64)>) -> Extent {
    Extent { logical, len, data: Data::Zlib(pieces.into()) }
}

fn plain(pieces: Vec<(u64, u64)>, content_len: u64) -> Result<Vec<Extent>, Fault> {
    let mut logical = 0;
    let mut extents = Vec::new();
    for (at, len) in pieces {
        extents.push(Extent { logical, len, data: Data::Disk(at) });
        logical += len;
    }
    if logical != content_len {
        return Err(damaged("stored content of another length than is said", content_len));
    }
    Ok(extents)
}

/// A resource fork's header says where its data begin, and these with their length, the number of pieces, and of each
/// the place, counted from behind that length, and the length.
fn in_resource(image: &dyn ImageReader, fork: &[Extent], content_len: u64) -> Result<Vec<Extent>, Fault> {
    let wrong = || damaged("the table of a compressed file", content_len);
    let read = |at: u64, len: u64| -> Result<Vec<u8>, Fault> {
        let mut bytes = vec![0; size(len)?];
        let mut rest = &mut bytes[..];
        for (place, len) in pieces(fork, at, len)? {
            let (part, behind) = rest.split_at_mut(size(len)?);
            read_exact_at(image, place, part)?;
            rest = behind;
        }
        Ok(bytes)
    };
    let n = content_len.div_ceil(PIECE);
    if n > MOST_PIECES {
        return Err(Fault::Limit { what: "pieces of a compressed file", limit: MOST_PIECES });
    }
    let base = u64::from(be32(&read(0, 4)?, 0)?) + 4;
    if u64::from(le32(&read(base, 4)?, 0)?) != n {
        return Err(wrong());
    }
    let table = read(base + 4, n * 8)?;
    let places = table.chunks_exact(8).map(|entry| Ok((le32(entry, 0)?.into(), le32(entry, 4)?.into())));
    let mut extents = Vec::new();
    for place in places {
        let (at, len): (u64, u64) = place?;
        if len > MOST_UNPACKED || len == 0 {
            return Err(wrong());
        }
        let logical = extents.len() as u64 * PIECE;
        extents.push(zlib(logical, PIECE.min(content_len - logical), pieces(fork, base + at, len)?));
    }
    Ok(extents)
}
