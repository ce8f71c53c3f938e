//! Where a fork's bytes are: eight extents beside its length, further ones in a tree of all files.

use super::header::Header;
use super::tree::{self, Tree};
use crate::budget::Budget;
use crate::fault::{Fault, be32, be64, damaged};
use crate::item::{Data, Extent};
use crate::reader::ImageReader;
use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState};

/// Of one file, as for every file system.
const MOST_EXTENTS: usize = 1 << 20;
/// Number of the file that bad blocks are given to.
const BAD_BLOCKS: u32 = 5;

/// First block and number of blocks.
type Run = (u32, u32);

/// Which of a file's two forks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Which {
    Data,
    Resource,
}

/// A fork as a record describes it.
#[derive(Clone, Debug)]
pub(super) struct Fork {
    /// Bytes.
    pub(super) size: u64,
    pub(super) n_blocks: u32,
    first: Vec<Run>,
}

impl Fork {
    pub(super) fn read(bytes: &[u8], at: usize) -> Result<Fork, Fault> {
        let first = runs(bytes.get(at + 16..at + 80).unwrap_or_default())?;
        Ok(Fork { size: be64(bytes, at)?, n_blocks: be32(bytes, at + 12)?, first })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.size == 0 && self.n_blocks == 0
    }
}

/// The extents of a record, of which the first without blocks is the end.
fn runs(bytes: &[u8]) -> Result<Vec<Run>, Fault> {
    let all = bytes.chunks_exact(8).map(|pair| Ok((be32(pair, 0)?, be32(pair, 4)?)));
    all.take_while(|run: &Result<Run, Fault>| !matches!(run, Ok((_, 0)))).collect()
}

/// The blocks of the volume: which belong to whom.
pub(super) struct Blocks {
    size: u64,
    n: u32,
    /// Extents beyond the eighth, by file, fork and the number of blocks before them. What was used is taken out.
    further: BTreeMap<(u32, Which, u32), Vec<Run>>,
    /// A bit for each block that a fork was seen to have, as far as the image reaches.
    used: Vec<u64>,
    /// Hashes of the runs of each fork. A disc may have a file under two numbers, which then share all of it.
    seen: HashSet<u64>,
    hasher: RandomState,
    /// Blocks that all forks may still have together: twice the volume's.
    left: u64,
}

/// The runs of a fork, in bytes.
pub(super) struct Runs {
    pub(super) extents: Vec<Extent>,
    /// Some of its blocks were those of another fork already, which is not the same from its first byte to its last.
    pub(super) is_shared: bool,
}

impl Blocks {
    pub(super) fn of(header: &Header, image: &dyn ImageReader) -> Blocks {
        let n_there = (image.size() / header.block_size).min(header.n_blocks.into());
        let words = usize::try_from(n_there.div_ceil(64)).unwrap_or(0);
        Blocks {
            size: header.block_size,
            n: header.n_blocks,
            further: BTreeMap::new(),
            used: vec![0; words],
            seen: HashSet::new(),
            hasher: RandomState::new(),
            left: n_there.saturating_mul(2).saturating_add(64),
        }
    }

    /// Reads the tree of further extents.
    pub(super) fn read_further(&mut self, tree: &Tree<'_>, budget: &mut Budget, faults: &mut Vec<Fault>) {
        let mut wrong = None;
        tree.visit(budget, faults, &mut |_, key, record| {
            let added = self.add_further(key, record);
            wrong = wrong.take().or(added.err());
        });
        faults.extend(wrong);
    }

    fn add_further(&mut self, key: &[u8], record: &[u8]) -> Result<(), Fault> {
        let which = match key.first() {
            Some(0) => Which::Data,
            Some(0xff) => Which::Resource,
            _ => return Err(damaged("extents of an unknown fork", 0)),
        };
        let (file, before) = (be32(key, 2)?, be32(key, 6)?);
        let runs = runs(record.get(..64).ok_or_else(|| damaged("a record of extents ends early", 0))?)?;
        match self.further.insert((file, which, before), runs) {
            None => Ok(()),
            Some(_) => Err(damaged("extents of a file that are there twice", file.into())),
        }
    }

    /// Where the fork of this file is. Its further extents are gone afterwards.
    pub(super) fn runs(&mut self, fork: &Fork, file: u32, which: Which) -> Result<Runs, Fault> {
        let wrong = |what| damaged(what, file.into());
        if fork.size.div_ceil(self.size) > fork.n_blocks.into() {
            return Err(wrong("a fork that is longer than its blocks"));
        }
        let (mut extents, mut is_shared, mut n) = (Vec::new(), false, 0_u64);
        let mut hash = self.hasher.build_hasher();
        fork.size.hash(&mut hash);
        let mut part = fork.first.clone();
        loop {
            for (start, count) in std::mem::take(&mut part) {
                if start.checked_add(count).is_none_or(|end| end > self.n) {
                    return Err(wrong("an extent beyond the volume"));
                }
                if extents.len() >= MOST_EXTENTS {
                    return Err(Fault::Limit { what: "extents of one file", limit: MOST_EXTENTS as u64 });
                }
                let left = self.left.checked_sub(count.into());
                self.left = left.ok_or_else(|| wrong("more content than the volume has room for"))?;
                is_shared |= self.mark(start, count);
                (start, count).hash(&mut hash);
                extents.push(Extent {
                    logical: n * self.size,
                    len: u64::from(count) * self.size,
                    data: Data::Disk(u64::from(start) * self.size),
                });
                n += u64::from(count);
            }
            let Some(before) = u32::try_from(n).ok().filter(|n| *n < fork.n_blocks) else { break };
            // None is empty, so that each takes the file on.
            part = self.further.remove(&(file, which, before)).unwrap_or_default();
            if part.is_empty() {
                return Err(wrong("extents of a file are missing"));
            }
        }
        if n > fork.n_blocks.into() {
            return Err(wrong("a fork with more blocks than it says"));
        }
        extents.retain(|extent| extent.logical < fork.size);
        if let Some(last) = extents.last_mut() {
            last.len = last.len.min(fork.size - last.logical);
        }
        let is_new = self.seen.insert(hash.finish());
        Ok(Runs { extents, is_shared: is_shared && is_new })
    }

    /// Whether one of the blocks was marked before.
    fn mark(&mut self, start: u32, count: u32) -> bool {
        let mut is_shared = false;
        let (mut at, end) = (u64::from(start), u64::from(start) + u64::from(count));
        while at < end {
            let n = (64 - at % 64).min(end - at);
            let mask = (u64::MAX >> (64 - n)) << (at % 64);
            let Some(word) = usize::try_from(at / 64).ok().and_then(|nth| self.used.get_mut(nth)) else {
                break;
            };
            is_shared |= *word & mask != 0;
            *word |= mask;
            at += n;
        }
        is_shared
    }

    /// What is wrong with the extents that no file has asked for.
    pub(super) fn left_over(&self) -> Vec<Fault> {
        let (bad, lost): (Vec<_>, Vec<_>) =
            self.further.iter().partition(|((file, ..), _)| *file == BAD_BLOCKS);
        let n_bad: u64 = bad.iter().flat_map(|(_, runs)| runs.iter()).map(|(_, n)| u64::from(*n)).sum();
        let is_bad = (n_bad > 0).then(|| Fault::Unsupported(format!("{n_bad} blocks are marked bad")));
        let is_lost = lost
            .first()
            .map(|((file, ..), _)| damaged("extents of a file that is not in the catalog", (*file).into()));
        is_bad.into_iter().chain(is_lost).collect()
    }
}

/// The part of a fork from `at` on, as places of the volume.
pub(super) fn pieces(extents: &[Extent], at: u64, len: u64) -> Result<Vec<(u64, u64)>, Fault> {
    let ends = || damaged("something beyond the end of its fork", at);
    let end = at.checked_add(len).ok_or_else(ends)?;
    let first = extents.partition_point(|extent| extent.logical + extent.len <= at);
    let (mut pieces, mut from) = (Vec::new(), at);
    for extent in &extents[first..] {
        let Data::Disk(place) = extent.data else { return Err(ends()) };
        if from >= end {
            break;
        }
        let skip = from - extent.logical;
        let n = (extent.len - skip).min(end - from);
        pieces.push((place + skip, n));
        from += n;
    }
    if from < end { Err(ends()) } else { Ok(pieces) }
}

/// Opens the tree that the fork is; `None` if there is none.
pub(super) fn tree<'v>(
    image: &'v dyn ImageReader,
    blocks: &mut Blocks,
    fork: &Fork,
    file: u32,
    faults: &mut Vec<Fault>,
) -> Result<Option<Tree<'v>>, Fault> {
    if fork.is_empty() {
        return Ok(None);
    }
    let runs = blocks.runs(fork, file, Which::Data)?;
    if runs.is_shared {
        faults.push(damaged("blocks of the file system's own that are in two files", file.into()));
    }
    tree::Tree::open(image, runs.extents).map(Some)
}
