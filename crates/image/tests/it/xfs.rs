//! XFS by mkfs with a prototype, and by the kernel where a test may mount (`--ignored`, run by .ci/nightly).

use crate::made::{Sums, noise, read, run, sums_of, tree};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// mkfs of today makes no smaller volume.
const MEGABYTES: u64 = 320;

/// Files of boundary sizes, a directory of each form, other kinds. mkfs fills a volume from a text, in which a name
/// cannot have a space.
pub(crate) fn volume(dir: &Path, image: &Path, options: &[&str]) -> Sums {
    let root = dir.join("tree");
    fs::create_dir_all(root.join("sizes")).unwrap();
    for (nth, size) in [0, 1, 100, 511, 512, 4095, 4096, 4097, 65_536, (1 << 20) + 1].into_iter().enumerate()
    {
        fs::write(root.join(format!("sizes/{size}")), noise(size, nth as u64)).unwrap();
    }
    for (name, n) in [("few", 3), ("block", 40), ("many", 1500)] {
        fs::create_dir_all(root.join(name)).unwrap();
        for nth in 0..n {
            let path = root.join(format!("{name}/a-file-with-a-longer-name-{nth}"));
            fs::write(path, noise(nth % 50, nth as u64)).unwrap();
        }
    }
    let mut text = String::from("/none\n0 0\nd--755 0 0\n");
    describe(&root, &mut text);
    text.push_str("link l--777 0 0 sizes/1\npipe p--644 0 0\ndevice c--644 0 0 1 3\n$\n");
    let prototype = dir.join("prototype");
    fs::write(&prototype, text).unwrap();
    fs::File::create(image).unwrap().set_len(MEGABYTES << 20).unwrap();
    run(
        "mkfs.xfs",
        &[&["-q", "-f", "-p", prototype.to_str().unwrap()], options, &[image.to_str().unwrap()]].concat(),
    );
    sums_of(&root)
}

fn describe(dir: &Path, text: &mut String) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            writeln!(text, "{name} d--755 0 0").unwrap();
            describe(&path, text);
            text.push_str("$\n");
        } else {
            writeln!(text, "{name} ---644 0 0 {}", path.display()).unwrap();
        }
    }
}

const FORMS: [&[&str]; 6] = [
    &[],
    &["-b", "size=1024"],
    &["-m", "crc=0"],
    &["-m", "crc=0", "-n", "ftype=0"],
    &["-i", "nrext64=1,size=1024"],
    &["-n", "size=16384", "-m", "reflink=0"],
];

#[test]
fn every_file_of_every_form_of_xfs_is_read_right() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    for options in FORMS {
        let truth = volume(dir.path(), &image, options);
        let read = read(&image);
        assert_eq!(read.problems, [""; 0], "{options:?}");
        assert!(read.sums["p0"] == truth, "{options:?}");
        assert!(read.walked.is_complete(), "{options:?}: {:?}", read.walked);
        assert_eq!(read.n_others, 3, "{options:?}");
    }
}

#[test]
fn a_damaged_directory_costs_its_names_and_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let truth = volume(dir.path(), &image, &[]);
    let file = fs::OpenOptions::new().read(true).write(true).open(&image).unwrap();
    let mut bytes = vec![0; 256 << 10];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let at = bytes.chunks(512).position(|inode| inode.starts_with(b"IN\x41\xed\x03\x01")).unwrap() * 512;
    file.write_all_at(b"x", at as u64 + 130).unwrap();
    let damaged = read(&image);
    assert!(damaged.problems.iter().any(|p| p.contains("fails its checksum")), "{:?}", damaged.problems);
    assert!(!damaged.walked.is_complete() && damaged.walked.volumes[0].summary.adds_up());
    let found = &damaged.sums["p0"];
    assert_eq!(found.len(), truth.len(), "a directory that is lost costs no file");
    assert!(found.keys().any(|path| path.starts_with("/$Orphans/")));
}

/// What mkfs cannot make: holes, ranges never written, many extents, deep trees, reflinks, a log in use.
#[test]
#[ignore = "mounts, which takes root and a loop device"]
fn the_kernel_reads_the_same_of_xfs() {
    let dir = tempfile::tempdir().unwrap();
    let (image, mount) = (dir.path().join("image"), dir.path().join("mount"));
    fs::create_dir(&mount).unwrap();
    let (at, on) = (image.to_str().unwrap(), mount.to_str().unwrap());
    // Kernels of today no longer mount version 4.
    for options in FORMS.into_iter().filter(|options| !options.contains(&"crc=0")) {
        fs::File::create(&image).unwrap().set_len(MEGABYTES << 20).unwrap();
        run("mkfs.xfs", &[&["-q", "-f"], options, &[at]].concat());
        run("mount", &["-o", "loop", at, on]);
        tree(&mount);
        let file = fs::File::create(mount.join("fragments")).unwrap();
        for nth in (0..3000_u64).rev() {
            file.write_all_at(&noise(1000, nth), nth * 8192).unwrap();
        }
        drop(file);
        run("fallocate", &["-l", "3000000", &format!("{on}/unwritten")]);
        if !options.contains(&"reflink=0") {
            run("cp", &["--reflink=always", &format!("{on}/large"), &format!("{on}/reflink")]);
        }
        for nth in 0..4000 {
            fs::write(mount.join(format!("many/{nth}")), "x").unwrap();
        }
        let truth = sums_of(&mount);
        run("sync", &[]);
        run("cp", &["--sparse=always", at, dir.path().join("in use").to_str().unwrap()]);
        run("umount", &[on]);
        let whole = read(&image);
        assert_eq!(whole.problems, [""; 0], "{options:?}");
        assert!(whole.sums["p0"] == truth, "{options:?}");
        assert!(whole.walked.is_complete(), "{options:?}: {:?}", whole.walked);
        let in_use = read(&dir.path().join("in use"));
        assert!(in_use.problems.iter().any(|p| p.contains("the log")), "{options:?}: {:?}", in_use.problems);
    }
}

#[test]
fn a_file_that_lost_its_name_is_not_the_file_systems_own() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let mut bytes = crate::crafted::base("xfs4");
    fs::write(&image, &bytes).unwrap();
    let truth = read(&image).sums.remove("p0").unwrap();
    // An entry is the inode's number, a length, and the name.
    let entry = |name: &str| {
        let at = bytes.windows(name.len()).position(|window| window == name.as_bytes()).unwrap();
        at - 9
    };
    let (lost, other) = (entry("a-file-with-a-longer-name-28"), entry("a-file-with-a-longer-name-29"));
    let number: [u8; 8] = bytes[lost..lost + 8].try_into().unwrap();
    bytes.copy_within(other..other + 8, lost);
    for field in [64, 72, 160] {
        let mut bytes = bytes.clone();
        bytes[field..field + 8].copy_from_slice(&number);
        fs::write(&image, &bytes).unwrap();
        let read = read(&image);
        let orphan = read.sums["p0"].get(&format!("/$Orphans/{}", u64::from_be_bytes(number)));
        assert_eq!(orphan, truth.get("/many/a-file-with-a-longer-name-28"), "{field}: {:?}", read.problems);
        assert!(read.walked.volumes[0].summary.adds_up());
    }
}
