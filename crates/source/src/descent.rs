//! The way down: which entries there are, what each of them is, and who works on it.
//!
//! Work is cut into tasks of three sorts, run by the walk's own threads: a root, the directories found in a
//! directory, and a handful of its files. A task never waits for another, and every thread takes its own newest
//! task first, so the tree is gone through depth first and the tasks that wait are about as many as the tree is
//! deep, not as many as it is large. Nothing recurses, however deep the tree.
//!
//! ```text
//!  list a directory ─┬─► links, FIFOs, …: a row at once
//!                    ├─► files, 64 at a time: a task while somebody may be idle, else here and now
//!                    └─► directories: one task that goes through them, passing itself on before each
//! ```
//!
//! What becomes of a file that was found is `contents`; how it is read is not known here.

mod contents;

use crate::crew::{Ending, File, Hoard, Home, Worker};
use crate::devices::Devices;
use crate::dir::{Desk, Dir, open_dir, open_root, with_root};
use crate::links::HardLinks;
use crate::meta::{Id, Links, Meta, nothing_to_read, refused, words};
use crate::names::Names;
use crate::pseudo;
use crate::read::{LARGE, Reader, Target};
use crate::rows::Outbox;
use crate::volumes::Volumes;
use crate::{Gauges, Recorded, Root, Rows, Walk, Walked};
use hashsweep_model::{Place, Seen, Skip, SkipKind};
use rayon::Scope;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, RawDir};
use rustix::io::Errno;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// Files in one task: enough to make the task's own cost vanish (a file of 4 KiB costs about 10 µs, a task 1).
const FILES: usize = 64;

/// Tasks of files that may wait for each thread. With as many waiting nobody is idle, and a directory of
/// millions is gone through by whoever lists it instead of growing the queue.
const WAITING_PER_JOB: usize = 4;

/// What one call to the kernel lists at most: some thousand names.
const LISTING: usize = 32 * 1024;

/// Names of a directory that are put in the order of their inodes at a time.
const SORTED: usize = 4096;

/// Root tasks, so that a list of a million roots does not become a million tasks.
const ROOT_TASKS: usize = 1024;

/// One walk under way.
pub(crate) struct Descent<'w> {
    order: &'w Walk,
    door: &'w dyn Rows,
    recorded: &'w dyn Recorded,
    gauges: &'w Gauges,
    ending: &'w Ending<'w>,
    reader: Reader<'w>,
    devices: &'w Devices,
    hard_links: HardLinks<File>,
    hoard: Hoard,
    /// One for each of the pool's threads, which alone takes its lock.
    workers: Vec<Mutex<Worker<'w>>>,
    desk: Desk,
    volumes: Volumes,
    /// Tasks of files that nobody has begun.
    n_waiting: AtomicUsize,
    n_excluded: AtomicU64,
    /// Directories that were descended, under each root; kept only when links are followed.
    entered: Mutex<HashSet<(u32, Id)>>,
    /// Links to directories, for the next round.
    links: Mutex<Vec<DirLink>>,
}

/// A link to a directory, to be followed when all real directories are done.
pub(crate) struct DirLink {
    dir: Arc<Dir>,
    name: Box<[u8]>,
}

impl<'w> Descent<'w> {
    pub(crate) fn new(
        order: &'w Walk,
        door: &'w dyn Rows,
        recorded: &'w dyn Recorded,
        gauges: &'w Gauges,
        ending: &'w Ending<'w>,
        devices: &'w Devices,
    ) -> Descent<'w> {
        let reader = Reader::new(&order.kinds, &order.own, devices, order.io);
        let worker = || {
            let out = Outbox::new(door, gauges, &ending.closed);
            Mutex::new(Worker::new(order, gauges, ending, out))
        };
        Descent {
            order,
            door,
            recorded,
            gauges,
            ending,
            reader: if order.nice { reader.forgetful() } else { reader },
            devices,
            hard_links: HardLinks::default(),
            hoard: Hoard::default(),
            workers: (0..order.jobs.get()).map(|_| worker()).collect(),
            desk: Desk::new(),
            volumes: Volumes::default(),
            n_waiting: AtomicUsize::new(0),
            n_excluded: AtomicU64::new(0),
            entered: Mutex::default(),
            links: Mutex::default(),
        }
    }

    /// Goes through all roots.
    pub(crate) fn roots<'s>(&'s self, scope: &Scope<'s>) {
        let per_task = self.order.roots.len().div_ceil(ROOT_TASKS).max(1);
        for (task, roots) in self.order.roots.chunks(per_task).enumerate() {
            scope.spawn(move |scope| {
                let mut out = self.outbox();
                for (root, nth) in roots.iter().zip(task * per_task..) {
                    let nth = u32::try_from(nth).expect("a sweep's roots are numbered in 32 bits");
                    self.root(scope, nth, root, &mut out);
                }
                out.flush();
            });
        }
    }

    /// The links to directories that were found since the last call, or `None` when there are no more.
    pub(crate) fn next_links(&self) -> Option<Vec<DirLink>> {
        let links = std::mem::take(&mut *self.links.lock().expect("no panic while it is held"));
        (!links.is_empty()).then_some(links)
    }

    /// Descends into the directories that links point at.
    pub(crate) fn follow<'s>(&'s self, scope: &Scope<'s>, links: Vec<DirLink>) {
        scope.spawn(move |scope| {
            let mut out = self.outbox();
            for link in links {
                self.enter_below(scope, &link.dir, &link.name, Links::Follow, &mut out);
            }
            out.flush();
        });
    }

    /// How it went, once every task has ended.
    pub(crate) fn end(self) -> Walked {
        Walked {
            finished: self.ending.is_whole(),
            excluded: self.n_excluded.into_inner(),
            devices: self.volumes.met(),
        }
    }

    fn outbox(&self) -> Outbox<'_> {
        Outbox::new(self.door, self.gauges, &self.ending.closed)
    }

    fn is_over(&self) -> bool {
        self.ending.is_over()
    }

    fn exclude(&self) {
        self.n_excluded.fetch_add(1, Relaxed);
        self.gauges.excluded.fetch_add(1, Relaxed);
    }

    /// A row without digests, unless an earlier run offered one.
    fn skip(&self, root: u32, path: &[u8], skip: Skip, out: &mut Outbox<'_>) {
        if !self.recorded.has(root, path) {
            out.put(root, Place::Path(path.to_vec()), Seen::Skipped(skip));
        }
    }

    fn root<'s>(&'s self, scope: &Scope<'s>, nth: u32, root: &'s Root, out: &mut Outbox<'_>) {
        if self.is_over() {
            return;
        }
        let path = &root.given[..];
        let done = with_root(&root.open_at, |above, rest| {
            let meta = Meta::at(above, rest, Links::Follow)?;
            if meta.kind == FileType::Directory {
                let fd = open_root(&root.open_at)?;
                self.enter_root(scope, nth, root, fd, out);
                return Ok(());
            }
            let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
            if self.recorded.has(nth, path) {
                return Ok(());
            }
            if self.order.exclude.matches(path, name) {
                self.exclude();
            } else if meta.kind == FileType::RegularFile
                && let Some(fs) = pseudo::name_at(&root.open_at)
            {
                self.skip(nth, path, Skip::because(SkipKind::PseudoFileSystem, fs), out);
            } else {
                self.volumes.meet_at(meta.id.dev, &root.open_at);
                let target = Target { dir: above, name: rest, links: Links::Follow, is_mounted: false };
                let file = File { root: nth, path: path.to_vec(), home: Home::Root, meta };
                self.content(file, name, target, out);
            }
            Ok(())
        });
        match done {
            Ok(()) => {}
            Err(errno @ (Errno::NOENT | Errno::NOTDIR)) => {
                self.skip(nth, path, Skip::because(SkipKind::MissingRoot, words(errno)), out);
            }
            Err(errno) => self.skip(nth, path, refused(errno), out),
        }
    }

    fn enter_root<'s>(&'s self, scope: &Scope<'s>, nth: u32, root: &Root, fd: OwnedFd, out: &mut Outbox<'_>) {
        let meta = match Meta::of(&fd) {
            Ok(meta) => meta,
            Err(errno) => return self.skip(nth, &root.given, refused(errno), out),
        };
        if let Some(fs) = pseudo::name_of(&fd) {
            return self.skip(nth, &root.given, Skip::because(SkipKind::PseudoFileSystem, fs), out);
        }
        if self.order.max_depth == Some(0) {
            return self.exclude();
        }
        self.volumes.meet(meta.id.dev, &fd);
        if self.order.follow {
            self.entered.lock().expect("no panic while it is held").insert((nth, meta.id));
        }
        let dir = Dir::root(nth, &root.given, &root.open_at, meta.id);
        self.list(scope, &dir, &Arc::new(fd), out);
    }

    /// A directory below another one, by its name.
    fn enter_below<'s>(
        &'s self,
        scope: &Scope<'s>,
        above: &Arc<Dir>,
        name: &[u8],
        links: Links,
        out: &mut Outbox<'_>,
    ) {
        if self.is_over() {
            return;
        }
        match self.enter(above, name, links) {
            Entered::Open(dir, fd) => self.list(scope, &dir, &fd, out),
            Entered::Excluded => self.exclude(),
            Entered::Skip(skip) => {
                let mut path = above.path_with_slash();
                path.extend_from_slice(name);
                self.skip(above.root, &path, skip, out);
            }
        }
    }

    fn enter(&self, above: &Arc<Dir>, name: &[u8], links: Links) -> Entered {
        let opened = above.open(&self.desk).and_then(|above| {
            let fd = open_dir(&above, name, links).map_err(|errno| match errno {
                // It was a directory when it was listed.
                Errno::NOTDIR | Errno::LOOP if links == Links::Never => Skip::new(SkipKind::Vanished),
                Errno::NOENT if links == Links::Follow => Skip::new(SkipKind::DanglingLink),
                Errno::LOOP => Skip::new(SkipKind::LinkLoop),
                _ => refused(errno),
            })?;
            let id = Meta::of(&fd).map_err(refused)?.id;
            Ok((fd, id))
        });
        let (fd, id) = match opened {
            Ok(opened) => opened,
            Err(skip) => return Entered::Skip(skip),
        };
        if id.dev != above.id.dev {
            if let Some(fs) = pseudo::name_of(&fd) {
                return Entered::Skip(Skip::because(SkipKind::PseudoFileSystem, fs));
            }
            if self.order.one_file_system {
                return Entered::Excluded;
            }
            self.volumes.meet(id.dev, &fd);
        }
        if self.order.follow {
            let mut entered = self.entered.lock().expect("no panic while it is held");
            if !entered.insert((above.root, id)) {
                return Entered::Skip(Skip::new(SkipKind::LinkLoop));
            }
        } else if above.is_within(id) {
            return Entered::Skip(Skip::because(SkipKind::LinkLoop, "the directory holds itself"));
        }
        Entered::Open(above.child(name, links, id), Arc::new(fd))
    }

    fn list<'s>(&'s self, scope: &Scope<'s>, dir: &Arc<Dir>, fd: &Arc<OwnedFd>, out: &mut Outbox<'_>) {
        let mut space = Vec::with_capacity(LISTING);
        let mut listing = RawDir::new(&**fd, space.spare_capacity_mut());
        let mut path = dir.path_with_slash();
        let n_base = path.len();
        let mut files = Names::default();
        let mut dirs = Names::default();
        // Inodes lie on a disk about in the order of their numbers, and often their contents too.
        let is_sorted = self.devices.of(dir.id.dev, fd).gate.is_some();
        let mut by_inode: Vec<(u64, Box<[u8]>)> = Vec::new();
        while !self.is_over() {
            let entry = match listing.next() {
                None => break,
                Some(Ok(entry)) => entry,
                Some(Err(Errno::INTR)) => continue,
                Some(Err(errno)) => {
                    path.truncate(n_base.saturating_sub(1).max(1));
                    let skip = match errno {
                        Errno::NOENT => Skip::new(SkipKind::Vanished),
                        _ => Skip::because(SkipKind::IoError, words(errno)),
                    };
                    self.skip(dir.root, &path, skip, out);
                    break;
                }
            };
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            path.truncate(n_base);
            path.extend_from_slice(name);
            if self.order.exclude.matches(&path, name) {
                self.exclude();
                continue;
            }
            match entry.file_type() {
                FileType::Directory if self.order.max_depth.is_some_and(|max| dir.depth + 1 >= max) => {
                    self.exclude();
                }
                FileType::Directory => dirs.push(name),
                // Some file systems do not say in the listing what an entry is.
                FileType::RegularFile | FileType::Unknown if is_sorted => {
                    by_inode.push((entry.ino(), name.into()));
                    if by_inode.len() == SORTED {
                        self.in_order(scope, dir, fd, &mut by_inode, &mut files, out);
                    }
                }
                FileType::RegularFile | FileType::Unknown => files.push(name),
                FileType::Symlink if self.order.follow => files.push(name),
                kind => {
                    if self.is_included(&path, name) {
                        let skip =
                            nothing_to_read(kind).expect("files and directories were told apart above");
                        self.skip(dir.root, &path, skip, out);
                    }
                }
            }
            self.hand_on(scope, dir, fd, &mut files, out);
        }
        self.in_order(scope, dir, fd, &mut by_inode, &mut files, out);
        if dirs.len > 0 {
            self.desk.hold(dir, fd);
            self.spawn_dirs(scope, Arc::clone(dir), dirs);
        }
        self.files(scope, dir, fd, files, out);
    }

    /// Names in the order of their inodes.
    fn in_order<'s>(
        &'s self,
        scope: &Scope<'s>,
        dir: &Arc<Dir>,
        fd: &Arc<OwnedFd>,
        by_inode: &mut Vec<(u64, Box<[u8]>)>,
        files: &mut Names,
        out: &mut Outbox<'_>,
    ) {
        by_inode.sort_unstable_by_key(|(inode, _)| *inode);
        for (_, name) in by_inode.drain(..) {
            files.push(&name);
            self.hand_on(scope, dir, fd, files, out);
        }
    }

    /// A task's worth of names goes to whoever is idle, or is worked on here and now.
    fn hand_on<'s>(
        &'s self,
        scope: &Scope<'s>,
        dir: &Arc<Dir>,
        fd: &Arc<OwnedFd>,
        files: &mut Names,
        out: &mut Outbox<'_>,
    ) {
        if files.len < FILES {
            return;
        }
        let files = files.take();
        if self.n_waiting.load(Relaxed) < WAITING_PER_JOB * self.order.jobs.get() {
            self.spawn_files(scope, dir, fd, files);
        } else {
            self.files(scope, dir, fd, files, out);
        }
    }

    fn spawn_dirs<'s>(&'s self, scope: &Scope<'s>, above: Arc<Dir>, mut names: Names) {
        scope.spawn(move |scope| {
            if self.is_over() {
                return;
            }
            let Some(name) = names.next() else { return };
            if names.len > 0 {
                self.spawn_dirs(scope, Arc::clone(&above), names);
            }
            let mut out = self.outbox();
            self.enter_below(scope, &above, &name, Links::Never, &mut out);
            out.flush();
        });
    }

    fn spawn_files<'s>(&'s self, scope: &Scope<'s>, dir: &Arc<Dir>, fd: &Arc<OwnedFd>, mut names: Names) {
        self.desk.hold(dir, fd);
        self.n_waiting.fetch_add(1, Relaxed);
        let dir = Arc::clone(dir);
        scope.spawn(move |scope| {
            self.n_waiting.fetch_sub(1, Relaxed);
            let mut out = self.outbox();
            match dir.open(&self.desk) {
                Ok(fd) => self.files(scope, &dir, &fd, names, &mut out),
                Err(skip) => {
                    let mut path = dir.path_with_slash();
                    let n_base = path.len();
                    while let Some(name) = names.next() {
                        path.truncate(n_base);
                        path.extend_from_slice(&name);
                        self.skip(dir.root, &path, skip.clone(), &mut out);
                    }
                }
            }
            out.flush();
        });
    }

    /// Everything in a directory that may have a content.
    fn files<'s>(
        &'s self,
        scope: &Scope<'s>,
        dir: &Arc<Dir>,
        fd: &Arc<OwnedFd>,
        mut names: Names,
        out: &mut Outbox<'_>,
    ) {
        if names.len == 0 {
            return;
        }
        let mut path = dir.path_with_slash();
        let n_base = path.len();
        while let Some(name) = names.next() {
            if self.is_over() {
                return;
            }
            path.truncate(n_base);
            path.extend_from_slice(&name);
            if self.recorded.has(dir.root, &path) {
                continue;
            }
            match self.identify(fd, &name) {
                Err(skip) => self.skip(dir.root, &path, skip, out),
                Ok((meta, Links::Never)) if meta.kind == FileType::Directory => {
                    let mut one = Names::default();
                    one.push(&name);
                    self.desk.hold(dir, fd);
                    self.spawn_dirs(scope, Arc::clone(dir), one);
                }
                Ok((meta, Links::Follow)) if meta.kind == FileType::Directory => {
                    if self.order.max_depth.is_some_and(|max| dir.depth + 1 >= max) {
                        self.exclude();
                    } else {
                        let link = DirLink { dir: Arc::clone(dir), name };
                        self.links.lock().expect("no panic while it is held").push(link);
                    }
                }
                Ok((meta, _)) if self.order.own.is_passing(meta.id) => {}
                Ok((meta, links)) => {
                    // It is read here and now, so others may go on with the files behind it.
                    if meta.size >= LARGE && meta.n_links > 1 && names.len > 0 {
                        self.spawn_files(scope, dir, fd, names.take());
                    }
                    let is_mounted = meta.id.dev != dir.id.dev;
                    if self.order.own.has_name(dir.id, &name) && meta.kind == FileType::RegularFile {
                        self.skip(dir.root, &path, Skip::new(SkipKind::OwnFile), out);
                    } else {
                        let home = Home::In { dir: Arc::clone(dir), name: name.clone(), links, is_mounted };
                        let file = File { root: dir.root, path: path.clone(), home, meta };
                        let target = Target { dir: fd.as_fd(), name: &name, links, is_mounted };
                        self.content(file, &name, target, out);
                    }
                }
            }
        }
    }

    /// What an entry is, and whether a link had to be followed to know.
    fn identify(&self, dir: &OwnedFd, name: &[u8]) -> Result<(Meta, Links), Skip> {
        let meta = Meta::at(dir, name, Links::Never).map_err(refused)?;
        if meta.kind != FileType::Symlink || !self.order.follow {
            return Ok((meta, Links::Never));
        }
        match Meta::at(dir, name, Links::Follow) {
            Ok(meta) => Ok((meta, Links::Follow)),
            Err(Errno::NOENT | Errno::NOTDIR) => Err(Skip::new(SkipKind::DanglingLink)),
            Err(Errno::LOOP) => Err(Skip::new(SkipKind::LinkLoop)),
            Err(errno) => Err(refused(errno)),
        }
    }

    fn is_included(&self, path: &[u8], name: &[u8]) -> bool {
        let included = self.order.include.is_none() || self.order.include.matches(path, name);
        if !included {
            self.exclude();
        }
        included
    }
}

/// What came of opening a directory.
enum Entered {
    Open(Arc<Dir>, Arc<OwnedFd>),
    Excluded,
    Skip(Skip),
}
