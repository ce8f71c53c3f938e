//! Hard links: many names, one content, one reading.
//!
//! Knows nothing of how a file is read. A thread that needs a content which another is reading waits for it; that
//! cannot lock up, because a reader starts no work in the pool while it reads.

use crate::meta::{Id, Meta};
use crate::read::{Reading, Trouble};
use hashsweep_model::{Skip, SkipKind};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};

/// Readings of files that have more than one name. An entry is forgotten once as many names were seen as the
/// file has; names outside the walk keep theirs to the end, at about 300 bytes each.
#[derive(Default)]
pub(crate) struct HardLinks {
    shards: [Mutex<HashMap<Id, Arc<Slot>>>; 16],
}

#[derive(Default)]
struct Slot {
    /// `None` when the trouble lay in the name and not in the file: the other names try for themselves.
    reading: OnceLock<Option<Result<Reading, Skip>>>,
    n_seen: AtomicU32,
}

impl HardLinks {
    /// The reading of the file, made by `read` for its first name and remembered for the others.
    pub(crate) fn read(
        &self,
        meta: &Meta,
        read: impl Fn() -> Result<Reading, Trouble>,
    ) -> Result<Reading, Trouble> {
        let slot = {
            let mut shard = self.shard(meta.id).lock().expect("no panic while it is held");
            Arc::clone(shard.entry(meta.id).or_default())
        };
        let mut mine = None;
        let shared = slot.reading.get_or_init(|| {
            let reading = read();
            let shared = match &reading {
                Ok(reading) => Some(Ok(reading.clone())),
                Err(Trouble::Skip(skip)) if lies_in_the_file(skip.kind) => Some(Err(skip.clone())),
                Err(Trouble::Skip(_) | Trouble::Stopped) => None,
            };
            mine = Some(reading);
            shared
        });
        if slot.n_seen.fetch_add(1, Relaxed) + 1 >= meta.n_links {
            self.shard(meta.id).lock().expect("no panic while it is held").remove(&meta.id);
        }
        match (mine, shared) {
            (Some(mine), _) => mine,
            // Read an hour ago, perhaps: what was written since then is another content.
            (None, Some(Ok(reading))) if meta.is_unchanged_from(&reading.meta) => Ok(reading.clone()),
            (None, Some(Err(skip))) => Err(Trouble::Skip(skip.clone())),
            (None, Some(Ok(_)) | None) => read(),
        }
    }

    fn shard(&self, id: Id) -> &Mutex<HashMap<Id, Arc<Slot>>> {
        &self.shards[usize::try_from(id.ino % 16).expect("less than 16")]
    }
}

fn lies_in_the_file(kind: SkipKind) -> bool {
    matches!(kind, SkipKind::IoError | SkipKind::ChangedWhileReading | SkipKind::Limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::Links;
    use hashsweep_model::{Content, Digests};
    use rustix::fs::CWD;
    use std::cell::Cell;
    use std::path::Path;

    fn meta(dir: &Path) -> Meta {
        Meta { n_links: 3, ..Meta::at(CWD, dir, Links::Never).unwrap() }
    }

    #[test]
    fn a_reading_is_made_once_and_forgotten_after_the_last_name() {
        let dir = tempfile::tempdir().unwrap();
        let meta = meta(dir.path());
        let links = HardLinks::default();
        let n_readings = Cell::new(0);
        let read = || {
            n_readings.set(n_readings.get() + 1);
            Ok(Reading { size: 1, digests: Digests::default(), content: Content::Data, meta })
        };
        for n_readings_then in [1, 1, 1, 2] {
            assert_eq!(links.read(&meta, read).unwrap().size, 1);
            assert_eq!(n_readings.get(), n_readings_then);
        }
    }

    #[test]
    fn a_content_that_was_written_since_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let before = meta(dir.path());
        let after = Meta { size: before.size + 1, ..before };
        let links = HardLinks::default();
        let read = |meta: Meta| {
            Ok(Reading { size: meta.size, digests: Digests::default(), content: Content::Data, meta })
        };
        assert_eq!(links.read(&before, || read(before)).unwrap().size, before.size);
        assert_eq!(links.read(&after, || read(after)).unwrap().size, after.size);
    }

    #[test]
    fn trouble_with_one_name_is_not_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let meta = meta(dir.path());
        let links = HardLinks::default();
        let vanished = links.read(&meta, || Err(Skip::new(SkipKind::Vanished).into()));
        assert!(matches!(vanished, Err(Trouble::Skip(skip)) if skip.kind == SkipKind::Vanished));
        let read = || Ok(Reading { size: 1, digests: Digests::default(), content: Content::Data, meta });
        assert!(links.read(&meta, read).is_ok());
        let links = HardLinks::default();
        let broken = || Err(Skip::new(SkipKind::IoError).into());
        assert!(links.read(&meta, broken).is_err());
        assert!(links.read(&meta, read).is_err(), "the file is the same under every name");
    }
}
