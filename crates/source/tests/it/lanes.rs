//! Files side by side: whatever hashes them, in whatever order they end, the rows are the same.

use crate::support::{ALL_KINDS, Seens, kinds, order, run, try_run};
use hashsweep_model::Seen;
use hashsweep_source::{Engine, Fresh, Gauges, Io, Rows, Walk, digests_of, walk};
use std::fs::{self, File};
use std::num::{NonZeroU64, NonZeroUsize};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Files whose sizes lie around the edges of blocks, of what is read at once and of what counts as large, more than
/// all threads have lanes for; and further names for some.
fn tree() -> (tempfile::TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    let edges = [0, 1, 55, 56, 63, 64, 65, 4096, 32 * 1024, 64 * 1024, 1 << 20, 3 << 20];
    let sizes = edges.into_iter().flat_map(|edge: usize| edge.saturating_sub(3)..edge + 4);
    let mut paths = Vec::new();
    for (nth, size) in sizes.enumerate() {
        let path = dir.path().join(format!("{}/{nth}", nth % 7));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(
            &path,
            (0..size).map(|i| (i * 7 + nth).to_le_bytes()[0] ^ (i >> 8).to_le_bytes()[0]).collect::<Vec<_>>(),
        )
        .unwrap();
        if nth % 5 == 0 {
            for further in ["second", "third"] {
                let link = dir.path().join(format!("{further} {nth}"));
                fs::hard_link(&path, &link).unwrap();
                paths.push(link);
            }
        }
        paths.push(path);
    }
    (dir, paths)
}

/// Every file has one row, with the digests that it has when it is read alone.
fn check(seens: &Seens, paths: &[PathBuf]) {
    assert!(seens.walked.finished);
    assert_eq!(seens.rows.len(), paths.len());
    for path in paths {
        let (size, digests) = digests_of(File::open(path).unwrap(), &kinds(ALL_KINDS)).unwrap();
        match &seens.rows[&(0, path.as_os_str().as_bytes().to_vec())] {
            Seen::Read { size: found, digests: computed, .. } => {
                assert_eq!((*found, computed), (size, &digests), "{}", path.display());
            }
            other => panic!("{}: {other:?}", path.display()),
        }
    }
}

#[test]
fn every_engine_and_any_number_of_threads_give_the_same_rows() {
    let (dir, paths) = tree();
    for engine in Engine::available() {
        for jobs in [1, 2, 5] {
            let mut order = order(&[dir.path()]);
            (order.engine, order.kinds) = (engine, kinds(ALL_KINDS));
            order.jobs = NonZeroUsize::new(jobs).unwrap();
            check(&run(&order), &paths);
        }
    }
}

#[test]
fn files_that_are_roots_go_through_lanes_too() {
    let (_dir, paths) = tree();
    let roots: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let mut order = order(&roots);
    order.kinds = kinds(ALL_KINDS);
    let mut seens = run(&order);
    seens.rows = seens.rows.into_iter().map(|((_, path), seen)| ((0, path), seen)).collect();
    check(&seens, &paths);
}

#[test]
fn one_large_file_with_all_digests_is_shared_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large");
    fs::write(&path, vec![3; (5 << 20) + 11]).unwrap();
    let mut order = order(&[dir.path()]);
    order.kinds = kinds(ALL_KINDS);
    check(&run(&order), &[path]);
}

#[test]
fn a_nice_walk_and_a_slow_one_see_the_same() {
    let (dir, paths) = tree();
    let mut order = order(&[dir.path()]);
    (order.kinds, order.nice) = (kinds(ALL_KINDS), true);
    order.max_read = NonZeroU64::new(1 << 30);
    check(&run(&order), &paths);
}

/// A walk at a byte a second would never end: what was stopped does not wait for its rate.
#[test]
fn a_stop_ends_a_walk_that_waits_for_its_rate() {
    let (dir, _) = tree();
    let mut order = order(&[dir.path()]);
    order.max_read = Some(NonZeroU64::MIN);
    let seens = try_run(&order, &Fresh, &AtomicBool::new(true)).unwrap();
    assert!(!seens.walked.finished);
    let gauges = Gauges::default();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let walking = scope.spawn(|| walk(&order, &Nobody, &Fresh, &gauges, &stop));
        while gauges.bytes_hashed.load(Relaxed) == 0 {
            std::thread::yield_now();
        }
        stop.store(true, Relaxed);
        assert!(!walking.join().unwrap().unwrap().finished);
    });
}

struct Nobody;

impl Rows for Nobody {
    fn take(&self, _: Vec<hashsweep_model::Sighting>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Rows that were complete when the door closed are not offered again, and none twice.
#[test]
fn a_door_that_closes_ends_the_walk_with_files_in_the_lanes() {
    /// Every delivery that was made.
    struct Once(Mutex<Vec<usize>>);
    impl Rows for Once {
        fn take(&self, rows: Vec<hashsweep_model::Sighting>) -> ControlFlow<()> {
            self.0.lock().unwrap().push(rows.len());
            ControlFlow::Break(())
        }
    }
    let (dir, paths) = tree();
    let door = Once(Mutex::default());
    let mut order = order(&[dir.path()]);
    order.jobs = NonZeroUsize::MIN;
    let walked = walk(&order, &door, &Fresh, &Gauges::default(), &AtomicBool::new(false)).unwrap();
    assert!(!walked.finished);
    let deliveries = door.0.lock().unwrap();
    assert!(deliveries.len() == 1 && deliveries[0] < paths.len(), "{deliveries:?} of {}", paths.len());
}

#[test]
fn however_files_are_read_and_by_however_many_the_digests_are_the_same() {
    let (dir, paths) = tree();
    for io in [Io::Read, Io::Mmap] {
        for readers in [None, NonZeroUsize::new(1), NonZeroUsize::new(3)] {
            for nice in [false, true] {
                let order = order(&[dir.path()]);
                check(&run(&Walk { io, readers, nice, kinds: kinds(ALL_KINDS), ..order }), &paths);
            }
        }
    }
}
