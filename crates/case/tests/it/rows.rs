//! Rows in, rows out.

use crate::{PLAIN, World, digest, file, files, sha1};
use hashsweep_case::{Case, CaseError, Fate, Freshness, NewRoot, NewSweep, Only, Order, SweepId};
use hashsweep_model::{
    Answer, DigestError, Digests, HashKind, Outcome, Place, Row, Seen, Sighting, Skip, SkipKind, Stamp,
    Verdict,
};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

fn rows(case: &Case, sweep: SweepId, only: Only, order: Order) -> Vec<Row> {
    let mut rows = Vec::new();
    let each = |row| {
        rows.push(row);
        Ok::<_, CaseError>(())
    };
    case.rows(sweep, only, order, each).unwrap();
    rows
}

/// A sighting and the row it becomes: size, outcome, reason.
#[track_caller]
fn check(place: Place, seen: Seen, (size, outcome, reason): (Option<u64>, Outcome, Option<&str>)) {
    let mut world = World::new();
    world.record(&[Sighting { root: 3, place: place.clone(), seen: seen.clone() }]);
    let row = rows(&world.case, world.sweep, Only::All, Order::Arrival).remove(0);
    assert_eq!((row.root, row.place), (3, place));
    assert_eq!((row.size, row.outcome, row.reason.as_deref()), (size, outcome, reason));
    let digests = match seen {
        Seen::Read { digests, .. } | Seen::Listed { digests, .. } => digests,
        Seen::Invalid(_) | Seen::Skipped(_) => Digests::default(),
    };
    assert_eq!((row.digests, row.answer), (digests, None));
    world.case.tally(world.sweep).unwrap().check().unwrap();
}

#[test]
fn every_form_of_sighting_comes_back() {
    use Outcome::{Deferred, Invalid, Local, Skipped};
    let path = |bytes: &[u8]| Place::Path(bytes.to_vec());
    let all = HashKind::ALL.iter().fold(Digests::default(), |all, kind| all.with(digest(*kind, 9)));
    for asked in HashKind::ALL {
        for (size, stored) in [(0, 0), (u64::MAX, i64::MAX as u64)] {
            let seen =
                Seen::Read { size, digests: all, asked, suspicion: PLAIN, trace: None, contradicts: false };
            check(path(b"/a"), seen, (Some(stored), Deferred, Some("interrupted")));
        }
        let empty = asked.empty_input();
        let digests = Digests::default().with(empty);
        check(
            path(b"/e"),
            Seen::Read { size: 0, digests, asked, suspicion: PLAIN, trace: None, contradicts: false },
            (Some(0), Local, Some("empty file")),
        );
        check(Place::Line(2), Seen::Listed { digests, asked }, (None, Local, Some("empty file")));
        check(
            Place::Line(1 << 40),
            Seen::Listed { digests: all, asked },
            (None, Deferred, Some("interrupted")),
        );
    }
    check(Place::Line(1), Seen::Invalid(DigestError::Empty), (None, Invalid, Some("empty")));
    let not_hex = Seen::Invalid(DigestError::NotHex { at: 3 });
    check(Place::Line(7), not_hex, (None, Invalid, Some("not hex at character 3")));
    let skip = Skip::because(SkipKind::Unreadable, "permission denied");
    check(path(b"/s"), Seen::Skipped(skip), (None, Skipped, Some("unreadable: permission denied")));
}

#[test]
fn paths_of_any_bytes_come_back() {
    for bytes in [
        b"".as_slice(),
        b"/\xff\xfe/\x80",
        b"/new\nline\t\"quoted\" 'single'",
        b"/; DROP TABLE want",
        &[b'x'; 9000],
    ] {
        let seen = Seen::Skipped(Skip::new(SkipKind::Fifo));
        check(Place::Path(bytes.to_vec()), seen, (None, Outcome::Skipped, Some("fifo")));
    }
}

#[test]
fn rows_come_in_the_order_asked_for() {
    let mut world = World::new();
    let paths: [&[u8]; 5] = [b"/b", b"/a/b", b"/\xff", b"/a", b"/a "];
    let skipped = |path: &[u8]| Sighting {
        root: 0,
        place: Place::Path(path.to_vec()),
        seen: Seen::Skipped(Skip::new(SkipKind::Fifo)),
    };
    for path in paths {
        world.record(&[skipped(path)]);
    }
    let places = |order| -> Vec<Place> {
        rows(&world.case, world.sweep, Only::All, order).into_iter().map(|row| row.place).collect()
    };
    let arrived: Vec<Place> = paths.iter().map(|path| Place::Path(path.to_vec())).collect();
    assert_eq!(places(Order::Arrival), arrived);
    let mut sorted = arrived;
    sorted.sort();
    assert_eq!(places(Order::Path), sorted);
}

#[test]
fn findings_and_unknowns_can_be_read_alone() {
    let mut world = World::new();
    world.record(&files(0..6));
    let claimed = world.claim(1, 100, true).remove(0);
    let verdicts = [Verdict::Known, Verdict::Unknown, Verdict::Suspicious, Verdict::Malicious];
    let mut fates: Vec<_> =
        (0..4).map(|n| (sha1(n), Fate::Answered(Answer::bare(sha1(n), verdicts[n as usize])))).collect();
    fates.push((sha1(4), Fate::Failed("500".into())));
    fates.push((sha1(5), Fate::Deferred("quota".into())));
    world.settle(&claimed, &fates, Stamp(9));
    let verdicts = |only| -> Vec<Option<Verdict>> {
        rows(&world.case, world.sweep, only, Order::Arrival).iter().map(Row::verdict).collect()
    };
    assert_eq!(verdicts(Only::All).len(), 6);
    assert_eq!(verdicts(Only::Findings), [Some(Verdict::Suspicious), Some(Verdict::Malicious)]);
    assert_eq!(verdicts(Only::Unknown), [Some(Verdict::Unknown)]);
}

#[test]
fn reading_rows_stops_with_the_readers_own_error() {
    #[derive(Debug)]
    enum Mine {
        Enough,
    }
    impl From<CaseError> for Mine {
        fn from(error: CaseError) -> Mine {
            panic!("{error}")
        }
    }
    let mut world = World::new();
    world.record(&files(0..5));
    let mut n = 0;
    let stopped = world.case.rows(world.sweep, Only::All, Order::Path, |_| {
        n += 1;
        if n == 2 { Err(Mine::Enough) } else { Ok(()) }
    });
    assert!(matches!(stopped, Err(Mine::Enough)), "{stopped:?}");
    assert_eq!(n, 2);
    let none = world.case.rows(SweepId(99), Only::All, Order::Path, |_| Err(Mine::Enough));
    assert!(none.is_ok(), "{none:?}");
}

#[test]
fn a_sweep_comes_back_with_its_roots() {
    let mut world = World::new();
    let odd = OsString::from_vec(b"/odd/\xff".to_vec());
    let new = NewSweep {
        command: "list".into(),
        settings: r#"{"a":1}"#.into(),
        roots: vec![
            NewRoot { given: b"-".to_vec(), opened: odd.clone().into() },
            NewRoot { given: b"two".to_vec(), opened: "/two".into() },
        ],
    };
    let sweep = world
        .case
        .group(|group| {
            let sweep = group.begin_sweep(&new, Stamp(50))?;
            group.fingerprint(sweep, 1, [7; 32])?;
            let _ = group.finish_intake(sweep, 12, &Freshness::NOTHING, Stamp(51))?;
            Ok(sweep)
        })
        .unwrap();
    let found = world.case.sweep(None).unwrap();
    assert_eq!(found, world.case.sweep(Some(sweep)).unwrap());
    assert_eq!((found.id, found.command.as_str(), found.settings.as_str()), (sweep, "list", r#"{"a":1}"#));
    assert_eq!((found.started_at, found.intake_finished, found.excluded), (Stamp(50), true, 12));
    assert_eq!((&found.roots[0].opened, found.roots[0].fingerprint), (&odd.into(), None));
    assert_eq!(
        (found.roots[1].given.as_slice(), found.roots[1].fingerprint),
        (b"two".as_slice(), Some([7; 32]))
    );
    assert_eq!(world.case.sweep_ids().unwrap(), [world.sweep, sweep]);
    assert!(!world.case.sweep(Some(world.sweep)).unwrap().intake_finished);
    let missing = world.case.sweep(Some(SweepId(99))).unwrap_err();
    assert!(matches!(missing, CaseError::NoSuchSweep(99)), "{missing}");
    let directory = tempfile::tempdir().unwrap();
    let empty = Case::open(&directory.path().join("c")).unwrap();
    assert!(matches!(empty.sweep(None), Err(CaseError::NoSweep)));
}

#[test]
fn an_intake_that_goes_on_learns_what_is_recorded() {
    let mut world = World::new();
    let line = |root, n| Sighting { root, place: Place::Line(n), seen: Seen::Invalid(DigestError::Empty) };
    world.record(&[file("/a", sha1(1)), line(1, 4), line(1, 5), line(2, 9), file("/b", sha1(1))]);
    let mut seen = Vec::new();
    world.case.recorded(world.sweep, |root, path| seen.push((root, path.to_vec()))).unwrap();
    assert_eq!(seen, [(0, b"/a".to_vec()), (0, b"/b".to_vec())]);
    let mut lines = Vec::new();
    let listed = Sighting { root: 2, place: Place::Line(10), seen: file("/c", sha1(7)).seen };
    world.record(&[listed]);
    for root in 0..4 {
        let each = |line, digest: Result<&[u8], &str>| {
            lines.push((root, line, digest.map(<[u8]>::to_vec).map_err(str::to_owned)));
        };
        world.case.recorded_list(world.sweep, root, each).unwrap();
    }
    let empty = || Err("empty".to_owned());
    let digest = Ok(sha1(7).as_bytes().to_vec());
    assert_eq!(lines, [(1, 4, empty()), (1, 5, empty()), (2, 9, empty()), (2, 10, digest)]);
}
