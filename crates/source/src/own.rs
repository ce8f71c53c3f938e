//! The files of this program itself, which a walk must not take for evidence.
//!
//! They are not even opened: on POSIX systems, closing any descriptor of a file drops every `fcntl` lock that the
//! process holds on it, and the case's database lives by those locks.

use crate::meta::{Id, Links, Meta};
use rustix::fs::CWD;
use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Knows our own files by identity, and by name those that are not there yet.
///
/// A name rule is a hole through which something else could slip unread, so it holds in one directory only, is
/// matched against the entry's own name, and the row says `own file`: prefer exact names to prefixes.
#[derive(Clone, Debug, Default)]
pub struct OwnFiles {
    ids: HashSet<Id>,
    passing: HashSet<Id>,
    names: HashMap<Id, Vec<Name>>,
}

#[derive(Clone, Debug)]
enum Name {
    Exactly(Vec<u8>),
    StartingWith(Vec<u8>),
}

impl OwnFiles {
    /// Those of the paths that exist, by identity, so that a hard link to one is recognised too. For a path that
    /// does not exist yet, and for a file that will be replaced, add [`expecting`](OwnFiles::expecting).
    pub fn of(paths: impl IntoIterator<Item = impl AsRef<Path>>) -> OwnFiles {
        let mut own = OwnFiles::default();
        for path in paths {
            if let Ok(meta) = Meta::at(CWD, path.as_ref(), Links::Follow) {
                own.ids.insert(meta.id);
            }
        }
        own
    }

    /// Files of ours that go when the run ends, under names that are others each time, such as half-written outputs. They
    /// are no rows: one of them would be new every night. By identity alone, so that nothing else can hide behind it.
    #[must_use]
    pub fn passing(mut self, paths: impl IntoIterator<Item = impl AsRef<Path>>) -> OwnFiles {
        self.passing.extend(OwnFiles::of(paths).ids);
        self
    }

    /// A path that may come into being during the walk, such as `case.db-wal`.
    #[must_use]
    pub fn expecting(self, path: impl AsRef<Path>) -> OwnFiles {
        self.with_name(path.as_ref(), Name::Exactly)
    }

    /// Whatever comes into being beside this path with a name that starts with its last component, such as the
    /// temporary forms of an output.
    #[must_use]
    pub fn expecting_prefix(self, path: impl AsRef<Path>) -> OwnFiles {
        self.with_name(path.as_ref(), Name::StartingWith)
    }

    /// A path whose directory does not exist, or without a last component, can name no file: no rule.
    fn with_name(mut self, path: &Path, rule: fn(Vec<u8>) -> Name) -> OwnFiles {
        if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            if let Ok(meta) = Meta::at(CWD, parent, Links::Follow) {
                self.names.entry(meta.id).or_default().push(rule(name.as_bytes().to_vec()));
            }
        }
        self
    }

    pub(crate) fn is_passing(&self, id: Id) -> bool {
        self.passing.contains(&id)
    }

    pub(crate) fn has(&self, id: Id) -> bool {
        self.ids.contains(&id)
    }

    pub(crate) fn has_name(&self, dir: Id, name: &[u8]) -> bool {
        self.names.get(&dir).is_some_and(|rules| {
            rules.iter().any(|rule| match rule {
                Name::Exactly(own) => own == name,
                Name::StartingWith(own) => name.starts_with(own),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn files_are_own_by_identity_or_by_name_in_their_directory() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("case.db"), "x").unwrap();
        fs::hard_link(at("case.db"), at("other name")).unwrap();
        fs::create_dir(at("sub")).unwrap();
        let own = OwnFiles::of([at("case.db"), at("missing")])
            .expecting(at("case.db-wal"))
            .expecting_prefix(at("out.csv."))
            .expecting(at("no such directory/x"));
        let id = |path: &Path| Meta::at(CWD, path, Links::Never).unwrap().id;
        assert!(own.has(id(&at("other name"))));
        fs::write(at(".out.csv8Ww2ZE.partial"), "x").unwrap();
        let own = own.passing([at(".out.csv8Ww2ZE.partial"), at("missing")]);
        assert!(own.is_passing(id(&at(".out.csv8Ww2ZE.partial"))));
        assert!(!own.is_passing(id(&at("case.db"))));
        assert!(!own.has(id(dir.path())));
        let here = id(dir.path());
        assert!(own.has_name(here, b"case.db-wal"));
        assert!(!own.has_name(here, b"case.db-wal2"));
        assert!(own.has_name(here, b"out.csv.tmp1"));
        assert!(!own.has_name(id(&at("sub")), b"case.db-wal"));
    }
}
