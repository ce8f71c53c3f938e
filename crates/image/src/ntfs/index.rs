//! What a directory lists: a tree of entries sorted by name. The names are taken from the files themselves; the
//! directories are held against them, so that neither can hide what the other shows.

use super::file::File;
use super::mft::Mft;
use super::record::{INDEX_ALLOCATION, INDEX_ROOT, Ref, mend};
use crate::fault::{Fault, damaged, le16, le32, size};

/// `$I30` in UTF-16: the index of a directory by name.
const BY_NAME: &[u8] = b"$\0I\x003\x000\0";
const LARGEST_BLOCK: u32 = 64 << 10;

/// The files that a directory lists, each as often as it is listed, short names included.
pub(super) fn listed(mft: &Mft, directory: &File) -> Result<Vec<Ref>, Fault> {
    let root = directory.stream(INDEX_ROOT, BY_NAME);
    let root =
        root.ok_or_else(|| damaged("a directory without an index", directory.me.number))?.bytes(mft)?;
    let mut all = Vec::new();
    entries(root.get(16..).unwrap_or_default(), &mut all)?;
    let Some(allocation) = directory.stream(INDEX_ALLOCATION, BY_NAME) else { return Ok(all) };
    let n_block = le32(&root, 8)?;
    if !n_block.is_power_of_two() || !(512..=LARGEST_BLOCK).contains(&n_block) {
        return Err(damaged("no possible size of an index block", directory.me.number));
    }
    // Every block that is one, also such as the tree no longer reaches: stale ones have a bitmap's bit cleared.
    let used =
        directory.stream(super::record::BITMAP, BY_NAME).map(|bitmap| bitmap.bytes(mft)).transpose()?;
    let mut bytes = allocation.bytes(mft)?;
    for (nth, block) in bytes.chunks_exact_mut(size(n_block.into())?).enumerate() {
        let is_used =
            used.as_ref().is_none_or(|used| used.get(nth / 8).is_some_and(|byte| byte >> (nth % 8) & 1 == 1));
        if !is_used {
            continue;
        }
        if !block.starts_with(b"INDX") {
            return Err(damaged("a block in use of an index is none", directory.me.number));
        }
        mend(block, directory.me.number)?;
        entries(&block[24..], &mut all)?;
    }
    Ok(all)
}

/// Adds the entries behind a node's header.
fn entries(node: &[u8], all: &mut Vec<Ref>) -> Result<(), Fault> {
    let wrong = || damaged("an index that contradicts itself", 0);
    let place = |at| Ok::<_, Fault>(usize::try_from(le32(node, at)?).unwrap_or(usize::MAX));
    let (mut at, end) = (place(0)?, place(4)?);
    let node = node.get(..end).ok_or_else(wrong)?;
    loop {
        let len = usize::from(le16(node, at.checked_add(8).ok_or_else(wrong)?)?);
        if le16(node, at + 12)? & 2 != 0 {
            return Ok(());
        }
        all.push(Ref::read(node, at)?);
        if len < 16 {
            return Err(wrong());
        }
        at += len;
    }
}
