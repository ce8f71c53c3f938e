//! Names and paths. A name is UTF-16 that nobody checked, and no two names become one in a path.

use super::record::{Body, FILE_NAME, Record, Ref};
use crate::fault::{Fault, damaged};
use crate::names::{TWICE, wrong_with};
use crate::utf16::{name_of, units};
use std::collections::{HashMap, HashSet};

pub(super) const ROOT: u64 = 5;
/// Deeper directories are given under `/$Orphans`, so that a path stays short.
const MOST_DEPTH: usize = 1024;
/// NTFS permits 1,024 hard links.
const MOST_NAMES: usize = 4096;
/// The namespace of short names, which stand beside long ones.
const DOS: u8 = 2;

struct Name {
    parent: Ref,
    name: Box<[u8]>,
    is_short: bool,
    /// Which file it is of, among those that have had the number.
    sequence: u16,
}

/// What is known of files by the number of their base records.
#[derive(Default)]
pub(super) struct Names {
    names: HashMap<u64, Vec<Name>>,
    sequences: HashMap<u64, u16>,
}

impl Names {
    pub(super) fn know(&mut self, file: Ref) {
        self.sequences.insert(file.number, file.sequence);
    }

    pub(super) fn is(&self, file: Ref) -> bool {
        self.sequences.get(&file.number) == Some(&file.sequence)
    }

    /// Adds the names that a record, the file's first or another, has for the file. Faults are names lost.
    pub(super) fn add(&mut self, file: Ref, record: &Record, lost: &mut dyn FnMut(Fault)) {
        for attribute in record.attributes() {
            let found = attribute.and_then(|attribute| match (attribute.kind, &attribute.body) {
                (FILE_NAME, Body::Resident(bytes)) => read(bytes, file).map(Some),
                (FILE_NAME, Body::Runs { .. }) => Err(damaged("a name outside its record", file.number)),
                _ => Ok(None),
            });
            match found {
                Ok(Some((name, fault))) => {
                    self.push(file.number, name, lost);
                    if let Some(fault) = fault {
                        lost(fault);
                    }
                }
                Ok(None) => {}
                Err(fault) => lost(fault),
            }
        }
    }

    fn push(&mut self, file: u64, name: Name, lost: &mut dyn FnMut(Fault)) {
        let known = self.names.entry(file).or_default();
        if known.len() < MOST_NAMES {
            known.push(name);
        } else {
            lost(Fault::Limit { what: "names of one file", limit: MOST_NAMES as u64 });
        }
    }

    /// The names of a file: the short ones only where there is no other.
    fn of(&self, file: u64) -> impl Iterator<Item = &Name> {
        let known = self.names.get(&file).map_or(&[][..], Vec::as_slice);
        let sequence = self.sequences.get(&file).copied();
        let own = move |name: &&Name| Some(name.sequence) == sequence;
        let has_long = known.iter().filter(own).any(|name| !name.is_short);
        known.iter().filter(own).filter(move |name| !(has_long && name.is_short))
    }

    /// Whether the file has a name of its own.
    pub(super) fn has_name(&self, file: u64) -> bool {
        self.of(file).next().is_some()
    }

    /// What directories have twice, and directories in two places, with the paths.
    pub(super) fn contradictions(&self, dirs: impl Iterator<Item = u64>) -> Vec<(Vec<u8>, Fault)> {
        let mut seen = HashSet::new();
        let mut all = Vec::new();
        for file in self.sequences.keys().filter(|file| **file != ROOT) {
            for name in self.of(*file).filter(|name| !seen.insert((name.parent, &name.name))) {
                all.push((self.path(name), damaged(TWICE, name.parent.number)));
            }
        }
        for dir in dirs {
            let n_own = usize::from(dir != ROOT);
            let further = self.of(dir).skip(n_own).filter(|name| dir != ROOT || name.parent.number != ROOT);
            all.extend(
                further.map(|name| (self.path(name), damaged("a directory that is in two places", dir))),
            );
        }
        all
    }

    /// All paths of a file, at least one.
    pub(super) fn paths(&self, file: u64) -> Vec<Vec<u8>> {
        let paths: Vec<_> = self.of(file).map(|name| self.path(name)).collect();
        match file {
            ROOT => vec![b"/".to_vec()],
            _ if paths.is_empty() => vec![orphan(file)],
            _ => paths,
        }
    }

    /// Whether the file has a name and lies below this directory.
    pub(super) fn is_below(&self, file: u64, directory: u64) -> bool {
        let mut above = file;
        for _ in 0..MOST_DEPTH {
            match self.of(above).next() {
                Some(name) if name.parent.number == directory => return true,
                Some(name) if name.parent.number != ROOT && self.is(name.parent) => {
                    above = name.parent.number;
                }
                _ => return false,
            }
        }
        false
    }

    /// One path; what the root does not reach begins with `/$Orphans`.
    fn path(&self, name: &Name) -> Vec<u8> {
        let mut parts: Vec<&[u8]> = vec![&name.name];
        let mut above = name.parent;
        let mut seen = HashSet::new();
        let mut path = loop {
            if above.number == ROOT {
                break Vec::new();
            }
            let parent = self.of(above.number).next();
            match parent {
                Some(parent) if self.is(above) && seen.insert(above.number) && parts.len() < MOST_DEPTH => {
                    parts.push(&parent.name);
                    above = parent.parent;
                }
                _ => break orphan(above.number),
            }
        };
        for part in parts.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(part);
        }
        path
    }
}

fn orphan(number: u64) -> Vec<u8> {
    format!("/$Orphans/{number}").into_bytes()
}

/// The name, and what is wrong with it.
fn read(bytes: &[u8], file: Ref) -> Result<(Name, Option<Fault>), Fault> {
    let short = || damaged("a name that ends early", 0);
    let n = usize::from(*bytes.get(64).ok_or_else(short)?);
    let is_short = *bytes.get(65).ok_or_else(short)? == DOS;
    let name = name_of(&units(bytes.get(66..66 + 2 * n).ok_or_else(short)?));
    // The root calls itself `.`.
    let wrong = wrong_with(&name).filter(|_| file.number != ROOT);
    let fault = wrong.map(|what| damaged(what, file.number));
    let name = spelled(&name).into();
    Ok((Name { parent: Ref::read(bytes, 0)?, name, is_short, sequence: file.sequence }, fault))
}

/// A name as a path has it. There a colon divides a file from its stream, so that one in a name, which POSIX permits,
/// is `\x3A`; so that this is nobody's name either, a backslash is `\x5C`.
pub(super) fn spelled(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    for byte in name {
        match byte {
            b'/' => out.extend_from_slice(br"\x2F"),
            b':' => out.extend_from_slice(br"\x3A"),
            b'\\' => out.extend_from_slice(br"\x5C"),
            byte => out.push(*byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_an_orphan_where_its_directory_is_another_now_or_below_itself() {
        let name = |parent, sequence, name: &str| Name {
            parent: Ref { number: parent, sequence },
            name: name.as_bytes().into(),
            is_short: false,
            sequence: 1,
        };
        let mut names = Names::default();
        for number in [ROOT, 30, 31, 32, 33] {
            names.know(Ref { number, sequence: 1 });
        }
        names.names.insert(30, vec![name(ROOT, 5, "dir")]);
        names.names.insert(31, vec![name(30, 1, "file"), name(30, 2, "stale")]);
        names.names.insert(32, vec![name(33, 1, "a")]);
        names.names.insert(33, vec![name(32, 1, "b")]);
        assert_eq!(names.paths(31), [b"/dir/file".to_vec(), b"/$Orphans/30/stale".to_vec()]);
        assert!(names.paths(32)[0].starts_with(b"/$Orphans/"));
        assert_eq!(names.paths(99), [b"/$Orphans/99".to_vec()]);
    }
}
