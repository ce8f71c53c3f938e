//! What the tree of a subvolume says: inodes and their names by one scan of it, the inodes' extents by another.
//!
//! In the order of the keys an inode is before its extents, and before the next inode. So the second scan holds one
//! file at a time, whatever the tree has of content within itself.

use super::extents::Runs;
use super::kind;
use super::space::Space;
use super::tree::Key;
use crate::fault::{Fault, damaged, le16, le32, le64};
use crate::names::Names;
use std::collections::BTreeMap;

/// The inodes in use and what they are called.
pub(super) struct Files {
    /// With their modes.
    inodes: BTreeMap<u64, u32>,
    pub(super) names: Names,
    /// Inodes that a directory has, with the directory and the name.
    entries: Vec<(u64, u64, Box<[u8]>)>,
    /// By inode.
    faults: Vec<(u64, Fault)>,
}

impl Default for Files {
    fn default() -> Files {
        Files {
            inodes: BTreeMap::new(),
            names: Names::below(super::FIRST),
            entries: Vec::new(),
            faults: Vec::new(),
        }
    }
}

impl Files {
    pub(super) fn add(&mut self, key: Key, bytes: &[u8]) {
        if let Err(fault) = self.item(key, bytes) {
            self.faults.push((key.object, fault));
        }
    }

    fn item(&mut self, key: Key, bytes: &[u8]) -> Result<(), Fault> {
        match key.kind {
            kind::INODE => {
                self.inodes.insert(key.object, le32(bytes, 52)?);
                Ok(())
            }
            kind::NAME => self.names(key.object, bytes, 10, |_| Ok(key.offset)),
            kind::LONG_NAME => self.names(key.object, bytes, 18, |record| le64(record, 0)),
            // The place of what is named is a key, which begins the record; an inode's, or a subvolume's.
            kind::ENTRY if bytes.get(8) == Some(&kind::INODE) => {
                let len = usize::from(le16(bytes, 27)?);
                let name = bytes.get(30..30 + len).ok_or_else(|| damaged("a name ends early", key.object))?;
                self.entries.push((le64(bytes, 0)?, key.object, name.into()));
                Ok(())
            }
            kind::EXTENT if !self.inodes.contains_key(&key.object) => {
                Err(damaged("an extent of an inode that is not in use", key.object))
            }
            _ => Ok(()),
        }
    }

    /// Records of names, one behind the other, each with a head that ends in the name's length.
    fn names(
        &mut self,
        inode: u64,
        bytes: &[u8],
        head: usize,
        dir: impl Fn(&[u8]) -> Result<u64, Fault>,
    ) -> Result<(), Fault> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let end = head + usize::from(le16(rest, head - 2)?);
            let name = rest.get(head..end).ok_or_else(|| damaged("a name ends early", inode))?;
            // The root is in itself.
            if inode != super::FIRST {
                self.names.add(inode, dir(rest)?, name.into())?;
            }
            rest = &rest[end..];
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.inodes.len()
    }

    /// Takes an inode that is given; `false` if it was before.
    pub(super) fn take(&mut self, inode: u64) -> bool {
        self.inodes.remove(&inode).is_some()
    }

    /// Takes one that is left.
    pub(super) fn take_any(&mut self) -> Option<u64> {
        self.inodes.pop_first().map(|(number, _)| number)
    }

    pub(super) fn directories(&self) -> Vec<u64> {
        self.inodes.iter().filter(|(_, mode)| **mode >> 12 == 4).map(|(number, _)| *number).collect()
    }

    /// What does not agree with itself, with the paths.
    pub(super) fn contradictions(&mut self) -> Vec<(Vec<u8>, Fault)> {
        let faults = std::mem::take(&mut self.faults).into_iter();
        let mut all: Vec<_> =
            faults.map(|(inode, fault)| (format!("/$Inode/{inode}").into_bytes(), fault)).collect();
        for (inode, dir, name) in std::mem::take(&mut self.entries) {
            if !self.inodes.contains_key(&inode) {
                let fault = damaged("a name of an inode that is not in use", 0);
                all.push((self.names.path_of(dir, Some(&name)), fault));
            }
        }
        all
    }
}

pub(super) struct Inode {
    pub(super) number: u64,
    pub(super) mode: u32,
    pub(super) size: u64,
    pub(super) runs: Runs,
}

/// The second scan: the inode whose items come.
#[derive(Default)]
pub(super) struct Current(Option<Inode>);

impl Current {
    /// Takes the next item; gives the inode before, if another one begins.
    pub(super) fn add(&mut self, space: &Space, key: Key, bytes: &[u8]) -> Result<Option<Inode>, Fault> {
        let before = if self.0.as_ref().is_some_and(|inode| inode.number != key.object) {
            self.0.take()
        } else {
            None
        };
        match (key.kind, &mut self.0) {
            (kind::INODE, _) => {
                let (mode, size) = (le32(bytes, 52)?, le64(bytes, 16)?);
                self.0 = Some(Inode { number: key.object, mode, size, runs: Runs::default() });
            }
            (kind::EXTENT, Some(inode)) => inode.runs.add(space, key.offset, bytes),
            _ => {}
        }
        Ok(before)
    }

    /// The last one.
    pub(super) fn end(self) -> Option<Inode> {
        self.0
    }
}
