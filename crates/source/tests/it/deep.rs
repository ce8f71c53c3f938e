//! Trees that are deeper, wider or longer than what a careless walk survives.

use crate::support::{order, run, told};
use hashsweep_model::Sighting;
use hashsweep_source::{Fresh, Gauges, Rows, walk};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, unlinkat};
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

fn open(above: &OwnedFd, name: &str) -> OwnedFd {
    openat(above, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

fn open_path(path: &Path) -> OwnedFd {
    openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

fn write(dir: &OwnedFd, name: &str, content: &[u8]) {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    let fd = openat(dir, name, flags, Mode::RUSR | Mode::WUSR).unwrap();
    rustix::io::write(fd, content).unwrap();
}

/// A chain of directories, each holding what `fill` puts there. Takes itself down again by descriptor: no path
/// reaches its end.
struct Chain {
    top: tempfile::TempDir,
    name: String,
    depth: usize,
    siblings: Vec<&'static str>,
}

impl Chain {
    fn new(depth: usize, name: &str, siblings: Vec<&'static str>) -> Chain {
        let top = tempfile::tempdir().unwrap();
        let mut at = open_path(top.path());
        for _ in 0..depth {
            for sibling in &siblings {
                mkdirat(&at, *sibling, Mode::RWXU).unwrap();
                write(&open(&at, sibling), "f", b"in a sibling");
            }
            mkdirat(&at, name, Mode::RWXU).unwrap();
            at = open(&at, name);
        }
        write(&at, "end", b"the end");
        Chain { top, name: name.to_owned(), depth, siblings }
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        let mut at = open_path(self.top.path());
        for _ in 0..self.depth {
            at = open(&at, &self.name);
        }
        unlinkat(&at, "end", AtFlags::empty()).unwrap();
        for _ in 0..self.depth {
            at = open(&at, "..");
            unlinkat(&at, &*self.name, AtFlags::REMOVEDIR).unwrap();
            for sibling in &self.siblings {
                unlinkat(open(&at, sibling), "f", AtFlags::empty()).unwrap();
                unlinkat(&at, *sibling, AtFlags::REMOVEDIR).unwrap();
            }
        }
    }
}

#[test]
fn a_path_longer_than_the_kernel_takes_is_walked_to_its_end() {
    let chain = Chain::new(5_000, "dir", vec![]);
    let seens = run(&order(&[chain.top.path()]));
    assert_eq!(seens.rows.len(), 1);
    let ((_, path), seen) = seens.rows.first_key_value().unwrap();
    assert_eq!(path.len(), chain.top.path().as_os_str().len() + 5_000 * 4 + 4);
    assert_eq!(told(seen), "7");

    // The same file as a root: its path is taken in pieces.
    let mut long = PathBuf::from(chain.top.path());
    long.extend(std::iter::repeat_n("dir", 5_000));
    let end = long.join("end");
    let seens = run(&order(&[&end, &long]));
    let sizes: Vec<String> = seens.rows.values().map(told).collect();
    assert_eq!(sizes, ["7", "7"]);
    assert_eq!(seens.rows.first_key_value().unwrap().0.1, end.as_os_str().as_bytes());
}

#[test]
fn a_deep_tree_with_work_on_every_level_needs_few_descriptors() {
    // Two siblings on either side of the chain in any order, so that whichever comes first, directories wait on
    // every level while the bottom is reached.
    let chain = Chain::new(1_200, "m", vec!["a", "z"]);
    let rows =
        Watching { top: chain.top.path(), n_taken: AtomicUsize::new(0), most_open: AtomicUsize::new(0) };
    let order = order(&[chain.top.path()]);
    let gauges = Gauges::default();
    let walked = walk(&order, &rows, &Fresh, &gauges, &AtomicBool::new(false)).unwrap();
    assert!(walked.finished);
    assert_eq!(gauges.files_hashed.load(Relaxed), 2 * 1_200 + 1);
    assert_eq!(gauges.rows.load(Relaxed), 2 * 1_200 + 1);
    let most_open = rows.most_open.into_inner();
    // 256 that are held, and a few in the hands of each of the four threads.
    assert!((1..=256 + 4 * 8).contains(&most_open), "{most_open} descriptors were open");
}

/// Counts our open descriptors in a tree, now and then.
struct Watching<'a> {
    top: &'a Path,
    n_taken: AtomicUsize,
    most_open: AtomicUsize,
}

impl Rows for Watching<'_> {
    fn take(&self, _rows: Vec<Sighting>) -> ControlFlow<()> {
        if self.n_taken.fetch_add(1, Relaxed).is_multiple_of(50) {
            let n_open = fs::read_dir("/proc/self/fd")
                .unwrap()
                .filter_map(|fd| fs::read_link(fd.unwrap().path()).ok())
                .filter(|path| path.starts_with(self.top))
                .count();
            self.most_open.fetch_max(n_open, Relaxed);
        }
        ControlFlow::Continue(())
    }
}

#[test]
fn a_wide_directory_is_shared_and_complete() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..5_000 {
        fs::write(dir.path().join(i.to_string()), i.to_string()).unwrap();
    }
    for i in 0..500 {
        fs::create_dir(dir.path().join(format!("d{i}"))).unwrap();
        fs::write(dir.path().join(format!("d{i}/f")), "x").unwrap();
    }
    for jobs in [1, 2, 16] {
        let mut order = order(&[dir.path()]);
        order.jobs = std::num::NonZeroUsize::new(jobs).unwrap();
        let seens = run(&order);
        assert_eq!(seens.rows.len(), 5_500);
        assert!(seens.walked.finished);
    }
}
