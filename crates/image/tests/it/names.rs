//! Names that no system writes: two alike in one directory, and such as would look like another path. The file is read
//! all the same, and the name is a problem.

use crate::made::{Read, ntfs, read};
use std::fs;
use std::path::Path;

/// The bytes with `from` made `to` wherever it is.
fn renamed(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while let Some(next) = bytes[at..].windows(from.len()).position(|window| window == from) {
        bytes[at + next..][..to.len()].copy_from_slice(to);
        at += next + to.len();
    }
    assert!(at > 0, "it is there");
    bytes
}

fn read_bytes(image: &Path, bytes: &[u8]) -> Read {
    fs::write(image, bytes).unwrap();
    read(image)
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// That a volume is complete, and is not with a file under the name of its neighbour, and with one with a slash.
fn check(form: &str, bytes: &[u8], [name, neighbour, slashed]: [&[u8]; 3]) {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let n_files = {
        let read = read_bytes(&image, bytes);
        assert!(read.walked.is_complete(), "{form}: {:?}", read.problems);
        read.walked.volumes[0].summary.streams
    };
    for (to, what) in
        [(neighbour, "two entries of one directory with this name"), (slashed, "a name with a slash in it")]
    {
        let read = read_bytes(&image, &renamed(bytes, name, to));
        assert!(read.problems.iter().any(|problem| problem.contains(what)), "{form}: {:?}", read.problems);
        assert!(!read.walked.is_complete() && read.walked.volumes[0].summary.adds_up(), "{form}");
        assert_eq!(read.walked.volumes[0].summary.streams, n_files, "{form}: no file is lost");
        if to == slashed {
            assert!(read.sums["p0"].keys().any(|path| path.contains(r"\x2F")), "{form}: {:?}", read.problems);
        }
    }
}

#[test]
fn names_alike_and_names_with_a_slash_are_problems_and_their_files_are_read() {
    let many: [&[u8]; 3] = [b"-name-28", b"-name-29", b"-name-/8"];
    check("XFS", &crate::crafted::base("xfs4"), many);
    check("Btrfs", &crate::crafted::base("btrfs"), many);
    check("ext2", &crate::crafted::base("ext2"), [b"than that 26", b"than that 27", b"than that /6"]);
    check("ISO9660", &crate::crafted::base("iso"), [b"0 bytes", b"1 bytes", b"/ bytes"]);
    // The last two letters of a piece of a long name.
    check("FAT16", &crate::crafted::base("fat16"), [b"\0\x002\x006\0", b"\0\x002\x007\0", b"\0\x002\0/\0"]);
}

#[test]
fn such_names_of_exfat_are_problems_too() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    for (name, what) in [("one", "two entries of one directory"), ("a/b", "a slash"), ("..", "stands for")] {
        crate::exfat::two(&image, "one", name);
        let read = read(&image);
        assert!(read.problems.iter().any(|problem| problem.contains(what)), "{name}: {:?}", read.problems);
        assert!(!read.walked.is_complete() && read.walked.volumes[0].summary.adds_up(), "{name}");
        assert_eq!(read.walked.volumes[0].summary.streams, 2, "{name}");
    }
    crate::exfat::two(&image, "one", "two");
    assert!(read(&image).walked.is_complete());
}

#[test]
fn such_names_of_ntfs_are_problems_too_and_a_colon_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    ntfs("ntfs-4096", &image);
    let bytes = fs::read(&image).unwrap();
    check("NTFS", &bytes, [&utf16("65535"), &utf16("65536"), &utf16("655/5")]);
    for (name, path) in [("655:5", r"/sizes/655\x3A5"), (r"655\5", r"/sizes/655\x5C5")] {
        let read = read_bytes(&image, &renamed(&bytes, &utf16("65535"), &utf16(name)));
        assert!(read.walked.is_complete(), "{:?}", read.problems);
        assert!(read.sums["p0"].contains_key(path), "{name}");
    }
}
