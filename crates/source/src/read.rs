//! One regular file becomes its digests, or a reason why not.
//!
//! The file is stat-ed before it is opened, after, and once more when it was read to its end; a content is only
//! believed when nothing moved in between. Plain reads into a buffer that the thread keeps: mapping was measured
//! to save nothing, and a file cut short under a mapping kills the process.
//!
//! Knows nothing of rows, of the walk or of other names of the same file.

use crate::hash::Hasher;
use crate::meta::{Id, Links, Meta, refused, words};
use crate::own::OwnFiles;
use crate::pseudo;
use hashsweep_model::{Content, Digests, Kinds, Skip, SkipKind};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, openat};
use rustix::io::{Errno, read, retry_on_intr};
use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Buffer sizes from 64 KiB to 1 MiB made no difference that could be told from noise.
const BUFFER: usize = 128 * 1024;

/// A file that was written to while it was read is read once more. One that is written to all the time would
/// not hold still for a third attempt either.
const ATTEMPTS: usize = 2;

/// Files of the kernel say that they are empty and yield bytes all the same, some without end. No honest one
/// comes near this size. Guess, unmeasured.
const UNSIZED_LIMIT: u64 = 64 << 20;

thread_local! {
    static SPACE: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
}

/// What a whole reading gave.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) size: u64,
    pub(crate) digests: Digests,
    /// What the first bytes say it is.
    pub(crate) content: Content,
    /// The file as it was during the reading.
    pub(crate) meta: Meta,
}

/// Why there is no reading.
#[derive(Debug)]
pub(crate) enum Trouble {
    Skip(Skip),
    /// The run was stopped; nothing can be said of the file.
    Stopped,
}

impl From<Skip> for Trouble {
    fn from(skip: Skip) -> Trouble {
        Trouble::Skip(skip)
    }
}

/// Where a file is.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) dir: BorrowedFd<'a>,
    /// One name, or for a root a path.
    pub(crate) name: &'a [u8],
    pub(crate) links: Links,
    /// Whether it lies on another device than its directory: something is mounted on the file itself.
    pub(crate) is_mounted: bool,
}

/// Reads files.
pub(crate) struct Reader<'w> {
    kinds: &'w Kinds,
    own: &'w OwnFiles,
    no_atime: NoAtime,
}

/// How one attempt ended.
enum Attempt {
    Steady(Reading),
    /// It says that it is empty, and it was not.
    Unsized(Reading),
    Changed,
}

impl<'w> Reader<'w> {
    pub(crate) fn new(kinds: &'w Kinds, own: &'w OwnFiles) -> Reader<'w> {
        Reader { kinds, own, no_atime: NoAtime::default() }
    }

    /// Reads the file that `found` describes. `on_block` hears of every block's length and may break off.
    pub(crate) fn read(
        &self,
        target: Target<'_>,
        found: &Meta,
        on_block: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Reading, Trouble> {
        let mut meta = *found;
        let mut earlier: Option<Reading> = None;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                meta = Meta::at(target.dir, target.name, target.links).map_err(refused)?;
                if meta.kind != FileType::RegularFile {
                    break;
                }
                if self.own.has(meta.id) {
                    return Err(Skip::new(SkipKind::OwnFile).into());
                }
            }
            match self.attempt(target, &meta, on_block)? {
                Attempt::Steady(reading) => return Ok(reading),
                // There is no size to hold it against, so two readings vouch for one another.
                Attempt::Unsized(reading) => match earlier {
                    Some(earlier) if earlier.digests == reading.digests => return Ok(reading),
                    _ => earlier = Some(reading),
                },
                Attempt::Changed => {}
            }
        }
        Err(Skip::new(SkipKind::ChangedWhileReading).into())
    }

    fn attempt(
        &self,
        target: Target<'_>,
        found: &Meta,
        on_block: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Attempt, Trouble> {
        let fd = match self.open(target, found) {
            Ok(fd) => fd,
            // It has become a link since it was found.
            Err(Errno::LOOP) if target.links == Links::Never => return Ok(Attempt::Changed),
            Err(errno) => return Err(refused(errno).into()),
        };
        let before = Meta::of(&fd).map_err(broken)?;
        if before.id != found.id || before.kind != FileType::RegularFile {
            return Ok(Attempt::Changed);
        }
        if target.is_mounted
            && let Some(name) = pseudo::name_of(&fd)
        {
            return Err(Skip::because(SkipKind::PseudoFileSystem, name).into());
        }
        let limit = if before.size == 0 { UNSIZED_LIMIT } else { before.size };
        let content = self.content(&fd, limit, on_block)?;
        let after = Meta::of(&fd).map_err(broken)?;
        let Some((size, digests, content)) = content else {
            return if before.size == 0 && after.size == 0 {
                Err(Skip::because(SkipKind::Limit, "says it is empty and yields more than 64 MiB").into())
            } else {
                Ok(Attempt::Changed)
            };
        };
        let reading = Reading { size, digests, content, meta: after };
        Ok(if !after.is_unchanged_from(&before) {
            Attempt::Changed
        } else if size == before.size {
            Attempt::Steady(reading)
        } else if before.size == 0 {
            Attempt::Unsized(reading)
        } else {
            Attempt::Changed
        })
    }

    /// Reads to the end; `None` as soon as there is more than `limit`, so that a file that grows as fast as it is
    /// read ends all the same.
    fn content(
        &self,
        fd: &OwnedFd,
        limit: u64,
        on_block: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Option<(u64, Digests, Content)>, Trouble> {
        let mut hasher = Hasher::new(self.kinds);
        let mut size = 0;
        let mut content = None;
        SPACE.with_borrow_mut(|space| {
            loop {
                let n = retry_on_intr(|| read(fd, &mut space[..])).map_err(broken)?;
                let content = *content.get_or_insert_with(|| Content::of_head(&space[..n]));
                if n == 0 {
                    return Ok(Some((size, hasher.finish(), content)));
                }
                size += n as u64;
                if size > limit {
                    return Ok(None);
                }
                hasher.update(&space[..n]);
                if on_block(n as u64).is_break() {
                    return Err(Trouble::Stopped);
                }
            }
        })
    }

    fn open(&self, target: Target<'_>, found: &Meta) -> Result<OwnedFd, Errno> {
        let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        flags.set(OFlags::NOFOLLOW, target.links == Links::Never);
        let open = |flags| retry_on_intr(|| openat(target.dir, target.name, flags, Mode::empty()));
        if self.no_atime.is_permitted(found) {
            match open(flags | OFlags::NOATIME) {
                Err(Errno::PERM) => self.no_atime.refuse(found),
                done => return done,
            }
        }
        open(flags)
    }
}

/// Reading began and failed.
fn broken(errno: Errno) -> Skip {
    match errno {
        Errno::AGAIN => Skip::because(SkipKind::Unreadable, words(errno)),
        _ => Skip::because(SkipKind::IoError, words(errno)),
    }
}

/// Whether a file may be opened without touching its access time. Only its owner and root may, so the answer is
/// asked of the kernel once for every owner on every device.
#[derive(Default)]
struct NoAtime {
    any_refused: AtomicBool,
    refused: RwLock<HashSet<(u32, u64)>>,
}

impl NoAtime {
    fn is_permitted(&self, file: &Meta) -> bool {
        let Id { dev, .. } = file.id;
        !self.any_refused.load(Relaxed)
            || !self.refused.read().expect("no panic while it is held").contains(&(file.uid, dev))
    }

    fn refuse(&self, file: &Meta) {
        self.refused.write().expect("no panic while it is held").insert((file.uid, file.id.dev));
        self.any_refused.store(true, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd as _;
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};
    use std::fs::{self, File, OpenOptions};
    use std::io::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::Path;

    /// Reads `path` while `meddle` does as it likes after every block; it is told how many there were.
    fn read_while(path: &Path, mut meddle: impl FnMut(usize)) -> Result<Reading, Trouble> {
        let kinds = Kinds::default();
        let own = OwnFiles::default();
        let reader = Reader::new(&kinds, &own);
        let name = path.as_os_str().as_bytes();
        let target = Target { dir: CWD.as_fd(), name, links: Links::Never, is_mounted: false };
        let meta = Meta::at(CWD, name, Links::Never).unwrap();
        let mut n_blocks = 0;
        reader.read(target, &meta, &mut |_| {
            n_blocks += 1;
            meddle(n_blocks);
            ControlFlow::Continue(())
        })
    }

    fn skip_of(reading: Result<Reading, Trouble>) -> String {
        match reading {
            Err(Trouble::Skip(skip)) => skip.to_string(),
            other => panic!("expected a skip, got {other:?}"),
        }
    }

    /// Two blocks and a bit, modified long ago, so that any write shows even where clocks are coarse.
    fn file(dir: &Path) -> std::path::PathBuf {
        let path = dir.join("file");
        fs::write(&path, vec![7; 2 * BUFFER + 1]).unwrap();
        set_modified(&path);
        path
    }

    fn set_modified(path: &Path) {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: 1_000_000_000, tv_nsec: 0 },
        };
        utimensat(CWD, path, &times, AtFlags::empty()).unwrap();
    }

    fn append(path: &Path, bytes: &[u8]) {
        OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
    }

    fn digests_at(path: &Path) -> Digests {
        crate::digests_of(File::open(path).unwrap(), &Kinds::default()).unwrap().1
    }

    #[test]
    fn a_file_that_changed_once_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(dir.path());
        let reading = read_while(&path, |n| {
            if n == 1 {
                append(&path, b"more");
            }
        })
        .unwrap();
        assert_eq!(reading.size, 2 * BUFFER as u64 + 5);
        assert_eq!(reading.digests, digests_at(&path));
    }

    #[test]
    fn a_file_that_grows_without_end_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(dir.path());
        let reading = read_while(&path, |_| append(&path, &vec![1; 2 * BUFFER]));
        assert_eq!(skip_of(reading), "changed while reading");
    }

    #[test]
    fn a_file_that_is_cut_short_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(dir.path());
        let mut size = 2 * BUFFER as u64;
        let reading = read_while(&path, |_| {
            size -= 100;
            OpenOptions::new().write(true).open(&path).unwrap().set_len(size).unwrap();
        });
        assert_eq!(skip_of(reading), "changed while reading");
    }

    #[test]
    fn a_rewrite_of_the_same_size_with_the_old_time_restored_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(dir.path());
        let reading = read_while(&path, |_| {
            // Until the clock that file systems use has ticked.
            let before = Meta::at(CWD, &*path, Links::Never).unwrap();
            while Meta::at(CWD, &*path, Links::Never).unwrap().changed == before.changed {
                fs::write(&path, vec![8; 2 * BUFFER + 1]).unwrap();
                set_modified(&path);
            }
        });
        assert_eq!(skip_of(reading), "changed while reading");
    }

    #[test]
    fn a_file_that_is_replaced_while_it_is_read_is_read_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(dir.path());
        let reading = read_while(&path, |n| {
            if n == 3 {
                fs::write(dir.path().join("new"), "new").unwrap();
                fs::rename(dir.path().join("new"), &path).unwrap();
            }
        })
        .unwrap();
        assert_eq!((reading.size, reading.digests), (3, digests_at(&path)));
    }

    #[test]
    fn a_file_that_became_something_else_is_not_opened_as_that() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(dir.path());
        let meta = Meta::at(CWD, &*path, Links::Never).unwrap();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        let (kinds, own) = (Kinds::default(), OwnFiles::default());
        let target = Target {
            dir: CWD.as_fd(),
            name: path.as_os_str().as_bytes(),
            links: Links::Never,
            is_mounted: false,
        };
        let read = |meta| Reader::new(&kinds, &own).read(target, meta, &mut |_| ControlFlow::Continue(()));
        assert_eq!(skip_of(read(&meta)), "changed while reading");
        fs::remove_file(&path).unwrap();
        assert_eq!(skip_of(read(&meta)), "vanished");
    }

    #[test]
    fn an_own_file_that_took_the_place_of_another_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(dir.path());
        let found = Meta::at(CWD, &*path, Links::Never).unwrap();
        fs::write(dir.path().join("own"), "own").unwrap();
        let (kinds, own) = (Kinds::default(), OwnFiles::of([dir.path().join("own")]));
        fs::rename(dir.path().join("own"), &path).unwrap();
        let target = Target {
            dir: CWD.as_fd(),
            name: path.as_os_str().as_bytes(),
            links: Links::Never,
            is_mounted: false,
        };
        let reading = Reader::new(&kinds, &own).read(target, &found, &mut |_| ControlFlow::Continue(()));
        assert_eq!(skip_of(reading), "own file");
    }

    #[test]
    fn a_stop_ends_the_reading_between_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(dir.path());
        let (kinds, own) = (Kinds::default(), OwnFiles::default());
        let target = Target {
            dir: CWD.as_fd(),
            name: path.as_os_str().as_bytes(),
            links: Links::Never,
            is_mounted: false,
        };
        let meta = Meta::at(CWD, &*path, Links::Never).unwrap();
        let mut n_blocks = 0;
        let reading = Reader::new(&kinds, &own).read(target, &meta, &mut |_| {
            n_blocks += 1;
            ControlFlow::Break(())
        });
        assert!(matches!(reading, Err(Trouble::Stopped)));
        assert_eq!(n_blocks, 1);
    }

    #[test]
    fn a_kernel_file_of_no_stated_size_is_believed_when_two_readings_agree() {
        let version = Path::new("/proc/version");
        let reading = read_while(version, |_| {}).unwrap();
        assert_eq!(reading.size, fs::read(version).unwrap().len() as u64);
        assert_eq!(reading.digests, digests_at(version));
        let fickle = read_while(Path::new("/proc/sys/kernel/random/uuid"), |_| {});
        assert_eq!(skip_of(fickle), "changed while reading");
    }
}
