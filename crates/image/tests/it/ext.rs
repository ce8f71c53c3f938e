use crate::made::{ext, has_unwritten, noise, read, run, sums_of, tree};
use hashsweep_image::open;
use sha1::{Digest as _, Sha1};
use std::fs;

#[test]
fn every_file_of_every_kind_of_ext_is_read_right() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("tree");
    fs::create_dir(&root).unwrap();
    tree(&root);
    let truth = sums_of(&root);
    let check = |options: &[&str]| {
        let image = dir.path().join("image");
        ext(&image, &root, 48, options);
        let read = read(&image);
        assert_eq!(read.problems, [""; 0], "{options:?}");
        assert!(read.walked.is_complete(), "{options:?}: {:?}", read.walked);
        // mke2fs 1.47 writes such a file without its hole where it may put data into inodes.
        let is_cut = |path: &str| path == "/hole at the end" && options.contains(&"inline_data");
        let wrong: Vec<_> = truth
            .iter()
            .filter(|(path, sum)| !is_cut(path) && read.sums["p0"].get(*path) != Some(sum))
            .collect();
        assert!(wrong.is_empty(), "{options:?}: {wrong:?}");
        assert_eq!(read.sums["p0"].len(), truth.len(), "{options:?}");
        assert_eq!(read.n_others, 2, "two links");
    };
    check(&["-t", "ext2"]);
    check(&["-t", "ext2", "-b", "1024"]);
    check(&["-t", "ext2", "-r", "0"]);
    check(&["-t", "ext3"]);
    check(&["-t", "ext4"]);
    check(&["-t", "ext4", "-b", "1024", "-O", "inline_data"]);
    check(&["-t", "ext4", "-I", "1024", "-O", "inline_data"]);
    check(&["-t", "ext4", "-I", "128", "-O", "^metadata_csum"]);
    check(&["-t", "ext4", "-O", "^64bit,^flex_bg,uninit_bg,^metadata_csum"]);
    check(&["-t", "ext4", "-b", "1024", "-g", "2048", "-O", "meta_bg,^resize_inode"]);
    check(&["-t", "ext4", "-O", "bigalloc", "-C", "16384"]);
    check(&["-t", "ext4", "-O", "metadata_csum_seed,quota,ea_inode,large_dir"]);
    check(&["-t", "ext4", "-O", "^filetype"]);
}

#[test]
fn what_was_allocated_and_never_written_is_zeros() {
    let dir = tempfile::tempdir().unwrap();
    let (root, image) = (dir.path().join("tree"), dir.path().join("image"));
    fs::create_dir(&root).unwrap();
    fs::write(root.join("small"), "x").unwrap();
    ext(&image, &root, 8, &["-t", "ext4", "-b", "1024"]);
    let at = image.to_str().unwrap();
    run("debugfs", &["-w", "-R", "fallocate /small 1 99", at]);
    run("debugfs", &["-w", "-R", "set_inode_field /small size 102400", at]);
    let mut expected = vec![0; 102_400];
    expected[0] = b'x';
    assert!(has_unwritten(&open(&image).unwrap(), b"/small"));
    let read = read(&image);
    assert_eq!(read.sums["p0"]["/small"], (102_400, Sha1::digest(expected).into()));
}

#[test]
fn a_file_that_no_directory_names_is_read_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (root, image) = (dir.path().join("tree"), dir.path().join("image"));
    fs::create_dir_all(root.join("dir")).unwrap();
    fs::write(root.join("dir/file"), "content").unwrap();
    fs::write(root.join("other"), "other").unwrap();
    ext(&image, &root, 8, &["-t", "ext4"]);
    run("debugfs", &["-w", "-R", "unlink /dir", image.to_str().unwrap()]);
    let read = read(&image);
    let names: Vec<_> = read.sums["p0"].keys().collect();
    assert_eq!(names.len(), 2);
    assert!(names[0].starts_with("/$Orphans/") && names[0].ends_with("/file"), "{names:?}");
}

#[test]
fn a_journal_that_was_not_replayed_is_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let (root, image) = (dir.path().join("tree"), dir.path().join("image"));
    fs::create_dir(&root).unwrap();
    ext(&image, &root, 8, &["-t", "ext4"]);
    run("debugfs", &["-w", "-R", "feature needs_recovery", image.to_str().unwrap()]);
    let read = read(&image);
    assert!(read.problems[0].contains("journal"), "{:?}", read.problems);
    assert!(!read.walked.is_complete());
}

#[test]
fn a_file_that_is_encrypted_or_damaged_is_a_problem_and_costs_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (root, image) = (dir.path().join("tree"), dir.path().join("image"));
    fs::create_dir(&root).unwrap();
    for name in ["bad", "secret", "well"] {
        fs::write(root.join(name), name).unwrap();
    }
    ext(&image, &root, 8, &["-t", "ext4", "-O", "encrypt"]);
    let at = image.to_str().unwrap();
    run("debugfs", &["-w", "-R", "set_inode_field /secret flags 0x80800", at]);
    run("debugfs", &["-w", "-R", "set_inode_field /bad checksum 0x12345678", at]);
    run("debugfs", &["-w", "-R", "clri /well", at]);
    let read = read(&image);
    assert!(read.sums.is_empty(), "{:?}", read.sums);
    let text = read.problems.join("\n");
    assert!(text.contains("/secret: not supported: an encrypted file"), "{text}");
    assert!(!read.walked.is_complete() && read.walked.volumes[0].summary.adds_up());
}

/// The superblock of an image comes from whoever owned the machine.
#[test]
fn no_file_with_a_name_can_be_called_the_file_systems_own() {
    let dir = tempfile::tempdir().unwrap();
    let (root, image) = (dir.path().join("tree"), dir.path().join("image"));
    fs::create_dir(&root).unwrap();
    fs::write(root.join("evil"), "evil").unwrap();
    let claims = [
        &["set_super_value first_ino 5000"][..],
        &["set_super_value orphan_file_inum 12"],
        &["feature quota", "set_super_value usr_quota_inum 12"],
        &["set_inode_field /evil flags 0x280000"],
    ];
    for claim in claims {
        ext(&image, &root, 8, &["-t", "ext4", "-O", "^metadata_csum"]);
        for command in claim {
            run("debugfs", &["-w", "-R", command, image.to_str().unwrap()]);
        }
        let read = read(&image);
        assert!(read.sums.get("p0").is_some_and(|sums| sums.contains_key("/evil")), "{claim:?}: {read:?}");
    }
}

#[test]
fn a_root_that_is_not_in_use_is_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let (root, image) = (dir.path().join("tree"), dir.path().join("image"));
    fs::create_dir(&root).unwrap();
    fs::write(root.join("evil"), "evil").unwrap();
    ext(&image, &root, 8, &["-t", "ext4", "-O", "^has_journal,^metadata_csum,uninit_bg"]);
    for command in ["set_bg 0 flags 0x1", "set_bg 0 checksum calc"] {
        run("debugfs", &["-w", "-R", command, image.to_str().unwrap()]);
    }
    let read = read(&image);
    assert_eq!(read.problems, ["/: damaged: a root that is no directory in use at byte 2"]);
    assert!(!read.walked.is_complete());
}

/// Nor can one that no directory names: what the file system's own would begin with is looked for.
#[test]
fn a_file_that_lost_its_name_is_not_the_file_systems_own() {
    let dir = tempfile::tempdir().unwrap();
    let (root, image) = (dir.path().join("tree"), dir.path().join("image"));
    fs::create_dir(&root).unwrap();
    fs::write(root.join("evil"), noise(3000, 1)).unwrap();
    let sum = sums_of(&root)["/evil"];
    let claims: [(&[&str], &str); 3] = [
        (&["feature quota", "set_super_value usr_quota_inum 12"], "/$Orphans/12"),
        (&["set_inode_field <12> flags 0x280000"], "/$Orphans/12"),
        (&["copy_inode <12> <5>", "clri <12>", "freei <12>"], "/$Orphans/5"),
    ];
    for (claim, path) in claims {
        ext(&image, &root, 8, &["-t", "ext4", "-O", "^metadata_csum,^has_journal,^inline_data"]);
        for command in [&["unlink /evil"][..], claim].concat() {
            run("debugfs", &["-w", "-R", command, image.to_str().unwrap()]);
        }
        let read = read(&image);
        assert_eq!(read.sums["p0"].get(path), Some(&sum), "{claim:?}: {read:?}");
    }
}

#[test]
fn blocks_that_are_marked_bad_are_said() {
    let dir = tempfile::tempdir().unwrap();
    let (root, image, list) = (dir.path().join("tree"), dir.path().join("image"), dir.path().join("list"));
    fs::create_dir(&root).unwrap();
    fs::write(&list, "5000\n5001\n").unwrap();
    ext(&image, &root, 8, &["-t", "ext4", "-b", "1024", "-l", list.to_str().unwrap()]);
    let read = read(&image);
    assert!(read.problems.iter().any(|problem| problem.contains("marked bad")), "{:?}", read.problems);
    assert!(!read.walked.is_complete() && read.walked.volumes[0].summary.adds_up());
}
