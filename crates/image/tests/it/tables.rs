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
