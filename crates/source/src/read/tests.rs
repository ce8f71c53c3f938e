use super::*;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Reads `path` while `meddle` does as it likes after every block; it is told how many there were.
fn read_while(path: &Path, mut meddle: impl FnMut(usize)) -> Result<Reading, Trouble> {
    let kinds = Kinds::default();
    let own = OwnFiles::default();
    let devices = Devices::new(None);
    let reader = Reader::new(&kinds, &own, &devices, Io::Auto);
    let name = path.as_os_str().as_bytes();
    let target = Target { dir: CWD.as_fd(), name, links: Links::Never, is_mounted: false };
    let meta = Meta::at(CWD, name, Links::Never).unwrap();
    let mut n_blocks = 0;
    reader.read(target, &meta, None, &mut |_| {
        n_blocks += 1;
        meddle(n_blocks);
        ControlFlow::Continue(())
    })
}

fn skip_of(reading: Result<Reading, Trouble>) -> String {
    match reading {
        Err(Trouble::Skip(skip)) => skip.to_string(),
        other => panic!("expected a skip, got {other:?}"),
    }
}

/// Two blocks and a bit, modified long ago, so that any write shows even where clocks are coarse.
fn file(dir: &Path) -> std::path::PathBuf {
    let path = dir.join("file");
    fs::write(&path, vec![7; 2 * BUFFER + 1]).unwrap();
    set_modified(&path);
    path
}

fn set_modified(path: &Path) {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: 1_000_000_000, tv_nsec: 0 },
    };
    utimensat(CWD, path, &times, AtFlags::empty()).unwrap();
}

fn append(path: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

fn digests_at(path: &Path) -> Digests {
    crate::digests_of(File::open(path).unwrap(), &Kinds::default()).unwrap().1
}

#[test]
fn a_file_that_changed_once_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    let reading = read_while(&path, |n| {
        if n == 1 {
            append(&path, b"more");
        }
    })
    .unwrap();
    assert_eq!(reading.size, 2 * BUFFER as u64 + 5);
    assert_eq!(reading.digests, digests_at(&path));
}

#[test]
fn a_file_that_grows_without_end_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    let reading = read_while(&path, |_| append(&path, &vec![1; 2 * BUFFER]));
    assert_eq!(skip_of(reading), "changed while reading");
}

#[test]
fn a_file_that_is_cut_short_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    let mut size = 2 * BUFFER as u64;
    let reading = read_while(&path, |_| {
        size -= 100;
        OpenOptions::new().write(true).open(&path).unwrap().set_len(size).unwrap();
    });
    assert_eq!(skip_of(reading), "changed while reading");
}

#[test]
fn a_rewrite_of_the_same_size_with_the_old_time_restored_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    let reading = read_while(&path, |_| {
        // Until the clock that file systems use has ticked.
        let before = Meta::at(CWD, &*path, Links::Never).unwrap();
        while Meta::at(CWD, &*path, Links::Never).unwrap().changed == before.changed {
            fs::write(&path, vec![8; 2 * BUFFER + 1]).unwrap();
            set_modified(&path);
        }
    });
    assert_eq!(skip_of(reading), "changed while reading");
}

#[test]
fn a_file_that_is_replaced_while_it_is_read_is_read_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    let reading = read_while(&path, |n| {
        if n == 3 {
            fs::write(dir.path().join("new"), "new").unwrap();
            fs::rename(dir.path().join("new"), &path).unwrap();
        }
    })
    .unwrap();
    assert_eq!((reading.size, reading.digests), (3, digests_at(&path)));
}

#[test]
fn a_file_that_became_something_else_is_not_opened_as_that() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    let meta = Meta::at(CWD, &*path, Links::Never).unwrap();
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    let (kinds, own, devices) = (Kinds::default(), OwnFiles::default(), Devices::new(None));
    let target = Target {
        dir: CWD.as_fd(),
        name: path.as_os_str().as_bytes(),
        links: Links::Never,
        is_mounted: false,
    };
    let read = |meta| {
        Reader::new(&kinds, &own, &devices, Io::Auto)
            .read(target, meta, None, &mut |_| ControlFlow::Continue(()))
    };
    assert_eq!(skip_of(read(&meta)), "changed while reading");
    fs::remove_file(&path).unwrap();
    assert_eq!(skip_of(read(&meta)), "vanished");
}

#[test]
fn a_directory_that_took_the_place_of_a_small_file_is_a_change_and_no_io_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("small");
    fs::write(&path, "small").unwrap();
    let found = Meta::at(CWD, &*path, Links::Never).unwrap();
    fs::remove_file(&path).unwrap();
    // Something else gets the file's inode number, and the directory another.
    fs::write(dir.path().join("other"), "other").unwrap();
    fs::create_dir(&path).unwrap();
    let (kinds, own, devices) = (Kinds::default(), OwnFiles::default(), Devices::new(None));
    let target = Target {
        dir: CWD.as_fd(),
        name: path.as_os_str().as_bytes(),
        links: Links::Never,
        is_mounted: false,
    };
    let reading = Reader::new(&kinds, &own, &devices, Io::Auto)
        .read(target, &found, None, &mut |_| ControlFlow::Continue(()));
    assert_eq!(skip_of(reading), "changed while reading");
}

#[test]
fn an_own_file_that_took_the_place_of_another_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    let found = Meta::at(CWD, &*path, Links::Never).unwrap();
    fs::write(dir.path().join("own"), "own").unwrap();
    let (kinds, own) = (Kinds::default(), OwnFiles::of([dir.path().join("own")]));
    let devices = Devices::new(None);
    fs::rename(dir.path().join("own"), &path).unwrap();
    let target = Target {
        dir: CWD.as_fd(),
        name: path.as_os_str().as_bytes(),
        links: Links::Never,
        is_mounted: false,
    };
    let reading = Reader::new(&kinds, &own, &devices, Io::Auto)
        .read(target, &found, None, &mut |_| ControlFlow::Continue(()));
    assert_eq!(skip_of(reading), "own file");
}

#[test]
fn a_stop_ends_the_reading_between_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    let (kinds, own, devices) = (Kinds::default(), OwnFiles::default(), Devices::new(None));
    let target = Target {
        dir: CWD.as_fd(),
        name: path.as_os_str().as_bytes(),
        links: Links::Never,
        is_mounted: false,
    };
    let meta = Meta::at(CWD, &*path, Links::Never).unwrap();
    let mut n_blocks = 0;
    let reading = Reader::new(&kinds, &own, &devices, Io::Auto).read(target, &meta, None, &mut |_| {
        n_blocks += 1;
        ControlFlow::Break(())
    });
    assert!(matches!(reading, Err(Trouble::Stopped)));
    assert_eq!(n_blocks, 1);
}

#[test]
fn a_kernel_file_of_no_stated_size_is_believed_when_two_readings_agree() {
    let version = Path::new("/proc/version");
    let reading = read_while(version, |_| {}).unwrap();
    assert_eq!(reading.size, fs::read(version).unwrap().len() as u64);
    assert_eq!(reading.digests, digests_at(version));
    let fickle = read_while(Path::new("/proc/sys/kernel/random/uuid"), |_| {});
    assert_eq!(skip_of(fickle), "changed while reading");
}

/// Reads a file of these bytes through `begin`, as a lane does, while `meddle` does as it likes between blocks.
fn read_in_lane(
    reader: &Reader<'_>,
    path: &Path,
    mut meddle: impl FnMut(usize),
) -> (Vec<u8>, bool, Result<Attempt, Trouble>) {
    let on_block = &mut |_| ControlFlow::Continue(());
    let name = path.as_os_str().as_bytes();
    let target = Target { dir: CWD.as_fd(), name, links: Links::Never, is_mounted: false };
    let found = Meta::at(CWD, name, Links::Never).unwrap();
    let mut open = reader.begin(target, &found).unwrap().unwrap();
    let is_mapped = open.is_mapped();
    let mut bytes = Vec::new();
    let mut space = vec![0; 32 * 1024];
    for nth in 0.. {
        if open.lend(on_block).unwrap() > 0 {
            bytes.extend_from_slice(open.lent());
        } else {
            match open.next(&mut space, on_block).unwrap() {
                Next::More(rest, n) => {
                    bytes.extend_from_slice(&space[..n]);
                    open = rest;
                }
                Next::Last(ended, n) => {
                    bytes.extend_from_slice(&space[..n]);
                    return (bytes, is_mapped, ended.attempt(Digests::default()));
                }
            }
        }
        meddle(nth);
    }
    unreachable!("a file ends")
}

fn dev_of(path: &Path) -> u64 {
    Meta::at(CWD, path, Links::Never).unwrap().id.dev
}

#[test]
fn a_mapped_file_of_any_length_gives_the_bytes_that_reading_gives() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let (kinds, own) = (Kinds::default(), OwnFiles::default());
    let devices = Devices::knowing(dev_of(dir.path()), Kind::Solid);
    let reader = Reader::new(&kinds, &own, &devices, Io::Mmap);
    for n_bytes in [0, 1, 63, 64, 65, 4096, BUFFER - 1, BUFFER, BUFFER + 1, 3 * BUFFER + 100, 2 << 20] {
        let content: Vec<u8> = (0..n_bytes).map(|i| (i % 251).to_le_bytes()[0]).collect();
        fs::write(&path, &content).unwrap();
        let (bytes, is_mapped, attempt) = read_in_lane(&reader, &path, |_| {});
        assert!(bytes == content, "{n_bytes}");
        assert_eq!(is_mapped, n_bytes > 0);
        assert!(matches!(attempt, Ok(Attempt::Steady(_))));
    }
}

#[test]
fn a_file_cut_short_under_its_mapping_and_made_whole_again_has_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, vec![7; 4 * BUFFER]).unwrap();
    let (kinds, own) = (Kinds::default(), OwnFiles::default());
    let devices = Devices::knowing(dev_of(dir.path()), Kind::Solid);
    let reader = Reader::new(&kinds, &own, &devices, Io::Mmap);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    let (bytes, is_mapped, attempt) = read_in_lane(&reader, &path, |nth| match nth {
        0 => file.set_len(10).unwrap(),
        2 => file.set_len(4 * BUFFER as u64).unwrap(),
        _ => {}
    });
    assert!(is_mapped && bytes.len() == 4 * BUFFER);
    assert!(bytes[BUFFER..].iter().all(|byte| *byte == 0));
    assert!(matches!(attempt, Ok(Attempt::Changed)));
}

#[test]
fn what_may_not_be_mapped_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    let (kinds, own) = (Kinds::default(), OwnFiles::default());
    for (kind, is_nice) in [(Kind::Network, false), (Kind::Rotational, false), (Kind::Solid, true)] {
        let devices = Devices::knowing(dev_of(dir.path()), kind);
        let reader = Reader::new(&kinds, &own, &devices, Io::Mmap);
        let reader = if is_nice { reader.forgetful() } else { reader };
        let (bytes, is_mapped, _) = read_in_lane(&reader, &path, |_| {});
        assert_eq!((bytes, is_mapped), (fs::read(&path).unwrap(), false), "{kind}");
    }
}

/// Drops a file's pages from the cache. `None` where the file system keeps them or does not say, as tmpfs.
fn make_cold(path: &Path) -> Option<()> {
    let file = File::open(path).unwrap();
    file.sync_all().unwrap();
    fadvise(&file, 0, None, Advice::DontNeed).unwrap();
    (!is_cached(path)?).then_some(())
}

fn is_cached(path: &Path) -> Option<bool> {
    let mut byte = [0];
    let read = preadv2(
        File::open(path).unwrap(),
        &mut [IoSliceMut::new(&mut byte)],
        ON_FROM_HERE,
        ReadWriteFlags::NOWAIT,
    );
    match read {
        Ok(n) => Some(n == 1),
        Err(Errno::AGAIN) => Some(false),
        Err(_) => None,
    }
}

#[test]
fn a_nice_walk_leaves_in_the_cache_what_was_there_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    let (kinds, own) = (Kinds::default(), OwnFiles::default());
    let devices = Devices::knowing(dev_of(dir.path()), Kind::Solid);
    let reader = Reader::new(&kinds, &own, &devices, Io::Auto).forgetful();
    let Some(()) = make_cold(&path) else { return };
    let (bytes, ..) = read_in_lane(&reader, &path, |_| {});
    assert_eq!((bytes, is_cached(&path)), (fs::read(&path).unwrap(), Some(false)));
    assert_eq!(is_cached(&path), Some(true), "the comparison has read it");
    assert!(read_in_lane(&reader, &path, |_| {}).2.is_ok());
    assert_eq!(is_cached(&path), Some(true));
}

#[test]
fn a_cold_file_on_a_rotational_disk_is_read_through_its_gate() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let content: Vec<u8> = (0..5_000_000_u32).map(|i| (i % 251).to_le_bytes()[0]).collect();
    fs::write(&path, &content).unwrap();
    let (kinds, own) = (Kinds::default(), OwnFiles::default());
    let devices = Devices::knowing(dev_of(dir.path()), Kind::Rotational);
    let reader = Reader::new(&kinds, &own, &devices, Io::Auto);
    for _ in 0..2 {
        let _ = make_cold(&path);
        let (bytes, ..) = read_in_lane(&reader, &path, |_| {});
        assert!(bytes == content);
    }
    assert!(read_in_lane(&reader, &path, |_| {}).0 == content, "warm");
}

#[test]
fn a_device_or_a_fifo_that_took_the_place_of_a_small_file_neither_blocks_nor_goes_on_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    let fifo = dir.path().join("fifo");
    rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let found = Meta::at(CWD, &*path, Links::Never).unwrap();
    let (kinds, own, devices) = (Kinds::default(), OwnFiles::default(), Devices::new(None));
    let read = |name: &Path, io| {
        let mut n_read = 0;
        let name = name.as_os_str().as_bytes();
        let target = Target { dir: CWD.as_fd(), name, links: Links::Never, is_mounted: false };
        let reading = Reader::new(&kinds, &own, &devices, io).read(target, &found, None, &mut |n| {
            n_read += n;
            ControlFlow::Continue(())
        });
        assert_eq!(skip_of(reading), "changed while reading");
        n_read
    };
    for io in [Io::Read, Io::Mmap] {
        assert_eq!(read(&fifo, io), 0);
        assert!(read(Path::new("/dev/zero"), io) <= found.size + BUFFER as u64);
        // Somebody holds the other end and writes nothing: reading would wait.
        let end = OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
        assert_eq!(read(&fifo, io), 0);
        drop(end);
    }
}
