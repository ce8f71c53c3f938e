//! What is said about hashes: file reputation, the vendor's TCA-0101 "malware presence", in its two dialects, and the
//! choice of which hashes of a batch are answered at all, which analysis reports share.
//!
//! It does not know who asks, how often they may, or what it costs them in a day.

use crate::{
    ChargeMode, InvalidMode, Status, UnknownMode, World,
    door::Service,
    entry,
    exchange::Response,
    finding::{Answer, Bulk, Finding},
    invented,
    question::{Asked, Malformed, Question},
    refusal::Refusal,
    report,
    tree::Tree,
    verdicts::Sample,
    world::{Duplicates, OverLimit},
};
use std::collections::HashSet;

/// The vendor's ceiling on hashes in one bulk request.
pub(crate) const MAX_HASHES: usize = 100;

/// Composes the answer of this world, or the refusal.
pub(crate) fn answer(question: &Question, world: &World) -> Result<Finding, Refusal> {
    check(question, world)?;
    let unknown_mode = unknown_mode(question, world);
    let mut entries = Vec::new();
    let mut unknown = Vec::new();
    let mut n_found = 0_u64;
    for asked in chosen(question, world) {
        let sample = world.verdicts.sample(&asked.digest);
        n_found += u64::from(sample.is_some());
        match unknown_mode {
            UnknownMode::List if sample.is_none() => unknown.push(asked.text.clone()),
            UnknownMode::Omit | UnknownMode::Http404IfAll if sample.is_none() => {}
            _ => entries.extend(entry(question, asked, sample.as_deref())),
        }
    }
    let within = |place: usize| place < MAX_HASHES;
    let n_asked = question.asked.iter().filter(|asked| within(asked.place)).count() as u64;
    let not_found_is_404 = question.is_single() || (unknown_mode == UnknownMode::Http404IfAll && n_asked > 0);
    if entries.is_empty() && not_found_is_404 {
        return Err(Refusal::NotFound);
    }
    let units = match world.charge_mode {
        ChargeMode::Sent => n_asked,
        ChargeMode::ReturnedAll => entries.len() as u64,
        ChargeMode::ReturnedFound => n_found,
    };
    let answer = if question.is_single() {
        let name = if question.service == Service::Reports { "sample" } else { "malware_presence" };
        let entry = entries.pop().unwrap_or(Tree::Null);
        let tree = Tree::record([("rl", Tree::record([(name, entry)]))]);
        Answer::Whole(Response::of_tree(question.format, &tree))
    } else {
        let listed =
            |malformed: &&Malformed| world.invalid_mode == InvalidMode::List && within(malformed.place);
        Answer::Bulk(Bulk {
            entries,
            unknown,
            invalid: question.malformed.iter().filter(listed).map(|it| it.text.clone()).collect(),
            format: question.format,
            stranger: question.asked.first().map(|asked| stranger(question.service, asked)),
        })
    };
    Ok(Finding { units, answer })
}

fn check(question: &Question, world: &World) -> Result<(), Refusal> {
    let some_malformed = !question.malformed.is_empty();
    let minds = question.is_single() || world.invalid_mode == InvalidMode::Http400;
    if question.n_hashes() > MAX_HASHES && world.over_limit == OverLimit::Refuse {
        Err(Refusal::TooLarge)
    } else if question.n_hashes() == 0 {
        Err(Refusal::BadRequest("there are no hashes in the query"))
    } else if some_malformed && minds {
        Err(Refusal::BadRequest("a hash in the query is malformed"))
    } else {
        Ok(())
    }
}

/// There is no report on an unknown file, so reports have no entry to say so with; a single query has no list.
fn unknown_mode(question: &Question, world: &World) -> UnknownMode {
    match (question.service, world.unknown_mode) {
        (Service::Reports, UnknownMode::Entry) => UnknownMode::Omit,
        (Service::Reports, UnknownMode::List) if question.is_single() => UnknownMode::Omit,
        (Service::Presence | Service::Quickstart, UnknownMode::List) if question.is_single() => {
            UnknownMode::Entry
        }
        (_, mode) => mode,
    }
}

/// The hashes to be answered, in order. One that was sent twice and is answered once stands in the letters in which
/// it came first.
fn chosen<'a>(question: &'a Question, world: &World) -> Vec<&'a Asked> {
    let mut seen = HashSet::with_capacity(question.asked.len());
    let mut wanted = |asked: &&Asked| match world.duplicates {
        Duplicates::Once => seen.insert(asked.digest),
        Duplicates::Each => true,
    };
    let within = question.asked.iter().filter(|asked| asked.place < MAX_HASHES);
    let mut chosen: Vec<&Asked> = within.filter(|asked| wanted(asked)).collect();
    if world.shuffle {
        chosen.sort_by_cached_key(|asked| invented::shuffled_rank(&asked.digest));
    }
    chosen
}

fn entry(question: &Question, asked: &Asked, sample: Option<&Sample>) -> Option<Tree> {
    match question.service {
        Service::Presence => Some(entry::entry(&asked.text, &asked.digest, sample, question.detail)),
        Service::Quickstart => Some(entry::quickstart(&asked.text, &asked.digest, sample)),
        Service::Reports => sample.map(report::report),
    }
}

/// Malicious, because that is what a client would regret most to believe.
fn stranger(service: Service, asked: &Asked) -> Tree {
    let digest = invented::stranger(&asked.digest);
    let text = digest.to_string();
    match service {
        Service::Presence => entry::bare(&text, &digest, Status::Malicious),
        Service::Quickstart => entry::quickstart_with(&text, &digest, Status::Malicious.name(), 5),
        Service::Reports => Tree::record([(digest.kind().name(), text.into())]),
    }
}
