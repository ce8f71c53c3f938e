//! A directory's record, and what Rock Ridge says in the space behind it.

use crate::budget::Budget;
use crate::fault::{Fault, be16, be32, damaged, le16, le32, size, times};
use crate::item::Kind;
use crate::reader::{ImageReader, read_vec};

const IS_DIRECTORY: u8 = 2;
const HAS_MORE: u8 = 0x80;
/// Areas behind one record that continue one another.
const MOST_CONTINUATIONS: u32 = 64;

pub(super) struct Record {
    pub(super) is_directory: bool,
    /// Whether the next record has more of the same file.
    pub(super) has_more: bool,
    /// Block of the first byte of content.
    pub(super) block: u64,
    /// Bytes.
    pub(super) len: u64,
    pub(super) name: Vec<u8>,
    pub(super) system: Vec<u8>,
}

impl Record {
    /// The record that `bytes` are, all of them.
    pub(super) fn read(bytes: &[u8], at: u64) -> Result<Record, Fault> {
        let wrong = || damaged("a record of a directory", at);
        let [name_len, flags, unit, gap, skipped] =
            [32, 25, 26, 27, 1].map(|nth| bytes.get(nth).copied()).map(|byte| byte.ok_or_else(wrong));
        let (name_len, flags) = (usize::from(name_len?), flags?);
        let name = bytes.get(33..33 + name_len).ok_or_else(wrong)?.to_vec();
        if le32(bytes, 2)? != be32(bytes, 6)? || le32(bytes, 10)? != be32(bytes, 14)? {
            return Err(damaged("a record whose two spellings of a number differ", at));
        }
        if unit? != 0 || gap? != 0 {
            return Err(Fault::Unsupported("an interleaved file".into()));
        }
        Ok(Record {
            is_directory: flags & IS_DIRECTORY != 0,
            has_more: flags & HAS_MORE != 0,
            block: u64::from(le32(bytes, 2)?) + u64::from(skipped?),
            len: le32(bytes, 10)?.into(),
            system: bytes.get(33 + name_len + usize::from(name_len % 2 == 0)..).unwrap_or_default().to_vec(),
            name,
        })
    }

    /// How many bytes of the space behind each record are somebody else's; `None` where nobody says that Rock Ridge is
    /// used. Of the root's own record.
    pub(super) fn ridge(&self) -> Option<usize> {
        let is_marked = self.system.starts_with(b"SP\x07\x01\xbe\xef");
        is_marked.then(|| self.system.get(6).copied().unwrap_or(0).into())
    }
}

/// What Rock Ridge says of a record.
#[derive(Default)]
pub(super) struct Ridge {
    pub(super) name: Option<Vec<u8>>,
    pub(super) kind: Option<Kind>,
    /// The block of the directory that the record stands for.
    pub(super) child: Option<u64>,
    /// A directory that is only here because it lies too deep; a record elsewhere stands for it.
    pub(super) is_relocated: bool,
    /// Why the content is not the file's.
    pub(super) packed: Option<&'static str>,
}

impl Ridge {
    pub(super) fn read(
        image: &dyn ImageReader,
        block_size: u64,
        system: &[u8],
        budget: &mut Budget,
    ) -> Result<Ridge, Fault> {
        let mut ridge = Ridge::default();
        let mut area = system.to_vec();
        for _ in 0..MOST_CONTINUATIONS {
            let Some((block, offset, len)) = ridge.area(&area)? else { return Ok(ridge) };
            budget.block()?;
            let at = times(block.into(), block_size, "a continuation beyond all sizes")?;
            if u64::from(offset) + u64::from(len) > block_size {
                return Err(damaged("a continuation that leaves its block", at));
            }
            area = read_vec(image, at + u64::from(offset), size(len.into())?)?;
        }
        Err(Fault::Limit { what: "continuations of a record", limit: MOST_CONTINUATIONS.into() })
    }

    /// Reads the entries of an area; the next one as block, offset and length.
    fn area(&mut self, area: &[u8]) -> Result<Option<(u32, u32, u32)>, Fault> {
        let mut next = None;
        let mut rest = area;
        while let [a, b, len, _, ..] = rest {
            let len = usize::from(*len);
            // What is left of a record is filled with zeros.
            if (*a, *b) == (0, 0) {
                break;
            }
            let Some(entry) = rest.get(..len).filter(|_| len >= 4) else {
                return Err(damaged("an entry of Rock Ridge of impossible length", 0));
            };
            match [*a, *b] {
                [b'C', b'E'] => next = Some((le32(entry, 4)?, le32(entry, 12)?, le32(entry, 20)?)),
                [b'S', b'T'] => break,
                [b'N', b'M'] => {
                    let is_special = entry.get(4).is_some_and(|flags| flags & 6 != 0);
                    if !is_special {
                        self.name
                            .get_or_insert_default()
                            .extend_from_slice(entry.get(5..).unwrap_or_default());
                    }
                }
                [b'P', b'X'] => {
                    self.kind = match le32(entry, 4)? & 0o17_0000 {
                        0o12_0000 => Some(Kind::Link),
                        0o01_0000 => Some(Kind::Fifo),
                        0o14_0000 => Some(Kind::Socket),
                        0o06_0000 | 0o02_0000 => Some(Kind::Device),
                        _ => None,
                    }
                }
                [b'C', b'L'] => self.child = Some(le32(entry, 4)?.into()),
                [b'R', b'E'] => self.is_relocated = true,
                [b'Z', b'F'] => self.packed = Some("a file compressed by zisofs"),
                [b'S', b'F'] => self.packed = Some("a sparse file of Rock Ridge"),
                _ => {}
            }
            rest = &rest[len..];
        }
        Ok(next)
    }
}

/// The block size of a descriptor, which is written twice.
pub(super) fn block_size(descriptor: &[u8]) -> Result<u64, Fault> {
    let (little, big) = (le16(descriptor, 128)?, be16(descriptor, 130)?);
    if little != big || !matches!(little, 512 | 1024 | 2048) {
        return Err(damaged("a block size that ISO9660 does not permit", 128));
    }
    Ok(little.into())
}
