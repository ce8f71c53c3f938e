//! What a walk knows of a file besides its digests: when to ask about it, and why then.

use crate::support::{order, run};
use hashsweep_model::{Content, Location, Seen, Stamp, Suspicion};
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

const SWEEP_STARTED: u64 = 1_800_000_000;
const DAY: u64 = 24 * 60 * 60;

fn file(path: &Path, bytes: &[u8], days_old: u64) {
    fs::write(path, bytes).unwrap();
    let modified = UNIX_EPOCH + Duration::from_secs(SWEEP_STARTED - days_old * DAY);
    File::options().append(true).open(path).unwrap().set_modified(modified).unwrap();
}

#[test]
fn a_row_says_what_the_file_is_and_whether_it_changed_recently_whichever_name_was_read() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut long = b"\x7fELF".to_vec();
    long.resize(3 << 20, 0);
    file(&at("long"), &long, 30);
    fs::hard_link(at("long"), at("other name.txt")).unwrap();
    file(&at("invoice.js"), b"var a", 30);
    file(&at("fresh.png"), b"\x89PNG\r\n\x1a\n", 6);
    file(&at("empty"), b"", 8);

    let mut order = order(&[dir.path()]);
    order.sweep_started = Stamp(i64::try_from(SWEEP_STARTED * 1000).unwrap());
    let rows = run(&order).rows;
    let suspicion = |name: &str| match &rows[&(0, at(name).into_os_string().into_encoded_bytes())] {
        Seen::Read { suspicion, .. } => (suspicion.content, suspicion.is_recent),
        other => panic!("{other:?}"),
    };
    assert_eq!(suspicion("long"), (Content::Executable, false));
    assert_eq!(suspicion("other name.txt"), (Content::Executable, false));
    assert_eq!(suspicion("invoice.js"), (Content::Script, false));
    assert_eq!(suspicion("fresh.png"), (Content::Media, true));
    assert_eq!(suspicion("empty"), (Content::Text, false));
}

#[test]
fn a_root_named_from_within_a_place_lies_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let cron = dir.path().join("etc/cron.d");
    fs::create_dir_all(cron.join("below")).unwrap();
    fs::write(cron.join("a"), "").unwrap();
    fs::write(cron.join("below/b"), "").unwrap();
    fs::create_dir_all(dir.path().join("home")).unwrap();
    fs::write(dir.path().join("home/c"), "").unwrap();

    // As `scan . a ../../home/c` within etc/cron.d.
    let mut order = order(&[&cron, &cron.join("a"), &dir.path().join("home/c")]);
    order.roots[0].given = b".".to_vec();
    order.roots[1].given = b"a".to_vec();
    order.roots[2].given = b"../../home/c".to_vec();
    let rows = run(&order).rows;
    let location = |root: u32, path: &[u8]| match &rows[&(root, path.to_vec())] {
        Seen::Read { suspicion: Suspicion { location, .. }, .. } => *location,
        other => panic!("{other:?}"),
    };
    assert_eq!(location(0, b"./a"), Location::Startup);
    assert_eq!(location(0, b"./below/b"), Location::Startup);
    assert_eq!(location(1, b"a"), Location::Startup);
    assert_ne!(location(2, b"../../home/c"), Location::Startup);
}
