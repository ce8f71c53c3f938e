//! Rows of a list that stand together: every reader sees them as if each stood by itself.

use crate::pruning::assert_sound;
use crate::{World, everything, sha1};
use hashsweep_case::{Case, CaseError, Claim, Fate, Maker, NewRoot, NewSweep, Only, Order, RunId, SweepId};
use hashsweep_model::{
    Answer, Class, Digest, DigestError, Digests, HashKind, Outcome, Place, Seen, Sighting, Stamp, Verdict,
};
use proptest::prelude::*;

fn row(line: u64, seen: Seen) -> Sighting {
    Sighting { root: 0, place: Place::Line(line), seen }
}

pub(crate) fn listed(line: u64, digest: Digest) -> Sighting {
    let digests = Digests::default().with(digest);
    row(line, Seen::Listed { digests, asked: digest.kind() })
}

fn lines(numbers: std::ops::Range<u32>) -> Vec<Sighting> {
    numbers.map(|n| listed(u64::from(n) + 1, sha1(n))).collect()
}

/// A list with a row in the midst of it that is no hash, and one that has two.
fn mixed() -> Vec<Sighting> {
    let mut rows = lines(0..700);
    rows[300] = row(301, Seen::Invalid(DigestError::Empty));
    let md5 = Digest::from_bytes(&[7; 16]).unwrap();
    let both = Digests::default().with(md5).with(sha1(500));
    rows[500] = row(501, Seen::Listed { digests: both, asked: HashKind::Sha1 });
    rows
}

fn begin_list(case: &mut Case) -> (SweepId, RunId) {
    let new = NewSweep {
        command: "list".to_owned(),
        settings: "{}".to_owned(),
        roots: vec![NewRoot { given: b"list".to_vec(), opened: "/list".into() }],
    };
    case.group(|group| {
        let sweep = group.begin_sweep(&new, Stamp(1))?;
        Ok((sweep, group.begin_run(sweep, Stamp(2))?))
    })
    .unwrap()
}

impl World {
    /// In place of its scan a list, with nothing in it yet.
    fn of_a_list(host: &str) -> World {
        let mut world = World::new();
        world.case.made_by(Maker { host: Some(host.to_owned()), ..Maker::default() });
        world.end();
        (world.sweep, world.run) = begin_list(&mut world.case);
        world
    }

    /// Everything that waits is answered; the digest of line 43 is malicious.
    fn answer_list(&mut self, now: i64) {
        let claim = Claim {
            n_batches: 1000,
            batch_size: 100,
            also_partial: true,
            most_digests: u64::MAX,
            up_to: Class::Last,
        };
        for claimed in self.claim_as(claim) {
            let verdict = |digest| if digest == sha1(42) { Verdict::Malicious } else { Verdict::Known };
            let fates: Vec<_> = claimed
                .batch
                .digests()
                .iter()
                .map(|digest| (*digest, Fate::Answered(Answer::bare(*digest, verdict(*digest)))))
                .collect();
            self.settle(&claimed, &fates, Stamp(now));
        }
    }

    fn end_list(&mut self) {
        let sweep = self.sweep;
        self.case.group(|group| group.finish_intake(sweep, 0, &everything(), Stamp(80))).unwrap();
        self.end();
    }

    fn count(&self, sql: &str) -> i64 {
        self.by_hand().query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

/// Each row's line with all that is said of it.
fn said(case: &Case, sweep: SweepId, order: Order) -> Vec<String> {
    let mut rows = Vec::new();
    case.rows(sweep, Only::All, order, |row| {
        rows.push(format!("{row:?}"));
        Ok::<_, CaseError>(())
    })
    .unwrap();
    rows
}

#[test]
fn rows_that_stand_together_are_shown_one_by_one() {
    let mut world = World::of_a_list("alpha");
    world.record(&mixed());
    world.answer_list(5);
    world.end_list();
    assert_eq!(world.count("SELECT count(*) FROM stretch"), 4, "1-256, 257-300, 302-500, 502-700");
    assert_eq!(world.count("SELECT count(*) FROM sighting"), 2);
    assert_sound(&world.case);
    let tally = world.case.tally(world.sweep).unwrap();
    assert_eq!((tally.rows, tally.distinct, tally.rows_of(Outcome::Invalid)), (700, 699, 1));
    // By themselves, by the view, and by the statement that joins them.
    let rows = said(&world.case, world.sweep, Order::Arrival);
    assert_eq!(rows, said(&world.case, world.sweep, Order::Path));
    assert!(rows[42].contains("Malicious") && rows[42].contains("Line(43)"), "{}", rows[42]);
    let shown = "SELECT count(*) FROM result WHERE sweep = 2 AND line = seq AND (verdict = 'known') = (seq NOT IN (43, 301))";
    assert_eq!(world.count(shown), 699, "all but the invalid one, whose verdict is NULL");
    let mut again = Vec::new();
    let each = |line, digest: Result<&[u8], &str>| again.push((line, digest.map(<[u8]>::to_vec).is_ok()));
    world.case.recorded_list(world.sweep, 0, each).unwrap();
    let expected: Vec<_> = (1..=700).map(|line| (line, line != 301)).collect();
    assert_eq!(again, expected);
    let mut findings = 0;
    let each = |_| {
        findings += 1;
        Ok::<_, CaseError>(())
    };
    world.case.rows(world.sweep, Only::Findings, Order::Path, each).unwrap();
    assert_eq!(findings, 1);
    let info = world.case.info().unwrap();
    assert_eq!((info.n_rows, info.n_digests, info.sweeps[1].n_own_rows), (700, 699, 700));
}

#[test]
fn a_list_that_goes_on_after_a_kill_is_numbered_on() {
    let mut world = World::of_a_list("alpha");
    world.record(&lines(0..300));
    let mut world = world.killed();
    world.record(&lines(300..400));
    world.end_list();
    assert_sound(&world.case);
    assert_eq!(world.case.tally(world.sweep).unwrap().rows, 400);
    assert_eq!(world.count("SELECT max(seq + n - 1) FROM stretch"), 400);
}

#[test]
fn of_a_pruned_list_the_findings_stay() {
    let mut world = World::of_a_list("alpha");
    world.record(&mixed());
    world.answer_list(5);
    world.end_list();
    let going = [world.sweep];
    let planned = world.case.group(|group| group.prunable(&going)).unwrap();
    assert_eq!((planned.rows, planned.rows_left), (699, 1));
    assert_eq!(world.prune(&going), planned);
    assert_eq!(world.count("SELECT line FROM recorded"), 43);
    assert_eq!(world.count("SELECT count(*) FROM stretch"), 0);
    assert_sound(&world.case);
    assert_eq!(said(&world.case, world.sweep, Order::Arrival).len(), 1);
}

#[test]
fn a_list_comes_into_another_case_as_it_is_and_what_was_pruned_there_stays_so() {
    let (mut list, mut all) = (World::of_a_list("alpha"), World::of_a_list("desk"));
    all.end();
    list.record(&mixed());
    list.answer_list(5);
    list.end();
    assert_eq!(all.case.merge(&list.path, Stamp(500)).unwrap().rows, 700);
    // More of it.
    let sweep = list.sweep;
    list.run = list.case.group(|group| group.begin_run(sweep, Stamp(70))).unwrap();
    list.record(&lines(700..1000));
    list.answer_list(6);
    list.end_list();
    assert_eq!(all.case.merge(&list.path, Stamp(500)).unwrap().rows, 300);
    assert_eq!(all.case.merge(&list.path, Stamp(500)).unwrap().rows, 0);
    assert_sound(&all.case);
    let name = "SELECT uid FROM sweep WHERE command = 'list' AND id = (SELECT max(id) FROM sweep)";
    let uid = |world: &World| -> String { world.by_hand().query_row(name, [], |row| row.get(0)).unwrap() };
    assert_eq!(uid(&all), uid(&list));
    let brought = *all.case.sweep_ids().unwrap().last().unwrap();
    assert_eq!(said(&all.case, brought, Order::Arrival), said(&list.case, list.sweep, Order::Arrival));
    all.prune(&[brought]);
    assert_eq!(said(&all.case, brought, Order::Arrival).len(), 1);
    assert_eq!(all.case.merge(&list.path, Stamp(600)).unwrap().rows, 0);
    assert_eq!(said(&all.case, brought, Order::Arrival).len(), 1);
    assert_sound(&all.case);
}

#[test]
fn one_sweep_handed_over_takes_its_own_stretches_with_it() {
    let mut world = World::of_a_list("alpha");
    world.record(&lines(0..300));
    let first = world.sweep;
    world.end_list();
    (world.sweep, world.run) = begin_list(&mut world.case);
    world.record(&lines(200..600));
    world.end_list();
    let excerpt = world.directory.path().join("excerpt.case");
    world.case.export_sweep(first, &excerpt, Stamp(99)).unwrap();
    let excerpt = Case::open_to_read(&excerpt).unwrap();
    assert_sound(&excerpt);
    assert_eq!(excerpt.info().unwrap().n_rows, 300);
    assert_eq!(
        said(&excerpt, first, Order::Arrival),
        said(&world.case, first, Order::Arrival),
        "what they say of the list"
    );
}

/// What is not true of any stretch is found, and read as damage, never as other rows.
#[test]
fn a_stretch_that_does_not_fit_together_is_damage() {
    for (damage, is_read) in [
        ("UPDATE stretch SET n = 255 WHERE seq = 1", false),
        ("UPDATE stretch SET n = -1 WHERE seq = 1", false),
        ("UPDATE stretch SET n = 1 << 62 WHERE seq = 1", false),
        ("UPDATE stretch SET kind = 3 WHERE seq = 1", false),
        ("UPDATE stretch SET kind = 9 WHERE seq = 1", false),
        ("UPDATE stretch SET digests = x'00' WHERE seq = 257", false),
        ("UPDATE stretch SET digests = zeroblob(0), n = 0 WHERE seq = 257", false),
        ("UPDATE stretch SET seq = 9223372036854775800 WHERE seq = 257", false),
        ("UPDATE stretch SET line = 9223372036854775800 WHERE seq = 257", false),
        ("UPDATE stretch SET line = -1 WHERE seq = 257", false),
        ("UPDATE stretch SET seq = 200 WHERE seq = 257", true),
        ("UPDATE stretch SET line = 200 WHERE seq = 257", true),
        ("UPDATE stretch SET root = 7 WHERE seq = 257", true),
        ("INSERT INTO sighting (sweep, seq, root, line, outcome) VALUES (2, 256, 0, 900, 'invalid')", true),
    ] {
        let mut world = World::of_a_list("alpha");
        world.record(&lines(0..400));
        world.end_list();
        assert!(world.by_hand().execute(damage, []).unwrap() > 0);
        let case = Case::open_to_read(&world.path).unwrap();
        let broken = case.verify().unwrap().into_iter().any(|check| check.n_broken > 0);
        assert!(broken, "{damage}");
        let read = case.rows(world.sweep, Only::All, Order::Arrival, |_| Ok::<_, CaseError>(()));
        assert_eq!(read.is_ok(), is_read, "{damage}: {read:?}");
        assert_eq!(case.tally(world.sweep).is_ok(), is_read, "{damage}");
    }
}

/// With the rows of stretches taken for millions, every answer was set against all rows.
#[test]
fn what_was_said_is_looked_for_row_by_row_and_each_stretch_is_read_once() {
    let world = World::of_a_list("alpha");
    let plan = |sql: &str| -> String {
        let case = world.by_hand();
        let mut steps = case.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = steps.query_map([], |row| row.get::<_, String>(3)).unwrap();
        steps.map(|step| step.unwrap() + "\n").collect()
    };
    for verdict in ["= 'malicious'", "IN ('malicious', 'suspicious')"] {
        let found = plan(&format!("SELECT * FROM result WHERE sweep = 2 AND verdict {verdict}"));
        assert!(found.contains("SEARCH a USING INTEGER PRIMARY KEY"), "{found}");
        assert!(!found.contains("AUTOMATIC"), "{found}");
    }
    let shown = plan("SELECT * FROM listed WHERE sweep = 2");
    let (stretch, number) = (shown.find("SEARCH stretch"), shown.rfind("SCAN nth"));
    assert!(shown.contains("MATERIALIZE nth") && stretch < number, "{shown}");
}

#[test]
fn what_another_made_of_a_pruned_list_stays_out() {
    let (mut list, mut all) = (World::of_a_list("alpha"), World::of_a_list("desk"));
    all.end();
    list.record(&lines(0..400));
    list.answer_list(5);
    list.end_list();
    let sweep = list.sweep;
    list.prune(&[sweep]);
    let far = "INSERT INTO stretch (sweep, seq, n, root, line, kind, digests)
        VALUES (2, 9223372036854775807, 2, 0, 1, 2, zeroblob(40))";
    list.by_hand().execute(far, []).unwrap();
    let refused = all.case.merge(&list.path, Stamp(500)).unwrap_err();
    assert!(matches!(refused, CaseError::Unsound { .. }), "{refused}");
}

#[test]
fn a_stretch_in_a_scan_and_a_row_that_none_can_follow_are_damage() {
    let mut world = World::of_a_list("alpha");
    world.record(&lines(0..400));
    world.by_hand().execute("UPDATE sweep SET command = 'scan' WHERE id = 2", []).unwrap();
    let broken = world.case.verify().unwrap().into_iter().find(|check| check.n_broken > 0).unwrap();
    assert!(broken.rule.contains("those of a list"), "{broken:?}");
    world.by_hand().execute("UPDATE stretch SET seq = 9223372036854775552 WHERE seq = 257", []).unwrap();
    let sweep = world.sweep;
    let more = world.case.group(|group| group.record(sweep, &lines(400..600), &everything()));
    assert!(matches!(more, Err(CaseError::Damaged(_))), "{more:?}");
}

#[test]
fn pruning_a_damaged_list_does_not_count_below_nothing() {
    let mut world = World::of_a_list("alpha");
    world.record(&lines(0..400));
    world.answer_list(5);
    world.end_list();
    world.by_hand().execute("UPDATE stretch SET n = -300 WHERE seq = 257", []).unwrap();
    let sweep = world.sweep;
    assert_eq!(world.prune(&[sweep]).rows_left, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The same rows handed over at other times, or stored one by one, say the same.
    #[test]
    fn it_does_not_matter_which_rows_stand_together(
        runs in prop::collection::vec((0u8..6, 1u64..70, 0u32..200), 1..12),
        gap in 0u64..3,
        handed_over in 1usize..400,
    ) {
        let mut rows = Vec::new();
        let mut line = 1;
        for (sort, n, first) in runs {
            for nth in 0..n {
                let number = first + u32::try_from(nth).unwrap();
                rows.push(match sort {
                    0 => row(line, Seen::Invalid(DigestError::Empty)),
                    1 => listed(line, crate::digest(HashKind::Md5, number)),
                    2 => listed(line, crate::digest(HashKind::Sha256, number)),
                    _ => listed(line, sha1(number)),
                });
                line += 1;
            }
            line += gap;
        }
        let of = |at_once: usize| {
            let mut world = World::of_a_list("alpha");
            for rows in rows.chunks(at_once) {
                world.record(rows);
            }
            world.answer_list(5);
            world.end_list();
            world
        };
        let (together, alone) = (of(handed_over), of(1));
        prop_assert_eq!(alone.count("SELECT count(*) FROM stretch"), 0);
        assert_sound(&together.case);
        let rows = said(&together.case, together.sweep, Order::Arrival);
        prop_assert_eq!(&rows, &said(&alone.case, alone.sweep, Order::Arrival));
        prop_assert_eq!(&rows, &said(&together.case, together.sweep, Order::Path));
        prop_assert_eq!(
            together.case.tally(together.sweep).unwrap(),
            alone.case.tally(alone.sweep).unwrap()
        );
        let recorded = "SELECT group_concat(seq || ' ' || line || ' ' || coalesce(hex(coalesce(md5, sha1, sha256)), ''))
             FROM (SELECT * FROM recorded ORDER BY sweep, seq)";
        let shown = |world: &World| -> String { world.by_hand().query_row(recorded, [], |row| row.get(0)).unwrap() };
        prop_assert_eq!(shown(&together), shown(&alone));
    }
}

#[test]
fn few_rows_and_rows_with_gaps_stand_by_themselves() {
    let mut world = World::of_a_list("alpha");
    let apart: Vec<_> = (0..40).map(|n| listed(u64::from(n) * 2 + 1, sha1(n))).collect();
    world.record(&apart);
    world.record(&[listed(100, sha1(1)), listed(101, sha1(2))]);
    assert_eq!(world.count("SELECT count(*) FROM stretch"), 0);
    assert_eq!(world.count("SELECT count(*) FROM sighting"), 42);
}
