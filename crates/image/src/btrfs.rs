//! Btrfs on one device: every inode of every subvolume and snapshot, from a scan of its tree.
//!
//! ```text
//!  superblock ─► chunk tree: logical ─► device   ─► root tree ─► a tree for each subvolume: inodes, names, extents
//! ```
//!
//! Metadata with CRC-32C is checked, and a bad copy replaced by the other. The tree of the log is not replayed: it is
//! a problem. The names of a subvolume are held in memory while it is given, some 200 bytes a file.

mod extents;
mod space;
mod subvolume;
mod superblock;
mod tree;

use crate::budget::Budget;
use crate::fault::{Fault, damaged, le16, le32, le64};
use crate::found::{FileSystem, Found};
use crate::item::{Item, Kind, Stream, Summary};
use crate::reader::ImageReader;
use space::Space;
use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;
use subvolume::{Current, Files, Inode};
use superblock::Superblock;
use tree::{GO_ON, Root, Walker};

const FS_TREE: u64 = 5;
/// The first number that is free for subvolumes; the last are as far from the end.
const FIRST: u64 = 256;
/// Subvolumes may share all they have: so many times the volume's size, all files together.
const MOST_SHARED: u64 = 64;
/// Tools that make snapshots keep hundreds.
const MOST_SUBVOLUMES: usize = 65_536;
/// Bytes of the path of a subvolume. Those that lie deeper in one another are given by their numbers.
const MOST_PREFIX: usize = 65_536;

mod kind {
    pub(super) const INODE: u8 = 1;
    pub(super) const NAME: u8 = 12;
    pub(super) const LONG_NAME: u8 = 13;
    pub(super) const ENTRY: u8 = 96;
    pub(super) const EXTENT: u8 = 108;
    pub(super) const ROOT: u8 = 132;
    pub(super) const PARENT: u8 = 144;
}

/// A Btrfs volume.
pub struct Btrfs {
    sb: Superblock,
    space: Arc<Space>,
    device: Arc<dyn ImageReader>,
}

/// A tree of files, and where it is below another.
struct Subvolume {
    root: Root,
    parent: Option<Place>,
}

/// The parent's tree, the directory in it, and the name in that.
type Place = (u64, u64, Box<[u8]>);

impl Btrfs {
    /// Reads the superblock and the tree of chunks.
    pub fn open(device: Arc<dyn ImageReader>) -> Result<Btrfs, Fault> {
        let sb = Superblock::read(&*device)?;
        let space = Space::read(Arc::clone(&device), &sb)?;
        Ok(Btrfs { sb, space: Arc::new(space), device })
    }

    fn walker(&self) -> Walker<'_> {
        Walker { space: &self.space, sb: &self.sb }
    }

    /// All that the root tree names, by number.
    fn subvolumes(&self, budget: &mut Budget, faults: &mut Vec<Fault>) -> BTreeMap<u64, Subvolume> {
        let mut all = BTreeMap::new();
        let mut parents: BTreeMap<u64, Place> = BTreeMap::new();
        self.walker().scan(self.sb.root, budget, faults, &mut |key, bytes| {
            if key.object != FS_TREE && !(FIRST..=u64::MAX - FIRST).contains(&key.object) {
                return GO_ON;
            }
            if all.len() > MOST_SUBVOLUMES {
                return Err(Fault::Limit { what: "subvolumes", limit: MOST_SUBVOLUMES as u64 });
            }
            let ends = || damaged("a record of a subvolume ends early", key.object);
            match key.kind {
                // Its nodes may be free, and another's in a moment.
                kind::ROOT if le32(bytes, 216)? == 0 => {
                    let what =
                        format!("the subvolume {}, which is being deleted; it was not looked at", key.object);
                    return Err(Fault::Unsupported(what));
                }
                kind::ROOT => {
                    let root = Root { at: le64(bytes, 176)?, level: *bytes.get(238).ok_or_else(ends)? };
                    all.insert(key.object, Subvolume { root, parent: None });
                }
                kind::PARENT => {
                    let len = usize::from(le16(bytes, 16)?);
                    let name = bytes.get(18..18 + len).ok_or_else(ends)?;
                    parents.insert(key.object, (key.offset, le64(bytes, 0)?, name.into()));
                }
                _ => {}
            }
            GO_ON
        });
        for (id, parent) in parents {
            if let Some(subvolume) = all.get_mut(&id) {
                subvolume.parent = Some(parent);
            }
        }
        all
    }
}

/// One walk over the volume.
struct Walk<'w, 's> {
    volume: &'w Btrfs,
    found: Found<'s>,
    /// Those that were not given yet.
    all: BTreeMap<u64, Subvolume>,
    /// The subvolumes in each.
    below: BTreeMap<u64, Vec<u64>>,
    /// Of nodes.
    budget: Budget,
    /// Of files.
    content: Budget,
}

impl Walk<'_, '_> {
    fn run(&mut self) {
        let mut waiting: VecDeque<(u64, Vec<u8>)> = VecDeque::from([(FS_TREE, Vec::new())]);
        let elsewhere = |id: u64| format!("/$Subvolume/{id}").into_bytes();
        while !self.found.stopped {
            // What nothing reaches is given all the same.
            let unreached = || self.all.first_key_value().map(|(id, _)| (*id, elsewhere(*id)));
            let Some((id, prefix)) = waiting.pop_front().or_else(unreached) else { return };
            let prefix = if prefix.len() > MOST_PREFIX { elsewhere(id) } else { prefix };
            if let Some(subvolume) = self.all.remove(&id) {
                waiting.extend(self.subvolume(id, &subvolume, &prefix));
            }
        }
    }

    /// Gives the subvolume whose root is at `prefix`, and says where the ones below it are.
    fn subvolume(&mut self, id: u64, subvolume: &Subvolume, prefix: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let prefixed = |path: Vec<u8>| [prefix, &path].concat();
        let mut faults = Vec::new();
        let mut files = Files::default();
        self.volume.walker().scan(subvolume.root, &mut self.budget, &mut faults, &mut |key, bytes| {
            files.add(key, bytes);
            GO_ON
        });
        let whole = faults.into_iter().map(|fault| (prefixed(b"/".to_vec()), fault));
        self.found.problems(whole.collect());
        let contradictions = files.contradictions().into_iter();
        self.found.problems(contradictions.map(|(path, fault)| (prefixed(path), fault)).collect());
        let directories = files.directories();
        self.files(id, subvolume.root, &mut files, &prefixed);
        let places = self.below.get(&id).into_iter().flatten().filter_map(|child| {
            let (_, dir, name) = self.all.get(child)?.parent.as_ref()?;
            Some((*child, (*dir, &**name)))
        });
        let (children, places): (Vec<u64>, Vec<(u64, &[u8])>) = places.unzip();
        // A subvolume has a name in a directory like a file.
        let doubts = files.names.contradictions(directories.into_iter(), &places).into_iter();
        self.found.problems(doubts.map(|(path, fault)| (prefixed(path), fault)).collect());
        let at = places.into_iter().map(|(dir, name)| prefixed(files.names.path_of(dir, Some(name))));
        children.into_iter().zip(at).collect()
    }

    /// Gives every inode of a subvolume with its extents.
    fn files(&mut self, id: u64, root: Root, files: &mut Files, prefixed: &dyn Fn(Vec<u8>) -> Vec<u8>) {
        let Walk { volume, found, budget, content, .. } = self;
        found.summary.allocated += files.len() as u64;
        let mut give = |inode: Inode, files: &mut Files| {
            let number = inode.number;
            if files.take(number) {
                let paths = || files.names.paths_of(number).into_iter().map(prefixed).collect();
                give(id << 40 ^ number, inode, paths, content, found);
            }
            if found.stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let mut current = Current::default();
        // What is wrong with the tree was said when it was scanned for names.
        volume.walker().scan(root, budget, &mut Vec::new(), &mut |key, bytes| {
            let whole = current.add(&volume.space, key, bytes)?;
            Ok(whole.map_or(ControlFlow::Continue(()), |inode| give(inode, files)))
        });
        if let Some(inode) = current.end() {
            let _ = give(inode, files);
        }
        while let (false, Some(number)) = (found.stopped, files.take_any()) {
            let paths = files.names.paths_of(number).into_iter().map(prefixed).collect();
            found.lose(paths, damaged("an inode that was there a moment ago", number));
        }
    }
}

fn give(
    node: u64,
    inode: Inode,
    paths: impl Fn() -> Vec<Vec<u8>>,
    budget: &mut Budget,
    found: &mut Found<'_>,
) {
    let other = match inode.mode >> 12 {
        1 => Kind::Fifo,
        2 | 6 => Kind::Device,
        4 => {
            found.summary.directories += 1;
            return;
        }
        8 => {
            let size = inode.size;
            let runs = inode.runs.finish(size);
            match runs.and_then(|runs| budget.stream(size, &runs).map(|()| runs)) {
                Ok(extents) => found.stream(Stream { node, paths: paths(), size, extents }),
                Err(fault) => found.lose(paths(), fault),
            }
            return;
        }
        10 => Kind::Link,
        12 => Kind::Socket,
        _ => return found.lose(paths(), damaged("an inode of an unknown kind", node)),
    };
    found.other(paths(), other);
}

impl FileSystem for Btrfs {
    fn kind(&self) -> &'static str {
        "Btrfs"
    }

    fn image(&self) -> Option<Arc<dyn ImageReader>> {
        Some(Arc::clone(&self.space) as Arc<dyn ImageReader>)
    }

    fn walk(&self, sink: &mut dyn FnMut(Item) -> ControlFlow<()>) -> Summary {
        let mut found = Found::new(sink);
        let n_nodes = self.sb.size.min(self.device.size()) / self.sb.node_size;
        let mut budget = Budget::of(n_nodes.saturating_mul(MOST_SHARED), self.sb.node_size);
        let mut faults = Vec::new();
        if self.sb.has_log {
            faults.push(Fault::Unsupported(
                "the log holds changes that are not in the trees; it was not replayed".into(),
            ));
        }
        if self.sb.size > self.device.size() {
            faults.push(Fault::PastEnd { offset: self.device.size() });
        }
        let all = self.subvolumes(&mut budget, &mut faults);
        if !all.contains_key(&FS_TREE) {
            faults.push(damaged("no tree of files", self.sb.root.at));
        }
        for fault in faults {
            found.problem(b"/".to_vec(), fault);
        }
        let mut below: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (child, subvolume) in &all {
            if let Some((parent, ..)) = subvolume.parent {
                below.entry(parent).or_default().push(*child);
            }
        }
        let content = Budget::of(n_nodes.saturating_mul(MOST_SHARED), self.sb.node_size);
        let mut walk = Walk { volume: self, found, all, below, budget, content };
        walk.run();
        walk.found.summary
    }
}
