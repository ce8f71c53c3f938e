//! Hard links: many names, one content, one reading.
//!
//! Knows nothing of how a file is read. A name whose content is being read waits here, not its thread: the reading
//! may lie unfinished in another thread's lanes until that thread has filled them.

use crate::meta::{Id, Meta};
use crate::read::{Reading, Trouble};
use hashsweep_model::{Skip, SkipKind};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

/// Readings of files that have more than one name, and the names `N` that wait for one. An entry is forgotten once
/// as many names were seen as the file has; names outside the walk keep theirs to the end, at about 300 bytes each.
pub(crate) struct HardLinks<N> {
    shards: [Mutex<HashMap<Id, Entry<N>>>; 16],
}

struct Entry<N> {
    state: State<N>,
    n_seen: u32,
}

enum State<N> {
    /// Somebody reads it; these names wait.
    Reading(Vec<N>),
    /// `None` when the trouble lay in the name and not in the file: the other names try for themselves.
    Read(Option<Result<Reading, Skip>>),
}

/// What a name finds of its file.
#[expect(clippy::large_enum_variant, reason = "it is made and taken apart in one breath")]
pub(crate) enum Claim<N> {
    /// The name is the first: its owner reads the file, and [`HardLinks::settle`]s it whatever comes of it.
    First(N),
    /// What came of the reading.
    Known(N, Result<Reading, Skip>),
    /// There is a reading, and it is of no use to this name: it reads the file for itself.
    Alone(N),
    /// The name was kept, and comes back from `settle`.
    Waits,
}

impl<N> Default for HardLinks<N> {
    fn default() -> HardLinks<N> {
        HardLinks { shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl<N> HardLinks<N> {
    /// What is known of the file that `name` was found for.
    pub(crate) fn claim(&self, meta: &Meta, name: N) -> Claim<N> {
        let mut shard = self.shard(meta.id);
        let entry = shard.entry(meta.id);
        let is_first = matches!(entry, std::collections::hash_map::Entry::Vacant(_));
        let entry = entry.or_insert_with(|| Entry { state: State::Reading(Vec::new()), n_seen: 0 });
        entry.n_seen += 1;
        match &mut entry.state {
            State::Reading(_) if is_first => Claim::First(name),
            State::Reading(waiting) => {
                waiting.push(name);
                Claim::Waits
            }
            State::Read(reading) => {
                let claim = known(meta, name, reading.as_ref());
                if entry.n_seen >= meta.n_links {
                    shard.remove(&meta.id);
                }
                claim
            }
        }
    }

    /// Says what came of the reading of the file that was found as `found`. The names that waited are the caller's
    /// to answer; `meta_of` tells what each was found as.
    pub(crate) fn settle(
        &self,
        found: &Meta,
        reading: &Result<Reading, Trouble>,
        meta_of: impl Fn(&N) -> Meta,
    ) -> Vec<Claim<N>> {
        let of_all = match reading {
            Ok(reading) => Some(Ok(reading.clone())),
            Err(Trouble::Skip(skip)) if lies_in_the_file(skip.kind) => Some(Err(skip.clone())),
            Err(Trouble::Skip(_) | Trouble::Stopped) => None,
        };
        let mut shard = self.shard(found.id);
        let Some(entry) = shard.get_mut(&found.id) else { return Vec::new() };
        let State::Reading(waiting) = std::mem::replace(&mut entry.state, State::Read(of_all.clone())) else {
            return Vec::new();
        };
        if entry.n_seen >= found.n_links {
            shard.remove(&found.id);
        }
        waiting.into_iter().map(|name| known(&meta_of(&name), name, of_all.as_ref())).collect()
    }

    fn shard(&self, id: Id) -> MutexGuard<'_, HashMap<Id, Entry<N>>> {
        let shard = &self.shards[usize::try_from(id.ino % 16).expect("less than 16")];
        shard.lock().expect("no panic while it is held")
    }
}

fn known<N>(meta: &Meta, name: N, reading: Option<&Result<Reading, Skip>>) -> Claim<N> {
    match reading {
        // Read an hour ago, perhaps: what was written since then is another content.
        Some(Ok(reading)) if meta.is_unchanged_from(&reading.meta) => Claim::Known(name, Ok(reading.clone())),
        Some(Err(skip)) => Claim::Known(name, Err(skip.clone())),
        Some(Ok(_)) | None => Claim::Alone(name),
    }
}

/// A file that changed while it was read may be another by now under that one name: the rest try for themselves.
fn lies_in_the_file(kind: SkipKind) -> bool {
    matches!(kind, SkipKind::IoError | SkipKind::Limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::Links;
    use crate::suspicion::Head;
    use hashsweep_model::Digests;
    use rustix::fs::CWD;
    use std::path::Path;

    fn meta(dir: &Path) -> Meta {
        Meta { n_links: 3, ..Meta::at(CWD, dir, Links::Never).unwrap() }
    }

    fn reading(meta: Meta) -> Reading {
        Reading { size: meta.size, digests: Digests::default(), content: Head::of(b"\0\x01"), meta }
    }

    /// What the claims say, in one word each.
    fn said(claims: impl IntoIterator<Item = Claim<u8>>) -> Vec<(u8, &'static str)> {
        let said = |claim| match claim {
            Claim::First(name) => (name, "first"),
            Claim::Known(name, Ok(_)) => (name, "read"),
            Claim::Known(name, Err(_)) => (name, "broken"),
            Claim::Alone(name) => (name, "alone"),
            Claim::Waits => (0, "waits"),
        };
        claims.into_iter().map(said).collect()
    }

    #[test]
    fn a_reading_is_made_once_and_forgotten_after_the_last_name() {
        let dir = tempfile::tempdir().unwrap();
        let meta = meta(dir.path());
        let links = HardLinks::default();
        assert_eq!(said([links.claim(&meta, 1)]), [(1, "first")]);
        assert!(links.settle(&meta, &Ok(reading(meta)), |_| meta).is_empty());
        assert_eq!(said([links.claim(&meta, 2), links.claim(&meta, 3)]), [(2, "read"), (3, "read")]);
        assert_eq!(said([links.claim(&meta, 4)]), [(4, "first")]);
    }

    #[test]
    fn names_that_come_while_the_file_is_being_read_come_back_with_the_reading() {
        let dir = tempfile::tempdir().unwrap();
        let meta = meta(dir.path());
        let links = HardLinks::default();
        let claims = [1, 2, 3].map(|name| links.claim(&meta, name));
        assert_eq!(said(claims), [(1, "first"), (0, "waits"), (0, "waits")]);
        assert_eq!(said(links.settle(&meta, &Ok(reading(meta)), |_| meta)), [(2, "read"), (3, "read")]);
        assert_eq!(said([links.claim(&meta, 4)]), [(4, "first")], "forgotten after the last name");
    }

    #[test]
    fn a_content_that_was_written_since_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let before = meta(dir.path());
        let after = Meta { size: before.size + 1, ..before };
        let links = HardLinks::default();
        links.claim(&before, 1);
        links.claim(&after, 2);
        assert_eq!(said(links.settle(&before, &Ok(reading(before)), |_| after)), [(2, "alone")]);
        assert_eq!(said([links.claim(&after, 3)]), [(3, "alone")]);
    }

    #[test]
    fn a_name_that_was_given_to_another_file_does_not_cost_the_other_names_their_digests() {
        let dir = tempfile::tempdir().unwrap();
        let meta = meta(dir.path());
        let links = HardLinks::default();
        let claims = [1, 2].map(|name| links.claim(&meta, name));
        assert_eq!(said(claims), [(1, "first"), (0, "waits")]);
        let changed = Err(Skip::new(SkipKind::ChangedWhileReading).into());
        assert_eq!(said(links.settle(&meta, &changed, |_| meta)), [(2, "alone")]);
        assert_eq!(said([links.claim(&meta, 3)]), [(3, "alone")]);
    }

    #[test]
    fn trouble_with_one_name_is_not_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let meta = meta(dir.path());
        let links = HardLinks::default();
        links.claim(&meta, 1);
        links.settle(&meta, &Err(Skip::new(SkipKind::Vanished).into()), |_| meta);
        assert_eq!(said([links.claim(&meta, 2)]), [(2, "alone")]);
        let links = HardLinks::default();
        links.claim(&meta, 1);
        links.settle(&meta, &Err(Skip::new(SkipKind::IoError).into()), |_| meta);
        assert_eq!(said([links.claim(&meta, 2)]), [(2, "broken")], "the file is the same under every name");
    }
}
