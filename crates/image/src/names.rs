//! What directories call each inode, and the paths that come of it.

use crate::fault::{Fault, damaged};
use std::borrow::Cow;
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

    /// A name that no kernel writes is kept, and is an error all the same.
    pub(crate) fn add(&mut self, inode: u64, dir: u64, name: Box<[u8]>) -> Result<(), Fault> {
        let known = self.of.entry(inode).or_default();
        if known.len() >= MOST_NAMES {
            return Err(Fault::Limit { what: "names of one inode", limit: MOST_NAMES as u64 });
        }
        known.push((dir, spelled(&name).into()));
        wrong_with(&name).map_or(Ok(()), |what| Err(damaged(what, inode)))
    }

    /// Names that a directory has more than once, with those that are not of inodes among them.
    pub(crate) fn twice<'n>(&'n self, others: &[(u64, &'n [u8])]) -> Vec<(u64, &'n [u8])> {
        let known = self.of.values().flatten().map(|(dir, name)| (*dir, &**name));
        let mut seen = HashSet::new();
        let mut twice: Vec<_> =
            known.chain(others.iter().copied()).filter(|name| !seen.insert(*name)).collect();
        twice.sort_unstable();
        twice.dedup();
        twice
    }

    /// The paths of a directory beside its first, which is the one that what is in it has: no system has such.
    pub(crate) fn further_paths_of(&self, dir: u64) -> Vec<Vec<u8>> {
        let n_own = usize::from(dir != self.root);
        let known = self.of.get(&dir).into_iter().flatten().skip(n_own);
        known.map(|(parent, name)| self.path_of(*parent, Some(name))).collect()
    }

    /// What is wrong with the names of these directories and what is in them, with the paths.
    pub(crate) fn contradictions<'n>(
        &'n self,
        dirs: impl Iterator<Item = u64>,
        others: &[(u64, &'n [u8])],
    ) -> Vec<(Vec<u8>, Fault)> {
        let twice = self
            .twice(others)
            .into_iter()
            .map(|(dir, name)| (self.path_of(dir, Some(name)), damaged(TWICE, dir)));
        let further = dirs.flat_map(|dir| {
            let fault = move || damaged("a directory that is in two places", dir);
            self.further_paths_of(dir).into_iter().map(move |path| (path, fault()))
        });
        twice.chain(further).collect()
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
        let name = name.map(spelled);
        let mut parts: Vec<&[u8]> = name.as_deref().into_iter().collect();
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

/// What is said of a name that a directory has twice.
pub(crate) const TWICE: &str = "two entries of one directory with this name";

/// The names of one directory as they come.
#[derive(Default)]
pub(crate) struct Siblings(HashSet<Vec<u8>>);

impl Siblings {
    /// What is wrong with the next name.
    pub(crate) fn check(&mut self, name: &[u8]) -> Option<Fault> {
        let is_first = self.0.insert(name.to_vec());
        let what = wrong_with(name).or_else(|| (!is_first).then_some(TWICE));
        what.map(|what| damaged(what, 0))
    }
}

/// A name as a path has it: with `\x2F` for a slash, so that it does not look like a path of its own.
pub(crate) fn spelled(name: &[u8]) -> Cow<'_, [u8]> {
    if name.contains(&b'/') {
        Cow::Owned(name.split(|byte| *byte == b'/').collect::<Vec<_>>().join(&br"\x2F"[..]))
    } else {
        Cow::Borrowed(name)
    }
}

/// What is wrong with a name that no system writes which keeps files honestly.
pub(crate) fn wrong_with(name: &[u8]) -> Option<&'static str> {
    match name {
        [] => Some("a name of no letters"),
        b"." | b".." => Some("a name that stands for a directory"),
        name if name.contains(&b'/') => Some("a name with a slash in it"),
        name if name.contains(&0) => Some("a name with a NUL in it"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_system_writes_are_kept_and_said() {
        let mut names = Names::below(2);
        for (name, what, path) in [
            (&b"a/b"[..], Some("a name with a slash in it"), &br"/a\x2Fb"[..]),
            (b"..", Some("a name that stands for a directory"), b"/.."),
            (b"a\0", Some("a name with a NUL in it"), b"/a\0"),
            (b"", Some("a name of no letters"), b"/"),
            (b"a\nb\x1b", None, b"/a\nb\x1b"),
        ] {
            names.of.clear();
            let said = names.add(9, 2, name.into());
            assert_eq!(
                said.err().map(|fault| fault.to_string()),
                what.map(|what| damaged(what, 9).to_string())
            );
            assert_eq!(names.paths_of(9), [path]);
        }
    }

    #[test]
    fn what_a_directory_has_twice_and_directories_in_two_places_are_said() {
        let mut names = Names::below(2);
        for (inode, dir, name) in [
            (3, 2, "dir"),
            (4, 3, "one"),
            (5, 3, "one"),
            (6, 3, "two"),
            (4, 2, "one"),
            (3, 3, "itself"),
            (2, 3, "up"),
        ] {
            names.add(inode, dir, name.as_bytes().into()).unwrap();
        }
        let said = |others: &[(u64, &[u8])]| -> Vec<String> {
            let all = names.contradictions([2, 3].into_iter(), others);
            all.into_iter()
                .map(|(path, fault)| format!("{}: {fault}", String::from_utf8_lossy(&path)))
                .collect()
        };
        let twice = "/dir/one: damaged: two entries of one directory with this name at byte 3";
        let further = [
            "/dir/up: damaged: a directory that is in two places at byte 2",
            "/dir/itself: damaged: a directory that is in two places at byte 3",
        ];
        assert_eq!(said(&[]), [twice, further[0], further[1]]);
        assert_eq!(said(&[(3, b"two")])[1], twice.replace("one:", "two:"));
    }
}
