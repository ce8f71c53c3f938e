//! One regular file becomes its digests, or a reason why not.
//!
//! The file is stat-ed before it is opened and when it was read to its end; a content is only believed when nothing
//! moved in between. Plain reads into a buffer that the thread keeps, or the file's pages where they are mapped
//! (`mapped` says what that takes). On a device that wants to be read by few at a time, what lies in the page cache
//! is read by everybody, and only a read that would have to wait takes its turn.
//!
//! Knows nothing of rows, of the walk or of other names of the same file.

use crate::devices::{Device, Devices, Kind};
use crate::hash::{Hasher, Shared};
use crate::mapped::Mapped;
use crate::meta::{Id, Links, Meta, refused, words};
use crate::own::OwnFiles;
use crate::pseudo;
use crate::suspicion::Head;
use hashsweep_model::{Digests, Kinds, Skip, SkipKind};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{Advice, FileType, Mode, OFlags, fadvise, openat};
use rustix::io::{Errno, ReadWriteFlags, preadv2, read, retry_on_intr};
use std::cell::RefCell;
use std::collections::HashSet;
use std::io::IoSliceMut;
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

/// A reader whose turn it is asks for so much at once, so that the device goes on in one sweep while the bytes are
/// hashed. The kernel takes as much of it as it sees fit.
const AHEAD: NonZeroU64 = NonZeroU64::new(8 << 20).expect("not zero");

/// `preadv2` goes on from where the descriptor is.
const ON_FROM_HERE: u64 = u64::MAX;

thread_local! {
    static SPACE: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
}

/// What a whole reading gave.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) size: u64,
    pub(crate) digests: Digests,
    /// What its first block says that it is.
    pub(crate) content: Head,
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
    devices: &'w Devices,
    io: Io,
    /// Whether what reading brought into the page cache is dropped from it.
    forgets: bool,
    no_atime: NoAtime,
}

/// How the bytes of files come to the hash functions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Io {
    /// Reads. Mapping saves time on large files and costs resident memory (docs/adr/0009).
    #[default]
    Auto,
    /// Read into buffers.
    Read,
    /// Mapped into memory where that is possible and safe: not when empty, nor on a network or a device that only
    /// so many may read from, nor by a walk that is nice. Those files are read.
    Mmap,
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
pub(crate) struct Open<'w> {
    fd: OwnedFd,
    before: Meta,
    device: &'w Device,
    /// Its content in memory, where it is not read.
    pages: Option<Mapped>,
    n_read: u64,
    /// How much was lent last.
    n_lent: u64,
    /// Known from the first block on.
    content: Option<Head>,
    /// More than this is not read: a file that grows as fast as it is read ends all the same.
    limit: u64,
    /// Whether to drop from the cache what was not there before. What was is known until the first read that had to
    /// wait; from there on the kernel reads ahead for us.
    forgets: bool,
    /// Where the pages begin that are still to be dropped from the cache, if any are.
    forgotten_to: Option<u64>,
}

/// What came next of an open file.
pub(crate) enum Next<'w> {
    More(Open<'w>, usize),
    Last(Ended, usize),
}

/// A file after its last byte.
pub(crate) struct Ended {
    before: Meta,
    after: Meta,
    n_read: u64,
    content: Head,
    /// Whether reading stopped because there was more than could be right.
    is_too_long: bool,
    /// Whether bytes went away under their mapping.
    is_broken: bool,
}

impl<'w> Open<'w> {
    /// Whether its descriptor is kept until the lane asks for more.
    pub(crate) fn is_mapped(&self) -> bool {
        self.pages.is_some()
    }

    /// Moves on to bytes that are in memory already, in whole blocks of 64; 0 if there are none. [`Open::next`] has
    /// what remains.
    pub(crate) fn lend(
        &mut self,
        on_block: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<usize, Trouble> {
        let rest = self.unread();
        let n = rest.len().min(BUFFER) / 64 * 64;
        if n > 0 {
            let content = self.content.unwrap_or_else(|| Head::of(&rest[..n]));
            self.content = Some(content);
            self.n_lent = n as u64;
            self.n_read += self.n_lent;
            if on_block(self.n_lent).is_break() {
                return Err(Trouble::Stopped);
            }
        }
        Ok(n)
    }

    /// What was lent last.
    pub(crate) fn lent(&self) -> &[u8] {
        let from = |n: u64| usize::try_from(n).expect("it was mapped, so it fits");
        let pages = self.pages.as_ref().map_or(&[][..], Mapped::bytes);
        &pages[from(self.n_read - self.n_lent)..from(self.n_read)]
    }

    /// What is in memory and was not looked at.
    fn unread(&self) -> &[u8] {
        self.pages.as_ref().map_or(&[], |pages| {
            &pages.bytes()[usize::try_from(self.n_read).expect("it was mapped, so it fits")..]
        })
    }

    /// Puts what comes next into `space`. Waits for a device in its turn.
    fn fetch(&mut self, space: &mut [u8]) -> Result<usize, Errno> {
        if self.pages.is_some() {
            let rest = self.unread();
            let n = rest.len().min(space.len());
            space[..n].copy_from_slice(&rest[..n]);
            return Ok(n);
        }
        if !self.forgets && self.device.gate.is_none() {
            return retry_on_intr(|| read(&self.fd, &mut space[..]));
        }
        let cached = retry_on_intr(|| {
            preadv2(&self.fd, &mut [IoSliceMut::new(space)], ON_FROM_HERE, ReadWriteFlags::NOWAIT)
        });
        match cached {
            // It would have to wait, or the file system cannot say.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => {}
            done => return done,
        }
        if self.forgets {
            self.forgotten_to.get_or_insert(self.n_read);
        }
        let mut wait = || retry_on_intr(|| read(&self.fd, &mut space[..]));
        match &self.device.gate {
            None => wait(),
            Some(gate) => gate.pass(|| {
                // Advice: where none is taken the read alone does.
                let _ = fadvise(&self.fd, self.n_read, Some(AHEAD), Advice::WillNeed);
                wait()
            }),
        }
    }

    /// Reads on into `space`, whose length says how much may be read at once. Bytes from the file's very beginning
    /// arrive at the first call. `on_block` hears of every block's length and may break off.
    pub(crate) fn next(
        mut self,
        space: &mut [u8],
        on_block: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Next<'w>, Trouble> {
        let n = match self.fetch(space) {
            Ok(n) => n,
            Err(errno) => return self.broken(errno),
        };
        let content = *self.content.get_or_insert_with(|| Head::of(&space[..n]));
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
        let is_broken = self.pages.as_ref().is_some_and(Mapped::is_broken);
        let Open { before, n_read, .. } = self;
        Ok(Next::Last(Ended { before, after, n_read, content, is_too_long, is_broken }, n))
    }

    /// Reading failed. A small file is not looked at between its discovery and its first byte, so what failed may be
    /// a directory or a FIFO that has taken its name: that is a change, and no trouble with the file that was found.
    fn broken(self, errno: Errno) -> Result<Next<'w>, Trouble> {
        let Open { before, n_read, content, .. } = self;
        match Meta::of(&self.fd) {
            Ok(after) if after.id != before.id => {
                let content = content.unwrap_or_else(|| Head::of(&[]));
                let ended = Ended { before, after, n_read, content, is_too_long: false, is_broken: false };
                Ok(Next::Last(ended, 0))
            }
            _ => Err(broken(errno).into()),
        }
    }
}

impl Ended {
    /// What to think of the content, whose digests are these.
    pub(crate) fn attempt(self, digests: Digests) -> Result<Attempt, Trouble> {
        let Ended { before, after, n_read, content, is_too_long, is_broken } = self;
        if is_broken {
            return Ok(Attempt::Changed);
        }
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
    pub(crate) fn new(kinds: &'w Kinds, own: &'w OwnFiles, devices: &'w Devices, io: Io) -> Reader<'w> {
        Reader { kinds, own, devices, io, forgets: false, no_atime: NoAtime::default() }
    }

    /// The same, which leaves nothing in the page cache that was not there before.
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
        let Some(mut open) = self.begin_reading(target, found)? else { return Ok(None) };
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

    /// Opens the file that `found` describes for the lanes, mapped if that is wanted and can be; `None` if something
    /// else is there by now.
    pub(crate) fn begin(&self, target: Target<'_>, found: &Meta) -> Result<Option<Open<'w>>, Trouble> {
        let mut open = self.begin_reading(target, found)?;
        if self.io == Io::Mmap
            && let Some(open) = &mut open
            && !open.forgets
            && open.device.gate.is_none()
            && open.device.kind != Kind::Network
        {
            open.pages = Mapped::new(open.fd.as_fd(), open.before.size);
        }
        Ok(open)
    }

    /// Opens the file that `found` describes; `None` if something else is there by now.
    ///
    /// What it was before it was read is what `found` says, so that a small file is stat-ed twice and not three
    /// times: it must be unchanged from its discovery to its last byte. That is asked again of a large one, which
    /// may have waited for its turn, and of files of the kernel.
    fn begin_reading(&self, target: Target<'_>, found: &Meta) -> Result<Option<Open<'w>>, Trouble> {
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
        let device = self.devices.of(before.id.dev, &fd);
        Ok(Some(Open {
            fd,
            before,
            device,
            pages: None,
            n_read: 0,
            n_lent: 0,
            content: None,
            limit,
            forgets: self.forgets,
            forgotten_to: None,
        }))
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
mod tests;
