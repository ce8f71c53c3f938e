//! QCOW2, versions 2 and 3: two levels of tables, clusters that are plain, compressed, zeros or the backing file's.
//!
//! Read are images whose reference counts are not up to date (the dirty bit): they only matter to writers. Refused
//! are those that their own writer called corrupt.

use crate::cache::Chunks;
use crate::fault::{Fault, be32, be64, damaged, size, times};
use crate::mapped::{Map, Mapped, Run, parent};
use crate::pieces::Piece;
use std::io::Read as _;
use std::path::Path;

pub(crate) const SIGNATURE: &[u8] = b"QFI\xfb";
/// What QEMU permits: 32 MiB, enough for 2 EiB.
const MOST_L1: u64 = 32 << 20;
const MOST_NAME: u64 = 1023;
const SUBCLUSTERS: u64 = 32;
/// Of zstd, as a power of two: clusters end at 2 MiB, and a window of more than four of them is no honest one.
const MOST_WINDOW: u32 = 23;

const DIRTY: u64 = 1;
const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
const COMPRESSION_TYPE: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;

pub(crate) struct Qcow2 {
    size: u64,
    cluster_bits: u32,
    has_subclusters: bool,
    has_zero_flag: bool,
    is_zstd: bool,
    l1: Vec<u64>,
    l2: Chunks,
}

/// The disk, and whether snapshots of it are in the container too.
pub(crate) fn open(path: &Path, depth: u32) -> Result<(Mapped<Qcow2>, bool), Fault> {
    let file = Piece::open(path)?;
    let head = file.record(0, file.len.min(112), 112)?;
    let version = be32(&head, 4)?;
    if !matches!(version, 2 | 3) {
        return Err(Fault::Unsupported(format!("QCOW of version {version}")));
    }
    let features = if version == 3 { be64(&head, 72)? } else { 0 };
    refuse(&head, features)?;
    let is_zstd = match (features & COMPRESSION_TYPE != 0, head.get(104)) {
        (false, _) | (true, Some(0)) => false,
        (true, Some(1)) => true,
        (true, kind) => return Err(Fault::Unsupported(format!("QCOW2 with compression {kind:?}"))),
    };
    let cluster_bits = be32(&head, 20)?;
    let has_subclusters = features & EXTENDED_L2 != 0;
    if !(if has_subclusters { 14..=21 } else { 9..=21 }).contains(&cluster_bits) {
        return Err(damaged("a cluster of no permitted size", 20));
    }
    let n_l1 = u64::from(be32(&head, 36)?);
    let l1 = {
        let table = file.record(be64(&head, 40)?, n_l1 * 8, MOST_L1)?;
        table.chunks_exact(8).map(|entry| be64(entry, 0)).collect::<Result<Vec<_>, _>>()?
    };
    let size = be64(&head, 24)?;
    let map = Qcow2 {
        size,
        cluster_bits,
        has_subclusters,
        has_zero_flag: version == 3,
        is_zstd,
        l1,
        l2: Chunks::default(),
    };
    if size.div_ceil(map.cluster_size()).div_ceil(map.n_entries()) > n_l1 {
        return Err(damaged("the first table is shorter than the disk", 36));
    }
    let backing = match be64(&head, 8)? {
        0 => None,
        at => {
            let name = file.record(at, be32(&head, 16)?.into(), MOST_NAME)?;
            Some(parent(path, &String::from_utf8_lossy(&name), depth)?)
        }
    };
    Ok((Mapped::new(file, map, backing), be32(&head, 60)? > 0))
}

fn refuse(head: &[u8], features: u64) -> Result<(), Fault> {
    let refused = match be32(head, 32)? {
        0 if features & CORRUPT != 0 => "QCOW2 that its writer called corrupt",
        0 if features & EXTERNAL_DATA != 0 => "QCOW2 whose data are in another file",
        0 if features & !(DIRTY | COMPRESSION_TYPE | EXTENDED_L2) != 0 => {
            "QCOW2 with a feature of an unknown kind"
        }
        0 => return Ok(()),
        1 => "QCOW2 encrypted by AES",
        2 => "QCOW2 encrypted by LUKS",
        _ => "QCOW2 encrypted by an unknown method",
    };
    Err(Fault::Unsupported(refused.into()))
}

impl Qcow2 {
    fn cluster_size(&self) -> u64 {
        1 << self.cluster_bits
    }

    fn entry_len(&self) -> u64 {
        if self.has_subclusters { 16 } else { 8 }
    }

    /// Of a second table, which is as large as a cluster.
    fn n_entries(&self) -> u64 {
        self.cluster_size() / self.entry_len()
    }

    /// The bits of a table's entry that are a position; it must be one of a cluster.
    fn position(&self, entry: u64) -> Result<u64, Fault> {
        let at = entry & 0x00ff_ffff_ffff_fe00;
        if at.is_multiple_of(self.cluster_size()) {
            Ok(at)
        } else {
            Err(damaged("a cluster between two clusters", at))
        }
    }

    /// The entry of the second table for a cluster: the cluster's word and, with subclusters, their bits.
    fn entry(&self, file: &Piece, cluster: u64) -> Result<Option<(u64, u64)>, Fault> {
        let nth = size(cluster / self.n_entries())?;
        let first = self.l1.get(nth).ok_or_else(|| damaged("past the first table", cluster))?;
        let at = self.position(*first)?;
        if at == 0 {
            return Ok(None);
        }
        let table = self.l2.get(at, || file.record(at, self.cluster_size(), self.cluster_size()))?;
        let within = size(cluster % self.n_entries() * self.entry_len())?;
        let bits = if self.has_subclusters { be64(&table, within + 8)? } else { 0 };
        Ok(Some((be64(&table, within)?, bits)))
    }

    /// A cluster of parts, each of which is allocated, zeros or the backing file's.
    fn part(&self, word: u64, bits: u64, skip: u64) -> Result<(Run, u64), Fault> {
        let part_size = self.cluster_size() / SUBCLUSTERS;
        let nth = skip / part_size;
        let run = match (bits >> nth & 1 != 0, bits >> (nth + SUBCLUSTERS) & 1 != 0) {
            (true, true) => return Err(damaged("a part that is both zeros and data", word)),
            (false, true) => Run::Zero,
            (true, false) => Run::Host(self.allocated(word)? + skip),
            (false, false) => Run::Parent,
        };
        Ok((run, part_size - skip % part_size))
    }

    fn allocated(&self, word: u64) -> Result<u64, Fault> {
        match self.position(word)? {
            0 => Err(damaged("an allocated part without a place", word)),
            at => Ok(at),
        }
    }

    fn inflate(&self, stored: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; 1 << self.cluster_bits];
        if self.is_zstd {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(stored)?;
            decoder.window_log_max(MOST_WINDOW)?;
            decoder.read_exact(&mut bytes)?;
        } else {
            flate2::read::DeflateDecoder::new(stored).read_exact(&mut bytes)?;
        }
        Ok(bytes)
    }
}

const IS_PACKED: u64 = 1 << 62;

impl Map for Qcow2 {
    fn size(&self) -> u64 {
        self.size
    }

    fn run(&self, file: &Piece, offset: u64) -> Result<(Run, u64), Fault> {
        let skip = offset % self.cluster_size();
        let left = self.cluster_size() - skip;
        let Some((word, bits)) = self.entry(file, offset >> self.cluster_bits)? else {
            // A whole second table is absent.
            let covered = times(self.n_entries(), self.cluster_size(), "a table beyond all sizes")?;
            return Ok((Run::Parent, covered - offset % covered));
        };
        if word & IS_PACKED != 0 {
            let key = word & (IS_PACKED - 1);
            return Ok((Run::Packed { key, skip }, left));
        }
        if self.has_subclusters {
            return self.part(word, bits, skip);
        }
        let at = self.position(word)?;
        let run = match at {
            _ if self.has_zero_flag && word & 1 != 0 => Run::Zero,
            0 => Run::Parent,
            _ => Run::Host(at + skip),
        };
        Ok((run, left))
    }

    fn decode(&self, file: &Piece, key: u64) -> Result<Vec<u8>, Fault> {
        // The larger the cluster, the more bits say how many sectors it takes packed.
        let place_bits = 62 - (self.cluster_bits - 8);
        let at = key & ((1 << place_bits) - 1);
        let n_sectors = (key >> place_bits) + 1;
        // The last cluster's last sector may be one that the file does not have whole.
        let len = (n_sectors * 512 - at % 512).min(file.len.saturating_sub(at));
        let stored = file.record(at, len, 2 * self.cluster_size() + 512)?;
        self.inflate(&stored).map_err(|_| damaged("a compressed cluster cannot be unpacked", at))
    }
}
