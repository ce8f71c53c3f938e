//! One regular file becomes its digests, or a reason why not.
//!
//! The file is stat-ed before it is opened and when it was read to its end; a content is only believed when nothing
//! moved in between. Plain reads into a buffer that the thread keeps: mapping was measured
//! to save nothing, and a file cut short under a mapping kills the process.
//!
//! Knows nothing of rows, of the walk or of other names of the same file.

use crate::hash::{Hasher, Shared};
use crate::meta::{Id, Links, Meta, refused, words};
use crate::own::OwnFiles;
use crate::pseudo;
use hashsweep_model::{Content, Digests, Kinds, Skip, SkipKind};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{Advice, FileType, Mode, OFlags, fadvise, openat};
use rustix::io::{Errno, read, retry_on_intr};
use std::cell::RefCell;
use std::collections::HashSet;
use std::num::NonZeroU64;
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

/// From this size on a file waits until the walk is through, so that the longest are begun together.
pub(crate) const LARGE: u64 = 1 << 20;

/// Behind the reading of a large file the cache is emptied in steps of this size.
const FORGOTTEN_AT_ONCE: u64 = 8 << 20;

thread_local! {
    static SPACE: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
}

/// What a whole reading gave.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) size: u64,
    pub(crate) digests: Digests,
    /// What its first block says that it is.
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
    /// Whether what was read is dropped from the page cache.
    forgets: bool,
    no_atime: NoAtime,
}

/// How one attempt ended.
pub(crate) enum Attempt {
    Steady(Reading),
    /// It says that it is empty, and it was not.
    Unsized(Reading),
    Changed,
}

/// A file that is being read, from its opening to its last byte. When that is in it is closed: whoever hashes the
/// bytes later holds no descriptor.
pub(crate) struct Open {
    fd: OwnedFd,
    before: Meta,
    n_read: u64,
    /// Known from the first block on.
    content: Option<Content>,
    /// More than this is not read: a file that grows as fast as it is read ends all the same.
    limit: u64,
    /// Where the pages begin that are still to be dropped from the cache, if any are.
    forgotten_to: Option<u64>,
}

/// What came next of an open file.
pub(crate) enum Next {
    More(Open, usize),
    Last(Ended, usize),
}

/// A file after its last byte.
pub(crate) struct Ended {
    before: Meta,
    after: Meta,
    n_read: u64,
    content: Content,
    /// Whether reading stopped because there was more than could be right.
    is_too_long: bool,
}

impl Open {
    /// Reads on into `space`, whose length says how much may be read at once. Bytes from the file's very beginning
    /// arrive at the first call. `on_block` hears of every block's length and may break off.
    pub(crate) fn next(
        mut self,
        space: &mut [u8],
        on_block: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Next, Trouble> {
        let n = match retry_on_intr(|| read(&self.fd, &mut space[..])) {
            Ok(n) => n,
            Err(errno) => return self.broken(errno),
        };
        let content = *self.content.get_or_insert_with(|| Content::of_head(&space[..n]));
        self.n_read += n as u64;
        if n > 0 && on_block(n as u64).is_break() {
            return Err(Trouble::Stopped);
        }
        let is_too_long = self.n_read > self.limit;
        // A regular file that has given all it said it holds, and less than it was asked for, is at its end. If it
        // has grown since, its size and its times say so.
        let is_at_end = n == 0 || n < space.len() && self.n_read == self.before.size;
        if let Some(from) = self.forgotten_to
            && (is_at_end || self.n_read - from >= FORGOTTEN_AT_ONCE)
        {
            // Advice: a file system that takes none is none the worse.
            let _ = fadvise(&self.fd, from, NonZeroU64::new(self.n_read - from), Advice::DontNeed);
            self.forgotten_to = Some(self.n_read);
        }
        if !is_at_end && !is_too_long {
            return Ok(Next::More(self, n));
        }
        let after = Meta::of(&self.fd).map_err(broken)?;
        Ok(Next::Last(Ended { before: self.before, after, n_read: self.n_read, content, is_too_long }, n))
    }

    /// Reading failed. A small file is not looked at between its discovery and its first byte, so what failed may be
    /// a directory or a FIFO that has taken its name: that is a change, and no trouble with the file that was found.
    fn broken(self, errno: Errno) -> Result<Next, Trouble> {
        let Open { before, n_read, content, .. } = self;
        match Meta::of(&self.fd) {
            Ok(after) if after.id != before.id => {
                let content = content.unwrap_or_else(|| Content::of_head(&[]));
                Ok(Next::Last(Ended { before, after, n_read, content, is_too_long: false }, 0))
            }
            _ => Err(broken(errno).into()),
        }
    }
}

impl Ended {
    /// What to think of the content, whose digests are these.
    pub(crate) fn attempt(self, digests: Digests) -> Result<Attempt, Trouble> {
        let Ended { before, after, n_read, content, is_too_long } = self;
        if is_too_long {
            return if before.size == 0 && after.size == 0 {
                Err(Skip::because(SkipKind::Limit, "says it is empty and yields more than 64 MiB").into())
            } else {
                Ok(Attempt::Changed)
            };
        }
        let reading = Reading { size: n_read, digests, content, meta: after };
        Ok(if !after.is_unchanged_from(&before) {
            Attempt::Changed
        } else if n_read == before.size {
            Attempt::Steady(reading)
        } else if before.size == 0 {
            Attempt::Unsized(reading)
        } else {
            Attempt::Changed
        })
    }
}

impl<'w> Reader<'w> {
    pub(crate) fn new(kinds: &'w Kinds, own: &'w OwnFiles) -> Reader<'w> {
        Reader { kinds, own, forgets: false, no_atime: NoAtime::default() }
    }

    /// The same, which leaves nothing of what it reads in the page cache.
    pub(crate) fn forgetful(self) -> Reader<'w> {
        Reader { forgets: true, ..self }
    }

    /// Reads the file that `found` describes, here and now. `on_block` hears of every block's length and may break
    /// off. `first` is how a first attempt ended that was made elsewhere.
    pub(crate) fn read(
        &self,
        target: Target<'_>,
        found: &Meta,
        first: Option<Attempt>,
        on_block: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Reading, Trouble> {
        let mut earlier: Option<Reading> = None;
        let mut done = first;
        let mut meta = *found;
        for attempt in 0..ATTEMPTS {
            let outcome = if let Some(done) = done.take() {
                done
            } else {
                if attempt > 0 {
                    meta = Meta::at(target.dir, target.name, target.links).map_err(refused)?;
                    if meta.kind != FileType::RegularFile {
                        break;
                    }
                    if self.own.has(meta.id) {
                        return Err(Skip::new(SkipKind::OwnFile).into());
                    }
                }
                self.attempt(target, &meta, on_block)?
            };
            match outcome {
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
        let mut hasher = Hasher::new(self.kinds);
        match self.content(target, found, on_block, |bytes| hasher.update(bytes))? {
            Some(ended) => ended.attempt(hasher.finish()),
            None => Ok(Attempt::Changed),
        }
    }

    /// The same in one attempt, with the work shared out over two threads; `None` where it cannot be.
    pub(crate) fn attempt_shared(
        &self,
        target: Target<'_>,
        found: &Meta,
        on_block: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Option<Result<Attempt, Trouble>> {
        let mut shared = Shared::new(self.kinds)?;
        Some(match self.content(target, found, on_block, |bytes| shared.update(bytes)) {
            Ok(Some(ended)) => ended.attempt(shared.finish()),
            Ok(None) => Ok(Attempt::Changed),
            Err(trouble) => Err(trouble),
        })
    }

    /// Reads the file from its first byte to its last and hands every block to `take`; `None` if something else is
    /// there by now.
    fn content(
        &self,
        target: Target<'_>,
        found: &Meta,
        on_block: &mut dyn FnMut(u64) -> ControlFlow<()>,
        mut take: impl FnMut(&[u8]),
    ) -> Result<Option<Ended>, Trouble> {
        let Some(mut open) = self.begin(target, found)? else { return Ok(None) };
        SPACE.with_borrow_mut(|space| {
            loop {
                match open.next(space, on_block)? {
                    Next::More(rest, n) => {
                        take(&space[..n]);
                        open = rest;
                    }
                    Next::Last(ended, n) => {
                        take(&space[..n]);
                        return Ok(Some(ended));
                    }
                }
            }
        })
    }

    /// Opens the file that `found` describes; `None` if something else is there by now.
    ///
    /// What it was before it was read is what `found` says, so that a small file is stat-ed twice and not three
    /// times: it must be unchanged from its discovery to its last byte. That is asked again of a large one, which
    /// may have waited for its turn, and of files of the kernel.
    pub(crate) fn begin(&self, target: Target<'_>, found: &Meta) -> Result<Option<Open>, Trouble> {
        let fd = match self.open(target, found) {
            Ok(fd) => fd,
            // It has become a link since it was found.
            Err(Errno::LOOP) if target.links == Links::Never => return Ok(None),
            Err(errno) => return Err(refused(errno).into()),
        };
        let mut before = *found;
        if found.size == 0 || found.size >= LARGE {
            before = Meta::of(&fd).map_err(broken)?;
            if before.id != found.id || before.kind != FileType::RegularFile {
                return Ok(None);
            }
        }
        if target.is_mounted
            && let Some(name) = pseudo::name_of(&fd)
        {
            return Err(Skip::because(SkipKind::PseudoFileSystem, name).into());
        }
        let limit = if before.size == 0 { UNSIZED_LIMIT } else { before.size };
        let forgotten_to = self.forgets.then_some(0);
        Ok(Some(Open { fd, before, n_read: 0, content: None, limit, forgotten_to }))
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
        reader.read(target, &meta, None, &mut |_| {
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
        let read =
            |meta| Reader::new(&kinds, &own).read(target, meta, None, &mut |_| ControlFlow::Continue(()));
        assert_eq!(skip_of(read(&meta)), "changed while reading");
        fs::remove_file(&path).unwrap();
        assert_eq!(skip_of(read(&meta)), "vanished");
    }

    #[test]
    fn a_directory_that_took_the_place_of_a_small_file_is_a_change_and_no_io_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("small");
        fs::write(&path, "small").unwrap();
        let found = Meta::at(CWD, &*path, Links::Never).unwrap();
        fs::remove_file(&path).unwrap();
        // Something else gets the file's inode number, and the directory another.
        fs::write(dir.path().join("other"), "other").unwrap();
        fs::create_dir(&path).unwrap();
        let (kinds, own) = (Kinds::default(), OwnFiles::default());
        let target = Target {
            dir: CWD.as_fd(),
            name: path.as_os_str().as_bytes(),
            links: Links::Never,
            is_mounted: false,
        };
        let reading =
            Reader::new(&kinds, &own).read(target, &found, None, &mut |_| ControlFlow::Continue(()));
        assert_eq!(skip_of(reading), "changed while reading");
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
        let reading =
            Reader::new(&kinds, &own).read(target, &found, None, &mut |_| ControlFlow::Continue(()));
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
        let reading = Reader::new(&kinds, &own).read(target, &meta, None, &mut |_| {
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
