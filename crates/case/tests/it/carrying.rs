//! What a sweep takes over from those before it, told to the case row by row.

use crate::{PLAIN, World, digest};
use hashsweep_case::{CaseError, Fate, Freshness, Group, Only, Order, Stand, Standing, SweepId, Walked};
use hashsweep_model::{
    Answer, Digest, Digests, HashKind, Place, Seen, Sighting, Skip, SkipKind, Stamp, Trace, Verdict,
};

const DEVICE: u64 = 1 << 63;

fn trace(inode: u64) -> Trace {
    Trace { device: DEVICE, inode, size: 0, modified_ns: 5, changed_ns: 6, born_ns: None, is_trusted: true }
}

fn file(path: &str, inode: u64) -> Sighting {
    let seen = Seen::Read {
        size: 0,
        digests: Digests::default().with(HashKind::Sha1.empty_input()),
        asked: HashKind::Sha1,
        suspicion: PLAIN,
        trace: Some(trace(inode)),
        contradicts: false,
    };
    Sighting { root: 0, place: Place::Path(path.into()), seen }
}

fn unreadable(path: &str) -> Sighting {
    let seen = Seen::Skipped(Skip::new(SkipKind::Unreadable));
    Sighting { root: 0, place: Place::Path(path.into()), seen }
}

impl World {
    /// A sweep of the series that sees these, each again or anew; the paths of its rows.
    fn night(&mut self, seen: &[Sighting]) -> Vec<String> {
        self.begin_night();
        self.walk_on(seen, true)
    }

    pub(crate) fn begin_night(&mut self) {
        self.next_sweep();
        let sweep = self.sweep;
        self.case.group(|group| group.join_series(sweep, "shape")).unwrap();
    }

    /// The rest of a sweep that has begun; the paths of its rows. If nobody is asked, every answer counts.
    pub(crate) fn walk_on(&mut self, seen: &[Sighting], asks: bool) -> Vec<String> {
        let sweep = self.sweep;
        let standing = self.case.standing(sweep).unwrap();
        let new: Vec<Sighting> = seen.iter().filter(|row| is_new(&standing, row)).cloned().collect();
        let fresh = if asks { Freshness::NOTHING } else { Freshness::ANYTHING };
        let walked = Walked { devices: vec![(DEVICE, "a disk".to_owned(), true)] };
        self.case
            .group(|group| {
                group.record(sweep, &new, &fresh)?;
                group.carry_over(&standing, &walked, &fresh)?;
                let _ = group.finish_intake(sweep, 0, &fresh, Stamp(9))?;
                group.want_carried(sweep, &fresh, asks).map(drop)
            })
            .unwrap();
        assert_eq!(self.case.tally(sweep).unwrap().check(), Ok(()));
        self.paths(sweep)
    }

    fn paths(&self, sweep: SweepId) -> Vec<String> {
        let mut paths = Vec::new();
        self.case
            .rows(sweep, Only::All, Order::Path, |row| {
                let Place::Path(path) = row.place else { panic!("a path") };
                paths.push(String::from_utf8(path).unwrap());
                Ok::<_, CaseError>(())
            })
            .unwrap();
        paths
    }

    fn known(&mut self, path: &str, inode: u64) -> bool {
        self.begin_night();
        self.case.standing(self.sweep).unwrap().still_holds(0, path.as_bytes(), &trace(inode))
    }
}

fn is_new(standing: &Standing, row: &Sighting) -> bool {
    let Place::Path(path) = &row.place else { panic!("a path") };
    let holds = match &row.seen {
        Seen::Read { trace: Some(trace), .. } => standing.still_holds(row.root, path, trace),
        _ => false,
    };
    !holds && standing.stand(row) == Stand::New
}

#[test]
fn below_a_directory_that_cannot_be_read_nothing_is_gone_or_forgotten() {
    let mut world = World::new();
    let (a, b, c) = (file("r/a", 1), file("r/sub/b", 2), file("r/subway", 3));
    assert_eq!(world.night(&[a.clone(), b.clone(), c.clone()]), ["r/a", "r/sub/b", "r/subway"]);
    for _ in 0..2 {
        // What only begins like the directory does not lie in it, and is gone.
        assert_eq!(world.night(&[a.clone(), unreadable("r/sub")]), ["r/a", "r/sub"]);
    }
    assert!(world.known("r/sub/b", 2));
    assert!(!world.known("r/subway", 3));
    assert_eq!(world.night(&[a.clone(), b.clone()]), ["r/a", "r/sub/b"]);
    assert_eq!(world.night(&[a]), ["r/a"]);
    assert!(!world.known("r/sub/b", 2), "it was looked for, and is gone");
}

#[test]
fn so_many_rows_that_two_threads_read_them_all_stand() {
    let mut world = World::new();
    let mut files: Vec<Sighting> = (0..12_000).map(|n| file(&format!("r/{n:05}"), n)).collect();
    assert_eq!(world.night(&files).len(), 12_000);
    world.begin_night();
    let standing = world.case.standing(world.sweep).unwrap();
    for n in 0..12_000 {
        let path = format!("r/{n:05}");
        assert!(standing.still_holds(0, path.as_bytes(), &trace(n)), "{path}");
        assert!(!standing.still_holds(0, path.as_bytes(), &trace(n + 1)), "{path}");
    }
    files.remove(11_000);
    files.remove(1_000);
    let paths = world.walk_on(&files, true);
    assert_eq!(paths.len(), 11_998);
    assert!(!paths.iter().any(|path| path == "r/01000" || path == "r/11000"));
}

#[test]
fn a_file_that_cannot_be_read_for_a_night_is_known_in_the_next() {
    let mut world = World::new();
    let a = file("r/a", 1);
    world.night(std::slice::from_ref(&a));
    assert_eq!(world.night(&[unreadable("r/a")]), ["r/a"]);
    assert!(world.known("r/a", 1));
    assert_eq!(world.night(&[a]), ["r/a"]);
}

#[test]
fn another_number_time_or_device_is_another_file() {
    let mut world = World::new();
    world.night(&[file("r/a", 1)]);
    world.next_sweep();
    let sweep = world.sweep;
    world.case.group(|group| group.join_series(sweep, "shape")).unwrap();
    let standing = world.case.standing(sweep).unwrap();
    let holds = |trace: Trace| standing.still_holds(0, b"r/a", &trace);
    assert!(holds(trace(1)));
    for other in [
        Trace { device: 2, ..trace(1) },
        Trace { inode: 2, ..trace(1) },
        Trace { size: 1, ..trace(1) },
        Trace { modified_ns: 6, ..trace(1) },
        Trace { changed_ns: 7, ..trace(1) },
        Trace { born_ns: Some(1), ..trace(1) },
        Trace { is_trusted: false, ..trace(1) },
    ] {
        assert!(!holds(other), "{other:?}");
    }
    assert!(!standing.still_holds(1, b"r/a", &trace(1)), "another root");
}

/// A sweep of a list in which a digest is answered; the answer shows these digests.
fn answer(world: &mut World, asked: Digest, sample: Digests) {
    world.next_sweep();
    let seen = Seen::Listed { digests: Digests::default().with(asked), asked: asked.kind() };
    world.record(&[Sighting { root: 0, place: Place::Line(1), seen }]);
    let claimed = world.claim(1, 100, true).remove(0);
    let answer = Answer { sample, ..Answer::bare(asked, Verdict::Malicious) };
    world.settle(&claimed, &[(asked, Fate::Answered(answer))], Stamp(20));
}

#[test]
fn with_nobody_to_ask_what_the_case_knows_counts_for_a_row_that_goes_on() {
    let mut world = World::new();
    let digests = [1, 2].map(|n| digest(HashKind::Sha1, n));
    let rows = [("r/a", 1, digests[0]), ("r/b", 2, digests[1])].map(|(path, inode, digest)| {
        let mut row = file(path, inode);
        if let Seen::Read { digests, .. } = &mut row.seen {
            *digests = Digests::default().with(digest);
        }
        row
    });
    let night = |world: &mut World| {
        world.begin_night();
        world.walk_on(&rows, false);
        world.sweep
    };
    let check = |world: &World, sweep, n: u64| {
        let tally = world.case.tally(sweep).unwrap();
        let n_malicious = tally.verdicts.get(&Verdict::Malicious).copied().unwrap_or_default();
        assert_eq!((tally.check(), tally.rows, n_malicious), (Ok(()), 2, n));
        let broken = world.case.verify().unwrap().into_iter().find(|check| check.n_broken > 0);
        assert_eq!(broken, None);
    };
    night(&mut world);
    let before = night(&mut world);
    // By way of another digest of its file.
    let md5 = digest(HashKind::Md5, 1);
    answer(&mut world, md5, Digests::default().with(md5).with(digests[0]));
    let after = night(&mut world);
    check(&world, after, 1);
    check(&world, before, 0);
    // For itself, after the rows were taken over.
    answer(&mut world, digests[1], Digests::default().with(digests[1]));
    check(&world, after, 1);
    let again = |group: &mut Group<'_>| group.want_carried(after, &Freshness::ANYTHING, false);
    assert_eq!(world.case.group(again).unwrap(), 0);
    check(&world, after, 2);
    check(&world, before, 0);
}

#[test]
fn the_digests_of_a_row_that_goes_on_belong_together_once_one_of_them_is_answered() {
    let mut world = World::new();
    let mut row = file("r/a", 1);
    if let Seen::Read { digests, .. } = &mut row.seen {
        *digests = Digests::default().with(digest(HashKind::Sha1, 1)).with(digest(HashKind::Md5, 1));
    }
    world.begin_night();
    world.walk_on(std::slice::from_ref(&row), false);
    assert_eq!(world.night(&[row]), ["r/a"]);
    world.answer_all(Verdict::Malicious, Stamp(20));
    let sweep = world.sweep;
    world.case.group(|group| group.defer_rest(sweep, "interrupted", &Freshness::NOTHING, Stamp(9))).unwrap();
    let files = "SELECT count(*) FROM same_file";
    assert_eq!(world.by_hand().query_row(files, [], |row| row.get(0)), Ok(1));
}

#[test]
fn a_first_sweep_that_was_overtaken_brings_nothing_into_the_later_ones() {
    let mut world = World::new();
    let (a, b) = (file("r/a", 1), file("r/b", 2));
    world.begin_night();
    let (overtaken, first) = (world.sweep, std::slice::from_ref(&a));
    world.case.group(|group| group.record(overtaken, first, &Freshness::NOTHING).map(drop)).unwrap();
    assert_eq!(world.night(&[a.clone(), b.clone()]), ["r/a", "r/b"]);
    let later = world.sweep;
    world.sweep = overtaken;
    assert_eq!(world.walk_on(std::slice::from_ref(&b), true), ["r/a", "r/b"]);
    assert_eq!(world.paths(later), ["r/a", "r/b"]);
    assert_eq!(world.case.tally(later).unwrap().check(), Ok(()));
    world.sweep = later;
    assert!(world.known("r/b", 2));
    assert_eq!(world.night(&[a, b]), ["r/a", "r/b"]);
}

#[test]
fn sweeps_of_another_shape_or_other_roots_carry_nothing_on() {
    let mut world = World::new();
    world.night(&[file("r/a", 1)]);
    world.next_sweep();
    let sweep = world.sweep;
    world.case.group(|group| group.join_series(sweep, "another shape")).unwrap();
    assert!(!world.case.standing(sweep).unwrap().still_holds(0, b"r/a", &trace(1)));
    // A sweep that joins none has its own rows only.
    world.next_sweep();
    assert!(!world.case.standing(world.sweep).unwrap().still_holds(0, b"r/a", &trace(1)));
}
