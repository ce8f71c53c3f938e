//! What directories call each inode, and the paths that come of it.

use crate::fault::{Fault, damaged};
use std::collections::{HashMap, HashSet};

/// Paths of one file: more hard links than file systems permit (65,000 of ext4, the fewest) are damage.
const MOST_NAMES: usize = 65_000;
/// Deeper directories are given under `/$Orphans`, so that a path stays short.
const MOST_DEPTH: usize = 1024;

/// The directory's inode and the name in it.
type Name = (u64, Box<[u8]>);

/// Names by inode. Memory grows by about 100 bytes a name.
pub(crate) struct Names {
    root: u64,
    of: HashMap<u64, Vec<Name>>,
}

impl Names {
    pub(crate) fn below(root: u64) -> Names {
        Names { root, of: HashMap::new() }
    }

    /// A name with a slash, which no kernel writes, is kept with `\x2F` for it, so that it does not look like a path; it
    /// is an error all the same.
    pub(crate) fn add(&mut self, inode: u64, dir: u64, name: Box<[u8]>) -> Result<(), Fault> {
        let known = self.of.entry(inode).or_default();
        if known.len() >= MOST_NAMES {
            return Err(Fault::Limit { what: "names of one inode", limit: MOST_NAMES as u64 });
        }
        if name.contains(&b'/') {
            let parts: Vec<&[u8]> = name.split(|byte| *byte == b'/').collect();
            known.push((dir, parts.join(&br"\x2F"[..]).into()));
            return Err(damaged("a name with a slash in it", inode));
        }
        known.push((dir, name));
        Ok(())
    }

    /// Whether a directory names the inode. Such a one is somebody's file, whatever the superblock says of it.
    pub(crate) fn is_named(&self, inode: u64) -> bool {
        self.of.contains_key(&inode)
    }

    /// All paths of an inode; one under `/$Orphans` if no directory names it.
    pub(crate) fn paths_of(&self, inode: u64) -> Vec<Vec<u8>> {
        let Some(known) = self.of.get(&inode) else {
            return vec![format!("/$Orphans/{inode}").into_bytes()];
        };
        known.iter().map(|(dir, name)| self.path_of(*dir, Some(name))).collect()
    }

    /// The path of a directory, and of a name in it. What the root does not reach begins with `/$Orphans`.
    pub(crate) fn path_of(&self, mut dir: u64, name: Option<&[u8]>) -> Vec<u8> {
        let mut parts: Vec<&[u8]> = name.into_iter().collect();
        let mut seen = HashSet::new();
        let orphan = loop {
            if dir == self.root {
                break None;
            }
            let parent = self.of.get(&dir).and_then(|known| known.first());
            match parent {
                Some((parent, name)) if seen.insert(dir) && parts.len() < MOST_DEPTH => {
                    parts.push(name);
                    dir = *parent;
                }
                _ => break Some(format!("/$Orphans/{dir}")),
            }
        };
        let mut path = orphan.unwrap_or_default().into_bytes();
        for part in parts.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(part);
        }
        path
    }
}
