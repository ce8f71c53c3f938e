//! What the user may order: roots, filters, links, own files, stopping and going on.

use crate::support::{expect, order, run, try_run};
use hashsweep_model::{Sighting, Stamp, Trace};
use hashsweep_source::{Fresh, Gauges, Globs, MissingRoot, OwnFiles, Recorded, Root, Rows, WalkError, walk};
use std::collections::HashSet;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

fn tree(files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        let path = dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, file.rsplit('/').next().unwrap()).unwrap();
    }
    dir
}

fn globs(patterns: &[&str]) -> Globs {
    Globs::new(patterns).unwrap()
}

#[test]
fn a_root_that_is_not_there_refuses_the_walk_or_is_a_row() {
    let dir = tree(&["a"]);
    let missing = dir.path().join("missing");
    let below_file = dir.path().join("a/b");
    let dangling = dir.path().join("dangling");
    symlink("nowhere", &dangling).unwrap();
    for root in [&missing, &below_file, &dangling] {
        let order = order(&[&dir.path().join("a"), root]);
        match try_run(&order, &Fresh, &AtomicBool::new(false)) {
            Err(WalkError::MissingRoot { path, .. }) => assert_eq!(&path, root),
            other => panic!("{:?}", other.map(|seens| seens.rows)),
        }
    }
    let mut order = order(&[&missing, &dir.path().join("a")]);
    order.missing_root = MissingRoot::Skip;
    expect(&run(&order), dir.path(), &[("missing", "missing root: no such file or directory"), ("a", "1")]);
}

#[test]
fn a_root_that_cannot_be_opened_refuses_the_walk() {
    // A name that no file system takes stands in for a refusal: root is refused nothing else.
    let dir = tree(&["a"]);
    let bad = dir.path().join("x".repeat(300));
    let error = try_run(&order(&[dir.path(), &bad]), &Fresh, &AtomicBool::new(false)).err().unwrap();
    assert!(matches!(error, WalkError::UnreadableRoot { .. }), "{error}");
    if !rustix::process::geteuid().is_root() {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o000)).unwrap();
        let error = try_run(&order(&[dir.path()]), &Fresh, &AtomicBool::new(false)).err().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(matches!(error, WalkError::UnreadableRoot { .. }), "{error}");
    }
}

#[test]
fn roots_are_shown_as_given() {
    let dir = tree(&["sub/a"]);
    let mut order = order(&[]);
    for given in ["sub", "sub/", "sub/a", "./sub//"] {
        order.roots.push(Root { given: given.into(), open_at: dir.path().join(given) });
    }
    let seens = run(&order);
    let shown: Vec<(u32, String)> =
        seens.rows.keys().map(|(root, path)| (*root, String::from_utf8(path.clone()).unwrap())).collect();
    let expected = [(0, "sub/a"), (1, "sub/a"), (2, "sub/a"), (3, "./sub//a")];
    assert_eq!(shown, expected.map(|(root, path)| (root, path.to_owned())));
}

#[test]
fn a_root_that_is_a_link_is_followed_and_a_special_one_is_a_row() {
    let dir = tree(&["sub/a"]);
    let link = dir.path().join("link");
    symlink("sub", &link).unwrap();
    expect(&run(&order(&[&link])), &link, &[("a", "1")]);
    let null = Path::new("/dev/null");
    expect(&run(&order(&[null])), null, &[("", "character device")]);
}

#[test]
fn own_files_are_not_read_under_any_name() {
    let dir = tree(&["case.db", "case.db-other", "sub/case.db-wal", "out.csv.tmp7"]);
    fs::hard_link(dir.path().join("case.db"), dir.path().join("sub/linked")).unwrap();
    let mut order = order(&[dir.path()]);
    order.own = OwnFiles::of([dir.path().join("case.db")])
        .expecting(dir.path().join("case.db-wal"))
        .expecting_prefix(dir.path().join("out.csv."));
    fs::write(dir.path().join("case.db-wal"), "came later").unwrap();
    let expected = [
        ("case.db", "own file"),
        ("case.db-wal", "own file"),
        ("case.db-other", "13"),
        ("out.csv.tmp7", "own file"),
        ("sub/linked", "own file"),
        ("sub/case.db-wal", "11"),
    ];
    expect(&run(&order), dir.path(), &expected);
    order.roots = vec![Root { given: b"x".to_vec(), open_at: dir.path().join("case.db") }];
    expect(&run(&order), Path::new("x"), &[("", "own file")]);
}

#[test]
fn what_filters_leave_out_is_counted_and_is_no_row() {
    let dir = tree(&["a.exe", "b.txt", "node_modules/c.exe", "d/e.exe", "d/ffff.exe"]);
    symlink("x", dir.path().join("d/link.txt")).unwrap();
    let check = |set: fn(&mut hashsweep_source::Walk), excluded: u64, expected: &[(&str, &str)]| {
        let mut order = order(&[dir.path()]);
        set(&mut order);
        let seens = run(&order);
        expect(&seens, dir.path(), expected);
        assert_eq!(seens.walked.excluded, excluded);
    };
    check(
        |order| order.exclude = globs(&["node_modules", "*.txt"]),
        3,
        &[("a.exe", "5"), ("d/e.exe", "5"), ("d/ffff.exe", "8")],
    );
    check(
        |order| order.include = globs(&["*.exe"]),
        2,
        &[("a.exe", "5"), ("node_modules/c.exe", "5"), ("d/e.exe", "5"), ("d/ffff.exe", "8")],
    );
    check(
        |order| order.include = globs(&["**/d/*"]),
        3,
        &[("d/e.exe", "5"), ("d/ffff.exe", "8"), ("d/link.txt", "symbolic link")],
    );
    check(|order| order.min_size = Some(6), 4, &[("d/ffff.exe", "8"), ("d/link.txt", "symbolic link")]);
    check(|order| order.max_size = Some(4), 5, &[("d/link.txt", "symbolic link")]);
    check(|order| order.newer = Some(Stamp(i64::MAX)), 5, &[("d/link.txt", "symbolic link")]);
    check(|order| order.max_depth = Some(1), 2, &[("a.exe", "5"), ("b.txt", "5")]);
    check(|order| order.max_depth = Some(0), 1, &[]);
}

#[test]
fn a_file_with_an_old_content_and_a_new_name_is_new() {
    let dir = tree(&["a"]);
    let long_ago = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
    fs::File::options().write(true).open(dir.path().join("a")).unwrap().set_times(long_ago).unwrap();
    let mut order = order(&[dir.path()]);
    order.newer = Some(Stamp(1_600_000_000_000));
    expect(&run(&order), dir.path(), &[("a", "1")]);
}

#[test]
fn links_are_followed_when_ordered_and_it_always_ends() {
    let dir = tree(&["a/x", "b/y"]);
    let outside = tree(&["far/z"]);
    let link = |target: &Path, name: &str| symlink(target, dir.path().join(name)).unwrap();
    link(Path::new(".."), "a/up");
    link(Path::new("../b"), "a/to b");
    link(Path::new("self"), "self");
    link(Path::new("nowhere"), "dangling");
    link(Path::new("a/x"), "to x");
    link(Path::new("/dev/null"), "null");
    link(outside.path(), "outside");
    symlink(dir.path().join("a"), outside.path().join("back")).unwrap();
    let mut order = order(&[dir.path()]);
    order.follow = true;
    let expected = [
        ("a/x", "1"),
        ("b/y", "1"),
        ("a/up", "link loop"),
        ("a/to b", "link loop"),
        ("self", "link loop"),
        ("dangling", "dangling link"),
        ("to x", "1"),
        ("null", "character device"),
        ("outside/far/z", "1"),
        ("outside/back", "link loop"),
    ];
    expect(&run(&order), dir.path(), &expected);
}

#[test]
fn a_stop_is_said_and_a_second_run_does_only_the_rest() {
    struct StopAfter<'a> {
        kept: Mutex<Vec<Sighting>>,
        stop: &'a AtomicBool,
    }
    impl Rows for StopAfter<'_> {
        fn take(&self, rows: Vec<Sighting>) -> ControlFlow<()> {
            self.kept.lock().unwrap().extend(rows);
            self.stop.store(true, Relaxed);
            ControlFlow::Continue(())
        }
    }
    struct Earlier(HashSet<(u32, Vec<u8>)>);
    impl Recorded for Earlier {
        fn has(&self, root: u32, path: &[u8]) -> bool {
            self.0.contains(&(root, path.to_vec()))
        }

        fn still_holds(&self, _root: u32, _path: &[u8], _trace: &Trace) -> bool {
            false
        }
    }

    let files: Vec<String> = (0..2_000).map(|i| format!("d{}/f{i}", i % 50)).collect();
    let dir = tree(&files.iter().map(String::as_str).collect::<Vec<_>>());
    let order = order(&[dir.path()]);
    let stop = AtomicBool::new(false);
    let first = StopAfter { kept: Mutex::default(), stop: &stop };
    let walked = walk(&order, &first, &Fresh, &Gauges::default(), &stop).unwrap();
    assert!(!walked.finished);
    let first: HashSet<(u32, Vec<u8>)> = first
        .kept
        .into_inner()
        .unwrap()
        .into_iter()
        .map(|row| match row.place {
            hashsweep_model::Place::Path(path) => (row.root, path),
            hashsweep_model::Place::Line(_) => panic!("a walk shows paths"),
        })
        .collect();
    assert!(!first.is_empty() && first.len() < 2_000, "{}", first.len());

    let earlier = Earlier(first);
    let second = try_run(&order, &earlier, &AtomicBool::new(false)).unwrap();
    assert!(second.walked.finished);
    assert!(second.rows.keys().all(|row| !earlier.0.contains(row)));
    assert_eq!(second.rows.len() + earlier.0.len(), 2_000);
    let stopped = try_run(&order, &earlier, &AtomicBool::new(true)).unwrap();
    assert!(stopped.rows.is_empty() && !stopped.walked.finished);
}

#[test]
fn nobody_is_offered_rows_that_nobody_wants() {
    struct Shut(AtomicUsize);
    impl Rows for Shut {
        fn take(&self, _rows: Vec<Sighting>) -> ControlFlow<()> {
            self.0.fetch_add(1, Relaxed);
            ControlFlow::Break(())
        }
    }
    let files: Vec<String> = (0..3_000).map(|i| format!("f{i}")).collect();
    let dir = tree(&files.iter().map(String::as_str).collect::<Vec<_>>());
    let shut = Shut(AtomicUsize::new(0));
    let mut order = order(&[dir.path()]);
    order.jobs = std::num::NonZeroUsize::MIN;
    let walked = walk(&order, &shut, &Fresh, &Gauges::default(), &AtomicBool::new(false)).unwrap();
    assert!(!walked.finished);
    assert_eq!(shut.0.into_inner(), 1);
}
