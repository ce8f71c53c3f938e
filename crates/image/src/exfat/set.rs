//! The entries of an exFAT directory: sets of records, of which the first says how many follow.

use crate::clusters::Records;
use crate::fault::{Fault, le32, le64};
use crate::utf16::{name_of, units};

/// What one set of records is.
pub(super) enum Entry {
    /// A file or directory.
    File(Set),
    /// Which clusters are in use.
    Bitmap(Set),
    /// How letters are made capital.
    UpcaseTable(Set),
    /// As much of a name as could be read, and what is wrong.
    Damaged(Vec<u8>, &'static str),
}

/// What an entry says of its content.
pub(super) struct Set {
    pub(super) name: Vec<u8>,
    pub(super) is_directory: bool,
    pub(super) first: u32,
    pub(super) size: u64,
    /// Bytes from the beginning that were ever written.
    pub(super) written: u64,
    /// Its clusters are one behind the other, and the table says nothing of them.
    pub(super) is_straight: bool,
}

const FILE: u8 = 0x85;
const STREAM: u8 = 0xc0;
const NAME: u8 = 0xc1;
const BITMAP: u8 = 0x81;
const UPCASE: u8 = 0x82;
const LABEL: u8 = 0x83;
const IN_USE: u8 = 0x80;
/// Of a first record: an older system may pass it over.
const BENIGN: u8 = 0x20;
/// It follows a first record.
const SECONDARY: u8 = 0x40;

/// Gives the record that follows.
type Next<'r> = dyn FnMut() -> Result<Option<[u8; 32]>, Fault> + 'r;

/// The next file or directory, and whether it was deleted. What is damaged is passed over.
pub(super) fn next_erased(records: &mut Records) -> Result<Option<(Set, bool)>, Fault> {
    while let Some(mut record) = records.next()? {
        let is_erased = record[0] == FILE & !IN_USE;
        if record[0] != FILE && !is_erased {
            continue;
        }
        record[0] = FILE;
        let mut more = || {
            let Some(mut record) = records.next()? else { return Ok(None) };
            if is_erased && (record[0] & IN_USE != 0 || record[0] & SECONDARY == 0) {
                // Another set begins where this one was.
                records.put_back();
                return Ok(None);
            }
            if is_erased {
                record[0] |= IN_USE;
            }
            Ok(Some(record))
        };
        if let Entry::File(set) = file(&record, &mut more)? {
            return Ok(Some((set, is_erased)));
        }
    }
    Ok(None)
}

/// The next set that says something of content; `None` at the end.
pub(super) fn next(records: &mut Records) -> Result<Option<Entry>, Fault> {
    while let Some(record) = records.next()? {
        let entry = match record[0] {
            FILE => file(&record, &mut || records.next())?,
            BITMAP => Entry::Bitmap(allocation(&record)?),
            UPCASE => Entry::UpcaseTable(allocation(&record)?),
            LABEL => continue,
            other if other & IN_USE == 0 || other & (BENIGN | SECONDARY) != 0 => continue,
            _ => Entry::Damaged(Vec::new(), "a record of an unknown kind that may not be passed over"),
        };
        return Ok(Some(entry));
    }
    Ok(None)
}

fn allocation(record: &[u8]) -> Result<Set, Fault> {
    let (first, size) = (le32(record, 20)?, le64(record, 24)?);
    Ok(Set { name: Vec::new(), is_directory: false, first, size, written: size, is_straight: false })
}

fn file(record: &[u8; 32], more: &mut Next<'_>) -> Result<Entry, Fault> {
    let n_more = record[1];
    let mut sum = 0u16;
    let mut add = |record: &[u8], is_first: bool| {
        for (at, byte) in record.iter().enumerate() {
            if !(is_first && matches!(at, 2 | 3)) {
                sum = sum.rotate_right(1).wrapping_add((*byte).into());
            }
        }
    };
    add(record, true);
    let mut stream = None;
    let mut name = Vec::new();
    for nth in 0..n_more {
        let Some(more) = more()? else {
            return Ok(Entry::Damaged(name_of(&name), "an entry that ends early"));
        };
        add(&more, false);
        match more[0] {
            STREAM if nth == 0 => stream = Some(more),
            NAME => name.extend(units(&more[2..])),
            kind if kind & IN_USE == 0 || kind & SECONDARY == 0 => {
                return Ok(Entry::Damaged(name_of(&name), "an entry whose records are not its own"));
            }
            _ => {}
        }
    }
    let Some(stream) = stream else {
        return Ok(Entry::Damaged(name_of(&name), "a file without a record of its content"));
    };
    let n_units = usize::from(stream[3]);
    if name.len() < n_units || n_units == 0 {
        return Ok(Entry::Damaged(name_of(&name), "a name that ends early"));
    }
    name.truncate(n_units);
    let name = name_of(&name);
    if sum != u16::from_le_bytes([record[2], record[3]]) {
        return Ok(Entry::Damaged(name, "an entry fails its checksum"));
    }
    Ok(Entry::File(Set {
        name,
        is_directory: record[4] & 0x10 != 0,
        first: le32(&stream, 20)?,
        size: le64(&stream, 24)?,
        written: le64(&stream, 8)?,
        is_straight: stream[1] & 2 != 0,
    }))
}
