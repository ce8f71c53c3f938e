//! Btrfs by mkfs from a directory, and by the kernel where a test may mount (`--ignored`, run by .ci/nightly).

use crate::made::{Sums, noise, read, run, sums_of, tree};
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

const MEGABYTES: u64 = 128;

pub(crate) fn volume(dir: &Path, image: &Path, options: &[&str]) -> Sums {
    let root = dir.join("tree");
    if !root.exists() {
        fs::create_dir(&root).unwrap();
        tree(&root);
    }
    fs::File::create(image).unwrap().set_len(MEGABYTES << 20).unwrap();
    let at = [root.to_str().unwrap(), image.to_str().unwrap()];
    run("mkfs.btrfs", &[&["-q", "-f", "--rootdir", at[0]], options, &[at[1]]].concat());
    sums_of(&root)
}

#[test]
fn every_file_of_every_form_of_btrfs_is_read_right() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let forms: [&[&str]; 6] = [
        &[],
        &["-n", "4096"],
        &["-n", "65536", "-m", "single"],
        &["-M"],
        &["--csum", "sha256"],
        &["--csum", "xxhash", "-O", "^no-holes"],
    ];
    for options in forms {
        let truth = volume(dir.path(), &image, options);
        let read = read(&image);
        assert_eq!(read.problems, [""; 0], "{options:?}");
        assert!(read.sums["p0"] == truth, "{options:?}");
        assert!(read.walked.is_complete(), "{options:?}: {:?}", read.walked);
        assert_eq!(read.n_others, 2, "{options:?}");
    }
}

#[test]
fn a_damaged_copy_of_metadata_is_replaced_by_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let truth = volume(dir.path(), &image, &["-m", "dup"]);
    let bytes = fs::read(&image).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&image).unwrap();
    // Nodes carry the volume's identity and their own logical address.
    let identity = bytes[(64 << 10) + 32..][..16].to_vec();
    let mut seen = std::collections::HashSet::new();
    let (mut n_first, mut all) = (0, Vec::new());
    for at in (0..bytes.len() - 4096).step_by(4096).filter(|at| *at != 64 << 10) {
        if bytes[at + 32..at + 48] == identity && at != (64 << 20) {
            all.push(at as u64);
            if seen.insert(bytes[at + 48..at + 56].to_vec()) {
                file.write_all_at(b"x", at as u64 + 200).unwrap();
                n_first += 1;
            }
        }
    }
    assert!(n_first > 10);
    let whole = read(&image);
    assert!(whole.sums["p0"] == truth && whole.walked.is_complete(), "{:?}", whole.problems);
    for at in all {
        file.write_all_at(b"x", at + 200).unwrap();
    }
    assert!(!read(&image).walked.is_complete());
}

/// What mkfs cannot make: packed files, holes, ranges never written, subvolumes, snapshots, reflinks, a log.
#[test]
#[ignore = "mounts, which takes root and a loop device"]
fn the_kernel_reads_the_same_of_btrfs() {
    let dir = tempfile::tempdir().unwrap();
    let (image, mount) = (dir.path().join("image"), dir.path().join("mount"));
    fs::create_dir(&mount).unwrap();
    let (at, on) = (image.to_str().unwrap(), mount.to_str().unwrap());
    for option in ["loop", "loop,compress-force=zlib", "loop,compress-force=lzo", "loop,compress-force=zstd"]
    {
        fs::File::create(&image).unwrap().set_len(400 << 20).unwrap();
        run("mkfs.btrfs", &["-q", "-f", at]);
        run("mount", &["-o", option, at, on]);
        run("btrfs", &["-q", "subvolume", "create", &format!("{on}/sub volume")]);
        let root = mount.join("sub volume");
        tree(&root);
        let file = fs::File::create(root.join("fragments")).unwrap();
        for nth in (0..1000_u64).rev() {
            file.write_all_at(&noise(1000, nth), nth * 8192).unwrap();
        }
        drop(file);
        fs::write(root.join("text"), "text that is packed well ".repeat(40_000)).unwrap();
        fs::write(root.join("little"), "text ".repeat(300)).unwrap();
        run("fallocate", &["-l", "3000000", root.join("unwritten").to_str().unwrap()]);
        run("sync", &[]);
        run("btrfs", &["-q", "subvolume", "snapshot", "-r", root.to_str().unwrap(), &format!("{on}/before")]);
        run("btrfs", &["-q", "subvolume", "create", &format!("{on}/sub volume/deep")]);
        fs::write(root.join("deep/file"), "in a subvolume of a subvolume").unwrap();
        fs::remove_file(root.join("little")).unwrap();
        let text = fs::OpenOptions::new().write(true).open(root.join("text")).unwrap();
        text.write_all_at(&noise(5000, 1), 200_000).unwrap();
        drop(text);
        let target = root.join("reflink");
        run("cp", &["--reflink=always", root.join("large").to_str().unwrap(), target.to_str().unwrap()]);
        let truth = sums_of(&mount);
        run("umount", &[on]);
        let read = read(&image);
        assert_eq!(read.problems, [""; 0], "{option}");
        let found = &read.sums["p0"];
        for (path, sum) in &truth {
            assert_eq!(found.get(path), Some(sum), "{option}: {path}");
        }
        assert_eq!(found.len(), truth.len(), "{option}");
        assert!(read.walked.is_complete(), "{option}: {:?}", read.walked);
    }
}
