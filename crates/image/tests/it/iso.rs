//! Discs that xorriso made from a tree, and what may be wrong with them.

use crate::made::{Sums, ext, noise, read, run, sums_of};
use sha1::{Digest as _, Sha1};
use std::fs;
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::{Path, PathBuf};

pub(crate) fn disc(dir: &Path, options: &[&str]) -> (PathBuf, PathBuf) {
    let (root, image) = (dir.join("tree"), dir.join("image"));
    fs::remove_file(&image).ok();
    let (from, to) = (root.to_str().unwrap(), image.to_str().unwrap());
    run("xorriso", &[&["-as", "mkisofs", "-quiet", "-o", to], options, &[from]].concat());
    (root, image)
}

pub(crate) fn small(dir: &Path) {
    fs::create_dir_all(dir.join("tree/sub directory")).unwrap();
    fs::write(dir.join("tree/sub directory/A long name, and a strange one.text"), "one").unwrap();
    fs::write(dir.join("tree/TWO.TXT"), vec![2; 5000]).unwrap();
    fs::write(dir.join("tree/EMPTY"), "").unwrap();
}

#[test]
fn every_file_is_read_right_by_the_names_of_rock_ridge() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("tree");
    fs::create_dir_all(root.join("many")).unwrap();
    for (seed, size) in [0, 1, 2047, 2048, 2049, 65_536, (1 << 20) + 1].into_iter().enumerate() {
        fs::write(root.join(format!("{size} bytes")), noise(size, seed as u64)).unwrap();
    }
    for n in 0..1200 {
        let name =
            format!("many/a file with a name that is longer than the others {n} {}", "n".repeat(n % 180));
        fs::write(root.join(name), noise(n % 80, n as u64)).unwrap();
    }
    for name in ["日本語", "é", "e\u{301}", "🦀", "a;1", "dot."] {
        fs::write(root.join(name), name).unwrap();
    }
    symlink("many", root.join("link")).unwrap();
    fs::hard_link(root.join("2049 bytes"), root.join("second name")).unwrap();
    // Deeper than the plain format permits: the directories are moved elsewhere.
    let deep = dir.path().join("tree/1/2/3/4/5/6/7/8/9/10/11/12");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("deep"), "deep").unwrap();
    for options in [&["-R"][..], &["-R", "-J", "-joliet-long"]] {
        let (root, image) = disc(dir.path(), options);
        let read = read(&image);
        assert_eq!(read.problems, [""; 0], "{options:?}");
        let sums: &Sums = &read.sums["p0"];
        assert!(*sums == sums_of(&root), "{options:?}");
        assert!(read.walked.is_complete() && read.n_others == 1);
    }
}

#[test]
fn joliet_and_plain_names_are_read_where_there_are_no_others() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path());
    let names = |options: &[&str]| {
        // xorriso writes Rock Ridge unless it is told not to.
        let options = [&["--norock"], options].concat();
        let (_, image) = disc(dir.path(), &options);
        let read = read(&image);
        assert!(read.problems.is_empty() && read.walked.is_complete(), "{:?}", read.problems);
        read.sums["p0"].iter().map(|(path, (len, _))| format!("{path} {len}")).collect::<Vec<_>>()
    };
    let joliet = names(&["-J"]);
    assert_eq!(joliet, ["/EMPTY 0", "/TWO.TXT 5000", "/sub directory/A long name, and a strange one.text 3"]);
    let plain = names(&[]);
    assert_eq!(plain.len(), 3);
    assert_eq!(plain[..2], ["/EMPTY 0", "/SUB_DIRE/A_LONG_N.TEX 3"]);
}

#[test]
fn what_only_one_tree_names_is_given_too() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path());
    let (_, image) =
        disc(dir.path(), &["-R", "-J", "-hide-joliet", "TWO.TXT", "-hide", "EMPTY", "-hide", "sub*"]);
    let read = read(&image);
    let names: Vec<_> = read.sums["p0"].keys().cloned().collect();
    assert!(names.contains(&"/TWO.TXT".into()), "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("/$Joliet/sub directory/A long name")), "{names:?}");
    assert!(read.walked.is_complete());
}

#[test]
fn a_disc_that_is_not_as_it_says_is_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path());
    let check = |change: &dyn Fn(&fs::File), reason: &str| {
        let (_, image) = disc(dir.path(), &["-R"]);
        change(&fs::OpenOptions::new().read(true).write(true).open(&image).unwrap());
        let read = read(&image);
        assert!(read.problems.iter().any(|fault| fault.contains(reason)), "{reason}: {:?}", read.problems);
        assert!(!read.walked.is_complete(), "{reason}");
    };
    let root = |file: &fs::File| {
        let mut block = [0; 4];
        file.read_exact_at(&mut block, (16 << 11) + 158).unwrap();
        u64::from(u32::from_le_bytes(block)) << 11
    };
    check(&|file| file.write_all_at(&[7], (16 << 11) + 80).unwrap(), "two spellings");
    check(&|file| file.set_len(file.metadata().unwrap().len() - (200 << 10)).unwrap(), "past the end");
    check(
        &|file| {
            file.write_all_at(b"\x00BEA01", 18 << 11).unwrap();
            file.write_all_at(b"\x00NSR02", 19 << 11).unwrap();
        },
        "UDF",
    );
    check(&|file| file.write_all_at(b"H+\0\x04", 1024).unwrap(), "kind HFS");
    check(
        &|file| {
            let end = file.metadata().unwrap().len();
            file.set_len(end + (64 << 11)).unwrap();
            file.write_all_at(b"\x01CD001\x01", end + (16 << 11)).unwrap();
        },
        "a later session",
    );
    check(&|file| file.write_all_at(&[10], root(file)).unwrap(), "a record of a directory");
    // A directory that says that it is the root.
    check(
        &|file| {
            let mut sector = [0; 2048];
            file.read_exact_at(&mut sector, root(file)).unwrap();
            let at = (0..sector.len() - 40).find(|at| sector[at + 33..].starts_with(b"SUB_DIRE")).unwrap();
            let own: [u8; 8] = sector[2..10].try_into().unwrap();
            file.write_all_at(&own, root(file) + at as u64 + 2).unwrap();
        },
        "in two places",
    );
}

/// Where the record with this plain name is.
fn record_of(disc: &[u8], name: &str) -> usize {
    let is_it =
        |at: &usize| disc[at + 33..].starts_with(name.as_bytes()) && disc[at + 32] as usize >= name.len();
    (0..disc.len() - 64).find(|at| disc[at + 32] != 0 && is_it(at)).unwrap()
}

#[test]
fn boot_images_are_given_where_no_tree_names_them() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path());
    let loader = [&[0; 64][..], &noise(40_000, 1)].concat();
    fs::write(dir.path().join("tree/boot.bin"), &loader).unwrap();
    let floppy = noise(1440 << 10, 2);
    fs::write(dir.path().join("tree/floppy"), &floppy).unwrap();
    let boot = ["-b", "boot.bin", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"];
    let both = [&boot[..], &["-eltorito-alt-boot", "-b", "floppy"]].concat();
    let hidden =
        ["-hide", "boot.bin", "-hide-joliet", "boot.bin", "-hide", "floppy", "-hide-joliet", "floppy"];
    let sizes = |options: &[&str]| {
        let (_, image) = disc(dir.path(), &[&["-R", "-J"], options].concat());
        let read = read(&image);
        assert!(read.walked.is_complete(), "{:?}", read.problems);
        let boot = read.sums["p0"].iter().filter(|(path, _)| path.starts_with("/$Boot/"));
        boot.map(|(path, (size, sum))| (path.clone(), *size, *sum)).collect::<Vec<_>>()
    };
    assert!(sizes(&both).is_empty());
    let given = sizes(&[&both[..], &hidden].concat());
    let named: Vec<_> = given.iter().map(|(path, size, _)| (&path[..], *size)).collect();
    assert_eq!(named, [("/$Boot/1", 40_064), ("/$Boot/2", 1440 << 10)]);
    let sum: [u8; 20] = Sha1::digest(&floppy).into();
    assert_eq!(given[1].2, sum);
    // Without a table of the loader's what is loaded is known and no more.
    let plain = sizes(&[&boot[..5], &hidden[..4]].concat());
    let sum: [u8; 20] = Sha1::digest(&loader[..2048]).into();
    assert_eq!(plain, [("/$Boot/1".to_owned(), 2048, sum)]);
}

#[test]
fn what_is_on_a_disc_beside_its_trees_is_said() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path());
    let said = |image: &Path, reason: &str| {
        let read = read(image);
        assert!(read.problems.iter().any(|fault| fault.contains(reason)), "{reason}: {:?}", read.problems);
        assert!(!read.walked.is_complete());
    };
    if !cfg!(feature = "hfs") {
        said(&disc(dir.path(), &["-R", "-hfsplus"]).1, "a volume of the kind HFS+");
    }
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let (_, image) = disc(dir.path(), &["-R", "-J", "-b", "TWO.TXT", "-no-emul-boot"]);
        let mut bytes = fs::read(&image).unwrap();
        change(&mut bytes);
        fs::write(&image, bytes).unwrap();
        image
    };
    assert!(read(&changed(&|_| {})).walked.is_complete());
    for (kind, reason) in [(3, "a partition of the disc"), (9, "a descriptor of an unknown kind")] {
        said(&changed(&|bytes| bytes[18 << 11] = kind), reason);
    }
    said(&changed(&|bytes| bytes[(17 << 11) + 7..][..8].fill(b'x')), "a boot record of an unknown system");
    // The catalogue fails its sum; its image lies behind the end.
    let catalogue = |bytes: &[u8]| {
        let at = (17 << 11) + 71;
        (u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize) << 11
    };
    let of_catalogue = |within: usize| {
        changed(&|bytes| {
            let at = catalogue(bytes) + within;
            bytes[at..at + 2].fill(0x7f);
        })
    };
    said(&of_catalogue(4), "/$Boot: damaged: the catalogue of boot images");
    said(&of_catalogue(32 + 9), "/$Boot/1: byte");
}

#[test]
fn the_trees_of_all_descriptors_are_read() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path());
    let (_, image) = disc(dir.path(), &["--norock", "-J"]);
    let mut bytes = fs::read(&image).unwrap();
    // The first one has the subdirectory for its root, and the second one, in the place of Joliet's, the root.
    bytes.copy_within(16 << 11..17 << 11, 17 << 11);
    let sub = record_of(&bytes, "SUB_DIRE");
    bytes.copy_within(sub + 2..sub + 18, (16 << 11) + 156 + 2);
    fs::write(&image, bytes).unwrap();
    let read = read(&image);
    let names: Vec<_> = read.sums["p0"].keys().map(String::as_str).collect();
    assert_eq!(names, ["/$Tree/17/EMPTY", "/$Tree/17/TWO.TXT", "/A_LONG_N.TEX"], "{:?}", read.problems);
    assert!(read.walked.is_complete(), "{:?}", read.problems);
}

#[test]
fn a_file_of_several_extents_is_one() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path());
    for (nth, name) in (0..).zip(["PARTA.BIN", "PARTB.BIN"]) {
        fs::write(dir.path().join("tree").join(name), noise(4096, nth)).unwrap();
    }
    let (_, image) = disc(dir.path(), &["--norock"]);
    let mut bytes = fs::read(&image).unwrap();
    let (first, second) = (record_of(&bytes, "PARTA.BIN"), record_of(&bytes, "PARTB.BIN"));
    bytes[first + 25] |= 0x80;
    bytes[second + 33 + 4] = b'A';
    fs::write(&image, &bytes).unwrap();
    let whole = read(&image);
    assert!(whole.walked.is_complete(), "{:?}", whole.problems);
    let sum: [u8; 20] = Sha1::digest([noise(4096, 0), noise(4096, 1)].concat()).into();
    assert_eq!(whole.sums["p0"]["/PARTA.BIN"], (8192, sum));
    // Without its end it is lost.
    bytes[second + 25] |= 0x80;
    fs::write(&image, &bytes).unwrap();
    let torn = read(&image);
    assert!(
        torn.problems.iter().any(|fault| fault.contains("whose last part is not there")),
        "{:?}",
        torn.problems
    );
}

#[test]
fn a_disc_with_partitions_beside_is_read_as_both() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path());
    let (other, volume) = (dir.path().join("other"), dir.path().join("volume"));
    fs::create_dir(&other).unwrap();
    fs::write(other.join("beside"), "beside").unwrap();
    ext(&volume, &other, 4, &["-t", "ext4"]);
    let (_, image) = disc(dir.path(), &["-R", "-append_partition", "2", "0x83", volume.to_str().unwrap()]);
    let read = read(&image);
    let volumes: Vec<_> = read.sums.iter().map(|(volume, sums)| (&volume[..], sums.len())).collect();
    assert_eq!(volumes, [("p0", 3), ("p2", 1)], "{:?}", read.problems);
    assert!(read.walked.is_complete(), "{:?}", read.problems);
}
