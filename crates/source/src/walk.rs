//! A walk: what the user ordered, the check of its roots, and the run.
//!
//! How a directory is gone through is `descent`'s business.

use crate::crew::Ending;
use crate::descent::Descent;
use crate::devices::Devices;
use crate::dir::{open_root, with_root};
use crate::meta::{Links, Meta};
use crate::polite::give_way;
use crate::pseudo;
use crate::read::Io;
use crate::{Device, Gauges, Globs, OwnFiles, Recorded, Rows};
use hashsweep_lanes::Engine;
use hashsweep_model::{Kinds, Stamp};
use rayon::ThreadPoolBuilder;
use rustix::fs::{FileType, Mode, OFlags, openat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::num::{NonZeroU64, NonZeroUsize};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use thiserror::Error;

/// What to walk, and how.
#[derive(Clone, Debug)]
pub struct Walk {
    /// Directories and files. A root that is itself a link is followed: the user named it.
    pub roots: Vec<Root>,
    /// What to compute; the first is what the rows say is asked.
    pub kinds: Kinds,
    /// Whether links are followed below the roots. Each directory is then descended once at most.
    pub follow: bool,
    /// Whether directories on another device than their parent are left out.
    pub one_file_system: bool,
    /// A root's entries are at depth 1; directories at this depth are not descended.
    pub max_depth: Option<usize>,
    /// Smaller files are left out.
    pub min_size: Option<u64>,
    /// Larger files are left out.
    pub max_size: Option<u64>,
    /// Files whose content and metadata were both last changed before this are left out.
    pub newer: Option<Stamp>,
    /// Unless this is [`Globs::none`], entries that match nothing in it are left out. Directories are descended
    /// either way.
    pub include: Globs,
    /// Entries that match are left out, and directories that match are not descended.
    pub exclude: Globs,
    /// What is not to be opened at all.
    pub own: OwnFiles,
    /// Threads that read and hash.
    pub jobs: NonZeroUsize,
    /// What they hash with. One that the processor can run: see [`Engine::checked`].
    pub engine: Engine,
    /// How the bytes of files come to the hash functions.
    pub io: Io,
    /// How many threads at a time may wait for a device: what is in the page cache is read by all of them. `None`:
    /// one for a device that is rotational or of which nothing is known, all for others.
    pub readers: Option<NonZeroUsize>,
    /// Whether to stay out of others' way: the threads run and read when nothing else wants to, and what reading
    /// brought into the page cache is dropped from it.
    pub nice: bool,
    /// At most so many bytes are read a second.
    pub max_read: Option<NonZeroU64>,
    /// What to do about a root that cannot be used.
    pub missing_root: MissingRoot,
    /// When the sweep began, in whichever run: a file's change is recent or not as seen from here.
    pub sweep_started: Stamp,
}

/// One thing the user pointed at.
#[derive(Clone, Debug)]
pub struct Root {
    /// The bytes that its rows start with: what the user typed.
    pub given: Vec<u8>,
    /// What to open: `given`, joined to the directory that the sweep was started in.
    pub open_at: PathBuf,
}

/// What to do about a root that does not exist or cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingRoot {
    /// Refuse the whole walk before any work.
    Fail,
    /// A row that says so, and on with the other roots.
    Skip,
}

/// How a walk ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked {
    /// Whether every entry was offered; `false` after a stop, or when nobody wanted more.
    pub finished: bool,
    /// Entries that the filters left out. Over a walk that was resumed, the last run's figure is the whole one.
    pub excluded: u64,
    /// The file systems that it came to, in no order.
    pub devices: Vec<Device>,
}

/// Why a walk did not begin.
#[derive(Debug, Error)]
pub enum WalkError {
    /// A root does not exist.
    #[error("find {path:?}: {source}")]
    MissingRoot {
        /// As it was given.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A root is there and cannot be opened.
    #[error("open {path:?}: {source}")]
    UnreadableRoot {
        /// As it was given.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The system gave us no threads.
    #[error("start the reading threads: {0}")]
    NoThreads(String),
}

/// Whether every root can be walked, unless missing ones are to be skipped. [`walk`] begins with this; a caller
/// that has something to prepare first asks before it does.
pub fn check_roots(order: &Walk) -> Result<(), WalkError> {
    match order.missing_root {
        MissingRoot::Fail => check_roots_of(&order.roots, &order.own),
        MissingRoot::Skip => Ok(()),
    }
}

/// Whether each of them is there and can be opened.
pub(crate) fn check_roots_of(roots: &[Root], own: &OwnFiles) -> Result<(), WalkError> {
    roots.iter().try_for_each(|root| check(root, own))
}

/// Walks, reads, hashes, and offers one row for every entry that is not a directory.
///
/// Rows come in no order. `stop` is looked at between files and between the blocks of a large one; what was read
/// by then is still offered. A file whose reading was broken off, or whose bytes were still in the lanes, has no row.
pub fn walk(
    order: &Walk,
    rows: &dyn Rows,
    recorded: &dyn Recorded,
    gauges: &Gauges,
    stop: &AtomicBool,
) -> Result<Walked, WalkError> {
    check_roots(order)?;
    let nice = order.nice;
    let pool = ThreadPoolBuilder::new()
        .num_threads(order.jobs.get())
        .thread_name(|i| format!("reader {i}"))
        .start_handler(move |_| {
            if nice {
                give_way();
            }
        })
        .build()
        .map_err(|error| WalkError::NoThreads(error.to_string()))?;
    let ending = Ending::new(stop, order.max_read);
    let devices = Devices::new(order.readers);
    let descent = Descent::new(order, rows, recorded, gauges, &ending, &devices);
    pool.scope(|scope| descent.roots(scope));
    // Links to directories wait until every directory was reached by its real path, so that which path its files
    // are shown under does not depend on luck. Links found behind links make further rounds; each round enters
    // directories that no earlier one did, so there is a last.
    while let Some(links) = descent.next_links() {
        pool.scope(|scope| descent.follow(scope, links));
    }
    descent.large(&pool);
    Ok(descent.end())
}

/// Whether the root is there and can be opened. Opening a file without reading it leaves no trace on it.
fn check(root: &Root, own: &OwnFiles) -> Result<(), WalkError> {
    let path = PathBuf::from(OsStr::from_bytes(&root.given));
    let opened = with_root(&root.open_at, |above, rest| {
        let meta = Meta::at(above, rest, Links::Follow)?;
        match meta.kind {
            FileType::Directory => open_root(&root.open_at).map(drop),
            FileType::RegularFile if !own.has(meta.id) && pseudo::name_at(&root.open_at).is_none() => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
                openat(above, rest, flags, Mode::empty()).map(drop)
            }
            _ => Ok(()),
        }
    });
    opened.map_err(|errno| match errno {
        Errno::NOENT | Errno::NOTDIR => WalkError::MissingRoot { path, source: errno.into() },
        _ => WalkError::UnreadableRoot { path, source: errno.into() },
    })
}
