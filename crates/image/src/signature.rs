//! What a volume says that it is. What is not read is named, so that it can be reported.

use crate::apple;
use crate::ext::Ext;
use crate::fat::Fat;
use crate::lvm;
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
    /// Btrfs.
    Btrfs,
    /// XFS.
    Xfs,
    /// ISO9660.
    Iso,
    /// A physical volume of LVM2.
    Lvm,
    /// Swap space, which has no files.
    Swap,
    /// Known by this name, and not read.
    Named(&'static str),
    /// Nothing that is known.
    Unknown,
}

const EXFAT: &str = "exFAT";
const BTRFS: &str = "Btrfs";
const XFS: &str = "XFS";
const ISO: &str = "ISO9660";
const NTFS: &str = "NTFS";
pub(crate) const HFS_PLUS: &str = "HFS+";

/// Position, bytes, name. Encryption and assembled volumes come before file systems, whose signatures they may carry.
const KNOWN: [(usize, &[u8], &str); 28] = [
    (3, b"-FVE-FS-", "BitLocker"),
    // To Go: a small FAT volume around it holds a reader for older systems.
    (424, b"\x3b\xd6\x67\x49\x29\x2e\xd8\x4a\x83\x99\xf6\xa3\x39\xe3\xd0\x01", "BitLocker"),
    (0, b"LUKS\xba\xbe", "LUKS"),
    (4096, b"\xfc\x4e\x2b\xa9", "Linux RAID"),
    (0, b"\xfc\x4e\x2b\xa9", "Linux RAID"),
    (32, b"NXSB", "APFS"),
    (88, b"CS", "FileVault or Core Storage"),
    (3, b"NTFS    ", NTFS),
    (3, b"EXFAT   ", EXFAT),
    (3, b"ReFS", "ReFS"),
    (0, b"XFSB", XFS),
    (0x1_0040, b"_BHRfS_M", BTRFS),
    (0x1_0034, b"ReIsEr", "ReiserFS"),
    // Before what may lie in the space that it leaves for a boot loader.
    (0x8001, b"CD001", ISO),
    (1024, b"H+\x00\x04", HFS_PLUS),
    (1024, b"HX\x00\x05", HFS_PLUS),
    (0x8001, b"BEA01", "UDF"),
    (1024, b"\x10\x20\xf5\xf2", "F2FS"),
    (0, b"hsqs", "SquashFS"),
    (0xff6, b"S1SUSPEND\0", "a hibernated system's memory"),
    (0x2_0000, b"\x0c\xb1\xba\x00", "ZFS"),
    (0x8000, b"JFS1", "JFS"),
    (0x10_0000, b"\x0d\xd0\x01\xc0", "VMFS"),
    (0x20_0000, b"\x5e\xf1\xab\x2f", "VMFS"),
    (0xc00, b"PRIVHEAD", "Windows dynamic disk (LDM)"),
    (1024, b"\xe2\xe1\xf5\xe0", "EROFS"),
    (0x1018, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81", "bcachefs"),
    (0x1018, b"\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef", "bcachefs"),
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
    // A member of an array holds a part of its file system, which may begin where a whole one would.
    if is_member_at_its_end(volume) {
        return Some(Kind::Named("Linux RAID"));
    }
    let is_wrapped = matches!(named, Some(Kind::Named("BitLocker" | "LUKS" | "Linux RAID")));
    if !is_wrapped && lvm::is_at(volume) {
        return Some(Kind::Lvm);
    }
    if !is_wrapped && Ext::is_at(volume) {
        return Some(Kind::Ext);
    }
    match named {
        Some(Kind::Named(BTRFS)) => return Some(Kind::Btrfs),
        Some(Kind::Named(XFS)) => return Some(Kind::Xfs),
        Some(Kind::Named(ISO)) => return Some(Kind::Iso),
        Some(Kind::Named(NTFS)) => return Some(Kind::Ntfs),
        Some(Kind::Named(EXFAT)) => return Some(Kind::ExFat),
        // Its boot sector has no signature of its own, so what has one comes before it.
        None if Fat::is_at(volume) => return Some(Kind::Fat),
        _ => {}
    }
    // ZFS writes its uberblocks in a ring, of which the first place may be free.
    let is_zfs = || (0..128).any(|nth| has(0x2_0000 + nth * 1024, b"\x0c\xb1\xba\x00"));
    let named = named.or_else(|| is_zfs().then_some(Kind::Named("ZFS")));
    // Two bytes, or the copy of a header, are little to go by, so they come behind what has more.
    let named = named.or_else(|| apple::hfs(volume).map(Kind::Named));
    // It excuses a volume from being read, so it comes behind all that could lie under such a mark.
    Some(named.or_else(|| is_swap(volume).then_some(Kind::Swap)).unwrap_or(Kind::Unknown))
}

/// Whether Linux RAID keeps its description where its formats 0.90 and 1.0 have it.
fn is_member_at_its_end(volume: &dyn ImageReader) -> bool {
    const UNIT: u64 = 64 << 10;
    let size = volume.size();
    let old = (size / UNIT * UNIT).checked_sub(UNIT).map(|at| (at, 0));
    let new = size.checked_sub(8 << 10).map(|at| (at / 4096 * 4096, 1));
    // Behind the signature is the version: 0 and then 90, or 1.
    [old, new].into_iter().flatten().any(|(at, version)| {
        read_vec(volume, at, 8)
            .is_ok_and(|head| head.starts_with(b"\xfc\x4e\x2b\xa9") && head[4..] == [version, 0, 0, 0])
    })
}

/// Whether the header is whole, for any size of pages.
fn is_swap(volume: &dyn ImageReader) -> bool {
    let Ok(header) = read_vec(volume, 1024, 8) else { return false };
    let is_first_version = [[1, 0, 0, 0], [0, 0, 0, 1]].iter().any(|one| header[..4] == *one);
    let marked = |page: u64| read_vec(volume, page - 10, 10).is_ok_and(|mark| mark == b"SWAPSPACE2");
    is_first_version && header[4..] != [0; 4] && [4096, 8192, 16_384, 65_536].into_iter().any(marked)
}
