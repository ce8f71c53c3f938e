//! Names and paths. A name is UTF-16 that nobody checked; a path is UTF-8, in which half of a surrogate pair stands
//! as the three bytes that UTF-8 would give it if it might, so that no two names become one.

use super::record::{Body, FILE_NAME, Record, Ref};
use crate::fault::{Fault, damaged};
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
                (FILE_NAME, Body::Resident(bytes)) => read(bytes, file.sequence).map(Some),
                (FILE_NAME, Body::Runs { .. }) => Err(damaged("a name outside its record", file.number)),
                _ => Ok(None),
            });
            match found {
                Ok(Some(name)) => self.push(file.number, name, lost),
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

fn read(bytes: &[u8], sequence: u16) -> Result<Name, Fault> {
    let short = || damaged("a name that ends early", 0);
    let n = usize::from(*bytes.get(64).ok_or_else(short)?);
    let is_short = *bytes.get(65).ok_or_else(short)? == DOS;
    let units = bytes.get(66..66 + 2 * n).ok_or_else(short)?;
    let name = utf8(units);
    if name.is_empty() || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
        return Err(damaged("a name that no file can have", 0));
    }
    Ok(Name { parent: Ref::read(bytes, 0)?, name: name.into(), is_short, sequence })
}

/// UTF-16 as UTF-8, halves of pairs as three bytes (WTF-8).
pub(super) fn utf8(units: &[u8]) -> Vec<u8> {
    let units = units.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let mut out = Vec::new();
    for decoded in char::decode_utf16(units) {
        match decoded {
            Ok(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Err(half) => {
                let half = half.unpaired_surrogate();
                let low = |shift: u16| u8::try_from(half >> shift & 0x3f).expect("six bits") | 0x80;
                out.extend([0xe0 | u8::try_from(half >> 12).expect("four bits"), low(6), low(0)]);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_pairs_stay_what_they_are() {
        let check = |units: &[u16], expected: &[u8]| {
            let bytes: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
            assert_eq!(utf8(&bytes), expected);
        };
        check(&[0x61, 0xe9, 0x65e5], "aé日".as_bytes());
        check(&[0xd83e, 0xdd80], "🦀".as_bytes());
        check(&[0xd83e], b"\xed\xa0\xbe");
        check(&[0xdd80, 0x61], b"\xed\xb6\x80a");
    }

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
