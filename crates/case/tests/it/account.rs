//! The account: what is held, settled and left over, across days, processes and their deaths.

use hashsweep_case::{Account, Bounds, Period, day_of, month_of};
use hashsweep_model::{Quota, Stamp};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const PRODUCT: &str = "TCA-0101";
const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// 2026-03-15, 12:00 UTC.
const NOON: Stamp = Stamp(20_527 * DAY + DAY / 2);

fn at(moment: Stamp, minutes: i64) -> Stamp {
    Stamp(moment.0 + minutes * MINUTE)
}

fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("accounts").join("service.db");
    (dir, path)
}

fn spend(account: &mut Account, n_hashes: usize, quota: Quota, now: Stamp) {
    let books = account.books().unwrap();
    let hold = books.hold(PRODUCT, n_hashes, now).unwrap();
    books.settle(hold, quota).unwrap();
    books.commit().unwrap();
}

fn charged(n: u64) -> Quota {
    Quota { charged_max: n, ..Quota::default() }
}

fn room(account: &mut Account, bounds: Bounds, now: Stamp) -> Option<(u64, Period)> {
    account.books().unwrap().room(PRODUCT, bounds, now).unwrap()
}

fn daily(n: u64) -> Bounds {
    Bounds { day: Some(n), ..Bounds::default() }
}

#[test]
fn what_is_held_settled_and_in_doubt_leaves_less_room() {
    let (_dir, path) = place();
    let mut account = Account::open(&path).unwrap();
    assert_eq!(room(&mut account, Bounds::default(), NOON), None);
    let books = account.books().unwrap();
    let held = books.hold(PRODUCT, 100, NOON).unwrap();
    books.hold("TCA-0104", 100, NOON).unwrap();
    assert_eq!(books.room(PRODUCT, daily(1000), NOON).unwrap(), Some((900, Period::Day)));
    books.settle(held, Quota { charged_max: 40, charged_min: 10, in_doubt: 20 }).unwrap();
    assert_eq!(books.room(PRODUCT, daily(1000), NOON).unwrap(), Some((940, Period::Day)));
    let released = books.hold(PRODUCT, 100, NOON).unwrap();
    books.release(released).unwrap();
    assert_eq!(books.room(PRODUCT, daily(50), NOON).unwrap(), Some((0, Period::Day)));
    books.commit().unwrap();
    let spent = account.spent(PRODUCT, &day_of(NOON)).unwrap();
    assert_eq!(spent, Quota { charged_max: 40, charged_min: 10, in_doubt: 20 });
}

#[test]
fn the_narrower_window_decides_and_each_begins_anew() {
    let mut account = Account::in_memory().unwrap();
    let bounds = Bounds { day: Some(500), month: Some(700), told: None };
    spend(&mut account, 400, charged(400), NOON);
    assert_eq!(room(&mut account, bounds, NOON), Some((100, Period::Day)));
    let tomorrow = Stamp(NOON.0 + DAY);
    assert_eq!(room(&mut account, bounds, tomorrow), Some((300, Period::Month)));
    let april = Stamp(month_of(NOON).end.0 + DAY);
    assert_eq!(room(&mut account, bounds, april), Some((500, Period::Day)));
    let spent = account.spent(PRODUCT, &month_of(NOON)).unwrap();
    assert_eq!(spent, charged(400));
    assert_eq!(account.spent(PRODUCT, &month_of(april)).unwrap(), Quota::default());
}

#[test]
fn around_midnight_both_days_count() {
    let midnight = day_of(NOON).end;
    let mut account = Account::in_memory().unwrap();
    spend(&mut account, 300, charged(300), NOON);
    spend(&mut account, 50, charged(50), at(midnight, -1));
    // Just after: yesterday's window may still be the service's.
    assert_eq!(room(&mut account, daily(400), at(midnight, 1)), Some((50, Period::Day)));
    // What leaves then counts in both.
    spend(&mut account, 10, charged(10), at(midnight, 1));
    assert_eq!(room(&mut account, daily(400), at(midnight, 1)), Some((40, Period::Day)));
    // Later: today's alone, but what left shortly before midnight may have been counted in it.
    assert_eq!(room(&mut account, daily(400), at(midnight, 3)), Some((340, Period::Day)));
    let books = account.books().unwrap();
    books.hold(PRODUCT, 7, at(midnight, -1)).unwrap();
    assert_eq!(books.room(PRODUCT, daily(400), at(midnight, 3)).unwrap(), Some((333, Period::Day)));
    // Unless the service has said since what it has counted today.
    for (minutes, left) in [(-1, 333), (1, 333), (2, 390)] {
        let bounds = Bounds { told: Some(at(midnight, minutes)), ..daily(400) };
        assert_eq!(books.room(PRODUCT, bounds, at(midnight, 3)).unwrap(), Some((left, Period::Day)));
    }
}

#[test]
fn two_processes_share_one_ledger() {
    let (_dir, path) = place();
    let mut one = Account::open(&path).unwrap();
    let mut other = Account::open(&path).unwrap();
    let books = one.books().unwrap();
    books.hold(PRODUCT, 60, NOON).unwrap();
    books.commit().unwrap();
    spend(&mut other, 30, charged(30), NOON);
    assert_eq!(room(&mut one, daily(100), NOON), Some((10, Period::Day)));
    assert_eq!(room(&mut other, daily(100), NOON), Some((10, Period::Day)));
    // One that is alive is not buried by the next to come.
    let third = Account::open(&path).unwrap();
    assert_eq!(third.spent(PRODUCT, &day_of(NOON)).unwrap().in_doubt, 60);
    drop(third);
    let copy = sum_of_spent(&path);
    assert_eq!(copy, (30, 0));
}

#[test]
fn what_a_dead_process_held_is_in_doubt() {
    let (_dir, path) = place();
    let mut dead = Account::open(&path).unwrap();
    let books = dead.books().unwrap();
    books.hold(PRODUCT, 60, NOON).unwrap();
    books.commit().unwrap();
    drop(dead);
    let next = Account::open(&path).unwrap();
    assert_eq!(sum_of_spent(&path), (0, 60));
    assert_eq!(next.spent(PRODUCT, &day_of(NOON)).unwrap(), Quota { in_doubt: 60, ..Quota::default() });
}

/// What is settled: charged at most, and in doubt.
fn sum_of_spent(path: &Path) -> (i64, i64) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection
        .query_row("SELECT coalesce(sum(charged_max), 0), coalesce(sum(in_doubt), 0) FROM spent", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap()
}

#[test]
fn slots_are_handed_out_once_whoever_asks() {
    let (_dir, path) = place();
    let one = Account::open(&path).unwrap();
    let other = Account::open(&path).unwrap();
    let (mut a, mut b) = (one.slots().unwrap(), other.slots().unwrap());
    let now = NOON.0 * 1_000_000;
    assert_eq!(a.take(3, 10, now).unwrap(), now);
    assert_eq!(b.take(2, 10, now).unwrap(), now + 30);
    assert_eq!(a.take(1, 10, now + 5).unwrap(), now + 50);
    // Nobody saves slots up.
    assert_eq!(b.take(1, 10, now + 1_000_000).unwrap(), now + 1_000_000);
    // A clock that was set back by an hour does not make everybody wait for an hour.
    let earlier = now - 3_600_000_000_000;
    assert_eq!(a.take(1, 10, earlier).unwrap(), earlier);
    assert_eq!(one.slots().unwrap().take(1, 10, earlier).unwrap(), earlier + 10);
}

#[test]
fn an_account_is_private_and_refuses_what_is_none() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, path) = place();
    drop(Account::open(&path).unwrap());
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    let foreign = dir.path().join("notes");
    std::fs::write(&foreign, "mine").unwrap();
    let refused = |path: &Path| Account::open(path).unwrap_err().to_string();
    assert!(refused(&foreign).ends_with("notes is not an account's ledger; it was left untouched"));
    assert_eq!(std::fs::read(&foreign).unwrap(), b"mine");
    let case = dir.path().join("case.db");
    drop(hashsweep_case::Case::open(&case).unwrap());
    assert!(refused(&case).ends_with("case.db is not an account's ledger; it was left untouched"));
}

/// Whoever reads "the case" would look at the wrong file.
#[test]
fn what_is_wrong_with_an_account_is_said_of_the_account() {
    let (_dir, path) = place();
    let mut account = Account::open(&path).unwrap();
    let by_hand = rusqlite::Connection::open(&path).unwrap();
    by_hand.execute_batch("DROP TABLE held").unwrap();
    let failed = account.books().unwrap().hold("TCA-0101", 1, NOON).unwrap_err();
    let words = failed.to_string();
    let begins = format!("the account's ledger {} cannot be written or read: no such table", path.display());
    assert!(words.starts_with(&begins), "{words}");
    assert!(!failed.names_no_file());
}

#[test]
fn many_processes_open_a_new_account_at_once() {
    let (_dir, path) = place();
    std::thread::scope(|scope| {
        let open = || spend(&mut Account::open(&path).unwrap(), 10, charged(10), NOON);
        let all: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        for one in all {
            one.join().unwrap();
        }
    });
    assert_eq!(sum_of_spent(&path), (80, 0));
}
