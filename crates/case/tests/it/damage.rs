//! A case that was cut, or in which bytes were changed: an error or the truth as far as SQLite can tell, never a
//! panic, and nothing is ever written to it, cut from it or cleared away.

use crate::{World, files};
use hashsweep_case::{Case, CaseError, Only, Order, SweepId};
use std::fs;
use std::path::{Path, PathBuf};

/// A case that was closed in order, and its bytes.
fn whole() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let mut world = World::new();
    world.record(&files(0..2000));
    world.answer_all(hashsweep_model::Verdict::Known, hashsweep_model::Stamp(5));
    let World { directory, path, case, .. } = world;
    drop(case);
    let bytes = fs::read(&path).unwrap();
    (directory, path, bytes)
}

/// Everything that reading does.
fn read(path: &Path) -> Result<(), CaseError> {
    let case = Case::open_to_read(path)?;
    case.tally(SweepId(1))?;
    case.rows(SweepId(1), Only::All, Order::Path, |_| Ok::<_, CaseError>(()))?;
    case.quota_by_run(5)?;
    Ok(())
}

/// Reads it, and opens it to write without writing anything; the file must stay what it is.
fn check(path: &Path, bytes: &[u8], what: &str) -> bool {
    fs::write(path, bytes).unwrap();
    let read = read(path);
    let opened = Case::open(path).map(drop);
    assert!(fs::read(path).unwrap() == bytes, "{what}: the case was changed");
    for ended in [&read, &opened] {
        if let Err(error) = ended {
            let known =
                matches!(error, CaseError::Damaged(_) | CaseError::NotACase(_) | CaseError::Newer { .. })
                    || matches!(error, CaseError::Database(_));
            assert!(known, "{what}: {error:?}");
        }
    }
    read.is_err()
}

#[test]
fn a_case_cut_anywhere_is_an_error_and_left_alone() {
    let (_directory, path, bytes) = whole();
    let mut dice = fastrand::Rng::with_seed(7);
    let mut noticed = 0;
    for _ in 0..120 {
        let keep = dice.usize(1..bytes.len() - 1);
        noticed += usize::from(check(&path, &bytes[..keep], &format!("cut to {keep}")));
    }
    // The last page may hold nothing any more.
    assert!(noticed >= 110, "{noticed} of 120 noticed");
}

#[test]
fn a_case_with_changed_bytes_is_never_a_panic_and_left_alone() {
    let (_directory, path, bytes) = whole();
    let mut dice = fastrand::Rng::with_seed(8);
    let mut noticed = 0;
    for n in 0..300 {
        let mut damaged = bytes.clone();
        // The header and the roots of the tables as often as all the rest.
        let within = if n % 2 == 0 { 8192 } else { damaged.len() };
        let at = dice.usize(0..within);
        let n_bytes = dice.usize(1..64).min(damaged.len() - at);
        damaged[at..at + n_bytes].iter_mut().for_each(|byte| *byte ^= dice.u8(1..));
        noticed += usize::from(check(&path, &damaged, &format!("{n_bytes} bytes at {at}")));
    }
    // SQLite keeps no checksums: what still makes sense is believed.
    assert!(noticed > 30, "{noticed} of 300 noticed");
}

#[test]
fn a_log_without_its_case_and_a_log_of_noise_are_left_alone() {
    let (directory, path, bytes) = whole();
    let log = directory.path().join("a.case-wal");
    fs::write(&log, vec![7; 5000]).unwrap();
    assert!(read(&path).is_ok(), "a log that is none holds nothing");
    assert_eq!(fs::read(&path).unwrap(), bytes);
    fs::remove_file(&path).unwrap();
    fs::write(&log, vec![7; 5000]).unwrap();
    assert!(matches!(read(&path), Err(CaseError::Missing(_))));
    assert!(matches!(Case::open(&path), Err(CaseError::LogWithoutCase(_))));
    assert!(!path.exists());
    assert_eq!(fs::read(&log).unwrap(), [7; 5000]);
}
