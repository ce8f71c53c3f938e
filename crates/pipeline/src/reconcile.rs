//! The only exit: what was asked, held against what came back. Pure.

use hashsweep_case::Fate;
use hashsweep_model::{Answer, Batch, Digest, Quota, Verdict};
use hashsweep_spectra::{Entry, Reply};
use std::collections::BTreeMap;

/// A batch held against its answer: every digest asked is in `fates` or in `again`, exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconciled {
    /// Settled digests, ascending.
    pub fates: Vec<(Digest, Fate)>,
    /// Digests left out although their absence means nothing here: to be asked once more, then failed.
    pub again: Vec<Digest>,
    /// Entries about digests we did not ask.
    pub n_unasked: usize,
    /// Entries about a digest that another entry had answered.
    pub n_doubled: usize,
    /// Entries that could not be used.
    pub n_malformed: usize,
    /// Whether this answer said UNKNOWN aloud, so that silence is a fault from now on.
    pub reports_unknowns: bool,
    /// What the answer cost.
    pub quota: Quota,
}

/// Reads a whole, well-formed answer to `batch`. Entries are matched by digest, never by position. Of two entries
/// about one digest the worse verdict counts: a doubled answer must not hide a finding.
pub fn reconcile(batch: &Batch, reply: &Reply, unknowns_are_reported: bool) -> Reconciled {
    let mut fates: BTreeMap<Digest, Fate> = BTreeMap::new();
    let mut seen = Reconciled {
        fates: Vec::new(),
        again: Vec::new(),
        n_unasked: 0,
        n_doubled: 0,
        n_malformed: 0,
        reports_unknowns: false,
        quota: Quota { charged_max: batch.len() as u64, ..Quota::default() },
    };
    let mut nameless = false;
    for entry in &reply.entries {
        match entry {
            Entry::Answer(answer) => {
                if answer.verdict == Verdict::Unknown {
                    seen.reports_unknowns = true;
                } else {
                    seen.quota.charged_min += 1;
                }
                seen.take(batch, &mut fates, answer.clone());
            }
            Entry::Malformed { about, why } => {
                seen.n_malformed += 1;
                match about {
                    Some(digest) if batch.contains(digest) => {
                        fates
                            .entry(*digest)
                            .or_insert_with(|| Fate::Failed(format!("unusable entry: {why}")));
                    }
                    Some(_) => seen.n_unasked += 1,
                    None => nameless = true,
                }
            }
        }
    }
    for text in &reply.unknown_hashes {
        seen.reports_unknowns = true;
        match text.trim().parse::<Digest>() {
            Ok(digest) => {
                let listed =
                    Answer { reason: Some("reported".into()), ..Answer::bare(digest, Verdict::Unknown) };
                seen.take(batch, &mut fates, listed);
            }
            Err(_) => nameless = true,
        }
    }
    for text in &reply.invalid_hashes {
        match text.trim().parse::<Digest>() {
            Ok(digest) if batch.contains(&digest) => {
                fates.entry(digest).or_insert_with(|| Fate::Invalid("refused by the service".to_owned()));
            }
            Ok(_) => seen.n_unasked += 1,
            Err(_) => nameless = true,
        }
    }
    // Strangers and doubles cannot have been charged to this request.
    seen.quota.charged_min = seen.quota.charged_min.min(seen.quota.charged_max);
    // Silence says "unknown" only if nothing else in the answer could have been about the missing digest.
    // An answer about hashes that nobody asked is somebody else's answer.
    let silence_is_an_answer =
        !unknowns_are_reported && !seen.reports_unknowns && !nameless && seen.n_unasked == 0;
    for digest in batch.digests() {
        match fates.remove(digest) {
            Some(fate) => seen.fates.push((*digest, fate)),
            None if silence_is_an_answer => {
                seen.fates.push((*digest, Fate::Answered(Answer::absent(*digest))));
            }
            None => seen.again.push(*digest),
        }
    }
    seen
}

/// A 404 for a whole batch where a 404 is an answer: none of its hashes is known.
pub(crate) fn all_absent(batch: &Batch) -> Vec<(Digest, Fate)> {
    batch.digests().iter().map(|digest| (*digest, Fate::Answered(Answer::absent(*digest)))).collect()
}

impl Reconciled {
    fn take(&mut self, batch: &Batch, fates: &mut BTreeMap<Digest, Fate>, answer: Answer) {
        if !batch.contains(&answer.digest) {
            self.n_unasked += 1;
            return;
        }
        let digest = answer.digest;
        match fates.get(&digest) {
            Some(Fate::Answered(first)) => {
                self.n_doubled += 1;
                if answer.verdict > first.verdict {
                    fates.insert(digest, Fate::Answered(answer));
                }
            }
            Some(Fate::Failed(_) | Fate::Invalid(_) | Fate::Deferred(_)) | None => {
                fates.insert(digest, Fate::Answered(answer));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashsweep_model::HashKind;
    use proptest::prelude::*;

    fn digest(n: u8) -> Digest {
        Digest::from_bytes(&[n; 20]).unwrap()
    }

    fn batch(of: &[u8]) -> Batch {
        Batch::new(of.iter().map(|n| digest(*n)).collect()).unwrap()
    }

    fn entry(n: u8, verdict: Verdict) -> Entry {
        Entry::Answer(Answer::bare(digest(n), verdict))
    }

    fn check(reply: &Reply, aloud: bool, expected: &str) {
        let got = reconcile(&batch(&[1, 2]), reply, aloud);
        let mut words: Vec<String> = got
            .fates
            .iter()
            .map(|(digest, fate)| {
                let word = match fate {
                    Fate::Answered(a) => match a.reason.as_deref() {
                        Some(reason) => format!("{}:{reason}", a.verdict),
                        None => a.verdict.to_string(),
                    },
                    Fate::Failed(why) => format!("failed:{why}"),
                    Fate::Invalid(why) => format!("invalid:{why}"),
                    Fate::Deferred(why) => format!("deferred:{why}"),
                };
                format!("{}={word}", digest.as_bytes()[0])
            })
            .collect();
        words.extend(got.again.iter().map(|d| format!("{}=again", d.as_bytes()[0])));
        assert_eq!(words.join(" "), expected);
    }

    #[test]
    fn absence_is_unknown_until_the_service_has_said_unknown_aloud() {
        let one = Reply { entries: vec![entry(1, Verdict::Known)], ..Reply::default() };
        check(&one, false, "1=known 2=unknown:absent");
        check(&one, true, "1=known 2=again");
        let aloud = Reply { entries: vec![entry(1, Verdict::Unknown)], ..Reply::default() };
        check(&aloud, false, "1=unknown 2=again");
        let listed = Reply { unknown_hashes: vec![digest(2).to_string()], ..Reply::default() };
        check(&listed, false, "2=unknown:reported 1=again");
        check(&Reply::default(), false, "1=unknown:absent 2=unknown:absent");
    }

    #[test]
    fn a_nameless_malformed_entry_forbids_conclusions_from_silence() {
        let nameless = Entry::Malformed { about: None, why: "odd".into() };
        let reply = Reply { entries: vec![entry(1, Verdict::Known), nameless], ..Reply::default() };
        check(&reply, false, "1=known 2=again");
        let named = Entry::Malformed { about: Some(digest(2)), why: "odd".into() };
        let reply = Reply { entries: vec![named, entry(1, Verdict::Known)], ..Reply::default() };
        check(&reply, false, "1=known 2=failed:unusable entry: odd");
        let reply = Reply { invalid_hashes: vec!["zz".into()], ..Reply::default() };
        check(&reply, false, "1=again 2=again");
    }

    #[test]
    fn doubled_entries_keep_the_worse_verdict_and_strangers_are_counted() {
        let reply = Reply {
            entries: vec![
                entry(2, Verdict::Malicious),
                entry(2, Verdict::Known),
                entry(1, Verdict::Known),
                entry(1, Verdict::Suspicious),
                entry(9, Verdict::Malicious),
            ],
            ..Reply::default()
        };
        check(&reply, false, "1=suspicious 2=malicious");
        let got = reconcile(&batch(&[1, 2]), &reply, false);
        assert_eq!((got.n_doubled, got.n_unasked), (2, 1));
        assert_eq!(got.quota, Quota { charged_max: 2, charged_min: 2, in_doubt: 0 });
    }

    #[test]
    fn an_answer_about_other_hashes_says_nothing_about_ours() {
        let stranger = Reply { entries: vec![entry(9, Verdict::Malicious)], ..Reply::default() };
        check(&stranger, false, "1=again 2=again");
    }

    #[test]
    fn the_services_word_makes_a_hash_invalid_in_any_letter_case() {
        let reply =
            Reply { invalid_hashes: vec![digest(0xab).to_string().to_uppercase()], ..Reply::default() };
        let got = reconcile(&batch(&[0xab]), &reply, false);
        assert_eq!(got.fates, [(digest(0xab), Fate::Invalid("refused by the service".into()))]);
    }

    fn any_reply() -> impl Strategy<Value = Reply> {
        let verdict = prop::sample::select(Verdict::WORST_FIRST.to_vec());
        let entry = prop_oneof![
            8 => (0u8..30, verdict).prop_map(|(n, v)| entry(n, v)),
            1 => prop::option::of(0u8..30)
                .prop_map(|n| Entry::Malformed { about: n.map(digest), why: "odd".into() }),
        ];
        let hashes = || {
            prop::collection::vec(prop_oneof![(0u8..30).prop_map(|n| digest(n).to_string()), ".{0,5}"], 0..4)
        };
        (prop::collection::vec(entry, 0..40), hashes(), hashes()).prop_map(
            |(entries, unknown_hashes, invalid_hashes)| Reply { entries, unknown_hashes, invalid_hashes },
        )
    }

    proptest! {
        #[test]
        fn every_digest_asked_leaves_exactly_once(
            asked in prop::collection::btree_set(0u8..30, 1..30),
            reply in any_reply(),
            aloud: bool,
        ) {
            let batch = batch(&asked.iter().copied().collect::<Vec<_>>());
            let got = reconcile(&batch, &reply, aloud);
            let mut out: Vec<Digest> = got.fates.iter().map(|(d, _)| *d).chain(got.again.clone()).collect();
            out.sort_unstable();
            prop_assert_eq!(&out[..], batch.digests());
            prop_assert_eq!(got.quota.charged_max, batch.len() as u64);
            // A malicious entry about an asked digest is never lost.
            for entry in &reply.entries {
                if let Entry::Answer(a) = entry && a.verdict == Verdict::Malicious && batch.contains(&a.digest) {
                    prop_assert!(got.fates.iter().any(
                        |(d, f)| *d == a.digest && matches!(f, Fate::Answered(x) if x.verdict == Verdict::Malicious)
                    ));
                }
            }
            prop_assert_eq!(batch.kind(), HashKind::Sha1);
        }
    }
}
