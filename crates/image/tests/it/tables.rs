use crate::made::{ext, read, run};
use hashsweep_image::{Raw, volumes};
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// A disk of 64 MB whose table sfdisk wrote, with a small ext volume at each of `starts` (MB).
fn disk(dir: &Path, script: &str, starts: &[u64]) -> std::path::PathBuf {
    let (disk, root) = (dir.join("disk.raw"), dir.join("tree"));
    let file = fs::File::create(&disk).unwrap();
    file.set_len(64 << 20).unwrap();
    fs::write(dir.join("script"), script).unwrap();
    run("sh", &["-c", &format!("sfdisk -q {} < {}", disk.display(), dir.join("script").display())]);
    for start in starts {
        fs::remove_dir_all(&root).ok();
        fs::create_dir(&root).unwrap();
        fs::write(root.join(format!("at {start}")), start.to_string()).unwrap();
        let volume = dir.join("volume");
        ext(&volume, &root, 4, &["-t", "ext4"]);
        file.write_all_at(&fs::read(&volume).unwrap(), start << 20).unwrap();
    }
    disk
}

fn names(read: &crate::made::Read) -> Vec<String> {
    read.sums.iter().flat_map(|(v, sums)| sums.keys().map(move |path| format!("{v}{path}"))).collect()
}

#[test]
fn logical_partitions_are_all_found() {
    let dir = tempfile::tempdir().unwrap();
    let script = "label: dos\nstart=2048,size=8192,type=83\nstart=20480,size=102400,type=5\n\
                  start=22528,size=8192,type=83\nstart=43008,size=8192,type=83\nstart=63488,size=8192,type=83\n";
    let disk = disk(dir.path(), script, &[1, 11, 21, 31]);
    let read = read(&disk);
    assert_eq!(names(&read), ["p1/at 1", "p5/at 11", "p6/at 21", "p7/at 31"], "{:?}", read.problems);
    assert!(read.walked.is_complete());
}

#[test]
fn a_volume_that_is_not_known_makes_the_walk_incomplete() {
    let dir = tempfile::tempdir().unwrap();
    let disk =
        disk(dir.path(), "label: dos\nstart=2048,size=8192,type=83\nstart=20480,size=8192,type=7\n", &[1]);
    fs::OpenOptions::new()
        .write(true)
        .open(&disk)
        .unwrap()
        .write_all_at(b"\0\0\0ReFS\0\0\0\0", 10 << 20)
        .unwrap();
    let read = read(&disk);
    assert_eq!(names(&read), ["p1/at 1"]);
    assert_eq!(read.problems, ["/: not supported: a volume of the kind ReFS"]);
    assert!(!read.walked.is_complete());
}

#[test]
fn the_backup_of_a_damaged_gpt_is_read_and_two_damaged_ones_are_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let disk = disk(dir.path(), "label: gpt\nstart=2048,size=8192\nstart=20480,size=8192\n", &[1, 10]);
    let expected = ["p1/at 1", "p2/at 10"];
    assert_eq!(names(&read(&disk)), expected);
    let file = fs::OpenOptions::new().write(true).open(&disk).unwrap();
    file.write_all_at(b"!", 1024 + 32).unwrap();
    let second = read(&disk);
    assert_eq!(names(&second), expected);
    assert!(second.walked.is_complete() && second.walked.notices.len() == 1);
    file.write_all_at(b"!", (64 << 20) - 512 + 40).unwrap();
    let third = read(&disk);
    assert!(third.sums.is_empty() && !third.walked.is_complete(), "{third:?}");
}

#[test]
fn a_disk_of_zeros_or_of_nothing_is_not_silently_empty() {
    let dir = tempfile::tempdir().unwrap();
    for len in [0, 1, 511, 512, 4 << 20] {
        let path = dir.path().join("zeros");
        fs::write(&path, vec![0; len]).unwrap();
        let read = read(&path);
        assert_eq!(read.problems.len(), 1, "{len}: {:?}", read.problems);
    }
}

#[test]
fn a_chain_that_is_a_circle_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    let mut bytes = vec![0; 1 << 20];
    let mut entry = |at: usize, first: u32| {
        bytes[at + 446 + 4] = 5;
        bytes[at + 446 + 8..][..4].copy_from_slice(&first.to_le_bytes());
        bytes[at + 510..][..2].copy_from_slice(&[0x55, 0xaa]);
    };
    entry(0, 1);
    entry(512, 1);
    entry(1024, 0);
    fs::write(&path, bytes).unwrap();
    let table = volumes(&Raw::open(&path).unwrap());
    assert_eq!(table.problems.len(), 1, "{table:?}");
}

#[test]
fn what_only_another_table_or_volume_knows_is_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let check = |script: &str, change: &dyn Fn(&fs::File), expected: &str| {
        let disk = disk(dir.path(), script, &[1, 10]);
        assert!(read(&disk).walked.is_complete(), "{expected}: before");
        change(&fs::OpenOptions::new().write(true).open(&disk).unwrap());
        let read = read(&disk);
        assert!(read.problems.iter().any(|problem| problem.contains(expected)), "{:?}", read.problems);
        assert!(!read.walked.is_complete());
    };
    let entry = |nth: u64, kind: u8, first: u32, len: u32| {
        move |file: &fs::File| {
            let mut entry = [0; 16];
            entry[4] = kind;
            entry[8..12].copy_from_slice(&first.to_le_bytes());
            entry[12..].copy_from_slice(&len.to_le_bytes());
            file.write_all_at(&entry, 446 + nth * 16).unwrap();
        }
    };
    let gpt = "label: gpt\nstart=2048,size=8192\nstart=20480,size=8192\n";
    let dos = "label: dos\nstart=2048,size=8192,type=83\nstart=20480,size=8192,type=83\n";
    check(gpt, &entry(1, 7, 40_960, 8192), "only the MBR names");
    check(gpt, &entry(0, 0x83, 2048, 8192), "at byte 10485760 that only a GPT names");
    check(dos, &|file| file.write_all_at(b"\x53\xef", 1024 + 56).unwrap(), "a volume of the whole disk");
    let boot = [b"\xeb\x52\x90NTFS    ".as_slice(), &[0; 60]].concat();
    check(dos, &|file| file.write_all_at(&boot, 0).unwrap(), "a partition table in the first sector");
}

#[test]
fn only_a_whole_swap_header_under_which_nothing_lies_excuses_a_volume() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let made = |bytes: &[(usize, &[u8])]| {
        let mut disk = vec![0; 8 << 20];
        for (at, part) in bytes {
            disk[*at..*at + part.len()].copy_from_slice(part);
        }
        fs::write(&image, disk).unwrap();
        read(&image)
    };
    let header: [(usize, &[u8]); 2] = [(1024, &[1, 0, 0, 0, 0xff, 7, 0, 0]), (4086, b"SWAPSPACE2")];
    assert!(made(&header).walked.is_complete());
    assert!(!made(&header[1..]).walked.is_complete(), "a mark alone is none");
    for (at, mark) in
        [(0x2_0000, b"\x0c\xb1\xba\x00".as_slice()), (0, b"LUKS\xba\xbe"), (0x1_0040, b"_BHRfS_M")]
    {
        assert!(!made(&[header[0], header[1], (at, mark)]).walked.is_complete(), "{mark:?}");
    }
}

#[test]
fn bitlocker_to_go_is_not_taken_for_the_fat_around_it() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    fs::write(&image, vec![0; 64 << 20]).unwrap();
    run("mkfs.fat", &["-F", "32", "-s", "1", image.to_str().unwrap()]);
    assert!(read(&image).walked.is_complete());
    let guid =
        [0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a, 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0, 0x01];
    fs::OpenOptions::new().write(true).open(&image).unwrap().write_all_at(&guid, 424).unwrap();
    assert_eq!(read(&image).problems, ["/: not supported: a volume of the kind BitLocker"]);
}

/// Where each kind has its signature, and the bytes there.
#[test]
fn volumes_that_are_not_read_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("volume");
    let raid = b"\xfc\x4e\x2b\xa9\x01\0\0\0";
    let old_raid = b"\xfc\x4e\x2b\xa9\0\0\0\0";
    let end = 3 << 20;
    let forms: [(u64, &[u8], &str); 19] = [
        (3, b"-FVE-FS-", "BitLocker"),
        (0, b"LUKS\xba\xbe\0\x02", "LUKS"),
        (4096, raid, "Linux RAID"),
        (end - 8192, raid, "Linux RAID"),
        (end - 65_536, old_raid, "Linux RAID"),
        (32, b"NXSB", "APFS"),
        (3, b"ReFS\0\0\0\0", "ReFS"),
        (0x1_0034, b"ReIsEr2Fs", "ReiserFS"),
        (1024, b"H+\0\x04", "HFS+"),
        (1024, b"HX\0\x05", "HFS+"),
        (0x8001, b"BEA01", "UDF"),
        (1024, b"\x10\x20\xf5\xf2", "F2FS"),
        (0, b"hsqs", "SquashFS"),
        (0x2_0000, b"\x0c\xb1\xba\0", "ZFS"),
        (0x2_0000 + 5 * 1024, b"\x0c\xb1\xba\0", "ZFS"),
        (0x8000, b"JFS1", "JFS"),
        (0x10_0000, b"\x0d\xd0\x01\xc0", "VMFS"),
        (0xc00, b"PRIVHEAD", "Windows dynamic disk (LDM)"),
        (1024, b"\xe2\xe1\xf5\xe0", "EROFS"),
    ];
    let is_read = |name: &str| name == "HFS+" && cfg!(feature = "hfs");
    for (at, magic, name) in forms.into_iter().filter(|(.., name)| !is_read(name)) {
        let file = fs::File::create(&path).unwrap();
        file.set_len(end).unwrap();
        file.write_all_at(magic, at).unwrap();
        let read = read(&path);
        assert_eq!(read.problems, [format!("/: not supported: a volume of the kind {name}")]);
        assert!(!read.walked.is_complete());
    }
}

#[test]
fn partitions_that_share_bytes_are_a_problem_and_read_twice_at_most() {
    let dir = tempfile::tempdir().unwrap();
    let disk = disk(dir.path(), "label: dos\nstart=2048,size=90000,type=83\n", &[1]);
    assert!(volumes(&Raw::open(&disk).unwrap()).problems.is_empty());
    let file = fs::OpenOptions::new().write(true).open(&disk).unwrap();
    let mut mbr = [0; 64];
    for (nth, entry) in mbr.chunks_exact_mut(16).enumerate() {
        entry[4] = 0x83;
        entry[8..12].copy_from_slice(&(2048 + 8 * u32::try_from(nth).unwrap()).to_le_bytes());
        entry[12..].copy_from_slice(&90_000_u32.to_le_bytes());
    }
    file.write_all_at(&mbr, 446).unwrap();
    let table = volumes(&Raw::open(&disk).unwrap());
    assert_eq!(table.volumes.len(), 2);
    let said: Vec<String> = table.problems.iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|fault| fault.contains("volumes that share bytes: p1 and p2")), "{said:?}");
    assert!(said.iter().any(|fault| fault.contains("twice the disk")), "{said:?}");
}

/// Linux shows an entry of the MBR that has a length, whatever its type.
#[test]
fn a_partition_without_a_type_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let script = "label: dos\nstart=2048,size=8192,type=83\nstart=20480,size=8192,type=83\n\
                  start=40960,size=40960,type=5\nstart=43008,size=8192,type=83\n";
    let disk = disk(dir.path(), script, &[1, 10, 21]);
    let file = fs::OpenOptions::new().write(true).open(&disk).unwrap();
    file.write_all_at(&[0], 446 + 16 + 4).unwrap();
    file.write_all_at(&[0], (20 << 20) + 446 + 4).unwrap();
    let some = read(&disk);
    assert_eq!(names(&some), ["p1/at 1", "p2/at 10", "p5/at 21"], "{:?}", some.problems);
    assert!(some.walked.is_complete());
    // None at all has one, and a volume of the whole disk lies beneath.
    for nth in [0, 2] {
        file.write_all_at(&[0], 446 + nth * 16 + 4).unwrap();
    }
    file.write_all_at(b"\x53\xef", 1024 + 56).unwrap();
    let none = read(&disk);
    assert!(names(&none).contains(&"p1/at 1".into()), "{none:?}");
    assert!(none.problems.iter().any(|said| said.contains("a volume of the whole disk")), "{none:?}");
    file.write_all_at(&[0; 2], 1024 + 56).unwrap();
    file.write_all_at(b"\xeb\x52\x90NTFS    ", 0).unwrap();
    let within = read(&disk);
    assert!(within.problems.iter().any(|said| said.contains("a partition table in the first sector")));
}

/// An Apple partition map of these kinds, places and lengths, in sectors.
fn apple_map(entries: &[(&[u8], u32, u32)]) -> Vec<u8> {
    let mut map = b"ER\x02\0".to_vec();
    for (kind, start, len) in entries {
        map.resize(map.len().next_multiple_of(512), 0);
        map.extend(b"PM\0\0");
        for number in [u32::try_from(entries.len()).unwrap(), *start, *len] {
            map.extend(number.to_be_bytes());
        }
        map.extend([&[0; 32][..], kind].concat());
    }
    map.resize(map.len().next_multiple_of(512), 0);
    map
}

#[test]
fn volumes_of_an_apple_partition_map_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let (root, path) = (dir.path().join("tree"), dir.path().join("volume"));
    fs::create_dir(&root).unwrap();
    fs::write(root.join("file"), "content").unwrap();
    ext(&path, &root, 4, &["-t", "ext4"]);
    let volume = fs::read(&path).unwrap();
    let n = u32::try_from(volume.len() / 512).unwrap();
    let kinds: [(&[u8], u32, u32); 5] = [
        (b"Apple_partition_map", 1, 63),
        (b"Apple_Driver43", 64, 8),
        (b"Apple_UNIX_SVR2", 128, n),
        (b"Apple_HFS", 128 + n, 64),
        (b"Apple_Free", 192 + n, 64),
    ];
    let mut disk = apple_map(&kinds);
    disk.resize(128 * 512, 0);
    disk.extend(&volume);
    let hfs = disk.len();
    disk.resize(hfs + 128 * 512, 0);
    // A classic volume: its mark, its blocks, where they begin, its name.
    let header = &mut disk[hfs + 1024..];
    header[..2].copy_from_slice(b"BD");
    (header[19], header[22], header[29], header[36]) = (50, 2, 5, 3);
    let check = |disk: &[u8], names: &[&str], problems: &[&str]| {
        fs::write(&path, disk).unwrap();
        let read = read(&path);
        assert_eq!(read.sums.keys().collect::<Vec<_>>(), names);
        assert_eq!(read.problems, problems);
        read.n_others
    };
    let classic = "/: not supported: a volume of the kind HFS";
    assert_eq!(check(&disk, &["p3"], &[classic]), 1, "the driver");
    let mut beside = disk.clone();
    // An MBR with the one partition is what counts then.
    beside[450] = 0x83;
    beside[454] = 128;
    beside[458..462].copy_from_slice(&n.to_le_bytes());
    beside[510..512].copy_from_slice(&[0x55, 0xaa]);
    let only = |at: usize| {
        format!(
            "/: not supported: a partition at byte {at} that only an Apple map names, which is not the table in use"
        )
    };
    check(&beside, &["p1"], &[&only(64 * 512), &only(hfs)]);
    let mut damaged = disk.clone();
    damaged[1024] = 0;
    check(&damaged, &[], &["/: damaged: an entry of an Apple partition map at byte 1024"]);
    let many = u32::MAX.to_be_bytes();
    damaged.clone_from(&disk);
    damaged[516..520].copy_from_slice(&many);
    check(&damaged, &[], &["/: more than 256 entries in an Apple partition map"]);
}

/// The files of a disc are on its HFS+ volume a second time, and there may be others.
#[test]
#[cfg(not(feature = "hfs"))]
fn a_disc_with_hfs_plus_is_not_complete_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let (root, image) = (dir.path().join("tree"), dir.path().join("image"));
    fs::create_dir(&root).unwrap();
    fs::write(root.join("file"), "content").unwrap();
    let (from, to) = (root.to_str().unwrap(), image.to_str().unwrap());
    run("xorriso", &["-as", "mkisofs", "-quiet", "-R", "-hfsplus", "-o", to, from]);
    let read = read(&image);
    assert_eq!(read.sums.keys().collect::<Vec<_>>(), ["p0"]);
    assert_eq!(read.problems, ["/: not supported: a volume of the kind HFS+"]);
    assert!(!read.walked.is_complete());
}
