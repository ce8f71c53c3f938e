use super::*;
use hashsweep_model::{Answer, Verdict};
use hashsweep_spectra::{Entry, Window};
use proptest::prelude::*;

fn digest(n: u8) -> Digest {
    Digest::from_bytes(&[n; 20]).unwrap()
}

fn task(of: &[u8]) -> Task {
    Task::new(Batch::new(of.iter().map(|n| digest(*n)).collect()).unwrap())
}

fn judge() -> Judge {
    Judge::new(&asking(), false)
}

fn unavailable(proxied: bool) -> Fault {
    Fault::Unavailable { retry_after: None, proxied }
}

fn asking() -> Asking {
    Asking::at_will(16)
}

/// A judge whose service has answered once.
fn proven() -> Judge {
    let mut judge = judge();
    judge.rule(task(&[9]), Ok(Reply::default()), Instant::now(), 0.5);
    judge
}

fn reasons(ruling: &Ruling) -> Vec<String> {
    let word = |fate: &Fate| match fate {
        Fate::Answered(a) => format!("{} {}", a.verdict, a.reason.as_deref().unwrap_or("")),
        Fate::Failed(why) => format!("failed {why}"),
        Fate::Invalid(why) => format!("invalid {why}"),
        Fate::Deferred(why) => format!("deferred {why}"),
    };
    ruling.fates.iter().map(|(_, fate)| word(fate)).collect()
}

#[tokio::test]
async fn the_first_request_travels_alone_until_a_parsed_200() {
    let mut judge = judge();
    assert_eq!(judge.limit(), 1);
    judge.rule(task(&[1]), Err(Fault::Server { status: 500, proxied: false }), Instant::now(), 0.5);
    assert_eq!(judge.limit(), 1);
    judge.rule(task(&[1]), Err(Fault::BrokenBody { why: "cut".into() }), Instant::now(), 0.5);
    assert_eq!(judge.limit(), 1);
    judge.rule(task(&[1]), Ok(Reply::default()), Instant::now(), 0.5);
    assert_eq!(judge.limit(), 16);
}

#[tokio::test]
async fn limits_that_cannot_be_had_for_a_reserve_halt_for_the_reason_that_keeps_them() {
    for (fault, kind) in [
        (Fault::Unauthorized, HaltKind::Credentials),
        (Fault::Dns, HaltKind::Unreachable),
        (Fault::Forbidden, HaltKind::NoLimits),
        (Fault::NotFound { looks_like_the_api: true }, HaltKind::NoLimits),
    ] {
        let mut judge = Judge::new(&Asking { reserve: 10, ..asking() }, false);
        judge.told(Err(&fault), (Instant::now(), Stamp(0)), 0.5);
        assert_eq!(judge.halt().unwrap().kind, kind, "{fault:?}");
    }
}

/// A captive portal, for one.
#[tokio::test]
async fn a_first_request_that_gets_nothing_but_broken_bodies_ends_the_run() {
    let mut judge = judge();
    let broken = || Err(Fault::BrokenBody { why: "<html>".into() });
    let mut task = task(&[1]);
    for _ in 0..BROKEN_BUDGET {
        task = judge.rule(task, broken(), Instant::now(), 0.5).again.remove(0).0;
    }
    let ruling = judge.rule(task, broken(), Instant::now(), 0.5);
    assert_eq!(judge.halt().unwrap().kind, HaltKind::WrongEndpoint);
    assert_eq!(reasons(&ruling), ["deferred wrong endpoint"]);
}

#[tokio::test]
async fn refused_credentials_and_dead_addresses_halt_at_once() {
    for (fault, kind) in [
        (Fault::Unauthorized, HaltKind::Credentials),
        (Fault::Forbidden, HaltKind::Credentials),
        (Fault::Refused, HaltKind::Unreachable),
        (Fault::Dns, HaltKind::Unreachable),
        (Fault::Tls { why: "unknown issuer".into() }, HaltKind::Unreachable),
        (Fault::NotFound { looks_like_the_api: true }, HaltKind::WrongEndpoint),
        (Fault::Redirect { to: "https://elsewhere".into() }, HaltKind::WrongEndpoint),
        (Fault::BadRequest, HaltKind::Refused),
        (Fault::OtherStatus { status: 405 }, HaltKind::Refused),
    ] {
        let mut judge = judge();
        let ruling = judge.rule(task(&[1, 2]), Err(fault), Instant::now(), 0.5);
        let halt = judge.halt().unwrap();
        assert_eq!((halt.kind, halt.after_an_answer), (kind, false));
        assert_eq!(reasons(&ruling), vec![format!("deferred {}", kind.word()); 2]);
        assert_eq!(ruling.quota, Quota::default());
    }
}

#[tokio::test]
async fn a_429_without_a_word_is_held_until_the_limits_tell_what_it_means() {
    let mut judge = proven();
    let now = Instant::now();
    let ruling = judge.rule(task(&[1, 2]), Err(about_the_quota()), now, 0.5);
    assert_eq!((ruling.again.len(), judge.halt(), judge.waits_for_limits()), (1, None, true));
    // What left before it may still be answered, and says nothing.
    judge.rule(task(&[3]), Ok(Reply::default()), now, 0.5);
    assert!(judge.waits_for_limits());
    let window = Window { renewal: Some(Renewal::Daily), limit: Some(9), used: None, is_exceeded: true };
    judge.told(Ok(&Allowance { windows: vec![window] }), (now, Stamp(0)), 0.5);
    let halt = judge.halt().unwrap();
    assert_eq!((halt.kind, &halt.fault), (HaltKind::Quota, &Some(about_the_quota())));
    assert!(!judge.waits_for_limits());
}

#[tokio::test]
async fn our_own_books_end_a_run_without_a_fault() {
    for (by, kind) in [(Denied::Budget, HaltKind::Budget), (Denied::Quota(Period::Month), HaltKind::Quota)] {
        let mut judge = proven();
        judge.denied(by, (Instant::now(), Stamp(0)), 0.5);
        let halt = judge.halt().unwrap();
        assert_eq!((halt.kind, &halt.fault), (kind, &None));
    }
}

#[tokio::test]
async fn what_is_in_doubt_may_be_held_back_instead_of_paid_for_twice() {
    let asking = Asking { on_doubt: OnDoubt::Hold, ..asking() };
    for fault in [Fault::Timeout, Fault::Gateway { status: 504 }, unavailable(true)] {
        let mut judge = Judge::new(&asking, false);
        let ruling = judge.rule(task(&[1, 2]), Err(fault), Instant::now(), 0.5);
        assert_eq!(reasons(&ruling), ["deferred in doubt", "deferred in doubt"]);
        assert_eq!((ruling.again.len(), ruling.quota.in_doubt), (0, 2));
    }
    let ruling = Judge::new(&asking, false).rule(task(&[1]), Err(unavailable(false)), Instant::now(), 0.5);
    assert_eq!((ruling.fates.len(), ruling.again.len()), (0, 1));
}

#[tokio::test]
async fn a_batch_that_chokes_the_service_again_and_again_is_asked_in_pieces() {
    let mut judge = proven();
    let hundred: Vec<u8> = (0..100).collect();
    let mut tasks = vec![task(&hundred)];
    let mut sizes = Vec::new();
    let mut now = Instant::now();
    for _ in 0..4 {
        let came = Err(unavailable(false));
        let ruling = judge.rule(tasks.pop().unwrap(), came, now, 0.5);
        sizes.push(ruling.again[0].0.batch.len());
        tasks.extend(ruling.again.into_iter().map(|(task, _)| task));
        now += Duration::from_secs(30);
    }
    assert_eq!(sizes, [100, 50, 25, 25]);
    assert_eq!(tasks.iter().map(|task| task.batch.len()).sum::<usize>(), 100);
}

#[tokio::test]
async fn after_an_answer_credentials_still_halt_but_a_dead_link_only_pauses() {
    let mut judge = proven();
    judge.rule(task(&[1]), Err(Fault::Unauthorized), Instant::now(), 0.5);
    assert!(judge.halt().unwrap().after_an_answer);
    let mut judge = proven();
    let ruling = judge.rule(task(&[1]), Err(Fault::Refused), Instant::now(), 0.5);
    assert_eq!((judge.halt(), ruling.again.len(), judge.limit()), (None, 1, 1));
}

#[tokio::test]
async fn a_404_is_a_verdict_only_from_a_proven_service_that_speaks_json() {
    let mut judge = proven();
    let ruling =
        judge.rule(task(&[1]), Err(Fault::NotFound { looks_like_the_api: true }), Instant::now(), 0.5);
    assert_eq!(reasons(&ruling), ["unknown absent"]);
    judge.rule(task(&[1]), Err(Fault::NotFound { looks_like_the_api: false }), Instant::now(), 0.5);
    assert_eq!(judge.halt().unwrap().kind, HaltKind::WrongEndpoint);
}

#[tokio::test]
async fn budgets_are_spent_apart_and_end_in_failed() {
    let mut judge = proven();
    let mut task = task(&[1]);
    let faults = [
        Fault::Timeout,
        Fault::Server { status: 500, proxied: false },
        Fault::Gateway { status: 504 },
        Fault::BrokenBody { why: "cut".into() },
        Fault::Gateway { status: 502 },
        Fault::Server { status: 500, proxied: false },
    ];
    let mut quota = Quota::default();
    for fault in faults {
        let mut ruling = judge.rule(task, Err(fault), Instant::now(), 0.5);
        quota += ruling.quota;
        task = ruling.again.remove(0).0;
    }
    assert_eq!(quota, Quota { charged_max: 1, charged_min: 0, in_doubt: 3 });
    let over = judge.rule(task.clone(), Err(Fault::Timeout), Instant::now(), 0.5);
    assert_eq!(reasons(&over), ["failed timeout"]);
    let over = judge.rule(task, Err(Fault::Gateway { status: 504 }), Instant::now(), 0.5);
    assert_eq!(reasons(&over), ["failed 504"]);
    assert_eq!(judge.halt(), None);
}

#[tokio::test]
async fn one_429_pauses_everybody_once_and_one_answer_ends_it() {
    let mut judge = proven();
    let now = Instant::now();
    let slow = || Err(Fault::RateLimited { retry_after: Some(Duration::from_secs(7)) });
    judge.rule(task(&[1]), slow(), now, 0.5);
    let until = judge.paused_until(now).unwrap();
    assert_eq!(until, now + Duration::from_secs(7));
    let ruling = judge.rule(task(&[2]), slow(), now + Duration::from_secs(1), 0.5);
    assert_eq!(ruling.again[0].1, until);
    assert_eq!((judge.paused_until(now), judge.limit()), (Some(until), 1));
    judge.rule(task(&[1]), Ok(Reply::default()), until, 0.5);
    assert_eq!((judge.paused_until(until), judge.limit()), (None, 8));
}

#[tokio::test]
async fn an_answer_that_was_on_its_way_when_a_pause_began_does_not_end_it() {
    let mut judge = proven();
    let now = Instant::now();
    let slow = Err(Fault::RateLimited { retry_after: Some(Duration::from_secs(7)) });
    judge.rule(task(&[1]), slow, now, 0.5);
    judge.rule(task(&[2]), Ok(Reply::default()), now + Duration::from_secs(1), 0.5);
    let until = now + Duration::from_secs(7);
    assert_eq!((judge.paused_until(now), judge.limit()), (Some(until), 1));
}

#[tokio::test]
async fn a_404_that_is_an_answer_ends_a_pause_like_any_other() {
    let mut judge = proven();
    let now = Instant::now();
    judge.rule(task(&[1]), Err(Fault::Unavailable { retry_after: None, proxied: false }), now, 0.5);
    let later = now + Duration::from_secs(1);
    judge.rule(task(&[1]), Err(Fault::NotFound { looks_like_the_api: true }), later, 0.5);
    assert_eq!(judge.limit(), 8);
}

#[tokio::test]
async fn failures_without_an_answer_between_them_pause_everybody() {
    let mut judge = proven();
    let now = Instant::now();
    let failed = || Err(Fault::Server { status: 500, proxied: false });
    for n in 1..=2 {
        judge.rule(task(&[n]), failed(), now, 0.5);
        assert_eq!((judge.paused_until(now), judge.limit()), (None, 16));
    }
    judge.rule(task(&[3]), failed(), now, 0.5);
    let until = judge.paused_until(now).unwrap();
    assert_eq!(judge.limit(), 1);
    judge.rule(task(&[4]), Ok(Reply::default()), until, 0.5);
    assert_eq!((judge.paused_until(until), judge.limit()), (None, 8));
    judge.rule(task(&[5]), failed(), until, 0.5);
    assert_eq!(judge.paused_until(until), None);
}

#[tokio::test]
async fn a_service_that_stays_down_ends_the_run() {
    let mut judge = proven();
    let start = Instant::now();
    let down = || Err(Fault::Unavailable { retry_after: None, proxied: false });
    judge.rule(task(&[1]), down(), start, 1.0);
    judge.rule(task(&[1]), down(), start + Duration::from_secs(300), 1.0);
    assert_eq!(judge.halt(), None);
    let ruling = judge.rule(task(&[1]), down(), start + Duration::from_secs(600), 1.0);
    assert_eq!(judge.halt().unwrap().kind, HaltKind::Unavailable);
    assert_eq!(ruling.again.len(), 1);
}

#[tokio::test]
async fn two_faults_far_apart_are_no_outage() {
    let mut judge = proven();
    let start = Instant::now();
    judge.rule(task(&[1]), Err(Fault::Server { status: 500, proxied: false }), start, 0.5);
    let later = start + Duration::from_secs(3600);
    judge.rule(task(&[1]), Err(unavailable(false)), later, 0.5);
    assert_eq!(judge.halt(), None);
    let mut judge = proven();
    judge.rule(task(&[1, 2]), Err(Fault::TooLarge), start, 0.5);
    for seconds in [3600, 3602, 3604] {
        judge.rule(task(&[1]), Err(unavailable(false)), start + Duration::from_secs(seconds), 0.5);
    }
    assert_eq!(judge.halt(), None);
}

#[tokio::test]
async fn limits_that_cannot_be_asked_just_now_are_asked_again_before_a_reserve_is_given_up() {
    let mut judge = Judge::new(&Asking { reserve: 9, ..asking() }, false);
    let at = (Instant::now(), Stamp(0));
    for _ in 0..GENERAL_TROUBLE {
        let now = judge.paused_until(at.0).unwrap_or(at.0);
        assert!(!judge.told(Err(&unavailable(false)), (now, Stamp(0)), 0.5));
    }
    let now = judge.paused_until(at.0).unwrap_or(at.0);
    assert!(judge.told(Err(&unavailable(false)), (now, Stamp(0)), 0.5));
    assert_eq!(judge.halt().unwrap().kind, HaltKind::NoLimits);
}

#[tokio::test]
async fn a_pause_that_outlasts_the_patience_ends_the_run_when_it_begins() {
    let mut judge = proven();
    let later = Err(Fault::Unavailable { retry_after: Some(Duration::from_secs(600)), proxied: false });
    judge.rule(task(&[1]), later, Instant::now(), 0.5);
    assert_eq!(judge.halt().unwrap().kind, HaltKind::Unavailable);
}

#[tokio::test]
async fn a_404_is_no_answer_of_a_service_that_says_unknown_aloud() {
    let mut judge = proven();
    let aloud = Entry::Answer(Answer::bare(digest(1), Verdict::Unknown));
    let reply = Reply { entries: vec![aloud], ..Reply::default() };
    judge.rule(task(&[1]), Ok(reply), Instant::now(), 0.5);
    let absent = || Err(Fault::NotFound { looks_like_the_api: true });
    let mut first = judge.rule(task(&[2]), absent(), Instant::now(), 0.5);
    let second = judge.rule(first.again.remove(0).0, absent(), Instant::now(), 0.5);
    assert_eq!((reasons(&second), judge.halt()), (vec!["failed 404".to_owned()], None));
}

#[tokio::test]
async fn a_hash_left_out_aloud_is_asked_once_more_then_failed() {
    let mut judge = proven();
    let aloud = || {
        let entry = Entry::Answer(Answer::bare(digest(1), Verdict::Unknown));
        Ok(Reply { entries: vec![entry], ..Reply::default() })
    };
    let mut first = judge.rule(task(&[1, 2]), aloud(), Instant::now(), 0.5);
    let (again, _) = first.again.remove(0);
    assert_eq!(again.batch.digests(), [digest(2)]);
    let second = judge.rule(again, Ok(Reply::default()), Instant::now(), 0.5);
    assert_eq!(reasons(&second), ["failed omitted"]);
}

#[tokio::test]
async fn a_400_is_bisected_to_its_culprit() {
    let mut judge = proven();
    let mut open = vec![task(&[1, 2, 3, 4, 5])];
    let mut invalid = Vec::new();
    while let Some(task) = open.pop() {
        let came =
            if task.batch.contains(&digest(4)) { Err(Fault::BadRequest) } else { Ok(Reply::default()) };
        let ruling = judge.rule(task, came, Instant::now(), 0.5);
        invalid.extend(ruling.fates.into_iter().filter(|(_, fate)| matches!(fate, Fate::Invalid(_))));
        open.extend(ruling.again.into_iter().map(|(task, _)| task));
    }
    assert_eq!(invalid.iter().map(|(d, _)| *d).collect::<Vec<_>>(), [digest(4)]);
}

fn any_fault() -> impl Strategy<Value = Fault> {
    let proxied = any::<bool>();
    prop_oneof![
        Just(Fault::BadRequest),
        Just(Fault::Unauthorized),
        any::<bool>().prop_map(|looks_like_the_api| Fault::NotFound { looks_like_the_api }),
        Just(Fault::TooLarge),
        Just(Fault::RateLimited { retry_after: None }),
        Just(Fault::QuotaOrUnclear { retry_after: None }),
        proxied.prop_map(|proxied| Fault::Server { status: 500, proxied }),
        Just(Fault::Gateway { status: 504 }),
        Just(Fault::BrokenBody { why: "cut".into() }),
        Just(Fault::Timeout),
        Just(Fault::Refused),
    ]
}

proptest! {
    #[test]
    fn no_attempt_loses_a_digest(
        asked in prop::collection::btree_set(0u8..50, 1..50),
        came in prop::collection::vec(prop::option::of(any_fault()), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut judge = judge();
            let mut open = vec![task(&asked.iter().copied().collect::<Vec<_>>())];
            let mut settled = Vec::new();
            for fault in came {
                let Some(task) = open.pop() else { break };
                let before = task.batch.digests().to_vec();
                let ruling = judge.rule(task, fault.map_or(Ok(Reply::default()), Err), Instant::now(), 0.5);
                let mut after: Vec<Digest> = ruling.fates.iter().map(|(d, _)| *d).collect();
                after.extend(ruling.again.iter().flat_map(|(t, _)| t.batch.digests().to_vec()));
                after.sort_unstable();
                assert_eq!(after, before);
                settled.extend(ruling.fates.iter().map(|(d, _)| *d));
                open.extend(ruling.again.into_iter().map(|(task, _)| task));
            }
            settled.extend(open.iter().flat_map(|t| t.batch.digests().to_vec()));
            settled.sort_unstable();
            assert_eq!(settled, asked.iter().map(|n| digest(*n)).collect::<Vec<_>>());
        });
    }

    #[test]
    fn backoff_stays_within_its_cap(n in 1u32..200, dice in 0.0f64..=1.0) {
        prop_assert!(backoff(n, dice) <= BACKOFF_CAP);
    }
}
