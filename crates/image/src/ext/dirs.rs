//! The entries of a directory. The blocks of its index look like unused entries, so it is read like a plain list.

use super::inode::Inode;
use super::{Ext, map};
use crate::budget::Budget;
use crate::crc32c::update as crc32c;
use crate::fault::{Fault, damaged, le16, le32, size};
use crate::item::Data;
use crate::reader::read_vec;

type Entries = Vec<(u32, Box<[u8]>)>;

/// All names but `.` and `..`, and what is wrong with the directory beside them, if anything is.
pub(crate) fn entries(
    ext: &Ext,
    inode: &Inode,
    budget: &mut Budget,
) -> Result<(Entries, Option<Fault>), Fault> {
    let mut entries = Entries::new();
    if let Some((head, tail)) = inode.inline()? {
        // The first four bytes are the parent.
        let fault = list(&head[4..], &mut entries).and_then(|()| list(tail, &mut entries)).err();
        return Ok((entries, fault));
    }
    let block_size = ext.sb.block_size;
    let mut fault = None;
    let mut end = 0;
    for extent in map::extents(ext, inode, budget)? {
        let Data::Disk(start) = extent.data else { continue };
        for skip in (0..extent.len).step_by(size(block_size)?) {
            budget.block()?;
            let at = start + skip;
            let len = block_size.min(extent.len - skip);
            let listed = budget.listed(at).and_then(|()| {
                let block = read_vec(&*ext.image, at, size(len)?)?;
                check(inode, &block).and_then(|()| list(&block, &mut entries))
            });
            fault = listed.err().or(fault);
        }
        if extent.logical == end {
            end += extent.len;
        }
    }
    if end < inode.size {
        fault = fault.or_else(|| Some(damaged("a directory with a hole", inode.number.into())));
    }
    Ok((entries, fault))
}

/// Holds a block with a tail against its checksum; a block of the index has none that is looked at.
fn check(inode: &Inode, block: &[u8]) -> Result<(), Fault> {
    let (Some(seed), Some(tail)) = (inode.seed, block.len().checked_sub(12)) else { return Ok(()) };
    let is_tail = block[tail..tail + 8] == [0, 0, 0, 0, 12, 0, 0, 0xde];
    if is_tail && crc32c(seed, &block[..tail]) != le32(block, tail + 8)? {
        return Err(damaged("a directory block fails its checksum", inode.number.into()));
    }
    Ok(())
}

fn list(block: &[u8], entries: &mut Entries) -> Result<(), Fault> {
    let mut at = 0;
    while at + 8 <= block.len() {
        let number = le32(block, at)?;
        let raw = usize::from(le16(block, at + 4)?);
        let len = match raw {
            0 | 0xffff if block.len() == 1 << 16 => 1 << 16,
            _ => raw,
        };
        // Where there are no types its upper byte is not used: no name is longer than 255.
        let name_len = usize::from(block[at + 6]);
        if len < 8 || len % 4 != 0 || at + len > block.len() || 8 + name_len > len {
            return Err(damaged("a directory entry of impossible length", at as u64));
        }
        let name = &block[at + 8..at + 8 + name_len];
        if number != 0 && name_len > 0 && name != b"." && name != b".." {
            entries.push((number, name.into()));
        }
        at += len;
    }
    Ok(())
}
