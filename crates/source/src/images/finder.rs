//! The walk of the images: what needs no content becomes a row at once, the rest goes to the readers.

use super::reader::Task;
use super::{DELETED, ImageOrder, skip_of};
use crate::crew::Ending;
use crate::rows::Outbox;
use crate::{Gauges, Recorded, Root, Rows};
use hashsweep_image::{
    Confidence, Container, Content, Deleted, DeletedSum, ImageReader, Item, Kind, Stream, Sum, deleted, open,
    open_raw, walk,
};
use hashsweep_model::{Place, Seen, Skip, SkipKind};
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hasher};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::SyncSender;

/// Files that are put in the order of the disk before they are read, and extents of them.
const BATCH: usize = 4096;
const BATCH_EXTENTS: usize = 1 << 18;

/// A group goes to one reader: as many files as it has lanes for, twice, unless they are large.
const GROUP: usize = 32;
const GROUP_BYTES: u64 = 4 << 20;

/// A line to say, which is whole only when the readers have ended.
pub(super) struct Remark {
    text: String,
    /// Of the walk of a volume.
    problems: Option<u64>,
    /// Contents that could not be read.
    unread: Arc<AtomicU64>,
}

impl Remark {
    pub(super) fn into_text(self) -> String {
        let Remark { text, problems, unread } = self;
        match (problems, unread.load(Relaxed)) {
            (Some(problems), 0) => format!("{text}; {problems} problems"),
            (Some(problems), n) => {
                format!("{text}; {} problems, {n} of them contents that could not be read", problems + n)
            }
            (None, 0) => text,
            (None, n) => format!("{text}; {n} contents could not be read"),
        }
    }
}

pub(super) struct Finder<'w> {
    order: &'w ImageOrder,
    recorded: &'w dyn Recorded,
    gauges: &'w Gauges,
    ending: &'w Ending<'w>,
    out: Outbox<'w>,
    /// Dropping it ends the readers.
    readers: SyncSender<Vec<Task>>,
    batch: Vec<Task>,
    n_extents: usize,
    excluded: u64,
    remarks: Vec<Remark>,
    /// Contents of each volume of this image that could not be read; the readers count them.
    unread: HashMap<String, Arc<AtomicU64>>,
    /// Names of volumes that were read, of all images.
    read_volumes: HashSet<String>,
    /// Fingerprints of the paths of this image that have a row.
    paths: HashSet<u128>,
}

impl<'w> Finder<'w> {
    pub(super) fn new(
        order: &'w ImageOrder,
        rows: &'w dyn Rows,
        recorded: &'w dyn Recorded,
        gauges: &'w Gauges,
        ending: &'w Ending<'w>,
        readers: SyncSender<Vec<Task>>,
    ) -> Finder<'w> {
        Finder {
            order,
            recorded,
            gauges,
            ending,
            out: Outbox::new(rows, gauges, &ending.closed),
            readers,
            batch: Vec::new(),
            n_extents: 0,
            excluded: 0,
            remarks: Vec::new(),
            unread: HashMap::new(),
            read_volumes: HashSet::new(),
            paths: HashSet::new(),
        }
    }

    /// Everything in one image. What keeps it from being opened is a row; the other images go on.
    pub(super) fn image(&mut self, root: u32, given: &Root) {
        if self.ending.is_over() {
            return;
        }
        self.paths.clear();
        self.unread.clear();
        let shown = String::from_utf8_lossy(&given.given).into_owned();
        let open = if self.order.raw { open_raw } else { open };
        let container = match open(&given.open_at) {
            Ok(container) => container,
            Err(fault) => return self.skip(root, [&given.given[..], b":/"].concat(), skip_of(&fault)),
        };
        if self.order.verify {
            self.verify(root, given, &container);
        }
        let walked = walk(&container, &mut |volume, bytes, item| {
            self.item(root, given, volume, bytes, item);
            if self.ending.is_over() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        self.send_batch();
        for notice in &walked.notices {
            self.remark(format!("{shown}: {notice}"));
        }
        self.read_volumes.extend(walked.volumes.iter().map(|sum| sum.volume.name.clone()));
        if !walked.stopped {
            for sum in &walked.volumes {
                let text = format!("{shown}:/{}", in_words(sum, &self.order.path_map));
                let unread = self.unread_of(&sum.volume.name);
                self.remarks.push(Remark { text, problems: Some(sum.summary.problems), unread });
            }
        }
        if self.order.deleted && !walked.stopped {
            self.deleted(root, given, &container);
        }
    }

    /// Deleted files, behind all that is there.
    fn deleted(&mut self, root: u32, given: &Root, container: &Container) {
        let sums = deleted(container, &mut |volume, bytes, found| {
            let below = |kept: &str| format!("{}{DELETED}/{kept}", self.order.path_map.name(volume));
            let path =
                |kept: &str, path: &[u8]| [&given.given[..], b":/", below(kept).as_bytes(), path].concat();
            match found {
                Deleted::Kept { stream, confidence } => {
                    let paths = stream.paths.iter().map(|below| path(name_of(confidence), below)).collect();
                    let unread = self.unread_of(&format!("{volume}{DELETED}"));
                    self.stream(root, paths, bytes, stream, unread);
                }
                Deleted::Gone { path: below, why } => {
                    let path = path("gone", &below);
                    if self.is_included(&path, given.given.len()) {
                        self.skip(root, path, Skip::because(SkipKind::NotRecoverable, why));
                    }
                }
            }
            if self.ending.is_over() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        self.send_batch();
        let shown = String::from_utf8_lossy(&given.given).into_owned();
        for sum in &sums {
            let text = format!("{shown}:/{}", deleted_in_words(sum, &self.order.path_map));
            let unread = self.unread_of(&format!("{}{DELETED}", sum.volume.name));
            self.remarks.push(Remark { text, problems: None, unread });
        }
    }

    fn item(&mut self, root: u32, given: &Root, volume: &str, bytes: &Arc<dyn ImageReader>, item: Item) {
        let path = |below: &[u8]| {
            let name = if volume.is_empty() { "" } else { self.order.path_map.name(volume) };
            let slash: &[u8] = if volume.is_empty() { b":" } else { b":/" };
            [&given.given, slash, name.as_bytes(), below].concat()
        };
        match item {
            Item::Stream(stream) => {
                let paths = stream.paths.iter().map(|below| path(below)).collect();
                let unread = self.unread_of(volume);
                self.stream(root, paths, bytes, stream, unread);
            }
            Item::Other { paths, kind } => {
                let paths: Vec<_> = paths.iter().map(|below| path(below)).collect();
                for path in paths {
                    if self.is_included(&path, given.given.len()) {
                        self.skip(root, path, nothing_to_read(kind));
                    }
                }
            }
            // No filter hides that something was not looked at.
            Item::Problem { path: below, fault } => self.skip(root, path(&below), skip_of(&fault)),
        }
    }

    fn unread_of(&mut self, volume: &str) -> Arc<AtomicU64> {
        if let Some(unread) = self.unread.get(volume) {
            return Arc::clone(unread);
        }
        Arc::clone(self.unread.entry(volume.to_owned()).or_default())
    }

    fn remark(&mut self, text: String) {
        self.remarks.push(Remark { text, problems: None, unread: Arc::default() });
    }

    fn stream(
        &mut self,
        root: u32,
        paths: Vec<Vec<u8>>,
        bytes: &Arc<dyn ImageReader>,
        stream: Stream,
        unread: Arc<AtomicU64>,
    ) {
        let n_image = self.order.roots[root as usize].given.len();
        let is_wanted = self.order.min_size.is_none_or(|min| stream.size >= min)
            && self.order.max_size.is_none_or(|max| stream.size <= max);
        if !is_wanted {
            self.excluded += paths.len() as u64;
            return;
        }
        let mut wanted = Vec::new();
        for path in paths {
            if self.is_included(&path, n_image) {
                let path = self.unlike_others(path);
                if !self.recorded.has(root, &path) {
                    wanted.push(path);
                }
            }
        }
        if wanted.is_empty() {
            return;
        }
        self.gauges.files_seen.fetch_add(wanted.len() as u64, Relaxed);
        self.n_extents += stream.extents.len();
        let content = Content::new(Arc::clone(bytes), stream.size, stream.extents);
        self.batch.push(Task { root, paths: wanted, n_image, content, unread });
        if self.batch.len() >= BATCH || self.n_extents >= BATCH_EXTENTS {
            self.send_batch();
        }
    }

    /// Whether the filters let a path through; an excluded directory takes what lies below it along.
    fn is_included(&mut self, path: &[u8], n_image: usize) -> bool {
        let name_of = |path: &[u8]| path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let slashes = path.iter().enumerate().skip(n_image).filter(|(_, byte)| **byte == b'/');
        let is_excluded = !self.order.exclude.is_none()
            && slashes.map(|(at, _)| at).chain([path.len()]).any(|end| {
                let upper = &path[..end];
                self.order.exclude.matches(upper, &upper[name_of(upper)..])
            });
        let is_included =
            self.order.include.is_none() || self.order.include.matches(path, &path[name_of(path)..]);
        let passes = is_included && !is_excluded;
        self.excluded += u64::from(!passes);
        passes
    }

    /// The path, or one made from it that no other row of this image has. Rows know no NUL.
    fn unlike_others(&mut self, path: Vec<u8>) -> Vec<u8> {
        let mut path = path;
        while let Some(at) = path.iter().position(|byte| *byte == 0) {
            path.splice(at..=at, *br"\x00");
        }
        let mut unlike = path.clone();
        let mut n = 1u64;
        while !self.paths.insert(fingerprint(&unlike)) {
            n += 1;
            unlike = [&path[..], format!("/$Again/{n}").as_bytes()].concat();
        }
        unlike
    }

    fn skip(&mut self, root: u32, path: Vec<u8>, skip: Skip) {
        let path = self.unlike_others(path);
        if !self.recorded.has(root, &path) {
            self.out.put(root, Place::Path(path), Seen::Skipped(skip));
        }
    }

    fn send_batch(&mut self) {
        self.n_extents = 0;
        let mut batch = std::mem::take(&mut self.batch);
        batch.sort_by_key(|task| task.content.first_place());
        let mut group = Vec::new();
        let mut n_bytes = 0u64;
        for task in batch {
            n_bytes = n_bytes.saturating_add(task.content.left());
            group.push(task);
            if group.len() >= GROUP || n_bytes >= GROUP_BYTES {
                self.send(std::mem::take(&mut group));
                n_bytes = 0;
            }
        }
        self.send(group);
    }

    fn send(&self, group: Vec<Task>) {
        if !group.is_empty() {
            self.readers.send(group).expect("the other end outlives this thread");
        }
    }

    /// Holds the disk against the digests that its maker stored.
    fn verify(&mut self, root: u32, given: &Root, container: &Container) {
        let shown = String::from_utf8_lossy(&given.given).into_owned();
        let mut on_block = |n: usize| self.ending.on_block(self.gauges, n as u64);
        let verified = match &container.ewf {
            Some(ewf) => ewf.verify(&mut on_block),
            None => Ok(None),
        };
        match verified {
            Ok(Some(true)) => {
                self.remark(format!("{shown}: the disk's digests are those stored with it"));
            }
            Ok(Some(false)) => {
                let skip =
                    Skip::because(SkipKind::Damaged, "the disk's digests are not those stored with it");
                self.skip(root, [&given.given[..], b":/"].concat(), skip);
            }
            Ok(None) if self.ending.is_over() => {}
            Ok(None) => {
                self.remark(format!("{shown}: nothing to verify, no digests are stored with the disk"));
            }
            Err(fault) => self.skip(root, [&given.given[..], b":/"].concat(), skip_of(&fault)),
        }
    }

    /// What the filters left out, and what there is to say once the readers have ended.
    pub(super) fn end(mut self) -> (u64, Vec<Remark>) {
        self.out.flush();
        self.gauges.excluded.store(self.excluded, Relaxed);
        let read = std::mem::take(&mut self.read_volumes);
        for volume in self.order.path_map.volumes().filter(|volume| !read.contains(*volume)) {
            self.remark(format!("--path-map names {volume}, and no such volume was read"));
        }
        (self.excluded, self.remarks)
    }
}

fn fingerprint(path: &[u8]) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(salt);
        hasher.write(path);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

fn nothing_to_read(kind: Kind) -> Skip {
    match kind {
        Kind::Link => Skip::new(SkipKind::SymbolicLink),
        Kind::Fifo => Skip::new(SkipKind::Fifo),
        Kind::Socket => Skip::new(SkipKind::Socket),
        Kind::Device => Skip::new(SkipKind::BlockDevice),
        Kind::NoFileSystem(what) => Skip::because(SkipKind::NotAFileSystem, what),
    }
}

/// What a path says of a deleted file's content.
fn name_of(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Certain => "certain",
        Confidence::Likely => "likely",
        Confidence::Guess => "guess",
    }
}

/// `p2$Deleted (NTFS): 12 deleted = 3 certain + 6 likely + 1 guess + 2 not recoverable`
fn deleted_in_words(sum: &DeletedSum, map: &super::PathMap) -> String {
    let DeletedSum { volume, kind, remains } = sum;
    let name = map.name(&volume.name);
    let Some(remains) = remains else {
        return format!("{name}{DELETED} ({kind}): deleted files are not looked for on volumes of this kind");
    };
    format!(
        "{name}{DELETED} ({kind}): {} deleted = {} certain + {} likely + {} guess + {} not recoverable",
        remains.certain + remains.likely + remains.guess + remains.gone,
        remains.certain,
        remains.likely,
        remains.guess,
        remains.gone,
    )
}

/// `p2 (ext): 12 in use = 9 streams + 1 others + 2 directories + 0 its own + 0 lost`
fn in_words(sum: &Sum, map: &super::PathMap) -> String {
    let Sum { volume, kind, summary } = sum;
    format!(
        "{} ({kind}): {} in use = {} with content + {} without + {} directories + {} its own + {} lost",
        map.name(&volume.name),
        summary.allocated,
        summary.streams,
        summary.others,
        summary.directories,
        summary.internal,
        summary.lost,
    )
}
