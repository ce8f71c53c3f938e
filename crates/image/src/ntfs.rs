//! NTFS: every file that a record of the master file table describes, whether a directory names it or not.
//!
//! Three passes in the order of the table: the records say what is in use and what it is called, the directories are
//! held against that, and then every file is given with its extents, its alternate data streams as `file:stream`. A
//! file that the root does not reach is given under `/$Orphans`.
//!
//! Memory grows with the names, by about 150 bytes each. The log is not replayed: a volume that was not closed is
//! given as it lies on the disk, with a problem that says so.

mod boot;
mod deleted;
mod file;
mod index;
mod log;
mod lznt1;
mod mft;
mod names;
mod record;
mod runs;
mod wof;

use crate::deleted::{Deleted, Remains};
use crate::fault::{Fault, damaged};
use crate::found::{FileSystem, Found};
use crate::item::{Data, Extent, Item, Kind, Stream, Summary};
use crate::names::wrong_with;
use crate::reader::ImageReader;
use crate::utf16::{name_of, units};
use file::File;
pub(crate) use lznt1::decode as unpack_lznt1;
use mft::Mft;
use names::{Names, ROOT, spelled};
use record::{BITMAP, DATA, INDEX_ROOT, State};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;
pub use wof::Wof;

/// The records of the file system's own files; the root among them is a directory like any other.
const OWN: u64 = 12;
/// Up to here nothing has been, so far.
const RESERVED: u64 = 16;
/// The record of `$Extend`, the directory of more files of the file system's own.
const EXTEND: u64 = 11;
/// The record of the volume's name, which has no content.
const VOLUME: u64 = 3;
/// The record of clusters that cannot be read: a stream as large as the volume, and where all is well one hole.
const BAD: u64 = 8;
/// Numbers that are kept free for the table's own continuation.
const KEPT: u64 = 24;
/// Bytes of holes that a volume's files may have together before the rest is reported: zeros cost time to hash.
const MOST_HOLES: u64 = 1 << 40;

/// An NTFS volume.
pub struct Ntfs(Mft);

/// What the first pass found in use.
#[derive(Clone, Copy)]
enum Used {
    File {
        is_directory: bool,
    },
    /// Of the file with this number.
    Continuation,
}

/// One walk over the volume.
struct Walk<'w, 's> {
    mft: &'w Mft,
    found: Found<'s>,
    used: BTreeMap<u64, Used>,
    names: Names,
    /// Work that the volume's size permits: a hostile one gives the same clusters again and again.
    content: u64,
    holes: u64,
    metadata: u64,
}

impl Ntfs {
    /// Reads the boot sector and finds the whole of the master file table.
    pub fn open(image: Arc<dyn ImageReader>) -> Result<Ntfs, Fault> {
        Ok(Ntfs(Mft::open(image)?))
    }
}

impl FileSystem for Ntfs {
    fn kind(&self) -> &'static str {
        "NTFS"
    }

    fn walk(&self, sink: &mut dyn FnMut(Item) -> ControlFlow<()>) -> Summary {
        let boot = &self.0.boot;
        let n_bytes = boot.n_clusters.saturating_mul(boot.cluster);
        let mut walk = Walk {
            mft: &self.0,
            found: Found::new(sink),
            used: BTreeMap::new(),
            names: Names::default(),
            content: n_bytes.saturating_mul(2),
            holes: MOST_HOLES,
            metadata: n_bytes.saturating_mul(2),
        };
        if n_bytes > self.0.image.size() {
            walk.found.problem(b"/".to_vec(), Fault::PastEnd { offset: self.0.image.size() });
        }
        if self.0.mended.is_some() {
            let what = "the first record of the master file table; its copy was taken";
            walk.found.problem(b"/$MFT".to_vec(), damaged(what, 0));
        }
        match log::is_clean(&self.0) {
            Ok(true) => {}
            Ok(false) => {
                let what = "the log was not closed and may hold changes that are not on the disk; it was not replayed";
                walk.found.problem(b"/".to_vec(), Fault::Unsupported(what.into()));
            }
            Err(fault) => walk.found.problem(b"/$LogFile".to_vec(), fault),
        }
        walk.records();
        walk.directories();
        walk.files();
        let doubts = walk.names.contradictions(walk.all_directories().into_iter());
        walk.found.problems(doubts);
        walk.found.summary
    }

    fn deleted(&self, sink: &mut dyn FnMut(Deleted) -> ControlFlow<()>) -> Option<Remains> {
        Some(deleted::search(&self.0, sink))
    }
}

impl Walk<'_, '_> {
    /// What is in use, and what it is called.
    fn records(&mut self) {
        let bitmap = self.file(0).and_then(|file| {
            let bitmap = file.stream(BITMAP, b"");
            bitmap.ok_or_else(|| damaged("a master file table without a bitmap", 0))?.bytes(self.mft)
        });
        let bitmap = bitmap.unwrap_or_else(|fault| {
            self.found.problem(b"/$MFT".to_vec(), fault);
            Vec::new()
        });
        let is_claimed = |number: u64| {
            let byte = usize::try_from(number / 8).ok().and_then(|at| bitmap.get(at));
            byte.is_some_and(|byte| byte >> (number % 8) & 1 == 1)
        };
        let Walk { mft, found, used, names, .. } = self;
        let all = mft.all(State::InUse, |number, record| {
            match record {
                Ok(Some(record)) => {
                    found.summary.allocated += 1;
                    let mut lost = |fault| found.problem(format!("/$MFT/{number}").into_bytes(), fault);
                    match record.base {
                        None => {
                            used.insert(number, Used::File { is_directory: record.is_directory });
                            names.know(record.me);
                            names.add(record.me, &record, &mut lost);
                        }
                        Some(base) => {
                            used.insert(number, Used::Continuation);
                            names.add(base, &record, &mut lost);
                        }
                    }
                }
                Ok(None) if is_claimed(number) && number >= KEPT => {
                    found.summary.allocated += 1;
                    let fault = damaged("a record that the bitmap calls used and that is not", number);
                    found.lose(vec![format!("/$MFT/{number}").into_bytes()], fault);
                }
                Ok(None) => {}
                Err(fault) => {
                    found.summary.allocated += 1;
                    found.lose(vec![format!("/$MFT/{number}").into_bytes()], fault);
                }
            }
            !found.stopped
        });
        if let Err(fault) = all {
            self.found.problem(b"/$MFT".to_vec(), fault);
        }
    }

    fn all_directories(&self) -> Vec<u64> {
        let is_directory = |used: &Used| matches!(used, Used::File { is_directory: true });
        self.used.iter().filter(|(_, used)| is_directory(used)).map(|(number, _)| *number).collect()
    }

    /// Whether what directories list is there.
    fn directories(&mut self) {
        for number in self.all_directories() {
            if self.found.stopped {
                return;
            }
            let listed = self.file(number).and_then(|file| {
                let n_bytes = file.streams.iter().map(|stream| stream.size).fold(0, u64::saturating_add);
                let left = self.metadata.checked_sub(n_bytes);
                self.metadata =
                    left.ok_or_else(|| damaged("more metadata than the volume has room for", number))?;
                index::listed(self.mft, &file)
            });
            let path = |names: &Names| names.paths(number).swap_remove(0);
            match listed {
                Ok(listed) => {
                    let stale = listed.iter().filter(|file| !self.names.is(**file)).count();
                    if stale > 0 {
                        let fault = damaged("a directory lists files that are not there", stale as u64);
                        self.found.problem(path(&self.names), fault);
                    }
                }
                // Its files are found without it.
                Err(fault) => self.found.problem(path(&self.names), fault),
            }
        }
    }

    fn file(&self, number: u64) -> Result<File, Fault> {
        let record = self.mft.record(number, State::InUse)?;
        let record = record.ok_or_else(|| damaged("a record that was in use a moment ago", number))?;
        Ok(File::read(self.mft, &record))
    }

    /// Every file with its streams.
    fn files(&mut self) {
        let all: Vec<(u64, Used)> = self.used.iter().map(|(number, used)| (*number, *used)).collect();
        let mut continuations = BTreeSet::new();
        for (number, used) in all {
            if self.found.stopped {
                return;
            }
            match used {
                Used::Continuation => {
                    self.found.summary.internal += 1;
                    continuations.insert(number);
                }
                Used::File { .. } => match self.file(number) {
                    Ok(file) => {
                        for continuation in &file.continued_in {
                            self.used.remove(continuation);
                        }
                        self.give(file);
                    }
                    Err(fault) => self.found.lose(self.names.paths(number), fault),
                },
            }
        }
        for number in continuations.into_iter().filter(|number| self.used.contains_key(number)) {
            let fault = damaged("a record that continues no file", number);
            self.found.problem(format!("/$MFT/{number}").into_bytes(), fault);
        }
    }

    fn give(&mut self, file: File) {
        let number = file.me.number;
        let paths = self.names.paths(number);
        let first = paths[0].clone();
        let is_own = number < OWN && number != ROOT;
        let is_index = file.streams.iter().any(|stream| stream.kind == INDEX_ROOT);
        let mut tag = file.reparse_tag(self.mft);
        let point = file.reparse_point(self.mft);
        let is_packed = matches!(tag, Some(Ok(wof::TAG)));
        let mut packed = None;
        let mut faults = file.faults;
        let (mut main, mut keeps_own) = (None, false);
        let mut seen = HashSet::new();
        for stream in file.streams.into_iter().filter(|stream| stream.kind == DATA) {
            if is_packed && *stream.name == *wof::NAME && packed.is_none() {
                packed = Some(stream);
            } else if !stream.name.is_empty() {
                if !seen.insert(stream.name.clone()) {
                    self.found.problem(first.clone(), damaged("two streams with one name", number));
                }
                if self.is_own_stream(number, &stream.name) {
                    keeps_own = true;
                    if number == BAD && stream.extents.as_ref().is_ok_and(|extents| there(extents) > 0) {
                        let what = "clusters that are marked bad; nobody looked at them";
                        faults.push(Fault::Unsupported(what.into()));
                    }
                } else {
                    self.alternate(number, &paths, stream);
                }
            } else if main.replace(stream).is_some() {
                faults.push(damaged("a file with several contents", number));
            }
        }
        if let (Some(packed), Some(main), Some(Ok(point))) = (packed, &mut main, point) {
            // From here on the file is like one that was never packed.
            tag = None;
            match self.unpacked(&point, &packed, main) {
                Ok(extents) => main.extents = Ok(extents),
                Err(fault) => {
                    faults.push(fault);
                    self.alternate(number, &paths, packed);
                }
            }
        }
        let mut faults = faults.into_iter();
        if is_own {
            if number == VOLUME {
                self.hidden(number, &paths, main);
            }
            self.found.summary.internal += 1;
        } else if let Some(fault) = faults.next() {
            self.found.lose(paths, fault);
        } else {
            let is_reserved = number < RESERVED && number != ROOT;
            match (Stands::of(tag), main) {
                (Ok(Stands::Entry(kind)), main) if !file.is_directory || kind == Kind::Link => {
                    self.hidden(number, &paths, main);
                    self.found.other(paths, kind);
                }
                (_, main) if file.is_directory => {
                    self.hidden(number, &paths, main);
                    self.found.summary.directories += 1;
                }
                (Err(fault), _) => self.found.lose(paths, fault),
                (Ok(_), None) if is_index || keeps_own => self.found.summary.internal += 1,
                (Ok(_), main) if is_reserved && main.as_ref().is_none_or(|main| main.size == 0) => {
                    self.found.summary.internal += 1;
                }
                (Ok(stands), Some(main)) => self.content(number, paths, main, stands),
                (Ok(_), None) => {
                    self.found.stream(Stream { node: number, paths, size: 0, extents: Vec::new() });
                }
            }
        }
        for fault in faults {
            self.found.problem(first.clone(), fault);
        }
    }

    /// The content of a file whose reparse point says that it is in another stream.
    fn unpacked(
        &self,
        point: &[u8],
        packed: &file::Stream,
        main: &file::Stream,
    ) -> Result<Vec<Extent>, Fault> {
        if main.extents.as_ref().map_or(1, |extents| there(extents)) > 0 {
            return Err(damaged(
                "a file compressed by the overlay filter that has content besides",
                main.size,
            ));
        }
        // Before its table is read, so that many files of one table cost no more than the volume permits.
        if main.size > self.content {
            return Err(damaged("more content than the volume has room for", main.size));
        }
        wof::extents(self.mft, point, packed, main.size)
    }

    /// The content of something that should have none, as an alternate stream without a name.
    fn hidden(&mut self, number: u64, paths: &[Vec<u8>], main: Option<file::Stream>) {
        if let Some(main) = main.filter(|main| main.size > 0) {
            self.alternate(number, paths, main);
        }
    }

    /// Whether it is one of the streams that NTFS itself keeps in its own files.
    fn is_own_stream(&self, number: u64, name: &[u8]) -> bool {
        let name = name_of(&units(name));
        match number {
            BAD => name == b"$Bad",
            9 => name == b"$SDS",
            10 => name == b"$Info",
            // The journal of changes, the log of transactions, and what was repaired.
            _ => {
                [&b"$J"[..], b"$Max", b"$T", b"$Config", b"$Corrupt", b"$Verify"].contains(&&name[..])
                    && self.names.is_below(number, EXTEND)
            }
        }
    }

    fn content(&mut self, number: u64, paths: Vec<Vec<u8>>, stream: file::Stream, stands: Stands) {
        match self.extents(stream) {
            Ok((size, extents)) if stands == Stands::CloudFile && there(&extents) < size => {
                let what =
                    format!("a file of which {} of {size} bytes are in the cloud", size - there(&extents));
                self.found.lose(paths, Fault::Unsupported(what));
            }
            Ok((size, extents)) => self.found.stream(Stream { node: number, paths, size, extents }),
            Err(fault) => self.found.lose(paths, fault),
        }
    }

    fn alternate(&mut self, number: u64, paths: &[Vec<u8>], stream: file::Stream) {
        let name = name_of(&units(&stream.name));
        let wrong = if stream.name.is_empty() { None } else { wrong_with(&name) };
        let name = spelled(&name);
        let paths: Vec<Vec<u8>> = paths.iter().map(|path| [path, &b":"[..], &name].concat()).collect();
        let first = paths[0].clone();
        self.found.summary.allocated += 1;
        self.content(number, paths, stream, Stands::Content);
        if let Some(what) = wrong {
            self.found.problem(first, damaged(what, number));
        }
    }

    fn extents(&mut self, stream: file::Stream) -> Result<(u64, Vec<Extent>), Fault> {
        if stream.is_encrypted() {
            return Err(Fault::Unsupported("a file encrypted by Windows (EFS)".into()));
        }
        let (size, extents) = (stream.size, stream.extents?);
        let there = there(&extents);
        let content = self.content.checked_sub(there);
        self.content = content.ok_or_else(|| damaged("more content than the volume has room for", 0))?;
        let holes = self.holes.checked_sub(size.saturating_sub(there));
        self.holes = holes.ok_or(Fault::Limit { what: "bytes of holes in one volume", limit: MOST_HOLES })?;
        Ok((size, extents))
    }
}

/// Bytes that are not holes.
fn there(extents: &[Extent]) -> u64 {
    extents.iter().map(|extent| if extent.data == Data::Zero { 0 } else { extent.len }).sum()
}

/// What a file's entry stands for (MS-FSCC, 2.1.2.1).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// Its content.
    Content,
    /// Its content, as far as it was fetched.
    CloudFile,
    /// Something without content.
    Entry(Kind),
}

impl Stands {
    fn of(reparse_tag: Option<Result<u32, Fault>>) -> Result<Stands, Fault> {
        let Some(tag) = reparse_tag.transpose()? else { return Ok(Stands::Content) };
        let what = match tag {
            // Symbolic links, junctions, and links of WSL.
            0xa000_000c | 0xa000_0003 | 0xa000_001d => return Ok(Stands::Entry(Kind::Link)),
            0x8000_0023 => return Ok(Stands::Entry(Kind::Socket)),
            0x8000_0024 => return Ok(Stands::Entry(Kind::Fifo)),
            0x8000_0025 | 0x8000_0026 => return Ok(Stands::Entry(Kind::Device)),
            tag if tag & 0xffff_0fff == 0x9000_001a => return Ok(Stands::CloudFile),
            wof::TAG => "a file that the Windows overlay filter (WOF) has elsewhere".into(),
            0x8000_0013 => "a file whose content is in Windows' deduplication store".into(),
            tag => format!("a file behind a reparse point of the kind 0x{tag:08x}"),
        };
        Err(Fault::Unsupported(what))
    }
}
