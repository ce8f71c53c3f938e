//! Every rule of a case, broken by hand and found.

use crate::{World, everything, files};
use hashsweep_case::{Account, Case, Check};
use hashsweep_model::{Quota, Stamp, Verdict};

/// Two sweeps: one settled, one with cached digests, a batch in the air, and digests in the queue.
fn world() -> World {
    let mut world = World::new();
    world.record(&files(0..20));
    world.answer_all(Verdict::Known, Stamp(100));
    world.next_sweep();
    world.record_fresh(&files(10..400), &everything());
    assert_eq!(world.claim(1, 100, false).len(), 1);
    world
}

fn broken(world: &World) -> Vec<Check> {
    let case = Case::open_to_read(&world.path).unwrap();
    case.verify().unwrap().into_iter().filter(|check| check.n_broken > 0).collect()
}

#[test]
fn a_case_in_use_keeps_every_rule() {
    let world = world();
    assert_eq!(broken(&world), []);
    assert_eq!(broken(&world.killed()), []);
}

#[test]
fn a_rule_that_is_broken_by_hand_is_named_with_the_place() {
    let check = |damage: &str, rule: &str, place: &str| {
        let world = world();
        let by_hand = world.by_hand();
        by_hand.pragma_update(None, "foreign_keys", false).unwrap();
        let changed = by_hand.execute(damage, []).unwrap();
        assert!(changed > 0, "{damage}");
        let broken = broken(&world);
        let named = broken.iter().find(|check| check.rule.contains(rule));
        let named = named.unwrap_or_else(|| panic!("{damage}: only {broken:?}"));
        let example = named.example.as_deref().unwrap();
        assert!(example.contains(place), "{damage}: {example}");
    };
    check("DELETE FROM run WHERE id = 1", "finds it", "refers to a run");
    check("UPDATE sighting SET root = 7 WHERE sweep = 2 AND seq = 3", "one of its roots", "sweep 2 row 3");
    check(
        "UPDATE sighting SET path = x'2f782f3130' WHERE sweep = 2 AND seq = 3",
        "stands once",
        "sweep 2 row 3",
    );
    check("UPDATE sighting SET path = NULL WHERE sweep = 2 AND seq = 3", "a place", "sweep 2 row 3");
    check("UPDATE sighting SET kind = NULL WHERE sweep = 1 AND seq = 4", "or an outcome", "sweep 1 row 4");
    check("UPDATE sighting SET sha1 = NULL WHERE sweep = 1 AND seq = 4", "or an outcome", "sweep 1 row 4");
    check("UPDATE sighting SET sha1 = x'00' WHERE sweep = 1 AND seq = 4", "length", "sweep 1 row 4");
    check("UPDATE answer SET digest = x'00' WHERE id = 5", "length", "answer 5");
    check("UPDATE queue SET n = n + 1", "length", "block");
    check("UPDATE queue SET class = 77", "order of asking", "block");
    check("UPDATE want SET class = 0 WHERE sweep = 1", "order of asking", "sweep 1 want");
    check("DELETE FROM meta WHERE name = 'uid'", "names", "the case");
    check("UPDATE run SET uid = NULL WHERE id = 2", "names", "run 2");
    check("UPDATE sweep SET settings = 'none' WHERE id = 2", "JSON", "sweep 2");
    check("UPDATE sweep SET series = 1 WHERE id = 2", "one shape", "sweep 2");
    check("UPDATE sighting SET until = 'never' WHERE sweep = 1", "its column's kind", "sighting.until");
    check("UPDATE want SET attempt = NULL WHERE sweep = 1", "a settled digest has", "sweep 1 want");
    check("UPDATE attempt SET ended = NULL WHERE id = 1", "before it was sent", "attempt 1");
    check("UPDATE attempt SET n_hashes = 1 << 62 WHERE id = 1", "before it was sent", "attempt 1");
    check("UPDATE sweep SET pruned_at = 5 WHERE id = 2", "nothing waits", "sweep 2");
    check(
        "UPDATE sweep SET queued = 99 WHERE id = 1",
        "without a gap",
        "20 rows, the last of them 20, and 99",
    );
    check(
        "INSERT INTO same_file VALUES (1, x'', x'1100000000000000000000000000000000000000', x'')",
        "has the digest that was asked",
        "answer 1",
    );
    check("UPDATE claim SET ranks = x''", "length", "claim 1");
    check("DELETE FROM want WHERE sweep = 1 AND hex(digest) LIKE '00000003%'", "only once", "sweep 1 row 4");
    check("DELETE FROM claim", "only once", "sweep 2 row");
    check("DELETE FROM queue", "only once", "sweep 2 row");
    check(
        "INSERT INTO want (sweep, kind, digest, state, class)
         SELECT 2, 2, first, 'failed', 4 FROM queue LIMIT 1",
        "only once",
        "sweep 2 row",
    );
    check("DELETE FROM sighting WHERE sweep = 1 AND seq = 4", "is a row's", "sweep 1 want 00000003");
    check("DELETE FROM sighting WHERE sweep = 2 AND seq = 390", "is a row's", "sweep 2 block");
    check("UPDATE want SET state = 'asking' WHERE sweep = 1", "has an outcome", "sweep 1 want");
    check("UPDATE want SET answer = NULL WHERE sweep = 2", "an answer about it", "sweep 2 want");
    check("UPDATE want SET answer = answer % 20 + 1 WHERE sweep = 1", "an answer about it", "sweep 1 want");
    check("UPDATE answer SET verdict = 'fine' WHERE id = 2", "a verdict", "answer 2");
    check("UPDATE attempt SET charged_max = n_hashes + 1 WHERE id = 1", "more than it sent", "attempt 1");
    check("UPDATE attempt SET sent_at = NULL WHERE id = 1", "before it was sent", "attempt 1");
    check("UPDATE attempt SET n_hashes = 3, charged_max = 3 WHERE id = 1", "settled more", "attempt 1");
    check(
        "UPDATE attempt SET charged_max = 19 WHERE id = 1",
        "covers every digest",
        "20 answered, 19 charged",
    );
    check(
        "DELETE FROM want WHERE sweep = 1 AND hex(digest) LIKE '00000003%'",
        "balance",
        "sweep 1: 20 rows in",
    );
}

#[test]
fn a_view_that_shows_otherwise_than_the_tables_is_found() {
    let world = world();
    world
        .by_hand()
        .execute_batch(
            "DROP VIEW result; CREATE VIEW result AS SELECT sweep, 'answered' AS outcome FROM sighting LIMIT 5",
        )
        .unwrap();
    let broken = broken(&world);
    assert_eq!(broken.len(), 2, "{broken:?}");
    assert_eq!(broken[0].example.as_deref(), Some("view result"));
    assert!(broken[1].example.as_deref().unwrap().contains("the view 'result' counts otherwise"));
}

/// One that shows half of the rows would hide the rest from every rule.
#[test]
fn half_of_a_view_is_not_hashsweeps_own() {
    let world = world();
    let case = world.by_hand();
    let whole = "SELECT sql FROM sqlite_schema WHERE name = 'recorded'";
    let whole: String = case.query_row(whole, [], |row| row.get(0)).unwrap();
    let (half, _) = whole.split_once("\nUNION ALL").unwrap();
    case.execute_batch(&format!("DROP VIEW recorded; {half}")).unwrap();
    assert_eq!(broken(&world)[0].example.as_deref(), Some("view recorded"));
}

/// A row that shares its digest with another, or has none, leaves no digest behind that would miss it.
#[test]
fn a_row_that_is_gone_is_missed_whatever_it_held() {
    let gone = |which: &str| {
        let mut world = World::new();
        let mut rows = files(0..3);
        rows.push(crate::file("/x/copy", crate::sha1(1)));
        rows.extend(files(3..5));
        rows.push(crate::file("/x/another", crate::sha1(1)));
        world.record(&rows);
        world.answer_all(Verdict::Known, Stamp(100));
        assert_eq!(broken(&world), []);
        let sql = format!(
            "DELETE FROM sighting WHERE seq = (SELECT {which} FROM sighting WHERE hex(sha1) LIKE '00000001%')"
        );
        assert_eq!(world.by_hand().execute(&sql, []).unwrap(), 1);
        let broken = broken(&world);
        assert!(broken.iter().any(|check| check.rule.contains("without a gap")), "{which}: {broken:?}");
    };
    gone("min(seq)");
    gone("max(seq)");
    gone("4 * (count(*) > 0)");
}

#[test]
fn a_row_of_a_list_that_stands_twice_is_found() {
    let mut world = World::new();
    let rows = (1..4).map(|line| hashsweep_model::Sighting {
        place: hashsweep_model::Place::Line(line),
        ..files(0..1).remove(0)
    });
    world.record(&rows.collect::<Vec<_>>());
    world.by_hand().execute("UPDATE sighting SET line = 1 WHERE seq = 3", []).unwrap();
    let broken = broken(&world);
    assert!(broken.iter().any(|check| check.rule.contains("a row of a list stands once")), "{broken:?}");
}

#[test]
fn an_index_that_lost_an_entry_is_found() {
    let world = world();
    let by_hand = world.by_hand();
    // The tree of an index goes to another index of the same shape: its entries are then another table's.
    by_hand
        .execute_batch(
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'queue_order')
             WHERE name = 'attempt_at';
             PRAGMA writable_schema = RESET;",
        )
        .unwrap();
    let broken = broken(&world);
    assert!(broken.iter().any(|check| check.rule.contains("pages and indexes")), "{broken:?}");
}

/// In one snapshot: rows, fates and the queue change at every moment, and always together.
#[test]
fn a_case_in_use_verifies_at_every_moment() {
    let mut world = World::new();
    let path = world.path.clone();
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let case = Case::open_to_read(&path).unwrap();
            let mut n_looks = 0;
            while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                let broken: Vec<_> =
                    case.verify().unwrap().into_iter().filter(|check| check.n_broken > 0).collect();
                assert_eq!(broken, []);
                n_looks += 1;
            }
            n_looks
        });
        for n in 0..60 {
            world.record_fresh(&files(n * 20..n * 20 + 20), &everything());
            world.answer_all(Verdict::Known, Stamp(100));
            if n % 7 == 0 {
                world.next_sweep();
            }
        }
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(looking.join().unwrap() > 3);
    });
}

#[test]
fn an_account_that_holds_less_than_a_case_is_found() {
    let world = world();
    let case = Case::open_to_read(&world.path).unwrap();
    let check = |booked: u64, held: usize, expected: Option<&str>| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("account.db");
        let mut account = Account::open(&path).unwrap();
        let books = account.books().unwrap();
        let hold = books.hold("TCA-0101", 20, Stamp(1)).unwrap();
        books.settle(hold, Quota { charged_max: booked, ..Quota::default() }).unwrap();
        if held > 0 {
            books.hold("TCA-0101", held, Stamp(2)).unwrap();
        }
        books.commit().unwrap();
        let looked = Account::open_to_read(&path).unwrap();
        assert_eq!(case.verify_against(&[looked], None).example.as_deref(), expected);
    };
    check(20, 0, None);
    check(19, 1, None);
    check(19, 0, Some("TCA-0101 until 1970-01-01: 20 in the case, 19 in the accounts"));
    assert_eq!(case.verify_against(&[], None).n_broken, 0);
}
