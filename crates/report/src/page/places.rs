//! Where in the tree findings and unknowns sit: counts by directory, in bounded memory.
//!
//! Every row is counted at its directory, cut to as many levels as fit: when there are too many directories, all are
//! cut by a level. How deep the cut ends up depends on the rows alone and not on their order.

use hashsweep_model::Verdict;
use std::collections::HashMap;

/// Directories that are told apart. A page shows some forty of them; the rest is for choosing those well.
const MAX_DIRECTORIES: usize = 20_000;

/// Parts that one directory is taken into at once: more would use up the map before its heavy parts are looked into.
const MAX_CHILDREN: usize = 14;

/// Rows by what a reader looks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weights {
    pub(crate) malicious: u64,
    pub(crate) suspicious: u64,
    pub(crate) unknown: u64,
}

impl Weights {
    pub(crate) fn of(verdict: Verdict) -> Weights {
        let one = |of| u64::from(verdict == of);
        Weights {
            malicious: one(Verdict::Malicious),
            suspicious: one(Verdict::Suspicious),
            unknown: one(Verdict::Unknown),
        }
    }

    pub(crate) fn findings(self) -> u64 {
        self.malicious + self.suspicious
    }

    pub(crate) fn add(&mut self, other: Weights) {
        self.malicious += other.malicious;
        self.suspicious += other.suspicious;
        self.unknown += other.unknown;
    }
}

/// Counts by directory.
#[derive(Debug)]
pub(crate) struct Places {
    most: usize,
    depth: usize,
    directories: HashMap<Vec<u8>, Weights>,
}

/// A part of the tree: a directory with all below it, or without what its shown subdirectories have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) path: Vec<u8>,
    /// Some of what is below it has a part of its own.
    pub(crate) is_rest: bool,
    pub(crate) weights: Weights,
}

impl Default for Places {
    fn default() -> Places {
        Places::at_most(MAX_DIRECTORIES)
    }
}

impl Places {
    fn at_most(most: usize) -> Places {
        Places { most, depth: usize::MAX, directories: HashMap::new() }
    }

    /// Counts a file.
    pub(crate) fn add(&mut self, file: &[u8], verdict: Verdict) {
        let directory = cut(parent(file), self.depth);
        let weights = Weights::of(verdict);
        if let Some(there) = self.directories.get_mut(directory) {
            there.add(weights);
            return;
        }
        self.directories.insert(directory.to_vec(), weights);
        while self.directories.len() > self.most && self.depth > 0 {
            let deepest = self.directories.keys().map(|path| levels(path)).max().unwrap_or(0);
            self.depth = self.depth.min(deepest).saturating_sub(1);
            let before = std::mem::take(&mut self.directories);
            for (path, weights) in before {
                self.directories.entry(cut(&path, self.depth).to_vec()).or_default().add(weights);
            }
        }
    }

    /// The tree in at most about `most` parts, each file with a weight in exactly one: the heaviest part is taken
    /// apart until there are enough. Heaviest first.
    pub(crate) fn parts(&self, most: usize, weight: impl Fn(Weights) -> u64) -> Vec<Part> {
        let mut entries: Vec<(&[u8], Weights)> = self
            .directories
            .iter()
            .filter(|(_, weights)| weight(**weights) > 0)
            .map(|(path, weights)| (path.as_slice(), *weights))
            .collect();
        // Level by level: by their bytes, `a-b` would stand between `a` and `a/b`.
        let is_slash = |byte: &u8| *byte == b'/';
        entries.sort_by(|(a, _), (b, _)| a.split(is_slash).cmp(b.split(is_slash)));
        let mut whole = vec![Node::of(&entries, 0)];
        let mut done = Vec::new();
        while whole.len() + done.len() < most {
            whole.sort_by(|a, b| weight(a.weights).cmp(&weight(b.weights)).then_with(|| b.path.cmp(a.path)));
            let Some(heaviest) = whole.pop() else { break };
            let (mut rest, mut below) = heaviest.apart();
            if below.is_empty() {
                done.push(heaviest.part());
                continue;
            }
            // Of more than there is room for, the lighter ones stay together.
            let room = (most - whole.len() - done.len()).min(MAX_CHILDREN);
            if below.len() > room {
                below.sort_by(|a, b| {
                    weight(b.weights).cmp(&weight(a.weights)).then_with(|| a.path.cmp(b.path))
                });
                for light in below.drain(room.saturating_sub(1).max(1)..) {
                    rest.add(light.weights);
                }
            }
            if rest != Weights::default() {
                done.push(Part { path: heaviest.path.to_vec(), is_rest: true, weights: rest });
            }
            whole.extend(below);
        }
        done.extend(whole.into_iter().map(|node| node.part()));
        done.retain(|part| weight(part.weights) > 0);
        done.sort_by(|a, b| weight(b.weights).cmp(&weight(a.weights)).then_with(|| a.path.cmp(&b.path)));
        done
    }
}

/// Directories that share a beginning, in order.
struct Node<'a> {
    entries: &'a [(&'a [u8], Weights)],
    path: &'a [u8],
    /// The levels that all share. The path alone does not tell: that of `/` is as empty as that of nothing.
    depth: usize,
    weights: Weights,
}

impl<'a> Node<'a> {
    /// The node of these directories, which share at least `depth` levels. Levels that all share are passed over.
    fn of(entries: &'a [(&'a [u8], Weights)], depth: usize) -> Node<'a> {
        let mut weights = Weights::default();
        for (_, of) in entries {
            weights.add(*of);
        }
        let (Some((first, _)), Some((last, _))) = (entries.first(), entries.last()) else {
            return Node { entries, path: b"", depth, weights };
        };
        let mut shared = depth;
        while shared < levels(first).min(levels(last))
            && entries.iter().all(|(path, _)| cut(path, shared + 1) == cut(first, shared + 1))
        {
            shared += 1;
        }
        Node { entries, path: cut(first, shared), depth: shared, weights }
    }

    /// What lies in it directly, and the directories right below it.
    fn apart(&self) -> (Weights, Vec<Node<'a>>) {
        let depth = self.depth;
        let mut below = Vec::new();
        let mut rest = Weights::default();
        let mut entries = self.entries;
        while let Some((path, weights)) = entries.first() {
            if levels(path) <= depth {
                rest.add(*weights);
                entries = &entries[1..];
                continue;
            }
            let child = cut(path, depth + 1);
            let n = entries.iter().take_while(|(path, _)| cut(path, depth + 1) == child).count();
            let (group, others) = entries.split_at(n);
            below.push(Node::of(group, depth + 1));
            entries = others;
        }
        (rest, below)
    }

    fn part(&self) -> Part {
        Part { path: self.path.to_vec(), is_rest: false, weights: self.weights }
    }
}

/// The directory of a path, without the slash.
pub(crate) fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(b"", |at| &path[..at])
}

/// Slashes and one more, or nothing for nothing. The level before a leading slash counts, as the root has a name.
fn levels(path: &[u8]) -> usize {
    if path.is_empty() { 0 } else { path.split(|byte| *byte == b'/').count() }
}

/// The first `depth` levels of a path.
fn cut(path: &[u8], depth: usize) -> &[u8] {
    if depth == 0 {
        return b"";
    }
    let mut slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    slashes.nth(depth - 1).map_or(path, |at| &path[..at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn places(most: usize, paths: &[String]) -> Places {
        let mut places = Places::at_most(most);
        for path in paths {
            places.add(path.as_bytes(), Verdict::Malicious);
        }
        places
    }

    #[test]
    fn a_level_is_what_stands_between_slashes() {
        assert_eq!((levels(b""), levels(b"a"), levels(b"/a"), levels(b"/a/b")), (0, 1, 2, 3));
        assert_eq!((cut(b"/a/b", 0), cut(b"/a/b", 2), cut(b"/a/b", 9)), (&b""[..], &b"/a"[..], &b"/a/b"[..]));
        assert_eq!((parent(b"/a/b"), parent(b"b"), parent(b"/b")), (&b"/a"[..], &b""[..], &b""[..]));
    }

    #[test]
    fn the_heaviest_directory_is_taken_apart_first() {
        let mut paths: Vec<String> = (0..9).map(|n| format!("/srv/share/big/{}/{n}", n % 3)).collect();
        paths.extend((0..2).map(|n| format!("/srv/share/small/{n}")));
        paths.push("/srv/share/top".to_owned());
        let parts = places(100, &paths).parts(5, |weights| weights.malicious);
        let shown: Vec<(String, bool, u64)> = parts
            .into_iter()
            .map(|part| (String::from_utf8(part.path).unwrap(), part.is_rest, part.weights.malicious))
            .collect();
        let part = |path: &str, is_rest, n| (path.to_owned(), is_rest, n);
        let expected = [
            part("/srv/share/big/0", false, 3),
            part("/srv/share/big/1", false, 3),
            part("/srv/share/big/2", false, 3),
            part("/srv/share/small", false, 2),
            part("/srv/share", true, 1),
        ];
        assert_eq!(shown, expected);
    }

    proptest! {
        #[test]
        fn every_file_is_in_one_part_whatever_the_order(
            mut paths in prop::collection::vec("(/[a-]{1,2}){1,6}", 1..60),
            most in 1usize..30,
        ) {
            let parts = places(most, &paths).parts(8, |weights| weights.malicious);
            prop_assert_eq!(parts.iter().map(|part| part.weights.malicious).sum::<u64>(), paths.len() as u64);
            let mut names: Vec<(&[u8], bool)> = parts.iter().map(|part| (part.path.as_slice(), part.is_rest)).collect();
            names.sort_unstable();
            names.dedup();
            prop_assert_eq!(names.len(), parts.len());
            paths.reverse();
            prop_assert_eq!(places(most, &paths).parts(8, |weights| weights.malicious), parts);
        }
    }
}
