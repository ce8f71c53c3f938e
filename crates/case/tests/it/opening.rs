//! Whose file it is, who may write to it, and that nothing else is ever touched.

use crate::stretches::listed;
use crate::{World, begin, files};
use hashsweep_case::{Case, CaseError, Claim, Freshness, Maker, Only, Order, SweepId};
use hashsweep_model::{Class, Outcome, Place, Stamp, Verdict};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// The directory's files and their bytes.
fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = entries.map(|path| (path.clone(), fs::read(path).unwrap_or_default())).collect();
    all.sort();
    all
}

/// Both ways to open it are refused and change nothing. Beside what is `ours` the files of a case may appear.
fn check_refused(ours: bool, make: impl FnOnce(&Path), expected: fn(&CaseError) -> bool, sentence: &str) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("thing");
    make(&path);
    let before = contents(directory.path());
    for opened in [Case::open_to_read(&path), Case::open(&path)] {
        let error = opened.expect_err("a refusal was expected");
        assert!(expected(&error), "{error:?}");
        assert!(error.to_string().contains(sentence), "{error}");
        let mut after = contents(directory.path());
        if ours {
            after.retain(|(path, _)| before.iter().any(|(known, _)| known == path));
        }
        assert!(after == before, "something was changed");
    }
}

fn foreign(path: &Path, sql: &str) {
    rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

fn not_a_case(error: &CaseError) -> bool {
    matches!(error, CaseError::NotACase(_))
}

#[test]
fn a_case_and_the_directory_made_for_it_are_private() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made/for/a.case");
    let mut case = Case::open(&path).unwrap();
    let _ = begin(&mut case);
    for file in Case::files_of(&path).iter().filter(|file| file.exists()) {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    for made in ["made", "made/for"] {
        assert_eq!(mode(&directory.path().join(made)), 0o700);
    }
    let beside = fs::read_dir(directory.path().join("made/for")).unwrap();
    let known = Case::files_of(&path);
    let sessions = Case::sessions_of(&path).into_os_string().into_string().unwrap();
    for path in beside.map(|entry| entry.unwrap().path()) {
        assert!(known.contains(&path) || path.to_str().unwrap().starts_with(&sessions), "{}", path.display());
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn two_write_while_others_read() {
    let mut world = World::new();
    let mut other = Case::open(&world.path).unwrap();
    let reader = Case::open_to_read(&world.path).unwrap();
    world.record(&files(0..3));
    let (sweep, _) = begin(&mut other);
    other.group(|group| group.record(sweep, &files(0..4), &Freshness::NOTHING)).unwrap();
    assert_eq!(reader.tally(world.sweep).unwrap().rows, 3);
    assert_eq!(reader.tally(sweep).unwrap().rows, 4);
}

/// On POSIX systems closing any descriptor of a file drops the process's locks on it; a second process that then
/// ended would take the log away from under the first.
#[test]
fn opening_a_case_again_keeps_its_locks() {
    let mut world = World::new();
    drop(Case::open_to_read(&world.path).unwrap());
    drop(Case::open(&world.path).unwrap());
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&world.path).unwrap()).to_string();
    let held =
        locks.lines().filter(|line| line.contains("POSIX") && line.contains(&format!(":{inode} "))).count();
    assert!(held > 0, "no lock on inode {inode} in:\n{locks}");
    world.record(&files(0..3));
}

#[test]
fn who_holds_a_case_for_too_long_is_said_to() {
    let mut world = World::new();
    let mut other = Case::open(&world.path).unwrap();
    other.be_patient_for(std::time::Duration::from_millis(20)).unwrap();
    let refused = world.case.group(|_| Ok(other.group(|_| Ok(())))).unwrap();
    assert!(matches!(refused, Err(CaseError::Busy)), "{refused:?}");
    other.group(|_| Ok(())).unwrap();
}

#[test]
fn what_is_read_beside_a_writer_adds_up_at_every_moment() {
    let mut world = World::new();
    let (path, sweep) = (world.path.clone(), world.sweep);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let counting = scope.spawn(|| {
            let reader = Case::open_to_read(&path).unwrap();
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                assert_eq!(reader.tally(sweep).unwrap().check(), Ok(()));
            }
        });
        for n in 0..100 {
            world.record(&files(n * 10..n * 10 + 10));
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        counting.join().unwrap();
    });
}

#[test]
fn what_is_not_a_case_is_refused_and_left_alone() {
    check_refused(false, |path| fs::write(path, "a text").unwrap(), not_a_case, "is not a hashsweep case");
    check_refused(false, |path| fs::write(path, [0; 4096]).unwrap(), not_a_case, "left untouched");
    check_refused(false, |path| fs::write(path, b"SQLite format 3\0").unwrap(), not_a_case, "");
    check_refused(false, |path| fs::create_dir(path).unwrap(), not_a_case, "");
    check_refused(
        false,
        |path| foreign(path, "PRAGMA application_id = 7; CREATE TABLE t (a)"),
        not_a_case,
        "",
    );
    check_refused(
        false,
        |path| foreign(path, "CREATE TABLE t (a); INSERT INTO t VALUES (1)"),
        not_a_case,
        "",
    );
    check_refused(false, |path| foreign(path, "CREATE TABLE t (a); PRAGMA user_version = 1"), not_a_case, "");
}

#[test]
fn a_fifo_is_refused_and_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fifo");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    assert!(matches!(Case::open(&path), Err(CaseError::NotACase(_))));
    assert!(matches!(Case::open_to_read(&path), Err(CaseError::NotACase(_))));
}

/// Whose it is shows only in its log, because the file itself is still empty of tables.
#[test]
fn another_programs_database_is_refused_before_its_first_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("theirs.db");
    let theirs = rusqlite::Connection::open(&path).unwrap();
    theirs.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE t (a)").unwrap();
    assert!(matches!(Case::open(&path), Err(CaseError::NotACase(_))));
    let tables: i64 = theirs.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
}

#[test]
fn an_empty_file_becomes_a_case() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("empty");
    fs::write(&path, "").unwrap();
    begin(&mut Case::open(&path).unwrap());
    assert_eq!(Case::open_to_read(&path).unwrap().sweep_ids().unwrap().len(), 1);
}

#[test]
fn a_case_that_is_not_there_is_not_made_by_reading() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none");
    assert!(matches!(Case::open_to_read(&path), Err(CaseError::Missing(_))));
    assert!(contents(directory.path()).is_empty());
}

#[test]
fn a_truncated_case_is_refused_and_left_alone() {
    let mut world = World::new();
    world.record(&files(0..2000));
    let World { directory: _directory, path, case, .. } = world;
    drop(case);
    let whole = fs::read(&path).unwrap();
    assert!(whole.len() > 100_000, "the log was not written back");
    for keep in [20, 72, 4096, 5000, whole.len() / 2, whole.len() - 4096] {
        let cut = |path: &Path| fs::write(path, &whole[..keep]).unwrap();
        let damaged = |error: &CaseError| matches!(error, CaseError::Damaged(_) | CaseError::NotACase(_));
        check_refused(true, cut, damaged, "");
    }
}

#[test]
fn a_case_of_a_newer_version_is_refused_and_left_alone() {
    let newer = |path: &Path| {
        drop(Case::open(path).unwrap());
        foreign(path, "PRAGMA user_version = 5");
    };
    let expected = |error: &CaseError| matches!(error, CaseError::Newer { found: 5, .. });
    check_refused(true, newer, expected, "was written by a newer hashsweep (schema 5, this one knows 4)");
}

#[test]
fn a_case_belongs_to_one_service() {
    let mut world = World::new();
    assert_eq!(world.case.service().unwrap(), None);
    world.case.belong_to("data.example").unwrap();
    world.case.belong_to("data.example").unwrap();
    let refused = world.case.belong_to("simulator").unwrap_err();
    assert!(refused.to_string().contains("belongs to data.example, not to simulator"), "{refused}");
    let world = world.killed();
    assert_eq!(world.case.service().unwrap().as_deref(), Some("data.example"));
}

#[test]
fn a_group_that_fails_leaves_nothing_behind() {
    let mut world = World::new();
    let sweep = world.sweep;
    let failed: Result<(), CaseError> = world.case.group(|group| {
        group.record(sweep, &files(0..5), &hashsweep_case::Freshness::NOTHING)?;
        Err(CaseError::NoSweep)
    });
    assert!(failed.is_err());
    assert_eq!(world.case.tally(sweep).unwrap().rows, 0);
    assert_eq!(world.record(&files(0..5)), 5);
}

#[test]
fn the_ordinary_sqlite3_reads_the_result_view() {
    let mut world = World::new();
    world.record(&files(0..3));
    world.answer_all(Verdict::Known, Stamp(5));
    let sql = "SELECT outcome, verdict, count(*) FROM result GROUP BY 1, 2";
    // Not every machine has it; the view is read with the SQLite inside as well.
    if let Ok(output) = std::process::Command::new("sqlite3").arg(&world.path).arg(sql).output() {
        assert_eq!(String::from_utf8_lossy(&output.stdout), "answered|known|3\n", "{output:?}");
    }
    let inside: (String, String, i64) =
        world.by_hand().query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    assert_eq!(inside, ("answered".into(), "known".into(), 3));
}

#[test]
fn somebody_who_looks_while_a_case_is_made_keeps_nobody_from_making_it() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("case.db");
        let is_made = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !is_made.load(std::sync::atomic::Ordering::Relaxed) {
                        drop(Case::open_to_read(&path));
                    }
                });
            }
            let made = Case::open(&path).map(drop);
            is_made.store(true, std::sync::atomic::Ordering::Relaxed);
            made.unwrap();
        });
    }
}

#[test]
fn a_case_of_version_1_opens_and_goes_on() {
    let schema = include_str!("schemas/case-1.sql");
    let is_older = |line: &&str| !line.trim_start().starts_with("product ");
    let older: Vec<&str> = schema.lines().filter(is_older).collect();
    assert_eq!(older.len() + 1, schema.lines().count(), "the first of them did not know products");
    opens_and_goes_on(schema);
    opens_and_goes_on(&older.join("\n"));
}

/// Two nights of a share, of which the second found one file unchanged.
const TWO_NIGHTS_OF_VERSION_2: &str = "
    INSERT INTO meta VALUES ('service', 'data.example');
    INSERT INTO sweep (id, command, settings, started_at, intake_finished_at, queued, series, shape) VALUES
        (1, 'scan', '{}', 1, 2, 2, 1, 'x');
    INSERT INTO sweep (id, command, settings, started_at, intake_finished_at, series, shape, answers, answers_until,
        malicious_since, suspicious_since, unknown_since, known_since, carried_queued) VALUES
        (2, 'scan', '{}', 10, 11, 1, 'x', 2, 9, 0, 0, 0, 0, 1);
    INSERT INTO root VALUES (1, 0, x'2f', x'2f', NULL), (2, 0, x'2f', x'2f', NULL);
    INSERT INTO run (id, sweep, started_at, ended_at, exit_code) VALUES (1, 1, 1, 3, 1), (2, 2, 10, 12, 1);
    INSERT INTO attempt (id, run, n_hashes, reserved_at, sent_at, settled_at, ended, charged_max) VALUES
        (1, 1, 2, 2, 2, 3, '200', 2);
    INSERT INTO answer (id, kind, digest, answered_at, run, source, verdict) VALUES
        (1, 2, x'0000000000000000000000000000000000000001', 5, 1, 'service', 'malicious'),
        (2, 2, x'0000000000000000000000000000000000000002', 5, 1, 'service', 'known');
    INSERT INTO sighting (sweep, seq, root, path, size, sha1, kind, class, until) VALUES
        (1, 1, 0, x'2f61', 1, x'0000000000000000000000000000000000000001', 2, 1, NULL),
        (1, 2, 0, x'2f62', 1, x'0000000000000000000000000000000000000002', 2, 1, 1);
    INSERT INTO want (sweep, kind, digest, state, class, answer, attempt) VALUES
        (1, 2, x'0000000000000000000000000000000000000001', 'answered', 1, 1, 1),
        (1, 2, x'0000000000000000000000000000000000000002', 'answered', 1, 2, 1);";

fn made_of_version_2(path: &Path) {
    let old = rusqlite::Connection::open(path).unwrap();
    old.execute_batch(include_str!("schemas/case-2.sql")).unwrap();
    old.execute_batch(TWO_NIGHTS_OF_VERSION_2).unwrap();
    old.pragma_update(None, "application_id", 0x6873_7770).unwrap();
    old.pragma_update(None, "user_version", 2).unwrap();
}

#[test]
fn a_case_of_version_2_opens_and_says_what_it_does_not_know() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("case.db");
    made_of_version_2(&path);
    let case = Case::open(&path).unwrap();
    for check in case.verify().unwrap() {
        assert_eq!(check.n_broken, 0, "{check:?}");
    }
    let night = case.tally(SweepId(2)).unwrap();
    assert_eq!((night.rows, night.rows_of(Outcome::Cached)), (1, 1));
    let sweep = case.sweep(Some(SweepId(1))).unwrap();
    assert_eq!((sweep.host, sweep.is_brought), (None, false));
    let by_hand = rusqlite::Connection::open(&path).unwrap();
    let unknown: i64 = by_hand
        .query_row(
            "SELECT count(*) FROM run JOIN sweep ON sweep.id = run.sweep
             WHERE coalesce(run.host, run.tool, run.arguments, sweep.tool, sweep.arguments, run.origin) IS NULL",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(unknown, 2);
}

/// What a merge goes by: two copies that were brought up to date apart are still known to be copies.
#[test]
fn copies_of_a_case_of_version_2_get_the_same_names() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["a.db", "b.db"].map(|name| {
        let path = dir.path().join(name);
        made_of_version_2(&path);
        let uid = Case::open(&path).unwrap().uid().unwrap();
        let by_hand = rusqlite::Connection::open(&path).unwrap();
        let mut all = by_hand.prepare("SELECT uid FROM sweep UNION ALL SELECT uid FROM run").unwrap();
        let mut all: Vec<String> = all.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        all.push(uid);
        all
    });
    assert_eq!(names[0], names[1]);
    let distinct: std::collections::BTreeSet<_> = names[0].iter().collect();
    assert_eq!(distinct.len(), 5);
    assert!(distinct.iter().all(|name| name.len() == 32));
}

/// Half a list, of which every row stands by itself.
const LIST_OF_VERSION_3: &str = "
    INSERT INTO sweep (id, command, settings, started_at, uid) VALUES (1, 'list', '{}', 1, 'a');
    INSERT INTO root VALUES (1, 0, x'6c', x'2f6c', NULL);
    INSERT INTO run (id, sweep, started_at, ended_at, uid) VALUES (1, 1, 1, 3, 'b');
    INSERT INTO sighting (sweep, seq, root, line, sha1, kind, class)
        WITH RECURSIVE nth(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM nth WHERE i < 299)
        SELECT 1, i + 1, 0, i + 1, unhex(printf('%08X', i) || printf('%032d', 0)), 2, 1 FROM nth;";

#[test]
fn a_list_begun_by_version_3_goes_on_in_stretches() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("case.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(include_str!("schemas/case-3.sql")).unwrap();
    old.execute_batch(LIST_OF_VERSION_3).unwrap();
    old.pragma_update(None, "application_id", 0x6873_7770).unwrap();
    old.pragma_update(None, "user_version", 3).unwrap();
    drop(old);
    let mut case = Case::open(&path).unwrap();
    let sweep = SweepId(1);
    let rows: Vec<_> = (301..=600_u32).map(|line| listed(u64::from(line), crate::sha1(line - 1))).collect();
    case.group(|group| {
        let run = group.begin_run(sweep, Stamp(5))?;
        group.record(sweep, &rows, &Freshness::NOTHING)?;
        group.finish_intake(sweep, 0, &Freshness::NOTHING, Stamp(6))?;
        group.defer_rest(sweep, "offline", &Freshness::NOTHING, Stamp(6))?;
        group.end_run(run, Stamp(7), Some(3))
    })
    .unwrap();
    for check in case.verify().unwrap() {
        assert_eq!(check.n_broken, 0, "{check:?}");
    }
    let tally = case.tally(sweep).unwrap();
    assert_eq!((tally.rows, tally.distinct, tally.rows_of(Outcome::Deferred)), (600, 600, 600));
    let by_hand = rusqlite::Connection::open(&path).unwrap();
    let alone = "SELECT count(*) FROM sighting";
    assert_eq!(by_hand.query_row(alone, [], |row| row.get::<_, i64>(0)).unwrap(), 300);
    let mut lines = Vec::new();
    case.rows(sweep, Only::All, Order::Arrival, |row| {
        lines.push(row.place);
        Ok::<_, CaseError>(())
    })
    .unwrap();
    assert!(lines.into_iter().eq((1..=600).map(Place::Line)));
}

#[test]
fn two_cases_made_anew_have_two_names() {
    let (one, other) = (World::new(), World::new());
    assert_ne!(one.case.uid().unwrap(), other.case.uid().unwrap());
    let sweep = |world: &World| -> String {
        world.by_hand().query_row("SELECT uid FROM sweep", [], |row| row.get(0)).unwrap()
    };
    assert_ne!(sweep(&one), sweep(&other));
}

#[test]
fn a_sweep_says_where_it_was_made_and_goes_on_only_there() {
    let mut world = World::new();
    let mut begin_on = |host: &str| {
        world.case.made_by(Maker { host: Some(host.to_owned()), ..Maker::default() });
        let (sweep, run) = begin(&mut world.case);
        let group = |group: &mut hashsweep_case::Group<'_>| {
            group.join_series(sweep, "shape")?;
            group.finish_intake(sweep, 0, &Freshness::NOTHING, Stamp(5))?;
            group.end_run(run, Stamp(6), Some(0))
        };
        world.case.group(group).unwrap();
        let series = "SELECT series FROM sweep WHERE id = ?1";
        let series: i64 = world.by_hand().query_row(series, [sweep.0], |row| row.get(0)).unwrap();
        assert_eq!(world.case.sweep(Some(sweep)).unwrap().host.as_deref(), Some(host));
        (sweep.0, series)
    };
    let (first, series) = begin_on("alpha");
    assert_eq!(series, first);
    let (other, series) = begin_on("beta");
    assert_eq!(series, other, "the same path is another file on another machine");
    assert_eq!(begin_on("alpha").1, first);
}

fn opens_and_goes_on(schema: &str) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("case.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(schema).unwrap();
    old.pragma_update(None, "application_id", 0x6873_7770).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    old.execute_batch(
        "INSERT INTO sweep (id, command, settings, started_at, intake_finished_at) VALUES (1, 'scan', '{}', 1, 2);
         INSERT INTO run (id, sweep, started_at) VALUES (1, 1, 1);
         INSERT INTO attempt (id, run, n_hashes, reserved_at, sent_at) VALUES (1, 1, 1, 1, 1);
         INSERT INTO answer (id, kind, digest, answered_at, run, source, verdict)
             VALUES (1, 2, x'0000000000000000000000000000000000000001', 5, 1, 'service', 'malicious');
         INSERT INTO sighting (sweep, seq, root, path, size, sha1, kind) VALUES
             (1, 1, 0, 'a', 1, x'0000000000000000000000000000000000000001', 2),
             (1, 2, 0, 'b', 1, x'0000000000000000000000000000000000000002', 2),
             (1, 3, 0, 'c', 1, x'0000000000000000000000000000000000000003', 2);
         INSERT INTO want (sweep, kind, digest, state, answer) VALUES
             (1, 2, x'0000000000000000000000000000000000000001', 'answered', 1),
             (1, 2, x'0000000000000000000000000000000000000002', 'pending', NULL),
             (1, 2, x'0000000000000000000000000000000000000003', 'asking', NULL);",
    )
    .unwrap();
    drop(old);
    // A reader brings it up to date too.
    let tally = Case::open_to_read(&path).unwrap().tally(SweepId(1)).unwrap();
    assert_eq!(tally.check(), Ok(()));
    assert_eq!((tally.rows_of(Outcome::Answered), tally.rows_of(Outcome::Deferred)), (1, 2));
    assert_eq!(tally.quota.in_doubt, 1);
    let mut case = Case::open(&path).unwrap();
    let fresh = Freshness::NOTHING;
    let waiting = case.group(|group| group.reopen(SweepId(1), &fresh)).unwrap();
    assert_eq!(waiting, 2);
    let claim =
        Claim { n_batches: 1, batch_size: 100, also_partial: true, most_digests: 100, up_to: Class::Last };
    let claimed = case
        .group(|group| {
            let run = group.begin_run(SweepId(1), Stamp(9))?;
            group.claim((SweepId(1), run), claim, &Freshness::NOTHING, Stamp(9))
        })
        .unwrap();
    assert_eq!(claimed.batches[0].batch.len(), 2);
}
