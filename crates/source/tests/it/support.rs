//! A walk in one line, and what came of it.

use hashsweep_model::{Kinds, Place, Seen, Sighting, Stamp};
use hashsweep_source::{
    Fresh, Gauges, Globs, MissingRoot, OwnFiles, Recorded, Root, Rows, Walk, WalkError, Walked, walk,
};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

pub(crate) const ALL_KINDS: &str = "sha256,sha1,md5";

pub(crate) fn kinds(text: &str) -> Kinds {
    text.parse().unwrap()
}

/// A walk of these roots, shown as they are opened.
pub(crate) fn order(roots: &[&Path]) -> Walk {
    Walk {
        roots: roots
            .iter()
            .map(|path| Root { given: path.as_os_str().as_bytes().to_vec(), open_at: path.to_path_buf() })
            .collect(),
        kinds: Kinds::default(),
        follow: false,
        one_file_system: false,
        max_depth: None,
        min_size: None,
        max_size: None,
        newer: None,
        include: Globs::none(),
        exclude: Globs::none(),
        own: OwnFiles::default(),
        jobs: NonZeroUsize::new(4).unwrap(),
        engine: hashsweep_source::Engine::best(),
        io: hashsweep_source::Io::Auto,
        readers: None,
        nice: false,
        max_read: None,
        missing_root: MissingRoot::Fail,
        sweep_started: Stamp(0),
    }
}

/// Keeps every row.
#[derive(Default)]
pub(crate) struct Kept(pub(crate) Mutex<Vec<Sighting>>);

impl Rows for Kept {
    fn take(&self, rows: Vec<Sighting>) -> ControlFlow<()> {
        assert!(!rows.is_empty() && rows.len() <= 256, "a group is neither empty nor large");
        self.0.lock().unwrap().extend(rows);
        ControlFlow::Continue(())
    }
}

pub(crate) struct Seens {
    pub(crate) rows: BTreeMap<(u32, Vec<u8>), Seen>,
    pub(crate) walked: Walked,
    pub(crate) gauges: Gauges,
}

impl Seens {
    /// `bytes read`, or the reason, for every row below a root; the root and its slash cut off.
    pub(crate) fn below(&self, root: &Path) -> BTreeMap<String, String> {
        let prefix = root.as_os_str().as_bytes();
        self.rows
            .iter()
            .map(|((_, path), seen)| {
                let below = path.strip_prefix(prefix).unwrap_or(path);
                let below = below.strip_prefix(b"/").unwrap_or(below);
                (below.escape_ascii().to_string(), told(seen))
            })
            .collect()
    }
}

pub(crate) fn told(seen: &Seen) -> String {
    match seen {
        Seen::Read { size, .. } => size.to_string(),
        Seen::Listed { digests, asked } => digests.get(*asked).unwrap().to_string(),
        Seen::Invalid(reason) => format!("invalid: {reason}"),
        Seen::Skipped(skip) => skip.to_string(),
    }
}

pub(crate) fn run(order: &Walk) -> Seens {
    try_run(order, &Fresh, &AtomicBool::new(false)).unwrap()
}

pub(crate) fn try_run(order: &Walk, recorded: &dyn Recorded, stop: &AtomicBool) -> Result<Seens, WalkError> {
    let kept = Kept::default();
    let gauges = Gauges::default();
    let walked = walk(order, &kept, recorded, &gauges, stop)?;
    let mut rows = BTreeMap::new();
    let (mut n_read, mut n_skipped) = (0, 0);
    for row in kept.0.into_inner().unwrap() {
        match row.seen {
            Seen::Read { .. } => n_read += 1,
            Seen::Skipped(_) => n_skipped += 1,
            ref other => panic!("a walk does not see {other:?}"),
        }
        let Place::Path(path) = row.place else { panic!("a walk shows paths") };
        if let Some(twice) = rows.insert((row.root, path.clone()), row.seen) {
            panic!("two rows for {}: {twice:?}", path.escape_ascii());
        }
    }
    assert_eq!(gauges.rows.load(Relaxed), rows.len() as u64);
    assert_eq!(gauges.files_hashed.load(Relaxed), n_read);
    assert_eq!(gauges.skipped.load(Relaxed), n_skipped);
    assert_eq!(gauges.excluded.load(Relaxed), walked.excluded);
    Ok(Seens { rows, walked, gauges })
}

/// Compares with what was created: entry, and what should be told of it.
pub(crate) fn expect(seens: &Seens, root: &Path, expected: &[(&str, &str)]) {
    let expected: BTreeMap<String, String> =
        expected.iter().map(|(path, told)| ((*path).to_owned(), (*told).to_owned())).collect();
    assert_eq!(seens.below(root), expected);
    assert!(seens.walked.finished);
}
