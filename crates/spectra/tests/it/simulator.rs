//! The client against the simulator, which shares no code with it, under every reading of the vendor's texts.

use crate::settings;
use hashsweep_model::{Answer, Batch, Digest, HashKind, Verdict};
use hashsweep_sim::{
    Account, Dialects, Fault as Bad, InvalidMode, Listen, RetryAfterForm, Simulator, UnknownMode, Uppercase,
    Verdicts, World,
};
use hashsweep_sim::{Cue, Product, When};
use hashsweep_spectra::{
    Client, ContentType, Credentials, Date, Dialect, Entry, Fault, Format, Period, Remedy, Reply, Scope,
    Secret, Settings,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Of each verdict in a mixed batch.
const N_OF_EACH: usize = 15;

type Known = BTreeMap<Digest, Verdict>;

/// Digests without end, each of its own.
fn digests(kind: HashKind) -> impl Iterator<Item = Digest> {
    (0u16..=u16::MAX).map(move |n| {
        let mut bytes = vec![0xAB; kind.n_bytes()];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        Digest::from_bytes(&bytes).unwrap()
    })
}

fn expected(digest: &Digest) -> Verdict {
    let status = Verdicts::default().status_of(&digest.to_string()).unwrap();
    status.name().parse().unwrap()
}

fn of_verdict(kind: HashKind, verdict: Verdict) -> Vec<Digest> {
    digests(kind).filter(|digest| expected(digest) == verdict).take(N_OF_EACH).collect()
}

fn mixed(kind: HashKind) -> Batch {
    Batch::new(Verdict::WORST_FIRST.into_iter().flat_map(|verdict| of_verdict(kind, verdict)).collect())
        .unwrap()
}

fn only_unknown(kind: HashKind) -> Batch {
    Batch::new(of_verdict(kind, Verdict::Unknown)).unwrap()
}

/// A tiny reconciler: what the service says, and "unknown" for what a whole answer leaves out.
fn matched(batch: &Batch, came: Result<Reply, Fault>) -> Known {
    let mut known: Known = batch.digests().iter().map(|digest| (*digest, Verdict::Unknown)).collect();
    let reply = match came {
        Ok(reply) => reply,
        Err(Fault::NotFound { looks_like_the_api: true }) => return known,
        Err(fault) => panic!("{fault}"),
    };
    assert_eq!(reply.invalid_hashes, Vec::<String>::new(), "only hashes were sent");
    for entry in reply.entries {
        let Entry::Answer(answer) = entry else { panic!("{entry:?}") };
        let before = known.insert(answer.digest, answer.verdict);
        assert_eq!(before, Some(Verdict::Unknown), "{} was not asked, or answered twice", answer.digest);
        if let Some(own) = answer.sample.get(answer.digest.kind()) {
            assert_eq!(own, answer.digest);
        }
    }
    for text in reply.unknown_hashes {
        let listed: Digest = text.parse().unwrap();
        assert_eq!(known.get(&listed), Some(&Verdict::Unknown));
    }
    known
}

fn client(simulator: &Simulator, format: Format) -> Client {
    Client::new(Settings { format, ..settings(&simulator.url()) }).unwrap()
}

fn worlds() -> Vec<World> {
    use InvalidMode as Invalid;
    let mut worlds = Vec::new();
    for unknown_mode in [UnknownMode::Entry, UnknownMode::Omit, UnknownMode::List, UnknownMode::Http404IfAll]
    {
        for invalid_mode in [Invalid::List, Invalid::Omit, Invalid::Http400] {
            for uppercase in [Uppercase::Accept, Uppercase::Invalid] {
                for n in 0..4 {
                    let (shuffle, null_fields) = (n & 1 == 0, n & 2 == 0);
                    // Not a dimension of its own: half of either.
                    let gzip = shuffle == null_fields;
                    worlds.push(World {
                        unknown_mode,
                        invalid_mode,
                        uppercase,
                        shuffle,
                        null_fields,
                        gzip,
                        rate_limit_rps: None,
                        ..World::default()
                    });
                }
            }
        }
    }
    worlds
}

#[tokio::test]
async fn every_reading_in_either_format_gives_the_same_verdicts() {
    let batches: Vec<Batch> =
        HashKind::ALL.into_iter().flat_map(|kind| [mixed(kind), only_unknown(kind)]).collect();
    let right: Vec<Known> = batches
        .iter()
        .map(|b| b.digests().iter().map(|digest| (*digest, expected(digest))).collect())
        .collect();
    let mut n_asked = 0;
    for world in worlds() {
        let name = format!(
            "{:?} {:?}",
            (world.unknown_mode, world.invalid_mode, world.uppercase),
            (world.shuffle, world.null_fields, world.gzip)
        );
        let simulator = Simulator::start(world).await.unwrap();
        for (batch, right) in batches.iter().zip(&right) {
            let json = client(&simulator, Format::Json).ask(batch).await;
            let xml = client(&simulator, Format::Xml).ask(batch).await;
            assert_eq!(json, xml, "{name}: the two formats say different things");
            assert_eq!(&matched(batch, json), right, "{name}");
            assert_eq!(&matched(batch, xml), right, "{name}");
            n_asked += 2;
        }
    }
    assert_eq!(n_asked, 6 * 4 * 3 * 2 * 2 * 2 * 2, "batches, and the values of each switch");
}

#[tokio::test]
async fn a_single_question_says_what_a_bulk_one_says() {
    let batch = mixed(HashKind::Sha256);
    for world in worlds().into_iter().filter(|world| world.invalid_mode == InvalidMode::List) {
        let simulator = Simulator::start(world).await.unwrap();
        for format in [Format::Json, Format::Xml] {
            let client = client(&simulator, format);
            let bulk: BTreeMap<Digest, Answer> = client
                .ask(&batch)
                .await
                .unwrap()
                .entries
                .into_iter()
                .map(|entry| match entry {
                    Entry::Answer(answer) => (answer.digest, answer),
                    Entry::Malformed { .. } => panic!("{entry:?}"),
                })
                .collect();
            for digest in &batch.digests()[..8] {
                let alone = Batch::new(vec![*digest]).unwrap();
                let came = client.ask_one(digest).await;
                if let (Ok(reply), Some(answer)) = (&came, bulk.get(digest)) {
                    assert_eq!(reply.entries, [Entry::Answer(answer.clone())]);
                }
                assert_eq!(matched(&alone, came)[digest], expected(digest));
            }
        }
    }
}

#[tokio::test]
async fn both_content_types_are_taken() {
    let simulator = Simulator::start(World::default()).await.unwrap();
    let batch = mixed(HashKind::Sha1);
    for format in [Format::Json, Format::Xml] {
        for content_type in [ContentType::Json, ContentType::OctetStream] {
            let settings = Settings { format, content_type, ..settings(&simulator.url()) };
            let known = matched(&batch, Client::new(settings).unwrap().ask(&batch).await);
            assert!(known.iter().all(|(digest, verdict)| *verdict == expected(digest)));
        }
    }
}

#[tokio::test]
async fn the_quick_start_gives_the_same_verdicts() {
    let batch = mixed(HashKind::Sha1);
    for unknown_mode in [UnknownMode::Entry, UnknownMode::Omit, UnknownMode::List, UnknownMode::Http404IfAll]
    {
        let world = World { unknown_mode, dialects: Dialects::Quickstart, ..World::default() };
        let simulator = Simulator::start(world).await.unwrap();
        let settings = Settings { dialect: Dialect::QuickStart, ..settings(&simulator.url()) };
        let client = Client::new(settings).unwrap();
        let known = matched(&batch, client.ask(&batch).await);
        assert!(known.iter().all(|(digest, verdict)| *verdict == expected(digest)), "{unknown_mode:?}");
        let none = only_unknown(HashKind::Sha1);
        assert!(matched(&none, client.ask(&none).await).values().all(|v| *v == Verdict::Unknown));
        let digest = batch.digests()[0];
        let alone = Batch::new(vec![digest]).unwrap();
        assert_eq!(matched(&alone, client.ask_one(&digest).await)[&digest], expected(&digest));
    }
}

#[tokio::test]
async fn usage_tells_what_was_asked_and_limits_are_read() {
    let (user, password) = ("u/company/name", "hunter2-does-not-print");
    let account = Account { username: user.into(), password: password.into(), daily_quota: Some(61) };
    let world = World { accounts: vec![account], ..World::default() };
    let simulator = Simulator::start(world).await.unwrap();
    let client = client(&simulator, Format::Json);
    let batch = mixed(HashKind::Sha1);
    client.ask(&batch).await.unwrap();
    for scope in [Scope::Own, Scope::Company] {
        for period in [Period::Today, Period::ThisMonth] {
            let usage = client.usage(period, scope).await.unwrap();
            assert_eq!(usage.n_queries("TCA-0101"), batch.len() as u64, "{period:?} {scope:?}");
        }
    }
    let day: Date = "2020-02-01".parse().unwrap();
    assert_eq!(client.usage(Period::Day(day), Scope::Own).await.unwrap().n_queries("TCA-0101"), 0);
    let spanned = client.usage(Period::Days(day, day), Scope::Own).await.unwrap();
    assert_eq!(spanned.n_queries("TCA-0101"), 0);
    let limits = client.limits(Scope::Own).await.unwrap();
    let limit = limits.iter().find(|limit| limit.covers("TCA-0101")).unwrap();
    assert_eq!((limit.limit, limit.is_exceeded), (Some(61), Some(false)));
    let over = client.ask(&mixed(HashKind::Sha1)).await;
    assert_eq!(over, Err(Fault::QuotaOrUnclear { retry_after: None }));
    let limits = client.limits(Scope::Own).await.unwrap();
    assert!(limits.iter().any(|limit| limit.covers("TCA-0101") && limit.is_exceeded == Some(true)));
}

#[tokio::test]
async fn details_are_streamed_for_what_is_known() {
    let simulator = Simulator::start(World { gzip: true, ..World::default() }).await.unwrap();
    let batch = mixed(HashKind::Sha256);
    let mut details = client(&simulator, Format::Json).details(&batch).await.unwrap();
    let mut reported = BTreeSet::new();
    while let Some(detail) = details.next().await.unwrap() {
        assert!(detail.json.starts_with('{') && detail.sample.md5.is_some());
        reported.insert(detail.sample.sha256.unwrap());
    }
    let known = batch.digests().iter().filter(|digest| expected(digest) != Verdict::Unknown);
    assert_eq!(reported, known.copied().collect());
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let account = |password: &str| Account {
        username: "u/company/name".into(),
        password: password.into(),
        daily_quota: None,
    };
    let batch = mixed(HashKind::Md5);
    let world = World { accounts: vec![account("another")], ..World::default() };
    let simulator = Simulator::start(world).await.unwrap();
    assert_eq!(client(&simulator, Format::Xml).ask(&batch).await, Err(Fault::Unauthorized));

    let entitlements = [("u/company/name".to_owned(), BTreeSet::<Product>::new())].into();
    let world = World { accounts: vec![account(crate::PASSWORD)], entitlements, ..World::default() };
    let simulator = Simulator::start(world).await.unwrap();
    assert_eq!(client(&simulator, Format::Json).ask(&batch).await, Err(Fault::Forbidden));

    for form in [RetryAfterForm::Seconds, RetryAfterForm::Date] {
        let world = World {
            rate_limit_rps: Some(1),
            retry_after: Some(Duration::from_secs(7)),
            retry_after_form: form,
            ..World::default()
        };
        let simulator = Simulator::start(world).await.unwrap();
        let client = client(&simulator, Format::Json);
        client.ask(&batch).await.unwrap();
        let fault = client.ask(&batch).await.unwrap_err();
        let Remedy::SlowDown { retry_after: Some(wait) } = fault.remedy() else {
            panic!("{form:?}: {fault:?}")
        };
        assert!((6..=8).contains(&wait.as_secs()), "{form:?}: {wait:?}");
    }
}

#[tokio::test]
async fn broken_answers_are_broken_in_either_format() {
    for format in [Format::Json, Format::Xml] {
        for bad in [Bad::BadJson, Bad::ShortBody, Bad::ResetMidBody] {
            let name = format!("{bad:?} {format:?}");
            let world = World { script: vec![Cue::new(When::Always, bad)], ..World::default() };
            let simulator = Simulator::start(world).await.unwrap();
            let got = client(&simulator, format).ask(&mixed(HashKind::Sha1)).await;
            assert!(matches!(got, Err(Fault::BrokenBody { .. })), "{name}: {got:?}");
        }
    }
}

#[tokio::test]
async fn the_simulators_own_root_is_trusted_when_it_is_given() {
    let account = Account { username: "u/a/b".into(), password: "pw".into(), daily_quota: None };
    let world = World { accounts: vec![account], ..World::default() };
    let listen = Listen { tls: true, ..Listen::default() };
    let simulator = Simulator::start_on(world, listen).await.unwrap();
    let credentials = Some(Credentials { username: "u/a/b".into(), password: Secret::new("pw") });
    let settings = Settings { credentials, ..settings(&simulator.url()) };
    let batch = mixed(HashKind::Sha1);
    let got = Client::new(settings.clone()).unwrap().ask(&batch).await;
    assert!(matches!(got, Err(Fault::Issuer { .. } | Fault::Tls { .. })), "{got:?}");
    let ca_cert_pem = simulator.ca_pem().map(|pem| pem.as_bytes().to_vec());
    let trusting = Client::new(Settings { ca_cert_pem, ..settings }).unwrap();
    assert!(trusting.ask(&batch).await.is_ok());
}
