//! Entries of every sort, names of every sort, and the digests of other people's tools.

use crate::support::{ALL_KINDS, expect, kinds, order, run, told};
use hashsweep_model::{HashKind, Seen};
use rustix::fs::{CWD, FileType, Mode, makedev, mkfifoat, mknodat};
use rustix::process::geteuid;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;

#[test]
fn every_entry_of_a_nasty_tree_is_one_row_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("a"), "a").unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::write(at(".hidden"), "12").unwrap();
    fs::write(at(".gitignore"), "*\n").unwrap();
    fs::create_dir_all(at(".git/objects")).unwrap();
    fs::write(at(".git/objects/x"), "123").unwrap();
    fs::create_dir_all(at("empty dir/in it")).unwrap();
    mkfifoat(CWD, at("fifo"), Mode::RWXU).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    symlink("loop", at("loop")).unwrap();
    symlink("a", at("link to a file")).unwrap();
    symlink(".", at("link to here")).unwrap();
    let mut expected = vec![
        ("a", "1"),
        ("empty", "0"),
        (".hidden", "2"),
        (".gitignore", "2"),
        (".git/objects/x", "3"),
        ("fifo", "fifo"),
        ("socket", "socket"),
        ("dangling", "symbolic link"),
        ("loop", "symbolic link"),
        ("link to a file", "symbolic link"),
        ("link to here", "symbolic link"),
    ];
    if mknodat(CWD, at("null"), FileType::CharacterDevice, Mode::RWXU, makedev(1, 3)).is_ok() {
        expected.push(("null", "character device"));
    }
    if mknodat(CWD, at("disk"), FileType::BlockDevice, Mode::RWXU, makedev(7, 0)).is_ok() {
        expected.push(("disk", "block device"));
    }
    // Root may read everything; there is then nothing unreadable to be had this way.
    if !geteuid().is_root() {
        fs::write(at("secret"), "x").unwrap();
        fs::set_permissions(at("secret"), Permissions::from_mode(0o000)).unwrap();
        fs::create_dir(at("closed")).unwrap();
        fs::write(at("closed/in it"), "x").unwrap();
        fs::set_permissions(at("closed"), Permissions::from_mode(0o000)).unwrap();
        expected.push(("secret", "unreadable: permission denied"));
        expected.push(("closed", "unreadable: permission denied"));
    }
    let seens = run(&order(&[dir.path()]));
    expect(&seens, dir.path(), &expected);
    if !geteuid().is_root() {
        fs::set_permissions(at("closed"), Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn names_of_any_bytes_come_through_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let long = vec![b'x'; 255];
    let names: [&[u8]; 11] = [
        b"new\nline",
        b"quote\"",
        b"'",
        b"com,ma",
        b"back\\slash",
        b"\xff\xfe",
        b" blank ",
        b"\x1b[31mred",
        b"=1+1",
        "ä€😀".as_bytes(),
        &long,
    ];
    for name in names {
        fs::write(dir.path().join(OsStr::from_bytes(name)), name).unwrap();
    }
    let seens = run(&order(&[dir.path()]));
    let mut expected: Vec<Vec<u8>> =
        names.iter().map(|name| [dir.path().as_os_str().as_bytes(), b"/", name].concat()).collect();
    expected.sort();
    let shown: Vec<Vec<u8>> = seens.rows.keys().map(|(_, path)| path.clone()).collect();
    assert_eq!(shown, expected);
    for ((_, path), seen) in &seens.rows {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap();
        assert_eq!(told(seen), name.len().to_string());
    }
}

#[test]
fn digests_are_those_of_coreutils() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0_u32..300 {
        let below = dir.path().join(format!("d{}/e{}", i % 7, i % 3));
        fs::create_dir_all(&below).unwrap();
        let n_bytes = usize::try_from(i * i * 17 % 300_000).unwrap();
        let content: Vec<u8> =
            (0..n_bytes).map(|k| u8::try_from((k * 31 + n_bytes) % 251).unwrap()).collect();
        fs::write(below.join(format!("f{i}")), content).unwrap();
    }
    let mut order = order(&[dir.path()]);
    order.kinds = kinds(ALL_KINDS);
    let seens = run(&order);
    assert_eq!(seens.rows.len(), 300);
    for (tool, kind) in
        [("md5sum", HashKind::Md5), ("sha1sum", HashKind::Sha1), ("sha256sum", HashKind::Sha256)]
    {
        let ours: BTreeMap<String, String> = seens
            .rows
            .iter()
            .map(|((_, path), seen)| {
                let Seen::Read { digests, asked, .. } = seen else { panic!("{seen:?}") };
                assert_eq!(*asked, HashKind::Sha256);
                (String::from_utf8(path.clone()).unwrap(), digests.get(kind).unwrap().to_string())
            })
            .collect();
        let output = Command::new(tool).args(ours.keys()).output().unwrap();
        let theirs: BTreeMap<String, String> = String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| {
                let (digest, path) = line.split_once("  ").unwrap();
                (path.to_owned(), digest.to_owned())
            })
            .collect();
        assert_eq!(ours, theirs, "{tool}");
    }
}

#[test]
fn a_file_with_many_names_is_read_once_and_has_many_rows() {
    const SIZE: u64 = 300_000;
    let dir = tempfile::tempdir().unwrap();
    let first = dir.path().join("0");
    fs::write(&first, vec![5; usize::try_from(SIZE).unwrap()]).unwrap();
    for i in 1..100 {
        let below = dir.path().join(format!("d{}", i % 5));
        fs::create_dir_all(&below).unwrap();
        fs::hard_link(&first, below.join(i.to_string())).unwrap();
    }
    let seens = run(&order(&[dir.path()]));
    assert_eq!(seens.rows.len(), 100);
    let some = seens.rows.values().next().unwrap();
    assert!(matches!(some, Seen::Read { size: SIZE, .. }));
    assert!(seens.rows.values().all(|seen| seen == some));
    assert_eq!(seens.gauges.bytes_hashed.load(Relaxed), SIZE);
}

#[test]
fn a_sparse_file_is_hashed_through_its_holes() {
    // A debug build hashes too slowly for more.
    const SIZE: u64 = if cfg!(debug_assertions) { 64 << 20 } else { 1 << 30 };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sparse");
    File::create(&path).unwrap().set_len(SIZE).unwrap();
    let seens = run(&order(&[dir.path()]));
    let Some(Seen::Read { size: SIZE, digests, .. }) = seens.rows.values().next() else {
        panic!("{:?}", seens.rows)
    };
    let output = Command::new("sha1sum").arg(&path).output().unwrap();
    let theirs = String::from_utf8(output.stdout).unwrap();
    assert_eq!(theirs.split(' ').next().unwrap(), digests.sha1.unwrap().to_string());
}

#[test]
fn the_kernels_file_systems_are_one_row_each() {
    let proc = Path::new("/proc");
    let seens = run(&order(&[proc]));
    expect(&seens, proc, &[("", "pseudo file system: proc")]);
    let version = Path::new("/proc/version");
    expect(&run(&order(&[version])), version, &[("", "pseudo file system: proc")]);
}

#[test]
fn our_own_reading_leaves_no_trace_in_access_times() {
    use std::os::unix::fs::MetadataExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "content").unwrap();
    // Older than a day and than the last change: a plain read would touch it even under `relatime`.
    let times = fs::FileTimes::new()
        .set_accessed(std::time::UNIX_EPOCH)
        .set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000));
    File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
    expect(&run(&order(&[dir.path()])), dir.path(), &[("file", "7")]);
    assert_eq!(fs::metadata(&path).unwrap().atime(), 0);
}
