//! The clusters of FAT and exFAT: the table that chains them, and which of them the walk has reached.
//!
//! The whole table is held in memory: at most 4 bytes a cluster.

use crate::fault::{Fault, damaged, plus, size, times};
use crate::item::{Content, Data, Extent};
use crate::reader::{ImageReader, read_vec};
use std::sync::Arc;

/// A table of 128 million clusters of FAT32 fits: 4 TiB in clusters of 32 KiB.
const MOST_TABLE: u64 = 512 << 20;
/// The first two numbers stand for no cluster.
const FIRST: u32 = 2;

/// How wide a table's entries are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Twelve,
    Sixteen,
    /// Of which 28 bits count.
    ThirtyTwo,
    /// All 32 bits.
    Whole,
}

/// What a table says of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Cluster(u32),
    End,
    Free,
    Bad,
    Nonsense,
}

pub(crate) struct Clusters {
    pub(crate) image: Arc<dyn ImageReader>,
    /// Where the first cluster begins on the volume.
    heap: u64,
    /// Bytes of one.
    pub(crate) size: u64,
    /// How many there are.
    pub(crate) n: u32,
    width: Width,
    table: Vec<u8>,
}

/// Clusters one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    first: u32,
    n: u32,
}

/// The clusters of one file or directory.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    runs: Vec<Run>,
    n: u64,
    /// Why it does not end as it should.
    pub(crate) fault: Option<Fault>,
    /// Whether another one has some of them too.
    pub(crate) is_shared: bool,
}

impl Clusters {
    /// `table_at` is the position of the table that counts, `heap` that of the first cluster.
    pub(crate) fn read(
        image: Arc<dyn ImageReader>,
        width: Width,
        table_at: u64,
        (heap, size_of_one, n): (u64, u64, u32),
    ) -> Result<Clusters, Fault> {
        let n_entries = u64::from(n) + u64::from(FIRST);
        let n_bytes = match width {
            Width::Twelve => n_entries.div_ceil(2) * 3,
            Width::Sixteen => n_entries * 2,
            Width::ThirtyTwo | Width::Whole => n_entries * 4,
        };
        if n_bytes > MOST_TABLE {
            return Err(Fault::Limit { what: "bytes of a file allocation table", limit: MOST_TABLE });
        }
        let table = read_vec(&*image, table_at, size(n_bytes)?)?;
        Ok(Clusters { image, heap, size: size_of_one, n, width, table })
    }

    pub(crate) fn table(&self) -> &[u8] {
        &self.table
    }

    pub(crate) fn numbers(&self) -> std::ops::Range<u32> {
        FIRST..self.n.saturating_add(FIRST)
    }

    pub(crate) fn next(&self, cluster: u32) -> Next {
        let Some(entry) = self.entry(cluster) else { return Next::Nonsense };
        let (bad, end) = match self.width {
            Width::Twelve => (0xff7, 0xff8),
            Width::Sixteen => (0xfff7, 0xfff8),
            Width::ThirtyTwo => (0x0fff_fff7, 0x0fff_fff8),
            Width::Whole => (0xffff_fff7, 0xffff_fff8),
        };
        match entry {
            0 => Next::Free,
            next if self.numbers().contains(&next) => Next::Cluster(next),
            next if next == bad => Next::Bad,
            next if next >= end => Next::End,
            _ => Next::Nonsense,
        }
    }

    fn entry(&self, cluster: u32) -> Option<u32> {
        let nth = usize::try_from(cluster).ok()?;
        let wide = |len: usize, at: usize| -> Option<u32> {
            let mut bytes = [0; 4];
            bytes[..len].copy_from_slice(self.table.get(at..at.checked_add(len)?)?);
            Some(u32::from_le_bytes(bytes))
        };
        match self.width {
            Width::Twelve => {
                let pair = wide(2, nth.checked_add(nth / 2)?)?;
                Some(if nth % 2 == 0 { pair & 0xfff } else { pair >> 4 })
            }
            Width::Sixteen => wide(2, nth.checked_mul(2)?),
            Width::ThirtyTwo => Some(wide(4, nth.checked_mul(4)?)? & 0x0fff_ffff),
            Width::Whole => wide(4, nth.checked_mul(4)?),
        }
    }

    /// Follows the table from `first` to its end, or to where it cannot be followed.
    pub(crate) fn chain(&self, first: u32, reached: &mut Reached) -> Chain {
        let mut chain = Chain::default();
        if !self.numbers().contains(&first) {
            chain.fault = Some(damaged("a file that begins in no cluster", first.into()));
            return chain;
        }
        // Brent's: a circle is noticed within three times its length.
        let (mut mark, mut power, mut steps) = (first, 1u64, 0u64);
        let mut at = first;
        loop {
            if !reached.step() {
                chain.fault = Some(damaged("more chains than the volume has clusters for", at.into()));
                return chain;
            }
            chain.push(at, reached);
            let next = match self.next(at) {
                Next::Cluster(next) => next,
                Next::End => return chain,
                Next::Free | Next::Bad | Next::Nonsense => {
                    chain.fault = Some(damaged("a chain of clusters leads nowhere", at.into()));
                    return chain;
                }
            };
            if next == mark {
                chain.fault = Some(damaged("a chain of clusters is a circle", at.into()));
                return chain;
            }
            steps += 1;
            if steps == power {
                (mark, power, steps) = (next, power.saturating_mul(2), 0);
            }
            at = next;
        }
    }

    /// `n` clusters one behind the other from `first` on.
    pub(crate) fn straight(&self, first: u32, n: u64, reached: &mut Reached) -> Chain {
        let mut chain = Chain::default();
        let end = u64::from(first).checked_add(n);
        if !self.numbers().contains(&first) || end.is_none_or(|end| end > u64::from(self.numbers().end)) {
            chain.fault = Some(damaged("a file reaches past the last cluster", first.into()));
            return chain;
        }
        for nth in 0..n {
            if !reached.step() {
                chain.fault = Some(damaged("more chains than the volume has clusters for", first.into()));
                return chain;
            }
            chain.push(first + u32::try_from(nth).expect("its end is a cluster's number"), reached);
        }
        chain
    }

    /// The same as one extent; whose they are is not asked.
    pub(crate) fn run(&self, first: u32, n: u64) -> Result<Extent, Fault> {
        let end = u64::from(first).checked_add(n);
        if !self.numbers().contains(&first) || end.is_none_or(|end| end > u64::from(self.numbers().end)) {
            return Err(damaged("a file reaches past the last cluster", first.into()));
        }
        let beyond = "a file beyond all sizes";
        let start = plus(self.heap, times((first - FIRST).into(), self.size, beyond)?, beyond)?;
        Ok(Extent { logical: 0, len: times(n, self.size, beyond)?, data: Data::Disk(start) })
    }

    /// Where the `size` bytes of a chain lie.
    pub(crate) fn extents(&self, chain: &Chain, size: u64) -> Result<Vec<Extent>, Fault> {
        let beyond = "a file beyond all sizes";
        if chain.n.checked_mul(self.size).is_none_or(|there| there < size) {
            return Err(damaged("a file has more bytes than clusters", size));
        }
        let mut extents = Vec::new();
        let mut logical = 0;
        for run in &chain.runs {
            if logical >= size {
                break;
            }
            let there = times(run.n.into(), self.size, beyond)?;
            let start = plus(self.heap, times((run.first - FIRST).into(), self.size, beyond)?, beyond)?;
            let len = there.min(size - logical);
            extents.push(Extent { logical, len, data: Data::Disk(start) });
            logical += len;
        }
        Ok(extents)
    }

    /// Bytes of all its clusters.
    pub(crate) fn len_of(&self, chain: &Chain) -> u64 {
        chain.n.saturating_mul(self.size)
    }

    /// What is wrong with a chain that could be read all the same, for a content of so many bytes.
    pub(crate) fn doubt(&self, chain: Chain, size: u64) -> Option<Fault> {
        let what = if chain.is_shared {
            "clusters that belong to another file, too"
        } else if chain.n > size.div_ceil(self.size) {
            "clusters behind the end of the content; nobody looked at them"
        } else {
            return chain.fault;
        };
        chain.fault.or_else(|| Some(damaged(what, 0)))
    }

    /// Its content, of all its clusters.
    pub(crate) fn content(&self, chain: &Chain) -> Result<Content, Fault> {
        let len = self.len_of(chain);
        Ok(Content::new(Arc::clone(&self.image), len, self.extents(chain, len)?))
    }
}

impl Chain {
    /// The numbers of its clusters.
    pub(crate) fn clusters(&self) -> impl Iterator<Item = u64> + use<'_> {
        self.runs.iter().flat_map(|run| u64::from(run.first)..u64::from(run.first) + u64::from(run.n))
    }

    fn push(&mut self, cluster: u32, reached: &mut Reached) {
        self.is_shared |= !reached.take(cluster);
        self.n += 1;
        match self.runs.last_mut() {
            Some(run) if run.first.checked_add(run.n) == Some(cluster) => run.n += 1,
            _ => self.runs.push(Run { first: cluster, n: 1 }),
        }
    }
}

/// The clusters that something was found to consist of, and the work that is left for finding more.
pub(crate) struct Reached {
    bits: Vec<u64>,
    steps: u64,
}

impl Reached {
    pub(crate) fn none_of(clusters: &Clusters) -> Reached {
        let n = u64::from(clusters.n) + u64::from(FIRST);
        // An honest volume has each cluster in one chain.
        Reached { bits: vec![0; usize::try_from(n.div_ceil(64)).expect("32 bits fit")], steps: 4 * n + 1024 }
    }

    /// Takes a cluster; whether nobody had it before.
    pub(crate) fn take(&mut self, cluster: u32) -> bool {
        let (word, bit) = (cluster as usize / 64, 1 << (cluster % 64));
        let is_new = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        is_new
    }

    pub(crate) fn has(&self, cluster: u32) -> bool {
        self.bits.get(cluster as usize / 64).is_some_and(|word| word & 1 << (cluster % 64) != 0)
    }

    fn step(&mut self) -> bool {
        self.steps = self.steps.saturating_sub(1);
        self.steps > 0
    }
}

/// The records of a directory, 32 bytes each, up to the one that says it is the last.
pub(crate) struct Records {
    content: Content,
    block: Vec<u8>,
    at: usize,
    len: usize,
}

impl Records {
    pub(crate) fn of(content: Content) -> Records {
        Records { content, block: vec![0; 32 * 1024], at: 0, len: 0 }
    }

    /// Has the record that was given last given once more.
    pub(crate) fn put_back(&mut self) {
        self.at = self.at.saturating_sub(32);
    }

    /// The next one; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<[u8; 32]>, Fault> {
        if self.at == self.len {
            (self.at, self.len) = (0, 0);
            while self.len < self.block.len() {
                match self.content.read(&mut self.block[self.len..])? {
                    0 => break,
                    n => self.len += n,
                }
            }
        }
        let record = self.block[self.at..self.len].first_chunk::<32>().copied();
        self.at = self.len.min(self.at + 32);
        Ok(record.filter(|record| record[0] != 0))
    }
}
