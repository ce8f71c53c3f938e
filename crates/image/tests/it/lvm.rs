//! Logical volumes: metadata that LVM's tools wrote (`fixtures/images/make-lvm2`), content that mke2fs made, put where
//! the segments say.

use crate::made::{Read, Sums, ext, fixture, noise, read, sums_of};
use std::fs;
use std::path::Path;

const EXTENT: usize = 64 << 10;
/// Of the first extent in a physical volume.
const EXTENTS: usize = 192 << 10;
/// The physical volumes' partitions.
const PHYSICAL: [usize; 3] = [1 << 20, 9 << 20, 17 << 20];
const PHYSICAL_LEN: usize = 8 << 20;

fn place(physical: usize, extent: usize) -> usize {
    PHYSICAL[physical] + EXTENTS + extent * EXTENT
}

/// The disk with both volumes filled, and what is in them.
pub(crate) fn disk(dir: &Path) -> (Vec<u8>, Sums, Sums) {
    let image = dir.join("image");
    fixture("lvm2", &image);
    let mut disk = fs::read(&image).unwrap();
    let volume = |name: &str| {
        let root = dir.join(name);
        fs::create_dir_all(root.join("sub")).unwrap();
        for nth in 0..40 {
            fs::write(root.join(format!("sub/{name} {nth}")), noise(nth * 1501, nth as u64)).unwrap();
        }
        fs::write(root.join(format!("{name} large")), noise(1_500_000, 99)).unwrap();
        let at = dir.join("volume");
        ext(&at, &root, 4, &["-t", "ext4", "-b", "1024", "-N", "128"]);
        (fs::read(&at).unwrap(), sums_of(&root))
    };
    let (linear, of_linear) = volume("linear");
    let (striped, of_striped) = volume("striped");
    for (start, n, physical, first) in [(0, 20, 0, 0), (20, 30, 2, 10), (50, 14, 0, 40)] {
        let part = &linear[start * EXTENT..(start + n) * EXTENT];
        disk[place(physical, first)..][..part.len()].copy_from_slice(part);
    }
    for (nth, stripe) in striped.chunks(16 << 10).enumerate() {
        let at = [place(1, 0), place(2, 40)][nth % 2] + nth / 2 * (16 << 10);
        disk[at..][..stripe.len()].copy_from_slice(stripe);
    }
    (disk, of_linear, of_striped)
}

fn read_bytes(dir: &Path, disk: &[u8]) -> Read {
    let image = dir.join("image");
    fs::write(&image, disk).unwrap();
    read(&image)
}

fn summed(bytes: &[u8]) -> [u8; 4] {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    };
    bytes.iter().fold(0xf597_a6cf, step).to_le_bytes()
}

fn number(disk: &[u8], at: usize) -> usize {
    usize::try_from(u64::from_le_bytes(disk[at..at + 8].try_into().unwrap())).unwrap()
}

fn areas(disk: &[u8]) -> Vec<usize> {
    (0..disk.len() - 512).step_by(512).filter(|at| disk[at + 4..].starts_with(b" LVM2 x[5A%r0N*>")).collect()
}

/// Writes other text into all areas of metadata, `start` bytes from their beginning, with checksums that are right.
fn rewrite(disk: &[u8], start: Option<usize>, change: impl Fn(&str) -> String) -> Vec<u8> {
    let mut changed = disk.to_vec();
    for area in areas(disk) {
        let (len, old, n) = (number(disk, area + 32), number(disk, area + 40), number(disk, area + 48));
        let text = change(std::str::from_utf8(&disk[area + old..][..n]).unwrap()).into_bytes();
        let start = start.unwrap_or(old);
        for (nth, byte) in text.iter().enumerate() {
            let at = if start + nth < len { start + nth } else { start + nth - len + 512 };
            changed[area + at] = *byte;
        }
        changed[area + 40..][..8].copy_from_slice(&(start as u64).to_le_bytes());
        changed[area + 48..][..8].copy_from_slice(&(text.len() as u64).to_le_bytes());
        changed[area + 56..][..4].copy_from_slice(&summed(&text));
        let header = summed(&changed[area + 4..area + 512]);
        changed[area..area + 4].copy_from_slice(&header);
    }
    changed
}

/// The text without the section of this name.
fn without(text: &str, name: &str) -> String {
    let start = text.find(&format!("\n{name} {{")).unwrap();
    let mut depth = 0;
    let end = text[start..].find(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == '}' && depth == 0
    });
    format!("{}{}", &text[..start], &text[start + end.unwrap() + 1..])
}

fn only_read(text: &str) -> String {
    let parts = ["r1", "r1_rmeta_0", "r1_rimage_0", "r1_rmeta_1", "r1_rimage_1"];
    parts.iter().fold(text.to_owned(), |text, name| without(&text, name))
}

/// The disk without the volume that is refused.
pub(crate) fn whole(dir: &Path) -> (Vec<u8>, Sums, Sums) {
    let (disk, linear, striped) = disk(dir);
    (rewrite(&disk, None, only_read), linear, striped)
}

const NAMES: [&str; 2] = ["lvm-vg--one-first--lv", "lvm-vg--one-striped"];

#[test]
fn every_file_of_linear_and_striped_volumes_is_read_right() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, linear, striped) = disk(dir.path());
    let check = |disk: &[u8], problems: &[&str]| {
        let read = read_bytes(dir.path(), disk);
        assert_eq!(read.problems, problems);
        assert_eq!(read.sums.keys().collect::<Vec<_>>(), NAMES);
        assert!(read.sums[NAMES[0]] == linear && read.sums[NAMES[1]] == striped);
        assert_eq!(read.walked.is_complete(), problems.is_empty());
        assert_eq!(read.walked.notices, [""; 0]);
    };
    check(&disk, &["/: not supported: a logical volume with a segment of the kind raid1"]);
    let whole = rewrite(&disk, None, only_read);
    check(&whole, &[]);
    // The text begins near the end of its ring.
    check(&rewrite(&whole, Some((128 << 10) - 5000), str::to_owned), &[]);
}

#[test]
fn volumes_of_other_kinds_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, ..) = disk(dir.path());
    for kind in
        ["thin", "thin-pool", "snapshot", "cache", "mirror", "raid5_ls", "vdo", "zero", "error", "writecache"]
    {
        let changed = rewrite(&disk, None, |text| text.replace("\"raid1\"", &format!("\"{kind}\"")));
        let read = read_bytes(dir.path(), &changed);
        let expected = format!("/: not supported: a logical volume with a segment of the kind {kind}");
        assert_eq!(read.problems, [expected]);
        assert_eq!(read.sums.len(), 2);
    }
    // What nothing else is made of is looked at, visible or not.
    let hidden = rewrite(&disk, None, |text| only_read(text).replace(", \"VISIBLE\"", ""));
    assert!(read_bytes(dir.path(), &hidden).walked.is_complete());
}

#[test]
fn a_missing_physical_volume_costs_what_lay_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut disk, linear, _) = whole(dir.path());
    disk[PHYSICAL[1]..PHYSICAL[1] + 1024].fill(0);
    let read = read_bytes(dir.path(), &disk);
    assert!(read.sums[NAMES[0]] == linear && read.sums.len() == 1, "{:?}", read.problems);
    assert!(
        read.problems.iter().any(|p| p.starts_with("/: missing: the physical volume ")),
        "{:?}",
        read.problems
    );
    assert!(!read.walked.is_complete());
}

#[test]
fn damaged_metadata_are_replaced_by_a_copy_or_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, ..) = whole(dir.path());
    let areas = areas(&whole);
    assert_eq!(areas.len(), 6);
    let mut disk = whole.clone();
    for (nth, area) in areas.iter().enumerate() {
        disk[area + number(&whole, area + 40) + 100] ^= 1;
        let read = read_bytes(dir.path(), &disk);
        assert_eq!(read.walked.is_complete(), nth < 5, "{:?}", read.problems);
        assert_eq!((read.walked.notices.len(), read.sums.len()), if nth < 5 { (1, 2) } else { (0, 0) });
    }
    let mut disk = whole.clone();
    disk[PHYSICAL[0] + 512 + 40] ^= 1;
    let read = read_bytes(dir.path(), &disk);
    assert!(
        read.problems.iter().any(|p| p.contains("the label of LVM2 fails its checksum")),
        "{:?}",
        read.problems
    );
    // One of them did not take part in the last change.
    let newer = rewrite(&whole, None, |text| text.replace("seqno = ", "seqno = 1"));
    let mut disk = newer.clone();
    disk[PHYSICAL[2]..PHYSICAL[2] + PHYSICAL_LEN]
        .copy_from_slice(&whole[PHYSICAL[2]..PHYSICAL[2] + PHYSICAL_LEN]);
    let read = read_bytes(dir.path(), &disk);
    assert!(read.walked.is_complete() && read.walked.notices.len() == 1, "{:?}", read.problems);
    let other = rewrite(&whole, None, |text| without(text, "striped"));
    disk = whole.clone();
    disk[PHYSICAL[2]..PHYSICAL[2] + PHYSICAL_LEN]
        .copy_from_slice(&other[PHYSICAL[2]..PHYSICAL[2] + PHYSICAL_LEN]);
    let read = read_bytes(dir.path(), &disk);
    assert!(read.problems.iter().any(|p| p.contains("two states")), "{:?}", read.problems);
}

#[test]
fn a_group_that_claims_the_impossible_is_incomplete() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, ..) = whole(dir.path());
    let check = |from: &str, to: &str, reason: &str| {
        let read = read_bytes(dir.path(), &rewrite(&whole, None, |text| text.replace(from, to)));
        assert!(read.problems.iter().any(|p| p.contains(reason)), "{to}: {:?}", read.problems);
        assert!(!read.walked.is_complete(), "{to}");
    };
    check("\"pv2\", 10", "\"pv2\", 20", "extents that two logical volumes have");
    // The same bytes under another name, or by another first extent.
    let text = String::from_utf8_lossy(&whole).into_owned();
    let id = |name: &str| {
        let at = text.find(&format!("\n{name} {{")).unwrap();
        let at = at + text[at..].find("id = \"").unwrap() + 6;
        text[at..at + 38].to_owned()
    };
    check(&id("pv1"), &id("pv0"), "extents that two logical volumes have");
    check("\"pv0\", 40", "\"pv0\", 120", "reaches past the end of a physical one");
    check("\"pv0\", 40", "\"pv0\", 18446744073709551615", "beyond all sizes");
    check("\"pv0\", 40", "\"pv9\", 40", "a stripe on nothing");
    check("extent_count = 14", "extent_count = 9223372036854775807", "beyond all sizes");
    check("extent_size = 128", "extent_size = 9223372036854775807", "beyond all sizes");
    check("start_extent = 50", "start_extent = 49", "do not follow one another");
    check("stripe_count = 2", "stripe_count = 3", "stripes of a logical volume");
    check("stripe_size = 32", "stripe_size = 0", "stripes of a logical volume");
    check("stripe_size = 32", "stripe_size = 33", "do not fill their segment");
    check("first-lv {", "../first {", "a name that LVM2 does not permit");
    check("seqno = ", "seqno == ", "cannot be read");
}
