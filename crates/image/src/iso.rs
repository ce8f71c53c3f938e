//! ISO9660: the primary tree, with the names of Rock Ridge where there are any, and Joliet's.
//!
//! ```text
//!  sector 16: descriptors ─► root's record ─► directories ─► record ─► extents, one behind the other
//!             primary, Joliet                                   └─► Rock Ridge: name, kind, place of deep directories
//! ```
//!
//! Both trees are walked. Files are given under the better names, Rock Ridge's before Joliet's before the plain ones;
//! what only the other tree has is given under `/$Primary` or `/$Joliet`. Nothing on the volume says what is in use
//! beside its trees.

mod boot;
mod descriptors;
mod record;

use crate::budget::Budget;
use crate::fat::Fat;
use crate::fault::{Fault, be32, damaged, le32, plus, size, times};
use crate::found::{FileSystem, Found};
use crate::item::{Data, Extent, Item, Kind, Stream, Summary};
use crate::names::{Siblings, spelled};
use crate::reader::{ImageReader, read_vec};
use crate::utf16::name_of;
use descriptors::{Descriptor, Descriptors};
use record::{Record, Ridge, block_size};
use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

const SECTOR: u64 = 2048;
/// Behind the space for a boot loader.
const FIRST: u64 = 16;
const MOST_DEPTH: usize = 256;

/// An ISO9660 volume.
pub(crate) struct Iso {
    image: Arc<dyn ImageReader>,
    block_size: u64,
    n_blocks: u64,
    /// The primary one is the first.
    trees: Vec<Tree>,
    /// Blocks of the catalogues of boot images.
    catalogues: Vec<u32>,
    /// What the descriptors say of other things on the disc; given with the walk.
    beside: Vec<String>,
}

/// A tree of names.
struct Tree {
    root: Record,
    is_joliet: bool,
    /// The sector of its descriptor.
    nth: u64,
}

/// How the names of a tree are written.
#[derive(Clone, Copy)]
enum Naming {
    Plain,
    /// With so many bytes behind each record that are not its.
    Ridge(usize),
    Joliet,
}

/// A file, or another entry, of one tree.
struct Entry {
    path: Vec<u8>,
    what: What,
}

/// Positions and lengths of a file's bytes, one behind the other.
type Parts = Vec<(u64, u64)>;

/// What is wrong with names, by path.
type Doubts = Vec<(Vec<u8>, Fault)>;

enum What {
    File(Parts),
    Other(Kind),
    Lost(Fault),
}

/// A directory that is to be read.
struct Directory {
    path: Vec<u8>,
    block: u64,
    len: u64,
    depth: usize,
}

impl Iso {
    /// Reads the descriptors.
    pub(crate) fn open(image: Arc<dyn ImageReader>) -> Result<Iso, Fault> {
        let Descriptors { trees, catalogues, beside } = Descriptors::read(&*image)?;
        let primary = trees[0].bytes();
        let n_blocks = le32(primary, 80)?;
        if n_blocks != be32(primary, 84)? {
            return Err(damaged("a descriptor whose two spellings of a number differ", FIRST * SECTOR));
        }
        let block_size = block_size(primary)?;
        let tree = |descriptor: &Descriptor| {
            Ok(Tree { root: descriptor.root()?, is_joliet: descriptor.is_joliet(), nth: descriptor.nth })
        };
        let trees = trees.iter().map(tree).collect::<Result<_, Fault>>()?;
        Ok(Iso { block_size, n_blocks: n_blocks.into(), trees, catalogues, beside, image })
    }

    fn say_what_is_wrong_with_the_whole(&self, found: &mut Found<'_>) {
        let mut whole = |fault| found.problem(b"/".to_vec(), fault);
        let end = self.n_blocks.saturating_mul(self.block_size);
        if end > self.image.size() {
            whole(Fault::PastEnd { offset: self.image.size() });
        }
        for what in &self.beside {
            whole(Fault::Unsupported(what.clone()));
        }
        let has_hfs =
            read_vec(&*self.image, 1024, 2).is_ok_and(|magic| matches!(&magic[..], b"H+" | b"HX" | b"BD"));
        for (is_there, what) in [(has_hfs, "HFS"), (Fat::is_at(&*self.image), "FAT")] {
            if is_there {
                whole(Fault::Unsupported(format!(
                    "a volume of the kind {what} beside ISO9660; it was not looked at"
                )));
            }
        }
        match self.later_session(end) {
            Ok(None) => {}
            Ok(Some(at)) => {
                whole(Fault::Unsupported(format!("a later session at byte {at}; it was not looked at")));
            }
            Err(fault) => whole(fault),
        }
    }

    /// Where behind the volume another one begins: what was added to the medium later.
    fn later_session(&self, end: u64) -> Result<Option<u64>, Fault> {
        let mut at = end.div_ceil(SECTOR) * SECTOR;
        while at + SECTOR <= self.image.size() {
            if read_vec(&*self.image, at, 6)? == *b"\x01CD001" {
                return Ok(Some(at));
            }
            at += SECTOR;
        }
        Ok(None)
    }

    fn naming(&self, tree: &Tree, budget: &mut Budget) -> Naming {
        if tree.is_joliet {
            return Naming::Joliet;
        }
        // The root's record in its descriptor has no space behind it, the one in the root has.
        let own = self.sector_of(tree.root.block, budget).and_then(|sector| first(&sector));
        own.ok().and_then(|own| own.ridge()).map_or(Naming::Plain, Naming::Ridge)
    }

    /// The trees with their naming, the one with the best names first, and where what only the others have is given.
    fn ranked(&self, budget: &mut Budget) -> Vec<(&Tree, Naming, Vec<u8>)> {
        let mut joliet = self.trees.iter().filter(|tree| tree.is_joliet).map(|tree| tree.nth);
        let first_joliet = joliet.next();
        let mut ranked: Vec<_> = self
            .trees
            .iter()
            .enumerate()
            .map(|(nth, tree)| {
                let elsewhere = match tree.nth {
                    _ if nth == 0 => "/$Primary".into(),
                    sector if Some(sector) == first_joliet => "/$Joliet".into(),
                    sector => format!("/$Tree/{sector}"),
                };
                (tree, self.naming(tree, budget), elsewhere.into_bytes())
            })
            .collect();
        ranked.sort_by_key(|(tree, naming, _)| match naming {
            Naming::Ridge(_) => 0,
            Naming::Joliet if Some(tree.nth) == first_joliet => 1,
            Naming::Plain | Naming::Joliet => 2,
        });
        ranked
    }

    /// Adds the boot images that no tree has.
    fn boot_images(&self, contents: &mut Contents, found: &mut Found<'_>) {
        let mut nth = 0;
        for catalogue in &self.catalogues {
            let (images, fault) = boot::images(&*self.image, *catalogue);
            found.problems(fault.map(|fault| (b"/$Boot".to_vec(), fault)).into_iter().collect());
            for image in images {
                nth += 1;
                let path = format!("/$Boot/{nth}").into_bytes();
                match image {
                    Ok((at, len)) if contents.covers(at, len) => {}
                    Ok(place) => contents.add(vec![place], path),
                    Err(fault) => {
                        found.summary.allocated += 1;
                        found.lose(vec![path], fault);
                    }
                }
            }
        }
    }

    fn sector_of(&self, block: u64, budget: &mut Budget) -> Result<Vec<u8>, Fault> {
        budget.block()?;
        let at = times(block, self.block_size, "a directory beyond all sizes")?;
        read_vec(&*self.image, at, size(SECTOR)?)
    }

    /// All entries of a tree but its directories, which are counted.
    fn tree(
        &self,
        root: &Record,
        naming: Naming,
        budget: &mut Budget,
        found: &mut Found<'_>,
    ) -> (Vec<Entry>, Doubts) {
        let mut entries = Vec::new();
        let mut doubts = Doubts::new();
        let mut relocated = Vec::new();
        let mut seen = HashSet::new();
        let mut stack = vec![Directory { path: Vec::new(), block: root.block, len: root.len, depth: 0 }];
        loop {
            // What a record elsewhere stands for was read there; where none does, it is read here.
            let Some(directory) = stack
                .pop()
                .or_else(|| relocated.pop().filter(|directory: &Directory| !seen.contains(&directory.block)))
            else {
                if relocated.is_empty() {
                    return (entries, doubts);
                }
                continue;
            };
            found.summary.allocated += 1;
            let path = |directory: &Directory| match &directory.path[..] {
                [] => b"/".to_vec(),
                path => path.to_vec(),
            };
            if !seen.insert(directory.block) {
                found.lose(
                    vec![path(&directory)],
                    damaged("a directory that is in two places", directory.block),
                );
                continue;
            }
            if directory.depth > MOST_DEPTH {
                let limit = MOST_DEPTH as u64;
                found
                    .lose(vec![path(&directory)], Fault::Limit { what: "directories in one another", limit });
                continue;
            }
            found.summary.directories += 1;
            let mut read = Reading {
                iso: self,
                naming,
                directory: &directory,
                entries: &mut entries,
                more: None,
                siblings: Siblings::default(),
                doubts: Vec::new(),
            };
            let mut below = Vec::new();
            if let Err(fault) = read.all(&mut below, &mut relocated, budget) {
                found.problem(path(&directory), fault);
            }
            doubts.append(&mut read.doubts);
            stack.append(&mut below);
        }
    }
}

/// One directory while it is read.
struct Reading<'r> {
    iso: &'r Iso,
    naming: Naming,
    directory: &'r Directory,
    entries: &'r mut Vec<Entry>,
    /// The parts so far of a file that has more than one.
    more: Option<(Vec<u8>, Parts)>,
    siblings: Siblings,
    doubts: Doubts,
}

impl Reading<'_> {
    fn all(
        &mut self,
        below: &mut Vec<Directory>,
        relocated: &mut Vec<Directory>,
        budget: &mut Budget,
    ) -> Result<(), Fault> {
        let start = times(self.directory.block, self.iso.block_size, "a directory beyond all sizes")?;
        let mut fault = None;
        for nth in 0..self.directory.len.div_ceil(SECTOR) {
            budget.block()?;
            let at = plus(start, nth * SECTOR, "a directory beyond all sizes")?;
            let sector = read_vec(&*self.iso.image, at, size(SECTOR)?)?;
            let mut rest = &sector[..];
            // No record reaches into the next sector; what is left of one is zeros.
            while let Some(len @ 1..) = rest.first().map(|len| usize::from(*len)) {
                let Some(bytes) = rest.get(..len) else {
                    fault = Some(damaged("a record that leaves its sector", at));
                    break;
                };
                rest = &rest[len..];
                match Record::read(bytes, at) {
                    Ok(record) if matches!(record.name[..], [0 | 1]) => {}
                    Ok(record) => {
                        if let Err(other) = self.record(record, below, relocated, budget) {
                            fault = Some(other);
                        }
                    }
                    Err(other) => fault = Some(other),
                }
            }
        }
        if self.more.is_some() {
            fault = Some(damaged("a file whose last part is not there", start));
        }
        fault.map_or(Ok(()), Err)
    }

    fn record(
        &mut self,
        record: Record,
        below: &mut Vec<Directory>,
        relocated: &mut Vec<Directory>,
        budget: &mut Budget,
    ) -> Result<(), Fault> {
        let iso = self.iso;
        let ridge = match self.naming {
            Naming::Ridge(skip) => {
                let system = record.system.get(skip..).unwrap_or_default();
                Ridge::read(&*iso.image, iso.block_size, system, budget)?
            }
            Naming::Plain | Naming::Joliet => Ridge::default(),
        };
        let name = ridge.name.clone().unwrap_or_else(|| self.name(&record.name));
        let path = [&self.directory.path[..], b"/", &spelled(&name)].concat();
        // A file of several parts has a record for each, and where directories are moved to they may be alike.
        if !record.has_more && !ridge.is_relocated {
            self.doubts.extend(self.siblings.check(&name).map(|fault| (path.clone(), fault)));
        }
        let depth = self.directory.depth + 1;
        if let Some(block) = ridge.child {
            let own = iso.sector_of(block, budget).and_then(|sector| first(&sector))?;
            below.push(Directory { path, block, len: own.len, depth });
        } else if record.is_directory {
            let into = if ridge.is_relocated { relocated } else { below };
            into.push(Directory { path, block: record.block, len: record.len, depth });
        } else {
            self.file(path, &record, &ridge)?;
        }
        Ok(())
    }

    fn file(&mut self, path: Vec<u8>, record: &Record, ridge: &Ridge) -> Result<(), Fault> {
        let at = times(record.block, self.iso.block_size, "a file beyond all sizes")?;
        let mut parts = match self.more.take() {
            Some((known, parts)) if known == path => parts,
            Some((known, _)) => {
                let fault = damaged("a file whose last part is not there", at);
                self.entries.push(Entry { path: known, what: What::Lost(fault) });
                Vec::new()
            }
            None => Vec::new(),
        };
        if record.len > 0 {
            parts.push((at, record.len));
        }
        if record.has_more {
            self.more = Some((path, parts));
            return Ok(());
        }
        let is_there =
            |(at, len): &(u64, u64)| at.checked_add(*len).is_some_and(|end| end <= self.iso.image.size());
        let what = match (ridge.packed, ridge.kind) {
            (Some(packed), _) => What::Lost(Fault::Unsupported(packed.into())),
            (None, Some(kind)) if parts.is_empty() => What::Other(kind),
            _ if !parts.iter().all(is_there) => What::Lost(Fault::PastEnd { offset: self.iso.image.size() }),
            _ => What::File(parts),
        };
        self.entries.push(Entry { path, what });
        Ok(())
    }

    /// A name without the number of its version where it is the first, and without the dot that stands for no extension.
    fn name(&self, raw: &[u8]) -> Vec<u8> {
        let name = match self.naming {
            Naming::Joliet => {
                let units: Vec<u16> =
                    raw.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
                name_of(&units)
            }
            Naming::Plain | Naming::Ridge(_) => raw.to_vec(),
        };
        let name = name.strip_suffix(b";1").filter(|name| !name.is_empty()).unwrap_or(&name);
        let is_joliet = matches!(self.naming, Naming::Joliet);
        name.strip_suffix(b".").filter(|name| !is_joliet && !name.is_empty()).unwrap_or(name).to_vec()
    }
}

/// The first record of a directory, which is its own.
fn first(sector: &[u8]) -> Result<Record, Fault> {
    let wrong = || damaged("a directory without a record of its own", 0);
    let bytes = sector.get(..usize::from(*sector.first().ok_or_else(wrong)?)).ok_or_else(wrong)?;
    let record = Record::read(bytes, 0)?;
    if record.name == [0] && record.is_directory { Ok(record) } else { Err(wrong()) }
}

/// What is given of a tree, by where it lies: names of one content are names of one stream.
#[derive(Default)]
struct Contents {
    files: BTreeMap<Parts, Vec<Vec<u8>>>,
    /// Those of no bytes.
    empty: Vec<Vec<u8>>,
}

impl Contents {
    /// Whether a file begins there and has all of so many bytes, but for what fills its last sector.
    fn covers(&self, at: u64, len: u64) -> bool {
        let there = self.files.range(vec![(at, 0)]..vec![(at + 1, 0)]).map(|(parts, _)| parts[0]);
        there.max().is_some_and(|(_, there)| there.next_multiple_of(SECTOR) >= len)
    }

    fn add(&mut self, parts: Parts, path: Vec<u8>) {
        if parts.is_empty() {
            self.empty.push(path);
        } else {
            self.files.entry(parts).or_default().push(path);
        }
    }
}

impl FileSystem for Iso {
    fn kind(&self) -> &'static str {
        "ISO9660"
    }

    fn walk(&self, sink: &mut dyn FnMut(Item) -> ControlFlow<()>) -> Summary {
        let mut found = Found::new(sink);
        let mut budget = Budget::of(self.image.size() / SECTOR, SECTOR);
        self.say_what_is_wrong_with_the_whole(&mut found);
        let mut contents = Contents::default();
        let mut doubts = Doubts::new();
        for (nth, (tree, naming, elsewhere)) in self.ranked(&mut budget).into_iter().enumerate() {
            let mut more = Contents::default();
            let (entries, wrong) = self.tree(&tree.root, naming, &mut budget, &mut found);
            let below = |path: Vec<u8>| if nth == 0 { path } else { [&elsewhere[..], &path].concat() };
            doubts.extend(wrong.into_iter().map(|(path, fault)| (below(path), fault)));
            for Entry { path, what } in entries {
                let path = below(path);
                match what {
                    What::File(parts) if nth == 0 => contents.add(parts, path),
                    What::File(parts) if parts.is_empty() && !contents.empty.is_empty() => {}
                    What::File(parts) if contents.files.contains_key(&parts) => {}
                    What::File(parts) => more.add(parts, path),
                    What::Other(kind) => {
                        found.summary.allocated += 1;
                        found.other(vec![path], kind);
                    }
                    What::Lost(fault) => {
                        found.summary.allocated += 1;
                        found.lose(vec![path], fault);
                    }
                }
            }
            contents.files.extend(more.files);
            contents.empty.extend(more.empty);
        }
        self.boot_images(&mut contents, &mut found);
        contents.give(&mut budget, &mut found);
        found.problems(doubts);
        found.summary
    }
}

impl Contents {
    fn give(self, budget: &mut Budget, found: &mut Found<'_>) {
        let empty = self.empty.into_iter().map(|path| (Vec::new(), vec![path]));
        for (parts, paths) in self.files.into_iter().chain(empty) {
            if found.stopped {
                return;
            }
            found.summary.allocated += 1;
            let mut extents = Vec::new();
            let mut size = 0;
            for (at, len) in &parts {
                extents.push(Extent { logical: size, len: *len, data: Data::Disk(*at) });
                size += len;
            }
            let node = parts.first().map_or(0, |(at, _)| at / SECTOR);
            match budget.stream(size, &extents) {
                Ok(()) => found.stream(Stream { node, paths, size, extents }),
                Err(fault) => found.lose(paths, fault),
            }
        }
    }
}
