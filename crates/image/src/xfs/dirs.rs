//! The entries of a directory: in the inode, or in blocks of data. Its index is not needed.

use super::inode::{Format, Inode};
use super::{Xfs, map};
use crate::budget::Budget;
use crate::fault::{Fault, be16, be32, be64, damaged, size};
use crate::item::Data;

type Entries = Vec<(u64, Box<[u8]>)>;

/// All names but `.` and `..`, and what is wrong with the directory beside them, if anything is.
pub(super) fn entries(
    xfs: &Xfs,
    inode: &Inode,
    budget: &mut Budget,
) -> Result<(Entries, Option<Fault>), Fault> {
    let mut entries = Entries::new();
    if inode.format == Format::Local {
        let fault = short(xfs, inode, &mut entries).err();
        return Ok((entries, fault));
    }
    let mut fault = None;
    let block_size = xfs.sb.dir_block_size;
    // A directory's block may lie in several extents.
    let mut block = Vec::new();
    for extent in map::all(xfs, inode, budget)? {
        if extent.logical >= map::INDEX {
            break;
        }
        let Data::Disk(start) = extent.data else {
            fault = Some(damaged("a directory with blocks that were never written", inode.number));
            continue;
        };
        if block.is_empty() && extent.logical % block_size != 0 {
            fault = Some(damaged("a directory's block without its beginning", inode.number));
            continue;
        }
        let mut done = 0;
        while done < extent.len {
            budget.block()?;
            let n = (block_size - block.len() as u64).min(extent.len - done);
            match crate::reader::read_vec(&*xfs.image, start + done, size(n)?) {
                Ok(bytes) => block.extend(bytes),
                Err(lost) => {
                    fault = Some(lost);
                    block.clear();
                    break;
                }
            }
            done += n;
            if block.len() as u64 == block_size {
                let listed = budget.listed(start + done);
                if let Err(wrong) = listed.and_then(|()| list(xfs, inode, &block, start + done, &mut entries))
                {
                    fault = Some(wrong);
                }
                block.clear();
            }
        }
    }
    if !block.is_empty() {
        fault = Some(damaged("a directory's block without its end", inode.number));
    }
    Ok((entries, fault))
}

/// A directory within its inode.
fn short(xfs: &Xfs, inode: &Inode, entries: &mut Entries) -> Result<(), Fault> {
    let bytes = inode.fork().get(..size(inode.size)?);
    let bytes = bytes.ok_or_else(|| damaged("a directory longer than its inode", inode.number))?;
    let ends = || damaged("a directory in an inode ends early", inode.number);
    let (Some(&n), Some(&n_large)) = (bytes.first(), bytes.get(1)) else { return Err(ends()) };
    let number_len = if n_large == 0 { 4 } else { 8 };
    let n = if n == 0 { n_large } else { n };
    let mut at = 2 + number_len;
    for _ in 0..n {
        let name_len = usize::from(*bytes.get(at).ok_or_else(ends)?);
        let name = bytes.get(at + 3..at + 3 + name_len).ok_or_else(ends)?;
        at += 3 + name_len + usize::from(xfs.sb.has_kinds);
        let number = if n_large == 0 { be32(bytes, at)?.into() } else { be64(bytes, at)? };
        at += number_len;
        entries.push((number & 0x00ff_ffff_ffff_ffff, name.into()));
    }
    Ok(())
}

fn list(xfs: &Xfs, inode: &Inode, block: &[u8], at: u64, entries: &mut Entries) -> Result<(), Fault> {
    let (head, is_single) = match &block[..4] {
        b"XDB3" => (64, true),
        b"XDD3" => (64, false),
        b"XD2B" => (16, true),
        b"XD2D" => (16, false),
        _ => return Err(damaged("a directory's block without its signature", at)),
    };
    if (head == 64) != xfs.sb.has_sums {
        return Err(damaged("a directory's block of another version", at));
    }
    xfs.sb.check(block, 4, at)?;
    if xfs.sb.has_sums && be64(block, 40)? != inode.number {
        return Err(damaged("a block of another directory", at));
    }
    let mut end = block.len();
    if is_single {
        // Such a block has its index at its end.
        let n = size(be32(block, end - 8)?.into())?;
        end = (end - 8).checked_sub(n.saturating_mul(8)).ok_or_else(|| damaged("a directory's index", at))?;
    }
    let body = block.get(..end).filter(|body| body.len() >= head);
    let body = body.ok_or_else(|| damaged("a directory's index", at))?;
    let mut pos = head;
    while pos < end {
        if be16(body, pos)? == 0xffff {
            let len = usize::from(be16(body, pos + 2)?);
            if len == 0 || len % 8 != 0 {
                return Err(damaged("an unused entry of no permitted length", at));
            }
            pos += len;
            continue;
        }
        let number = be64(body, pos)?;
        let len = usize::from(*body.get(pos + 8).ok_or_else(|| damaged("an entry ends early", at))?);
        let name = body.get(pos + 9..pos + 9 + len).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| damaged("an entry ends early", at))?;
        if name != b"." && name != b".." {
            entries.push((number, name.into()));
        }
        pos += (9 + len + usize::from(xfs.sb.has_kinds) + 2).next_multiple_of(8);
    }
    Ok(())
}
