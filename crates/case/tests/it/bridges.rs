//! What an answer about one digest says about the other digests of its file, and when it says nothing.

use crate::{PLAIN, World, begin, digest, everything};
use hashsweep_case::{Case, CaseError, Claim, Fate, Freshness, Only, Order, Taken};
use hashsweep_model::{
    Answer, Class, Digest, Digests, HashKind, Outcome, Place, Row, Seen, Sighting, Stamp, Verdict,
};
use proptest::prelude::*;

use HashKind::{Md5, Sha1, Sha256};

/// The three digests of one file.
fn sample(n: u32) -> Digests {
    HashKind::ALL.into_iter().fold(Digests::default(), |all, kind| all.with(digest(kind, n)))
}

/// An answer that shows these digests.
fn shown(asked: Digest, verdict: Verdict, sample: Digests) -> Fate {
    Fate::Answered(Answer { sample, ..Answer::bare(asked, verdict) })
}

fn listed(line: u64, digest: Digest) -> Sighting {
    let seen = Seen::Listed { digests: Digests::default().with(digest), asked: digest.kind() };
    Sighting { root: 0, place: Place::Line(line), seen }
}

fn list(digests: &[Digest]) -> Vec<Sighting> {
    (1..).zip(digests).map(|(line, digest)| listed(line, *digest)).collect()
}

/// A file that we have read, with all of its digests.
fn read(path: &str, digests: Digests, asked: HashKind) -> Sighting {
    Sighting {
        root: 0,
        place: Place::Path(path.as_bytes().to_vec()),
        seen: Seen::Read { size: 1, digests, asked, suspicion: PLAIN, trace: None, contradicts: false },
    }
}

fn rows(world: &World) -> Vec<Row> {
    let mut rows = Vec::new();
    let each = |row| {
        rows.push(row);
        Ok::<_, CaseError>(())
    };
    world.case.rows(world.sweep, Only::All, Order::Arrival, each).unwrap();
    rows
}

/// A sweep before in which a digest was asked and answered.
fn answer(world: &mut World, asked: Digest, verdict: Verdict, shows: Digests, at: i64) {
    answer_row(world, listed(1, asked), asked, verdict, shows, at);
}

fn answer_row(world: &mut World, row: Sighting, asked: Digest, verdict: Verdict, shows: Digests, at: i64) {
    world.next_sweep();
    world.record(&[row]);
    let claimed = world.claim(1, 100, true).remove(0);
    world.settle(&claimed, &[(asked, shown(asked, verdict, shows))], Stamp(at));
    end(world);
}

fn end(world: &mut World) {
    let sweep = world.sweep;
    world.case.group(|group| group.defer_rest(sweep, "interrupted", &Freshness::NOTHING, Stamp(7))).unwrap();
    world.case.tally(sweep).unwrap().check().unwrap();
}

/// Takes whatever waits.
fn take(world: &mut World) -> Taken {
    let at = (world.sweep, world.run);
    let claim = Claim {
        n_batches: 9,
        batch_size: 100,
        also_partial: true,
        most_digests: u64::MAX,
        up_to: Class::Last,
    };
    world.case.group(|group| group.claim(at, claim, &Freshness::NOTHING, Stamp(10))).unwrap()
}

/// Whether a sweep of this one row finds it answered; the books balance either way.
#[track_caller]
fn check(world: &mut World, row: Sighting, expected: Option<Verdict>) {
    world.next_sweep();
    let joined = world.record_fresh(&[row], &everything());
    assert_eq!(joined, u64::from(expected.is_none()));
    assert_eq!(rows(world)[0].verdict(), expected);
    assert_eq!(world.digests_of(Outcome::Cached), u64::from(expected.is_some()));
    assert_eq!(world.claim(1, 100, true).len(), usize::from(expected.is_none()));
    end(world);
}

#[test]
fn an_answer_for_any_digest_of_a_file_answers_for_all() {
    for asked in HashKind::ALL {
        for wanted in HashKind::ALL {
            let mut world = World::new();
            answer(&mut world, digest(asked, 1), Verdict::Malicious, sample(1), 100);
            check(&mut world, listed(1, digest(wanted, 1)), Some(Verdict::Malicious));
            check(&mut world, listed(1, digest(wanted, 2)), None);
        }
    }
}

#[test]
fn an_answer_that_shows_no_other_digests_and_an_unknown_one_bridge_nothing() {
    let mut world = World::new();
    answer(&mut world, digest(Sha1, 1), Verdict::Known, Digests::default().with(digest(Sha1, 1)), 100);
    check(&mut world, listed(1, digest(Md5, 1)), None);
    answer(&mut world, digest(Sha1, 2), Verdict::Unknown, sample(2), 100);
    check(&mut world, listed(1, digest(Md5, 2)), None);
}

#[test]
fn a_bridged_answer_is_as_old_as_it_is() {
    for (since, counts) in [(100, true), (101, false)] {
        let mut world = World::new();
        answer(&mut world, digest(Sha256, 1), Verdict::Known, sample(1), 100);
        let mut fresh = Freshness::NOTHING;
        fresh.accept(Verdict::Known, Stamp(since)..=Stamp(200));
        world.next_sweep();
        assert_eq!(world.record_fresh(&list(&[digest(Md5, 1)]), &fresh), u64::from(!counts));
    }
}

#[test]
fn the_newest_answer_about_a_file_decides_whichever_digest_it_was_given_for() {
    let mut world = World::new();
    answer(&mut world, digest(Md5, 1), Verdict::Known, sample(1), 100);
    answer(&mut world, digest(Sha256, 1), Verdict::Malicious, sample(1), 200);
    check(&mut world, listed(1, digest(Md5, 1)), Some(Verdict::Malicious));
    answer(&mut world, digest(Md5, 1), Verdict::Suspicious, sample(1), 300);
    check(&mut world, listed(1, digest(Md5, 1)), Some(Verdict::Suspicious));
    check(&mut world, listed(1, digest(Sha256, 1)), Some(Verdict::Suspicious));
}

#[test]
fn a_collision_is_never_crossed() {
    for weak in [Md5, Sha1] {
        let mut world = World::new();
        let other = sample(2).with(digest(weak, 1));
        answer(&mut world, digest(Sha256, 1), Verdict::Known, sample(1), 100);
        answer(&mut world, digest(Sha256, 2), Verdict::Malicious, other, 200);
        check(&mut world, listed(1, digest(weak, 1)), None);
        // The digests that only one of the two files has still name it.
        let strong = if weak == Md5 { Sha1 } else { Md5 };
        check(&mut world, listed(1, digest(strong, 2)), Some(Verdict::Malicious));
    }
}

#[test]
fn an_answer_for_a_digest_that_collides_says_nothing_about_a_stronger_one() {
    let mut world = World::new();
    answer(&mut world, digest(Sha256, 2), Verdict::Malicious, sample(2).with(digest(Md5, 1)), 100);
    answer(&mut world, digest(Md5, 1), Verdict::Known, sample(1), 200);
    check(&mut world, listed(1, digest(Sha256, 1)), None);
}

#[test]
fn an_answer_that_is_not_about_its_own_question_bridges_nothing() {
    let mut world = World::new();
    answer(&mut world, digest(Sha1, 7), Verdict::Malicious, sample(1), 100);
    for kind in HashKind::ALL {
        check(&mut world, listed(1, digest(kind, 1)), None);
    }
    check(&mut world, listed(1, digest(Sha1, 7)), Some(Verdict::Malicious));
}

#[test]
fn an_answer_that_contradicts_the_file_at_hand_does_not_count_for_it() {
    let mut world = World::new();
    answer(&mut world, digest(Md5, 1), Verdict::Known, sample(1), 100);
    check(&mut world, read("/f", sample(1), Sha1), Some(Verdict::Known));
    check(&mut world, read("/f", sample(1).with(digest(Sha256, 9)), Sha1), None);
}

#[test]
fn what_we_have_read_ourselves_bridges_without_the_services_help() {
    let mut world = World::new();
    answer_row(
        &mut world,
        read("/f", sample(1), Sha1),
        digest(Sha1, 1),
        Verdict::Malicious,
        Digests::default(),
        100,
    );
    check(&mut world, listed(1, digest(Md5, 1)), Some(Verdict::Malicious));
    check(&mut world, listed(1, digest(Sha256, 1)), Some(Verdict::Malicious));

    let mut world = World::new();
    answer(&mut world, digest(Md5, 1), Verdict::Malicious, Digests::default(), 100);
    check(&mut world, read("/f", sample(1), Sha1), Some(Verdict::Malicious));
}

#[test]
fn two_files_of_ours_that_collide_bridge_nothing() {
    let mut world = World::new();
    let collision = sample(2).with(digest(Md5, 1));
    world.next_sweep();
    world.record(&[read("/a", sample(1), Sha1), read("/b", collision, Sha1)]);
    world.answer_all(Verdict::Known, Stamp(100));
    end(&mut world);
    check(&mut world, listed(1, digest(Md5, 1)), None);
    check(&mut world, listed(1, digest(Sha256, 2)), Some(Verdict::Known));
}

#[test]
fn a_digest_that_waits_is_settled_by_an_answer_about_its_file() {
    let mut world = World::new();
    let (md5, sha256) = (digest(Md5, 1), digest(Sha256, 1));
    world.record(&list(&[md5, sha256, digest(Sha256, 2)]));
    let claimed = world.claim(1, 1, true).remove(0);
    assert_eq!(claimed.batch.digests(), [md5]);
    world.settle(&claimed, &[(md5, shown(md5, Verdict::Malicious, sample(1)))], Stamp(5));
    let Taken { batches: rest, learned, .. } = take(&mut world);
    assert_eq!(learned, 1);
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].batch.digests(), [digest(Sha256, 2)]);
    assert_eq!(rows(&world)[1].outcome, Outcome::Cached);
    assert_eq!(rows(&world)[1].verdict(), Some(Verdict::Malicious));
    let tally = world.case.tally(world.sweep).unwrap();
    assert_eq!((tally.learned, tally.oldest_cached), (1, Some(Stamp(5))));
    end(&mut world);
    // What another sweep learned was known before.
    world.next_sweep();
    world.record_fresh(&list(&[sha256]), &everything());
    assert_eq!(world.case.tally(world.sweep).unwrap().learned, 0);
}

#[test]
fn a_digest_that_is_on_its_way_keeps_its_own_answer() {
    let mut world = World::new();
    let (md5, sha256) = (digest(Md5, 1), digest(Sha256, 1));
    world.record(&list(&[md5, sha256]));
    let claimed = world.claim(2, 1, true);
    world.settle(&claimed[0], &[(md5, shown(md5, Verdict::Known, sample(1)))], Stamp(5));
    assert_eq!(take(&mut world), Taken::default(), "it is being asked already");
    world.settle(&claimed[1], &[(sha256, shown(sha256, Verdict::Suspicious, sample(1)))], Stamp(6));
    let outcomes: Vec<_> = rows(&world).iter().map(|row| (row.outcome, row.verdict())).collect();
    assert_eq!(
        outcomes,
        [(Outcome::Answered, Some(Verdict::Known)), (Outcome::Answered, Some(Verdict::Suspicious))]
    );
    end(&mut world);
}

#[test]
fn a_digest_that_comes_after_the_answer_is_settled_when_it_comes() {
    let mut world = World::new();
    let md5 = digest(Md5, 1);
    world.record(&list(&[md5]));
    let claimed = world.claim(1, 1, true).remove(0);
    world.settle(&claimed, &[(md5, shown(md5, Verdict::Known, sample(1)))], Stamp(5));
    assert_eq!(world.record(&[listed(2, digest(Sha1, 1))]), 0, "whatever earlier answers are worth");
    assert_eq!(rows(&world)[1].outcome, Outcome::Cached);
    end(&mut world);
}

#[test]
fn a_deferred_digest_is_settled_when_the_sweep_goes_on() {
    let mut world = World::new();
    let first = world.sweep;
    world.record(&list(&[digest(Md5, 1), digest(Md5, 2)]));
    end(&mut world);
    answer(&mut world, digest(Sha1, 1), Verdict::Known, sample(1), 100);
    world.sweep = first;
    let waiting = world.case.group(|group| group.reopen(first, &everything())).unwrap();
    assert_eq!((waiting, world.digests_of(Outcome::Cached)), (1, 1));
    end(&mut world);
}

/// It decides, even where an older one that was given for the digest itself would count for longer.
#[test]
fn a_newer_answer_about_another_digest_that_is_too_old_has_the_digest_asked() {
    let mut world = World::new();
    end(&mut world);
    let file = sample(1);
    let (md5, sha1) = (digest(Md5, 1), digest(Sha1, 1));
    answer(&mut world, sha1, Verdict::Malicious, file, 100);
    answer(&mut world, md5, Verdict::Known, file, 200);
    let mut fresh = Freshness::ANYTHING;
    fresh.accept(Verdict::Known, Stamp(300)..=Stamp(i64::MAX));
    world.next_sweep();
    world.record_fresh(&[listed(1, sha1)], &fresh);
    assert_eq!(take(&mut world).batches.len(), 1, "the file was known since, and that was long ago");
    let mut world = world.killed();
    world.next_sweep();
    world.record_fresh(&[listed(1, sha1)], &everything());
    assert_eq!(rows(&world)[0].answer.as_ref().unwrap().answer.verdict, Verdict::Known);
}

/// The rows of a list need not be alike: here the first has one digest, and the second says that its SHA-1 is another
/// file's than the one that the service showed for its MD5.
#[test]
fn what_a_row_says_of_its_file_counts_whatever_the_first_row_of_the_list_has() {
    let mut world = World::new();
    end(&mut world);
    answer(&mut world, digest(Md5, 1), Verdict::Known, sample(1), 100);
    world.next_sweep();
    let other = Digests::default().with(digest(Sha1, 1)).with(digest(Md5, 2));
    let second = Sighting {
        place: Place::Line(2),
        seen: Seen::Listed { digests: other, asked: Sha1 },
        ..listed(2, digest(Sha1, 1))
    };
    world.record_fresh(&[listed(1, digest(Sha1, 7)), second], &everything());
    let asked: usize = take(&mut world).batches.iter().map(|claimed| claimed.batch.len()).sum();
    assert_eq!(asked, 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever a service shows, an answer is taken over only for a digest that it names beside its own question.
    #[test]
    fn no_answer_reaches_a_digest_that_it_does_not_name(
        answers in prop::collection::vec((0usize..3, 0u32..3, [0u32..3, 0u32..3, 0u32..3]), 1..6),
        wanted in (0usize..3, 0u32..3),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.case");
        let mut case = Case::open(&path).unwrap();
        let (sweep, run) = begin(&mut case);
        let mut world = World { directory, path, case, sweep, run };
        for (at, (kind, n, shows)) in (100..).zip(answers) {
            let shows = HashKind::ALL.into_iter().zip(shows)
                .fold(Digests::default(), |all, (kind, n)| all.with(digest(kind, n)));
            answer(&mut world, digest(HashKind::ALL[kind], n), Verdict::Known, shows, at);
        }
        world.next_sweep();
        let about = digest(HashKind::ALL[wanted.0], wanted.1);
        world.record_fresh(&list(&[about]), &everything());
        let taken: Option<i64> = world.by_hand()
            .query_row("SELECT max(answer) FROM want WHERE sweep = ?1", [world.sweep.0], |row| row.get(0)).unwrap();
        if let Some(id) = taken {
            let of_column = |column: &str| -> Vec<u8> {
                world.by_hand()
                    .query_row(&format!("SELECT {column} FROM answer WHERE id = ?1"), [id], |row| row.get(0))
                    .unwrap()
            };
            let asked = Digest::from_bytes(&of_column("digest")).unwrap();
            if asked != about {
                prop_assert_eq!(of_column(about.kind().name()), about.as_bytes());
                prop_assert_eq!(of_column(asked.kind().name()), asked.as_bytes());
                // And no believable answer names another file for it.
                let strangers: i64 = world.by_hand().query_row(
                    &format!(
                        "SELECT count(*) FROM answer a, answer b WHERE b.id = ?1 AND a.{0} = b.{0}
                         AND a.digest = CASE a.kind WHEN 1 THEN a.md5 WHEN 2 THEN a.sha1 ELSE a.sha256 END
                         AND (a.md5 <> b.md5 OR a.sha1 <> b.sha1 OR a.sha256 <> b.sha256)",
                        about.kind().name()
                    ),
                    [id],
                    |row| row.get(0),
                ).unwrap();
                prop_assert_eq!(strangers, 0);
            }
        }
        end(&mut world);
    }
}
