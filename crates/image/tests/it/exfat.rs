#![expect(clippy::cast_possible_truncation, reason = "a volume of a few megabytes")]

use crate::made::{Sums, noise, read, run};
use sha1::{Digest as _, Sha1};
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Fills a volume that mkfs.exfat made, for no tool does so without a mount. fsck.exfat judges what it writes.
struct Writer {
    path: PathBuf,
    file: fs::File,
    heap: u64,
    table: u64,
    bitmap: u64,
    cluster: u64,
    free: u32,
    /// The root directory's records so far, and the clusters it has.
    root: Vec<u8>,
    root_chain: Vec<u32>,
    truth: Sums,
}

/// How a file's clusters lie.
#[derive(Clone, Copy, PartialEq)]
enum Lie {
    Straight,
    Chained,
    /// Every second cluster.
    Pieces,
}

impl Writer {
    fn new(path: &Path, megabytes: u64, cluster: &str) -> Writer {
        fs::write(path, []).unwrap();
        fs::OpenOptions::new().write(true).open(path).unwrap().set_len(megabytes << 20).unwrap();
        run("mkfs.exfat", &["-c", cluster, path.to_str().unwrap()]);
        let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut boot = [0; 512];
        file.read_exact_at(&mut boot, 0).unwrap();
        let word = |at: usize| u64::from(u32::from_le_bytes(boot[at..at + 4].try_into().unwrap()));
        let sector = 1u64 << boot[108];
        let (table, heap, cluster) = (word(80) * sector, word(88) * sector, sector << boot[109]);
        let root_at = word(96);
        let mut root = vec![0; cluster as usize];
        file.read_exact_at(&mut root, heap + (root_at - 2) * cluster).unwrap();
        let used = root.chunks(32).take_while(|record| record[0] != 0).count() * 32;
        root.truncate(used);
        let bitmap_at = root.chunks(32).find(|record| record[0] == 0x81).unwrap()[20];
        let bitmap = heap + u64::from(bitmap_at - 2) * cluster;
        let free = root_at as u32 + 1;
        let root_chain = vec![root_at as u32];
        Writer {
            path: path.into(),
            file,
            heap,
            table,
            bitmap,
            cluster,
            free,
            root,
            root_chain,
            truth: Sums::new(),
        }
    }

    fn take(&mut self) -> u32 {
        self.free += 1;
        self.mark(self.free - 1);
        self.free - 1
    }

    fn mark(&mut self, cluster: u32) {
        let (at, mut byte) = (self.bitmap + u64::from(cluster - 2) / 8, [0]);
        self.file.read_exact_at(&mut byte, at).unwrap();
        byte[0] |= 1 << ((cluster - 2) % 8);
        self.file.write_all_at(&byte, at).unwrap();
    }

    fn link(&mut self, chain: &[u32]) {
        for (nth, cluster) in chain.iter().enumerate() {
            let next = chain.get(nth + 1).copied().unwrap_or(u32::MAX);
            self.file.write_all_at(&next.to_le_bytes(), self.table + u64::from(*cluster) * 4).unwrap();
        }
    }

    /// Puts bytes into clusters of their own; gives the first of them.
    fn content(&mut self, bytes: &[u8], lie: Lie) -> u32 {
        let mut chain = Vec::new();
        let mut between = Vec::new();
        for part in bytes.chunks(self.cluster as usize) {
            let cluster = self.take();
            if lie == Lie::Pieces {
                let gap = self.take();
                between.push(gap);
            }
            self.file.write_all_at(part, self.heap + u64::from(cluster - 2) * self.cluster).unwrap();
            chain.push(cluster);
        }
        // What lies between belongs to a file, too.
        if !between.is_empty() {
            let filler = noise(between.len() * self.cluster as usize, 9);
            for (part, cluster) in filler.chunks(self.cluster as usize).zip(&between) {
                self.file.write_all_at(part, self.heap + u64::from(cluster - 2) * self.cluster).unwrap();
            }
            self.link(&between);
            let name = format!("between {}", chain[0]);
            let size = filler.len() as u64;
            self.truth.insert(format!("/{name}"), (size, Sha1::digest(&filler).into()));
            self.root.extend(records(&name, 0x20, between[0], (size, size), false));
        }
        if lie != Lie::Straight {
            self.link(&chain);
        }
        chain.first().copied().unwrap_or(0)
    }

    /// The records of a file of `size` bytes that begins with these, the rest never written.
    fn file(&mut self, path: &str, bytes: &[u8], size: u64, lie: Lie) -> Vec<u8> {
        let mut whole = bytes.to_vec();
        whole.resize(size as usize, 0);
        self.truth.insert(path.to_owned(), (size, Sha1::digest(&whole).into()));
        // What was never written holds what lay there before.
        let mut on_disk = bytes.to_vec();
        on_disk.resize(size as usize, 0xee);
        let first = self.content(&on_disk, lie);
        let name = path.rsplit('/').next().unwrap();
        records(name, 0x20, first, (size, bytes.len() as u64), lie == Lie::Straight && first != 0)
    }

    fn directory(&mut self, name: &str, inside: &[u8], lie: Lie) -> Vec<u8> {
        let n_clusters = (inside.len() as u64 + 32).div_ceil(self.cluster);
        let size = n_clusters * self.cluster;
        let mut padded = inside.to_vec();
        padded.resize(size as usize, 0);
        let first = self.content(&padded, lie);
        records(name, 0x10, first, (size, size), lie == Lie::Straight)
    }

    /// Writes the root directory.
    fn end(mut self) -> (PathBuf, Sums) {
        let root = std::mem::take(&mut self.root);
        while ((self.root_chain.len() as u64) * self.cluster) < root.len() as u64 + 32 {
            let more = self.take();
            self.root_chain.push(more);
        }
        let chain = self.root_chain.clone();
        self.link(&chain);
        let mut padded = root;
        padded.resize(chain.len() * self.cluster as usize, 0);
        for (part, cluster) in padded.chunks(self.cluster as usize).zip(&chain) {
            self.file.write_all_at(part, self.heap + u64::from(cluster - 2) * self.cluster).unwrap();
        }
        (self.path, self.truth)
    }
}

fn records(
    name: &str,
    attributes: u8,
    first: u32,
    (size, written): (u64, u64),
    is_straight: bool,
) -> Vec<u8> {
    let units: Vec<u16> = name.encode_utf16().collect();
    let names = units.len().div_ceil(15);
    let mut set = vec![0; 32 * (2 + names)];
    (set[0], set[1], set[4]) = (0x85, 1 + names as u8, attributes);
    // 2026-11-01: a moment that fsck accepts.
    for at in [8, 12, 16] {
        set[at..at + 4].copy_from_slice(&((46u32 << 25) | 11 << 21 | 1 << 16).to_le_bytes());
    }
    set[32] = 0xc0;
    set[33] = u8::from(first != 0) | u8::from(is_straight) << 1;
    set[35] = units.len() as u8;
    let upper = name.to_uppercase();
    let hashed: Vec<u8> = upper.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let hash = hashed.iter().fold(0u16, |sum, byte| sum.rotate_right(1).wrapping_add((*byte).into()));
    set[36..38].copy_from_slice(&hash.to_le_bytes());
    set[40..48].copy_from_slice(&written.to_le_bytes());
    set[52..56].copy_from_slice(&first.to_le_bytes());
    set[56..64].copy_from_slice(&size.to_le_bytes());
    for (nth, part) in units.chunks(15).enumerate() {
        let at = 64 + nth * 32;
        set[at] = 0xc1;
        for (unit, place) in part.iter().zip(set[at + 2..].chunks_exact_mut(2)) {
            place.copy_from_slice(&unit.to_le_bytes());
        }
    }
    let checked = set.iter().enumerate().filter(|(at, _)| !matches!(at, 2 | 3)).map(|(_, byte)| *byte);
    let sum = checked.fold(0u16, |sum, byte| sum.rotate_right(1).wrapping_add(byte.into()));
    set[2..4].copy_from_slice(&sum.to_le_bytes());
    set
}

pub(crate) fn volume(path: &Path, megabytes: u64, cluster: &str) -> Sums {
    let mut volume = Writer::new(path, megabytes, cluster);
    let size = volume.cluster as usize;
    let mut sizes = vec![0, 1, 511, 512, size - 1, size, size + 1, 5 * size, 5 * size + 7];
    // Of clusters as small as sectors two sizes are the same.
    sizes.sort_unstable();
    sizes.dedup();
    for (seed, n) in sizes.into_iter().enumerate() {
        for lie in [Lie::Straight, Lie::Chained, Lie::Pieces] {
            let name = format!("/{n} {}", ["straight", "chained", "in pieces"][lie as usize]);
            let bytes = noise(n, seed as u64);
            let records = volume.file(&name, &bytes, n as u64, lie);
            volume.root.extend(records);
        }
    }
    let unwritten = volume.file("/unwritten end", &noise(size + 100, 3), 4 * size as u64 + 5, Lie::Chained);
    volume.root.extend(unwritten);
    for name in ["日本語", "é", "e\u{301}", "🦀", &"n".repeat(255)] {
        let records = volume.file(&format!("/{name}"), name.as_bytes(), name.len() as u64, Lie::Straight);
        volume.root.extend(records);
    }
    let mut inside = Vec::new();
    for n in 0..700 {
        inside.extend(volume.file(
            &format!("/many/file {n}"),
            &noise(n % 50, n as u64),
            n as u64 % 50,
            Lie::Straight,
        ));
    }
    let many = volume.directory("many", &inside, Lie::Pieces);
    volume.root.extend(many);
    let end = volume.file("/a/b/c/end", b"deep", 4, Lie::Straight);
    let c = volume.directory("c", &end, Lie::Straight);
    let b = volume.directory("b", &c, Lie::Chained);
    let a = volume.directory("a", &b, Lie::Straight);
    volume.root.extend(a);
    let (path, truth) = volume.end();
    run("fsck.exfat", &["-n", path.to_str().unwrap()]);
    truth
}

/// A volume with two files of these names.
pub(crate) fn two(path: &Path, one: &str, other: &str) {
    let mut volume = Writer::new(path, 8, "4K");
    for name in [one, other] {
        let first = volume.content(b"content", Lie::Straight);
        let records = records(name, 0x20, first, (7, 7), true);
        volume.root.extend(records);
    }
    volume.end();
}

#[test]
fn every_file_of_exfat_is_read_right() {
    let dir = tempfile::tempdir().unwrap();
    for (megabytes, cluster) in [(16, "4K"), (64, "32K"), (8, "512")] {
        let image = dir.path().join("image");
        let truth = volume(&image, megabytes, cluster);
        let read = read(&image);
        assert_eq!(read.problems, [""; 0], "{cluster}");
        assert!(read.walked.is_complete(), "{cluster}: {:?}", read.walked);
        let wrong: Vec<_> =
            truth.iter().filter(|(path, sum)| read.sums["p0"].get(*path) != Some(sum)).collect();
        assert!(wrong.is_empty(), "{cluster}: {wrong:?}");
        assert_eq!(read.sums["p0"].len(), truth.len(), "{cluster}");
    }
}

/// What The Sleuth Kit reads, it reads as we do.
#[test]
fn the_sleuth_kit_reads_the_same_of_exfat() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let truth = volume(&image, 16, "4K");
    let at = image.to_str().unwrap();
    let listed = Command::new("fls").args(["-r", "-p", "-u", "-F", "-f", "exfat", at]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let mut n = 0;
    for line in listed.lines() {
        let Some((head, path)) = line.split_once(":\t") else { continue };
        let Some(expected) = truth.get(&format!("/{path}")) else { continue };
        let inode = head.split(' ').next_back().unwrap();
        let bytes = Command::new("icat").args(["-f", "exfat", at, inode]).output().unwrap().stdout;
        // It gives what lies behind the bytes that were written.
        if path != "unwritten end" {
            assert_eq!((bytes.len() as u64, Sha1::digest(&bytes).into()), *expected, "{path}");
            n += 1;
        }
    }
    assert!(n > 700, "{n} of {}:\n{listed}", truth.len());
}

#[test]
fn what_is_wrong_with_exfat_is_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    volume(&image, 16, "4K");
    let whole = fs::read(&image).unwrap();
    let boot_word = |at: usize| u32::from_le_bytes(whole[at..at + 4].try_into().unwrap()) as usize;
    let heap = boot_word(88) * 512;
    let root = heap + (boot_word(96) - 2) * 4096;
    let bitmap =
        heap + (usize::from(whole[root..].chunks(32).find(|r| r[0] == 0x81).unwrap()[20]) - 2) * 4096;
    let file = whole[root..].chunks(32).position(|record| record[0] == 0x85).unwrap() * 32 + root;
    let check = |what: &str, changes: &[(usize, u8)]| {
        let mut bytes = whole.clone();
        for (at, byte) in changes {
            bytes[*at] = *byte;
        }
        fs::write(&image, bytes).unwrap();
        let read = read(&image);
        let said = what.is_empty() || read.problems.iter().any(|problem| problem.contains(what));
        assert!(said, "{what}: {:?}", read.problems);
        assert_eq!(read.walked.is_complete(), what.is_empty(), "{what}");
        assert!(read.walked.volumes[0].summary.adds_up(), "{what}");
        read
    };
    check("its copy was read", &[(80, 0xff)]);
    check("an entry fails its checksum", &[(file + 6, 0xff)]);
    check("may not be passed over", &[(file, 0x9e)]);
    check("the bitmap calls free", &[(bitmap + 3, 0)]);
    check("no bitmap says", &[(whole[root..].chunks(32).position(|r| r[0] == 0x81).unwrap() * 32 + root, 1)]);
    let n = boot_word(92);
    let orphaned = check("", &[(bitmap + n / 8 - 1, 0x18)]);
    let orphan = orphaned.sums["p0"].iter().find(|(path, _)| path.starts_with("/$Orphans/")).unwrap();
    assert_eq!(orphan.1.0, 2 * 4096);
}
