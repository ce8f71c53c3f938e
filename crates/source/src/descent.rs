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
//! What a file's content is, and how it is read, is not known here.

use crate::crew::{Ending, File, Hoard, Home, Worker};
use crate::dir::{Desk, Dir, open_dir, open_root, with_root};
use crate::links::{Claim, HardLinks};
use crate::meta::{Id, Links, Meta, nothing_to_read, refused, words};
use crate::names::Names;
use crate::pseudo;
use crate::read::{Attempt, LARGE, Open, Reader, Reading, Target, Trouble};
use crate::rows::Outbox;
use crate::suspicion::suspicion_of;
use crate::{Gauges, Recorded, Root, Rows, Walk, Walked};
use hashsweep_model::{Place, Seen, Skip, SkipKind};
use rayon::{Scope, ThreadPool};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, RawDir};
use rustix::io::Errno;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

/// Files in one task: enough to make the task's own cost vanish (a file of 4 KiB costs about 10 µs, a task 1).
const FILES: usize = 64;

/// Tasks of files that may wait for each thread. With as many waiting nobody is idle, and a directory of
/// millions is gone through by whoever lists it instead of growing the queue.
const WAITING_PER_JOB: usize = 4;

/// What one call to the kernel lists at most: some thousand names.
const LISTING: usize = 32 * 1024;

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
    hard_links: HardLinks<File>,
    hoard: Hoard,
    /// One for each of the pool's threads, which alone takes its lock.
    workers: Vec<Mutex<Worker<'w>>>,
    desk: Desk,
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
    ) -> Descent<'w> {
        let reader = Reader::new(&order.kinds, &order.own);
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
            hard_links: HardLinks::default(),
            hoard: Hoard::default(),
            workers: (0..order.jobs.get()).map(|_| worker()).collect(),
            desk: Desk::new(),
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
        Walked { finished: self.ending.is_whole(), excluded: self.n_excluded.into_inner() }
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
            if files.len == FILES {
                let files = files.take();
                if self.n_waiting.load(Relaxed) < WAITING_PER_JOB * self.order.jobs.get() {
                    self.spawn_files(scope, dir, fd, files);
                } else {
                    self.files(scope, dir, fd, files, out);
                }
            }
        }
        if dirs.len > 0 {
            self.desk.hold(dir, fd);
            self.spawn_dirs(scope, Arc::clone(dir), dirs);
        }
        self.files(scope, dir, fd, files, out);
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

    /// Anything that is not a directory: its row, or its way to one.
    fn content(&self, file: File, name: &[u8], target: Target<'_>, out: &mut Outbox<'_>) {
        if !self.is_included(&file.path, name) {
            return;
        }
        let skip = if let Some(skip) = nothing_to_read(file.meta.kind) {
            Some(skip)
        } else if self.order.own.has(file.meta.id) {
            Some(Skip::new(SkipKind::OwnFile))
        } else {
            None
        };
        if let Some(skip) = skip {
            return out.put(file.root, Place::Path(file.path), Seen::Skipped(skip));
        }
        if !self.is_wanted(&file.meta) {
            return self.exclude();
        }
        self.gauges.files_seen.fetch_add(1, Relaxed);
        let first = if file.meta.n_links > 1 {
            let meta = file.meta;
            match self.hard_links.claim(&meta, file) {
                Claim::First(file) => Some(file),
                claim => return self.claimed(&mut self.worker(), claim),
            }
        } else {
            self.hoard.keep(file)
        };
        if let Some(file) = first {
            let open = self.reader.begin(target, &file.meta);
            self.begun(&mut self.worker(), file, open);
        }
    }

    /// Reads the large files that were kept, on all threads, and hashes what is still in the lanes.
    pub(crate) fn large(&self, pool: &ThreadPool) {
        let (hands, rest) = self.hoard.deal(self.workers.len());
        let n_files: usize = hands.iter().map(|hand| hand.lock().expect("nobody has it yet").len()).sum();
        let next = |nth: usize| {
            let of_mine = hands[nth].lock().expect("no panic while it is held").pop_front();
            of_mine.or_else(|| rest.lock().expect("no panic while it is held").pop_front())
        };
        pool.broadcast(|thread| {
            let mut worker = self.worker();
            worker.out.flush();
            while let Some(file) = next(thread.index()) {
                if self.is_over() {
                    break;
                }
                // Fewer files than threads: their lanes would stay empty, and a file's digests can be shared out.
                if n_files < self.workers.len()
                    && let Some(attempt) = self.shared(&file)
                {
                    self.settle(&mut worker, file, attempt);
                } else {
                    let open = self.at(&file, |target| self.reader.begin(target, &file.meta));
                    self.begun(&mut worker, file, open);
                }
            }
            worker.finish();
            self.settle_ended(&mut worker);
            worker.out.flush();
        });
    }

    fn shared(&self, file: &File) -> Option<Result<Attempt, Trouble>> {
        let on_block = &mut |n_bytes| self.ending.on_block(self.gauges, n_bytes);
        let attempt = self.at(file, |target| Ok(self.reader.attempt_shared(target, &file.meta, on_block)));
        attempt.unwrap_or_else(|trouble| Some(Err(trouble)))
    }

    /// The thread's own.
    fn worker(&self) -> MutexGuard<'_, Worker<'w>> {
        let nth = rayon::current_thread_index().expect("rows are made by the pool's threads");
        self.workers[nth].lock().expect("no panic while it is held")
    }

    /// A file was opened, or was not.
    fn begun(&self, worker: &mut Worker<'w>, file: File, open: Result<Option<Open>, Trouble>) {
        match open {
            Ok(Some(open)) => worker.push(file, open),
            Ok(None) => self.settle(worker, file, Ok(Attempt::Changed)),
            Err(trouble) => self.settle(worker, file, Err(trouble)),
        }
        self.settle_ended(worker);
    }

    fn settle_ended(&self, worker: &mut Worker<'w>) {
        while let Some((file, attempt)) = worker.ended() {
            self.settle(worker, file, attempt);
        }
    }

    /// A first attempt has ended: the file's row, those of its other names that waited for it, or a second attempt.
    fn settle(&self, worker: &mut Worker<'w>, file: File, attempt: Result<Attempt, Trouble>) {
        let reading = match attempt {
            Ok(Attempt::Steady(reading)) => Ok(reading),
            Ok(first) => self.alone(&file, Some(first)),
            Err(trouble) => Err(trouble),
        };
        if file.meta.n_links > 1 {
            for claim in self.hard_links.settle(&file.meta, &reading, |other| other.meta) {
                self.claimed(worker, claim);
            }
        }
        self.row(worker, file, reading);
    }

    /// What a further name of a file learned.
    fn claimed(&self, worker: &mut Worker<'w>, claim: Claim<File>) {
        match claim {
            Claim::Known(file, reading) => self.row(worker, file, reading.map_err(Trouble::Skip)),
            Claim::First(file) | Claim::Alone(file) => {
                let reading = self.alone(&file, None);
                self.row(worker, file, reading);
            }
            Claim::Waits => {}
        }
    }

    /// Reads a file outside of the lanes: a rare one that would not hold still, or a name of its own mind.
    fn alone(&self, file: &File, first: Option<Attempt>) -> Result<Reading, Trouble> {
        self.at(file, |target| {
            let on_block = &mut |n_bytes| self.ending.on_block(self.gauges, n_bytes);
            self.reader.read(target, &file.meta, first, on_block)
        })
    }

    /// Goes to where the file is.
    fn at<T>(&self, file: &File, run: impl FnOnce(Target<'_>) -> Result<T, Trouble>) -> Result<T, Trouble> {
        match &file.home {
            Home::In { dir, name, links, is_mounted } => {
                let fd = dir.open(&self.desk)?;
                run(Target { dir: fd.as_fd(), name, links: *links, is_mounted: *is_mounted })
            }
            Home::Root => {
                let root = &self.order.roots[usize::try_from(file.root).expect("32 bits fit")];
                with_root(&root.open_at, |dir, name| {
                    Ok(run(Target { dir, name, links: Links::Follow, is_mounted: false }))
                })
                .unwrap_or_else(|errno| Err(refused(errno).into()))
            }
        }
    }

    fn row(&self, worker: &mut Worker<'w>, file: File, reading: Result<Reading, Trouble>) {
        let seen = match reading {
            Ok(Reading { size, digests, content, meta }) => {
                let modified = meta.modified.stamp();
                let suspicion = suspicion_of(self.order, file.root, &file.path, content, modified);
                Seen::Read { size, digests, asked: worker.asked(), suspicion }
            }
            Err(Trouble::Skip(skip)) => Seen::Skipped(skip),
            Err(Trouble::Stopped) => return,
        };
        worker.out.put(file.root, Place::Path(file.path), seen);
    }

    /// Whether a regular file's size and times pass the filters.
    fn is_wanted(&self, meta: &Meta) -> bool {
        self.order.min_size.is_none_or(|min| meta.size >= min)
            && self.order.max_size.is_none_or(|max| meta.size <= max)
            && self
                .order
                .newer
                .is_none_or(|newer| meta.modified.stamp() >= newer || meta.changed.stamp() >= newer)
    }
}

/// What came of opening a directory.
enum Entered {
    Open(Arc<Dir>, Arc<OwnedFd>),
    Excluded,
    Skip(Skip),
}
