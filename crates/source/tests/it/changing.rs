//! Evidence that does not hold still. What exactly is read depends on luck; that it ends, and that every entry is
//! accounted for, does not.

use crate::support::{order, run, told};
use hashsweep_source::{Io, Walk};
use std::fs::{self, OpenOptions};
use std::io::{Seek as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Meddles with the tree while it is walked, several times over.
fn while_walking(meddle: impl Fn(&std::path::Path) + Sync, check: impl Fn(&crate::support::Seens)) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::create_dir(dir.join("sub")).unwrap();
    fs::write(dir.join("still"), "still").unwrap();
    fs::write(dir.join("sub/moving"), vec![0; 1 << 20]).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                meddle(dir);
            }
        });
        for io in [Io::Read, Io::Mmap].into_iter().cycle().take(10) {
            let seens = run(&Walk { io, ..order(&[dir]) });
            assert!(seens.walked.finished);
            assert_eq!(seens.below(dir)["still"], "5");
            check(&seens);
        }
        done.store(true, Relaxed);
    });
}

#[test]
fn a_growing_file_ends() {
    while_walking(
        |dir| {
            let mut file = OpenOptions::new().append(true).open(dir.join("sub/moving")).unwrap();
            file.write_all(&[1; 4096]).unwrap();
            // Not without end: the disk is not ours alone.
            if file.stream_position().unwrap() > 64 << 20 {
                file.set_len(1 << 20).unwrap();
            }
        },
        |seens| assert_eq!(seens.rows.len(), 2),
    );
}

#[test]
fn a_file_cut_short_ends() {
    while_walking(
        |dir| {
            let file = OpenOptions::new().write(true).open(dir.join("sub/moving")).unwrap();
            file.set_len(10).unwrap();
            file.set_len(1 << 20).unwrap();
        },
        |seens| assert_eq!(seens.rows.len(), 2),
    );
}

#[test]
fn a_directory_that_is_swapped_for_a_link_is_never_followed() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("moving"), "outside").unwrap();
    while_walking(
        |dir| {
            fs::rename(dir.join("sub"), dir.join("old")).unwrap();
            std::os::unix::fs::symlink(outside.path(), dir.join("sub")).unwrap();
            fs::remove_file(dir.join("sub")).unwrap();
            fs::rename(dir.join("old"), dir.join("sub")).unwrap();
        },
        |seens| {
            assert!(seens.rows.values().all(|seen| told(seen) != "7"), "read what a link points at");
        },
    );
}

#[test]
fn files_that_come_and_go_are_rows_or_not_there() {
    while_walking(
        |dir| {
            fs::write(dir.join("brief"), "12").unwrap();
            fs::remove_file(dir.join("brief")).unwrap();
        },
        |seens| {
            let brief = seens.rows.iter().find(|((_, path), _)| path.ends_with(b"brief"));
            if let Some((_, seen)) = brief {
                assert!(["0", "2", "vanished", "changed while reading"].contains(&&*told(seen)), "{seen:?}");
            }
        },
    );
}
