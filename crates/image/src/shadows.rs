//! The shadow copies of an NTFS volume, which are found and counted and not read.
//!
//! ```text
//!  header at 7680 ─► block of the catalogue ─► next block … ; two entries of 128 bytes for each copy
//! ```

use crate::fault::{Fault, damaged, le32, le64, size};
use crate::reader::{ImageReader, read_vec};
use std::collections::HashSet;

const HEADER_AT: u64 = 0x1e00;
const MARK: [u8; 16] =
    [0x6b, 0x87, 0x08, 0x38, 0x76, 0xc1, 0x48, 0x4e, 0xb7, 0xae, 0x04, 0x04, 0x6e, 0x6c, 0xc7, 0x52];
const BLOCK: u64 = 0x4000;
const ENTRY: usize = 128;
/// Windows keeps at most 512 copies of a volume, which nine blocks hold.
const MOST_BLOCKS: usize = 64;
/// Kinds of records, and the entry that tells of a copy's size and name.
const HEADER: u32 = 1;
const CATALOGUE: u32 = 2;
const A_COPY: u64 = 2;

/// How many there are.
pub(crate) fn count(volume: &dyn ImageReader) -> Result<u64, Fault> {
    let header = match read_vec(volume, HEADER_AT, 128) {
        Ok(header) if header.starts_with(&MARK) => header,
        Ok(_) | Err(Fault::PastEnd { .. }) => return Ok(0),
        Err(fault) => return Err(fault),
    };
    if le32(&header, 20)? != HEADER {
        return Err(damaged("the header of the shadow copies", HEADER_AT));
    }
    let mut n = 0;
    let mut seen = HashSet::new();
    let mut at = le64(&header, 48)?;
    while at != 0 {
        if seen.len() >= MOST_BLOCKS || !seen.insert(at) {
            return Err(damaged("the catalogue of the shadow copies has no end", at));
        }
        let block = read_vec(volume, at, size(BLOCK)?)?;
        if !block.starts_with(&MARK) || le32(&block, 20)? != CATALOGUE {
            return Err(damaged("the catalogue of the shadow copies", at));
        }
        for entry in block[ENTRY..].chunks_exact(ENTRY) {
            n += u64::from(le64(entry, 0)? == A_COPY);
        }
        at = le64(&block, 40)?;
    }
    Ok(n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pieces::Raw;

    fn counted(change: impl Fn(&mut Vec<u8>)) -> Result<u64, Fault> {
        let mut bytes = vec![0; 0x2_0000];
        let mut record = |at: usize, kind: u8, field: usize, next: u64| {
            bytes[at..at + 16].copy_from_slice(&MARK);
            bytes[at + 20] = kind;
            bytes[at + field..][..8].copy_from_slice(&next.to_le_bytes());
        };
        record(0x1e00, 1, 48, 0x8000);
        record(0x8000, 2, 40, 0x1_0000);
        record(0x1_0000, 2, 40, 0);
        for (at, kind) in [(0x8080, 2), (0x8100, 3), (0x8180, 1), (0x8200, 2), (0x1_0080, 2)] {
            bytes[at] = kind;
        }
        change(&mut bytes);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        count(&Raw::open(file.path()).unwrap())
    }

    #[test]
    fn copies_are_counted_through_the_whole_catalogue() {
        assert_eq!(counted(|_| {}).unwrap(), 3);
        assert_eq!(counted(|bytes| bytes[0x1e00] = 0).unwrap(), 0, "a volume that never had any");
        assert_eq!(counted(|bytes| bytes[0x1e30..0x1e38].fill(0)).unwrap(), 0, "no catalogue");
        assert_eq!(counted(|bytes| bytes.truncate(0x1e00)).unwrap(), 0);
    }

    #[test]
    fn a_catalogue_that_cannot_be_followed_is_a_fault() {
        assert!(
            counted(|bytes| bytes[0x1_0028..0x1_0030].copy_from_slice(&0x8000_u64.to_le_bytes())).is_err()
        );
        assert!(counted(|bytes| bytes[0x1_0000] = 0).is_err());
        assert!(counted(|bytes| bytes[0x1e14] = 9).is_err());
        assert!(counted(|bytes| bytes.truncate(0x1_0000)).is_err());
        assert!(counted(|bytes| bytes[0x1e30..0x1e38].fill(0xff)).is_err());
    }
}
