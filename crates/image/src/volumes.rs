//! The volumes of a disk: none in between, an MBR with its chain of logical partitions, a GPT, or Apple's map.

use crate::apple;
use crate::fault::{Fault, damaged, le32, le64, plus, size, times};
use crate::reader::{ImageReader, read_vec};
use crate::signature::{self, Kind};

/// Logical partitions that are followed, and entries of a GPT that are read. Linux stops at 256 and 128.
const MOST: u32 = 4096;

/// The name of the volume that is the whole disk.
const WHOLE: &str = "p0";

/// Kinds of volume whose first sector a table would overwrite.
const OF_SECTOR_0: [&str; 5] = ["BitLocker", "LUKS", "NTFS", "ReFS", "APFS"];

/// Where a volume is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// `p1` as Linux counts partitions; `p0` is the whole disk; `lvm-GROUP-VOLUME` a logical volume.
    pub name: String,
    /// Position on the disk in bytes; 0 for a logical volume, which may be in many places.
    pub start: u64,
    /// Bytes, as the table says.
    pub len: u64,
    /// What the table says that it is for, if that is something which has no files by its nature.
    pub purpose: Option<&'static str>,
}

/// A partition that is excused by its type is smaller: Windows makes 16 or 128 MiB of them.
const MOST_EXCUSED: u64 = 256 << 20;

/// Types of GPT partitions that hold no file system: a boot loader, or nothing at all. As they lie on the disk.
const PURPOSES: [([u8; 16], &str); 3] = [
    (
        [0x16, 0xe3, 0xc9, 0xe3, 0x5c, 0x0b, 0xb8, 0x4d, 0x81, 0x7d, 0xf9, 0x2d, 0xf0, 0x02, 0x15, 0xae],
        "Microsoft reserved",
    ),
    (*b"Hah!IdontNeedEFI", "BIOS boot"),
    (
        [0x38, 0x2d, 0x1a, 0x9e, 0x12, 0xc6, 0x16, 0x43, 0xaa, 0x26, 0x8b, 0x49, 0x52, 0x1e, 0x5a, 0x8b],
        "PReP boot",
    ),
];

/// The volumes of a disk and what is wrong with their table.
#[derive(Debug, Default)]
pub struct Table {
    /// In the order of the table.
    pub volumes: Vec<Volume>,
    /// What may hide further volumes.
    pub problems: Vec<Fault>,
    /// Worth saying, though nothing is missing.
    pub notices: Vec<&'static str>,
}

/// Reads the partition table.
pub fn volumes(disk: &dyn ImageReader) -> Table {
    let mut table = Table::default();
    if let Err(fault) = table.read(disk) {
        table.problems.push(fault);
    }
    for volume in &table.volumes {
        if volume.start.checked_add(volume.len).is_none_or(|end| end > disk.size()) {
            table.problems.push(damaged("a volume reaches past the end of the disk", volume.start));
        }
    }
    table.bound(disk.size());
    table
}

impl Table {
    /// Says which volumes share bytes, which no honest table has them do, and leaves those out that would make more to
    /// read than twice the disk.
    fn bound(&mut self, disk: u64) {
        let mut by_start: Vec<&Volume> = self.volumes.iter().filter(|volume| volume.name != WHOLE).collect();
        by_start.sort_by_key(|volume| volume.start);
        let shares = |pair: &&[&Volume]| pair[0].start.saturating_add(pair[0].len) > pair[1].start;
        if let Some(pair) = by_start.windows(2).find(shares) {
            let which =
                format!("volumes that share bytes: {} and {}, perhaps others", pair[0].name, pair[1].name);
            self.problems.push(Fault::Unsupported(which));
        }
        let mut left = disk.saturating_mul(2);
        let mut fits = |volume: &Volume| {
            // What of it is there: an image may be cut off.
            let rest = left.checked_sub(volume.len.min(disk.saturating_sub(volume.start)));
            left = rest.unwrap_or(left);
            rest.is_some()
        };
        let n_before = self.volumes.len();
        self.volumes.retain(&mut fits);
        if self.volumes.len() < n_before {
            self.problems.push(Fault::Limit { what: "bytes of volumes beside twice the disk", limit: disk });
        }
    }

    fn read(&mut self, disk: &dyn ImageReader) -> Result<(), Fault> {
        let whole = Volume { name: WHOLE.into(), start: 0, len: disk.size(), purpose: None };
        let found = signature::of(disk);
        // A volume's boot sector carries the signature of an MBR too.
        let is_of_sector_0 = match found {
            Some(Kind::Fat | Kind::ExFat | Kind::Ntfs | Kind::Xfs) => true,
            Some(Kind::Named(name)) => OF_SECTOR_0.contains(&name),
            Some(Kind::Btrfs | Kind::Ext | Kind::Iso | Kind::Lvm | Kind::Swap | Kind::Unknown) | None => {
                false
            }
        };
        if is_of_sector_0 {
            self.volumes.push(whole);
            if read_vec(disk, 0, 512).is_ok_and(|sector| holds_a_table(&sector, disk.size() / 512)) {
                let both = "a partition table in the first sector of a volume; the volume was read";
                self.problems.push(Fault::Unsupported(both.into()));
            }
            return Ok(());
        }
        let mbr = match read_vec(disk, 0, 512) {
            Ok(mbr) => mbr,
            Err(Fault::PastEnd { .. }) => Vec::new(),
            Err(fault) => return Err(fault),
        };
        let entries = match mbr.get(510..) {
            Some([0x55, 0xaa]) => &mbr[446..510],
            _ => &[],
        };
        // As systems decide: where the MBR has partitions and does not point to a GPT, there is none.
        let has_mbr = entries.chunks_exact(16).any(|entry| entry[4] != 0xee && is_in_use(entry));
        let is_gpt = entries.chunks_exact(16).any(|entry| entry[4] == 0xee) || !has_mbr && has_gpt(disk);
        // Which of the two is in use nobody can say: making a table leaves a volume of the whole disk where it was,
        // and many volumes have room for a table in their first sector.
        let has_apples = !is_gpt && !has_mbr && apple::has_map(disk, found == Some(Kind::Unknown));
        if (is_gpt || has_mbr || has_apples)
            && matches!(found, Some(Kind::Btrfs | Kind::Ext | Kind::Lvm | Kind::Swap | Kind::Named(_)))
        {
            let both = "a volume of the whole disk beside the partition table; the table was read";
            self.problems.push(Fault::Unsupported(both.into()));
        }
        // A disc that also starts from a stick has its own files in partitions beside: each is read as what it is.
        if found == Some(Kind::Iso) && (is_gpt || has_mbr || has_apples) {
            self.volumes.push(whole.clone());
        }
        if is_gpt {
            self.gpt(disk)?;
        } else if has_mbr {
            self.mbr(disk, &mbr)?;
        } else if has_apples {
            self.volumes.extend(apple::partitions(disk, found == Some(Kind::Iso))?);
        } else {
            self.volumes.push(whole);
            return Ok(());
        }
        if found == Some(Kind::Iso) {
            self.volumes.retain(|volume| volume.name == WHOLE || volume.start > 0);
        }
        self.other_tables(disk, &mbr, is_gpt, has_mbr);
        Ok(())
    }

    /// Volumes that only a table names that does not count.
    fn other_tables(&mut self, disk: &dyn ImageReader, mbr: &[u8], is_gpt: bool, has_mbr: bool) {
        let mut other = Table::default();
        // What cannot be read of a table that does not count is no loss.
        let (_, whose) = match (is_gpt, has_mbr) {
            (true, true) => (other.mbr(disk, mbr), "the MBR"),
            (false, _) if has_gpt(disk) => (other.gpt(disk), "a GPT"),
            _ => (Ok(()), ""),
        };
        let has_disc = self.volumes.iter().any(|volume| volume.name == WHOLE);
        let is_beside = (is_gpt || has_mbr) && apple::has_map(disk, false);
        let of_apple =
            is_beside.then(|| apple::partitions(disk, has_disc).ok()).flatten().unwrap_or_default();
        let others = other.volumes.into_iter().map(|volume| (volume, whose));
        for (volume, whose) in others.chain(of_apple.into_iter().map(|volume| (volume, "an Apple map"))) {
            if !self.volumes.iter().any(|known| known.start == volume.start) {
                self.problems.push(Fault::Unsupported(format!(
                    "a partition at byte {} that only {whose} names, which is not the table in use",
                    volume.start,
                )));
            }
        }
    }

    fn mbr(&mut self, disk: &dyn ImageReader, mbr: &[u8]) -> Result<(), Fault> {
        let mut chains = Vec::new();
        for (nth, entry) in mbr[446..510].chunks_exact(16).enumerate() {
            let (first, len) = sectors(entry)?;
            match entry[4] {
                // The latter stands for a GPT.
                0 if !is_in_use(entry) => {}
                0xee => {}
                0x05 | 0x0f | 0x85 => chains.push(first),
                _ if len == 0 => {
                    self.problems.push(damaged("a partition without length", 446 + nth as u64 * 16));
                }
                _ => self.volumes.push(Volume {
                    name: format!("p{}", nth + 1),
                    start: first * 512,
                    len: len * 512,
                    purpose: None,
                }),
            }
        }
        let mut number = 5;
        for first in chains {
            self.logical(disk, first, &mut number)?;
        }
        Ok(())
    }

    /// The chain of an extended partition: each link holds one volume and the place of the next link.
    fn logical(&mut self, disk: &dyn ImageReader, extended: u64, number: &mut u32) -> Result<(), Fault> {
        let mut at = extended;
        let mut seen = std::collections::HashSet::new();
        while seen.insert(at) {
            if *number > MOST {
                return Err(Fault::Limit { what: "logical partitions", limit: MOST.into() });
            }
            let link = read_vec(disk, at * 512, 512)?;
            if link[510..] != [0x55, 0xaa] {
                return Err(damaged("a link in the chain of logical partitions", at * 512));
            }
            let mut next = None;
            for entry in link[446..510].chunks_exact(16) {
                let (first, len) = sectors(entry)?;
                match entry[4] {
                    0 if !is_in_use(entry) => {}
                    0x05 | 0x0f | 0x85 => next = next.or(Some(extended + first)),
                    _ => {
                        let start = (at + first) * 512;
                        let name = format!("p{number}");
                        self.volumes.push(Volume { name, start, len: len * 512, purpose: None });
                        *number += 1;
                    }
                }
            }
            match next {
                Some(next) => at = next,
                None => return Ok(()),
            }
        }
        Err(damaged("the chain of logical partitions is a circle", at * 512))
    }

    fn gpt(&mut self, disk: &dyn ImageReader) -> Result<(), Fault> {
        let mut first_fault = None;
        for sector in [512, 4096] {
            let last = disk.size() / sector * sector;
            for (at, is_backup) in [(sector, false), (last.saturating_sub(sector), true)] {
                match gpt_at(disk, at, sector) {
                    Ok(gpt) => {
                        self.volumes.retain(|volume| volume.name == WHOLE);
                        if is_backup {
                            self.notices
                                .push("the GPT is damaged; its backup at the end of the disk was read");
                        } else {
                            self.backup(disk, &gpt, [gpt.other, last.saturating_sub(sector)], sector);
                        }
                        self.volumes.extend(gpt.volumes);
                        return Ok(());
                    }
                    Err(fault) => first_fault = first_fault.or(Some(fault)),
                }
            }
        }
        Err(first_fault.expect("four places were tried"))
    }
}

impl Table {
    /// Volumes that only a backup of the GPT names, and a disk that ends before its backup.
    fn backup(&mut self, disk: &dyn ImageReader, gpt: &Gpt, places: [u64; 2], sector: u64) {
        if places[0].checked_add(sector).is_none_or(|end| end > disk.size()) {
            self.problems.push(damaged("the disk ends before the GPT says that it does", disk.size()));
        }
        let mut known: Vec<u64> = gpt.volumes.iter().map(|volume| volume.start).collect();
        for backup in places.into_iter().filter_map(|at| gpt_at(disk, at, sector).ok()) {
            for volume in backup.volumes {
                if !known.contains(&volume.start) {
                    self.problems.push(Fault::Unsupported(format!(
                        "a partition at byte {} that only a backup of the GPT names, which is not the table in use",
                        volume.start
                    )));
                    known.push(volume.start);
                }
            }
        }
    }
}

struct Gpt {
    volumes: Vec<Volume>,
    /// The first byte of its other copy.
    other: u64,
}

/// Whether the sector's end is a partition table that a system would take for one.
fn holds_a_table(sector: &[u8], n_sectors: u64) -> bool {
    let mut entries = sector[446..510].chunks_exact(16);
    let is_sane = |entry: &[u8]| {
        let is_free = entry.iter().all(|byte| *byte == 0);
        let lies_within = sectors(entry)
            .is_ok_and(|(first, len)| first > 0 && len > 0 && first.saturating_add(len) <= n_sectors);
        matches!(entry[0], 0 | 0x80) && (is_free || lies_within)
    };
    let is_some = entries.clone().any(is_in_use);
    sector[510..] == [0x55, 0xaa] && is_some && entries.all(is_sane)
}

fn has_gpt(disk: &dyn ImageReader) -> bool {
    [512, 4096].iter().any(|at| read_vec(disk, *at, 8).is_ok_and(|magic| magic == b"EFI PART"))
}

/// Whether an MBR's entry stands for something. Linux asks for its length alone: what has no type is a partition, too.
fn is_in_use(entry: &[u8]) -> bool {
    let has_place = sectors(entry).is_ok_and(|(first, len)| first > 0 && len > 0);
    entry[4] != 0 || matches!(entry[0], 0 | 0x80) && has_place
}

/// Place and length of an MBR's entry, in sectors.
fn sectors(entry: &[u8]) -> Result<(u64, u64), Fault> {
    Ok((le32(entry, 8)?.into(), le32(entry, 12)?.into()))
}

fn gpt_at(disk: &dyn ImageReader, at: u64, sector: u64) -> Result<Gpt, Fault> {
    let header = read_vec(disk, at, 512)?;
    let len = size(le32(&header, 12)?.into())?;
    if !header.starts_with(b"EFI PART") || !(92..=512).contains(&len) {
        return Err(damaged("no GPT", at));
    }
    let mut unsummed = header[..len].to_vec();
    unsummed[16..20].fill(0);
    if crc32fast::hash(&unsummed) != le32(&header, 16)? {
        return Err(damaged("the GPT's header fails its checksum", at));
    }
    let (n, entry_len) = (le32(&header, 80)?, le32(&header, 84)?);
    if n > MOST || !(128..=4096).contains(&entry_len) {
        return Err(Fault::Limit { what: "entries in a GPT", limit: MOST.into() });
    }
    let entries_at = times(le64(&header, 72)?, sector, "a GPT beyond all sizes")?;
    let entries = read_vec(disk, entries_at, size(u64::from(n) * u64::from(entry_len))?)?;
    if crc32fast::hash(&entries) != le32(&header, 88)? {
        return Err(damaged("the GPT's entries fail their checksum", entries_at));
    }
    let mut volumes = Vec::new();
    for (nth, entry) in entries.chunks_exact(entry_len as usize).enumerate() {
        if entry[..16] == [0; 16] {
            continue;
        }
        let (first, last) = (le64(entry, 32)?, le64(entry, 40)?);
        let n = last
            .checked_sub(first)
            .ok_or_else(|| damaged("a partition that ends before it begins", entries_at))?;
        let start = times(first, sector, "a partition beyond all sizes")?;
        let len = times(plus(n, 1, "a partition beyond all sizes")?, sector, "a partition beyond all sizes")?;
        let purpose = PURPOSES
            .iter()
            .find(|(kind, _)| entry[..16] == *kind && len <= MOST_EXCUSED)
            .map(|(_, words)| *words);
        volumes.push(Volume { name: format!("p{}", nth + 1), start, len, purpose });
    }
    Ok(Gpt { volumes, other: le64(&header, 32)?.saturating_mul(sector) })
}
