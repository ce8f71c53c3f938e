//! What a volume says that it is. What is not read is named, so that it can be reported.

use crate::ext::Ext;
use crate::fat::Fat;
use crate::reader::{ImageReader, read_exact_at, read_vec};

/// What is on a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ext2, ext3 or ext4.
    Ext,
    /// NTFS.
    Ntfs,
    /// FAT12, FAT16 or FAT32.
    Fat,
    /// exFAT.
    ExFat,
    /// Swap space, which has no files.
    Swap,
    /// Known by this name, and not read.
    Named(&'static str),
    /// Nothing that is known.
    Unknown,
}

const EXFAT: &str = "exFAT";
const NTFS: &str = "NTFS";

/// Position, bytes, name. Encryption and assembled volumes come before file systems, whose signatures they may carry.
const KNOWN: [(usize, &[u8], &str); 23] = [
    (3, b"-FVE-FS-", "BitLocker"),
    // To Go: a small FAT volume around it holds a reader for older systems.
    (424, b"\x3b\xd6\x67\x49\x29\x2e\xd8\x4a\x83\x99\xf6\xa3\x39\xe3\xd0\x01", "BitLocker"),
    (0, b"LUKS\xba\xbe", "LUKS"),
    (512, b"LABELONE", "LVM2"),
    (0, b"LABELONE", "LVM2"),
    (4096, b"\xfc\x4e\x2b\xa9", "Linux RAID"),
    (0, b"\xfc\x4e\x2b\xa9", "Linux RAID"),
    (32, b"NXSB", "APFS"),
    (88, b"CS", "FileVault or Core Storage"),
    (3, b"NTFS    ", NTFS),
    (3, b"EXFAT   ", EXFAT),
    (3, b"ReFS", "ReFS"),
    (0, b"XFSB", "XFS"),
    (0x1_0040, b"_BHRfS_M", "Btrfs"),
    (0x1_0034, b"ReIsEr", "ReiserFS"),
    (1024, b"H+\x00\x04", "HFS+"),
    (1024, b"HX\x00\x05", "HFS+"),
    (0x8001, b"CD001", "ISO9660"),
    (0x8001, b"BEA01", "UDF"),
    (1024, b"\x10\x20\xf5\xf2", "F2FS"),
    (0, b"hsqs", "SquashFS"),
    (0xff6, b"S1SUSPEND\0", "a hibernated system's memory"),
    (0x2_0000, b"\x0c\xb1\xba\x00", "ZFS"),
];

/// What the volume is; `None` if not even its first sector can be read.
pub fn of(volume: &dyn ImageReader) -> Option<Kind> {
    let has = |at: usize, magic: &[u8]| {
        let mut bytes = vec![0; magic.len()];
        read_exact_at(volume, at as u64, &mut bytes).is_ok() && bytes == magic
    };
    if volume.size() < 512 {
        return None;
    }
    let named = KNOWN.iter().find(|(at, magic, _)| has(*at, magic)).map(|(_, _, name)| Kind::Named(name));
    // Old signatures stay in gaps that a later mkfs leaves; those that ext's own fields would overwrite count.
    let is_wrapped = matches!(named, Some(Kind::Named("BitLocker" | "LUKS" | "LVM2" | "Linux RAID")));
    if !is_wrapped && Ext::is_at(volume) {
        return Some(Kind::Ext);
    }
    match named {
        Some(Kind::Named(NTFS)) => return Some(Kind::Ntfs),
        Some(Kind::Named(EXFAT)) => return Some(Kind::ExFat),
        // Its boot sector has no signature of its own, so what has one comes before it.
        None if Fat::is_at(volume) => return Some(Kind::Fat),
        _ => {}
    }
    // ZFS writes its uberblocks in a ring, of which the first place may be free.
    let is_zfs = || (0..128).any(|nth| has(0x2_0000 + nth * 1024, b"\x0c\xb1\xba\x00"));
    let named = named.or_else(|| is_zfs().then_some(Kind::Named("ZFS")));
    // It excuses a volume from being read, so it comes behind all that could lie under such a mark.
    Some(named.or_else(|| is_swap(volume).then_some(Kind::Swap)).unwrap_or(Kind::Unknown))
}

/// Whether the header is whole, for any size of pages.
fn is_swap(volume: &dyn ImageReader) -> bool {
    let Ok(header) = read_vec(volume, 1024, 8) else { return false };
    let is_first_version = [[1, 0, 0, 0], [0, 0, 0, 1]].iter().any(|one| header[..4] == *one);
    let marked = |page: u64| read_vec(volume, page - 10, 10).is_ok_and(|mark| mark == b"SWAPSPACE2");
    is_first_version && header[4..] != [0; 4] && [4096, 8192, 16_384, 65_536].into_iter().any(marked)
}
