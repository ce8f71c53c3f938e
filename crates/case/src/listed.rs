//! The rows of a list as they stand in it, read back set at a time.
//!
//! ```text
//!  a thread: rows of a part ─► their digests, sorted ─► beside the fates ─► what became of each ─┐
//!  two threads: ┌──────── the part ◄─────────────────────────────────────────────────────────────┘
//!               └─► beside `answer` ─► what was said, as the caller wants it ─┐
//!  the caller: rows, in their order ◄─────────────────────────────────────────┘
//! ```
//!
//! Joined as they lie, each row would be two looks at random pages of the case. In key order, in which fates are stored
//! and most answers were given, both tables are walked. The cost is memory: some 100 bytes for each row of the parts at
//! hand, of which there are at most five short ones or three long ones, and what is kept for all of them: fates, and
//! what was said.

mod fates;
mod part;
mod said;

use crate::packed::Packed;
use crate::stretch::last_row;
use crate::{Case, CaseError, Only, Order, SweepId};
use hashsweep_model::{Dates, Digests, Judged, Outcome, Place, Row};
use part::Part;
pub(crate) use said::Say;
use said::{Earlier, InWords, Keep, Said};
use std::sync::mpsc::sync_channel;

/// In what portions rows are read.
#[derive(Clone, Copy)]
struct Portions {
    /// Rows of a part at least. The first is short, so that whoever writes soon has something to do.
    least: usize,
    /// Rows of a part at most.
    most: usize,
    /// Rows of a sweep for which all fates are in memory, at 32 bytes for each SHA-1. Its parts are all short. Of a
    /// longer one each part walks the fates again, and so is twice as long as the one before it.
    held: i64,
    /// Fewer rows than this are not worth threads, which first open the case once more.
    worth_threads: i64,
    /// Bytes of what was said that are kept for later parts.
    remembered: usize,
}

const PORTIONS: Portions = Portions {
    least: 100_000,
    most: 4_000_000,
    held: 12_000_000,
    worth_threads: 50_000,
    remembered: 512 << 20,
};

/// A row of a list, with what the reader says of it.
#[derive(Clone, Copy, Debug)]
pub struct Worded<'a> {
    /// Which of the sweep's lists, from 0.
    pub root: u32,
    /// Which row of it, from 1.
    pub line: u64,
    /// Those that it names.
    pub digests: Digests,
    /// Exactly one.
    pub outcome: Outcome,
    /// Why, where there is no answer.
    pub reason: Option<&'a str>,
    /// What was made of its outcome and its answer.
    pub words: &'a [u8],
}

impl<'a> Worded<'a> {
    /// A row of which these are the words. Fails on one that is no row of a list.
    pub fn of(row: &'a Row, words: &'a [u8]) -> Result<Worded<'a>, CaseError> {
        let Place::Line(line) = row.place else {
            return Err(CaseError::Damaged("a row of a list without a line".to_owned()));
        };
        let Row { root, digests, outcome, reason, .. } = row;
        let (root, digests, outcome, reason) = (*root, *digests, *outcome, reason.as_deref());
        Ok(Worded { root, line, digests, outcome, reason, words })
    }
}

impl Case {
    /// Hands each row of a sweep of lists to `each`, in the order of the lists, with what `say` writes about it. Rows
    /// that are asked by one digest share what is said of them, which is said once for thousands of rows or millions.
    ///
    /// Fails on a sweep with rows that are no rows of lists, and as `each` does.
    pub fn rows_in_words<E: From<CaseError>>(
        &self,
        sweep: SweepId,
        only: Only,
        say: impl Fn(Judged<'_>, &mut Vec<u8>) + Sync,
        mut each: impl FnMut(Worded<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if only == Only::All && self.is_of_lists(sweep)? {
            return self.worded(sweep, PORTIONS, &say, each);
        }
        let mut words = Vec::new();
        self.joined(sweep, only, Order::Arrival, |row| {
            words.clear();
            say(row.judged(), &mut words);
            each(Worded::of(&row, &words)?)
        })
    }

    /// Whether the rows of a sweep are those of lists, all of them its own.
    pub(crate) fn is_of_lists(&self, sweep: SweepId) -> Result<bool, CaseError> {
        Ok(self.connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM sweep WHERE id = ?1 AND command = 'list' AND series IS NULL)
                 AND NOT EXISTS (SELECT 1 FROM sighting WHERE sweep = ?1 AND seq = 1 AND path IS NOT NULL)",
            [sweep.0],
            |row| row.get(0),
        )?)
    }

    /// Hands each row to `each`, in the order of the lists.
    pub(crate) fn listed<E: From<CaseError>>(
        &self,
        sweep: SweepId,
        each: impl FnMut(Row) -> Result<(), E>,
    ) -> Result<(), E> {
        self.listed_with(sweep, PORTIONS, each)
    }

    fn listed_with<E: From<CaseError>>(
        &self,
        sweep: SweepId,
        portions: Portions,
        mut each: impl FnMut(Row) -> Result<(), E>,
    ) -> Result<(), E> {
        self.in_parts(sweep, portions, &Packed::default, |part, said| {
            part.rows(
                |places, to| said.at(places, to),
                |found, at| {
                    let answer = said.answer(at)?;
                    let of_answer = answer.as_ref().and_then(|settled| settled.answer.reason.as_deref());
                    each(Row {
                        root: found.root,
                        place: Place::Line(found.line),
                        size: None,
                        digests: found.digests,
                        dates: Dates::default(),
                        outcome: found.outcome,
                        reason: found.reason.or(of_answer).map(str::to_owned),
                        answer,
                    })
                },
            )
        })
    }

    fn worded<E: From<CaseError>>(
        &self,
        sweep: SweepId,
        portions: Portions,
        say: Say<'_>,
        mut each: impl FnMut(Worded<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.in_parts(sweep, portions, &|| InWords::new(say), |part, said| {
            part.rows(
                |places, to| said.words(places, to),
                |found, words| {
                    let part::Found { root, line, digests, outcome, reason } = found;
                    each(Worded { root, line, digests, outcome, reason, words })
                },
            )
        })
    }

    /// Hands the rows over in parts. Long lists are read by three threads, ahead of `each`.
    fn in_parts<K: Keep + Send + Sync, E: From<CaseError>>(
        &self,
        sweep: SweepId,
        portions: Portions,
        keep: &(dyn Fn() -> K + Sync),
        mut each: impl FnMut(&Part, &Said<K>) -> Result<(), E>,
    ) -> Result<(), E> {
        let n_rows = last_row(&self.connection, sweep)?;
        if n_rows < portions.worth_threads {
            let mut earlier = Earlier::new(portions.remembered);
            return self.parts(sweep, portions, |mut part| {
                let said = self.said(None, &mut part, keep, &mut earlier)?;
                each(&part, &said)
            });
        }
        let (of_rows, of_answers) = (Case::open_to_read(self.path())?, Case::open_to_read(self.path())?);
        let mut beside = Case::open_to_read(self.path())?;
        // Short parts may wait for the next thread, long ones take too much memory.
        let n_waiting = usize::from(n_rows <= portions.held);
        let (to_answers, parts) = sync_channel::<Result<Part, CaseError>>(n_waiting);
        let (door, read) = sync_channel(n_waiting);
        std::thread::scope(|scope| {
            // Whoever finds nobody at the other end stops: what went wrong there is told by the last to come.
            scope.spawn(move || {
                let handed = of_rows.parts(sweep, portions, |part| {
                    to_answers.send(Ok(part)).map_err(|_| CaseError::Damaged("nobody reads on".to_owned()))
                });
                if let Err(error) = handed {
                    let _ = to_answers.send(Err(error));
                }
            });
            scope.spawn(move || {
                let mut earlier = Earlier::new(portions.remembered);
                for part in parts {
                    let said = part.and_then(|mut part| {
                        Ok((of_answers.said(Some(&mut beside), &mut part, keep, &mut earlier)?, part))
                    });
                    let is_last = said.is_err();
                    if door.send(said).is_err() || is_last {
                        return;
                    }
                }
            });
            for read in read {
                let (said, part) = read?;
                each(&part, &said)?;
            }
            Ok(())
        })
    }

    fn parts<E: From<CaseError>>(
        &self,
        sweep: SweepId,
        portions: Portions,
        mut each: impl FnMut(Part) -> Result<(), E>,
    ) -> Result<(), E> {
        // One snapshot: rows and fates of all parts are those of one moment. Answers are only ever added.
        let _snapshot = self.connection.unchecked_transaction().map_err(CaseError::from)?;
        let n_rows = last_row(&self.connection, sweep)?;
        let sixteenth = usize::try_from(n_rows / 16).unwrap_or_default();
        let mut at_once = sixteenth.min(portions.most / 4).max(portions.least);
        let held = if n_rows <= portions.held { self.fates(sweep, n_rows)? } else { None };
        let mut last = 0;
        while let Some(part) = self.part(sweep, held.as_ref(), &mut last, at_once)? {
            each(part)?;
            if held.is_none() {
                at_once = (at_once * 2).min(portions.most);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Claim, Fate, Freshness, NewRoot, NewSweep, Only, Order};
    use hashsweep_model::{
        Answer, Class, Digest, DigestError, HashKind, Seen, Sighting, Source, Stamp, Verdict,
    };
    use proptest::prelude::*;

    fn digest((kind, value): (u8, u8)) -> Digest {
        Digest::from_bytes(&vec![value; [16, 20, 32][usize::from(kind)]]).unwrap()
    }

    fn sighting(line: u64, of: Option<(u8, u8)>) -> Sighting {
        let seen = match of.map(digest) {
            Some(asked) => {
                let beside = if asked.kind() == HashKind::Sha256 { digest((0, 99)) } else { asked };
                let digests = Digests::default().with(beside).with(asked);
                Seen::Listed { digests, asked: asked.kind() }
            }
            None => Seen::Invalid(DigestError::Empty),
        };
        Sighting { root: 0, place: Place::Line(line), seen }
    }

    fn fate(digest: Digest) -> Fate {
        match digest.as_bytes()[0] % 5 {
            0 => Fate::Failed(format!("reason {}", digest.as_bytes()[0])),
            1 => Fate::Invalid("no hash".to_owned()),
            n => {
                let verdict = [Verdict::Known, Verdict::Unknown, Verdict::Malicious][usize::from(n - 2)];
                let mut answer = Answer::bare(digest, verdict);
                answer.reason = (n == 2).then(|| "reported".to_owned());
                answer.threat_name = (n == 3).then(|| "Win32.Test".to_owned());
                answer.scanner_count = Some(i64::from(n));
                Fate::Answered(answer)
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn rows_read_set_at_a_time_are_those_that_are_joined(
            rows in prop::collection::vec((prop::option::of((0u8..3, 0u8..40)), 1u8..60), 0..20),
            n_batches in 0usize..8,
            is_put_off: bool,
            (least, most) in (1usize..40, 1usize..40),
            (has_threads, is_held) in any::<(bool, bool)>(),
            remembered in prop::sample::select(&[0, 300, usize::MAX][..]),
        ) {
            let directory = tempfile::tempdir().unwrap();
            let mut case = Case::open(&directory.path().join("case.db")).unwrap();
            // Runs of one kind, so that there are stretches.
            let rows = rows.iter().flat_map(|(of, n)| {
                (0..*n).map(|nth| of.map(|(kind, value)| (kind, (value + nth) % 40)))
            });
            let rows: Vec<Sighting> = (1..).zip(rows).map(|(line, of)| sighting(line, of)).collect();
            let new = NewSweep {
                command: "list".to_owned(),
                settings: String::new(),
                roots: vec![NewRoot { given: b"list".to_vec(), opened: "/list".into() }],
            };
            let fresh = Freshness::NOTHING;
            let sweep = case.group(|group| {
                let sweep = group.begin_sweep(&new, Stamp(0))?;
                let run = group.begin_run(sweep, Stamp(1))?;
                group.record(sweep, &rows, &fresh)?;
                group.catch_up(sweep, &fresh)?;
                let claim = Claim {
                    n_batches, batch_size: 7, also_partial: true, most_digests: u64::MAX, up_to: Class::Last,
                };
                for claimed in group.claim((sweep, run), claim, &fresh, Stamp(2))?.batches {
                    let fates: Vec<_> =
                        claimed.batch.digests().iter().map(|digest| (*digest, fate(*digest))).collect();
                    group.settle((sweep, run), claimed.attempt, &fates, Source::Simulator, Stamp(3))?;
                }
                if is_put_off {
                    group.defer_rest(sweep, "budget", &fresh, Stamp(4))?;
                }
                Ok::<_, CaseError>(sweep)
            }).unwrap();
            prop_assert!(case.is_of_lists(sweep).unwrap());
            let worth_threads = if has_threads { 0 } else { i64::MAX };
            let held = if is_held { i64::MAX } else { 0 };
            let portions = Portions { least, most, held, worth_threads, remembered };
            let n_fates: i64 = case.connection.query_row("SELECT count(*) FROM want", [], |row| row.get(0)).unwrap();
            prop_assert!(case.fates(sweep, n_fates).unwrap().is_some());
            prop_assert!(n_fates == 0 || case.fates(sweep, n_fates - 1).unwrap().is_none());
            let mut listed = Vec::new();
            case.listed_with(sweep, portions, |row| { listed.push(row); Ok::<_, CaseError>(()) }).unwrap();
            let mut joined = Vec::new();
            case.joined(sweep, Only::All, Order::Arrival, |row| { joined.push(row); Ok::<_, CaseError>(()) })
                .unwrap();
            prop_assert_eq!(&listed, &joined);
            let say = |judged: Judged<'_>, line: &mut Vec<u8>| line.extend_from_slice(format!("{judged:?}").as_bytes());
            let mut worded = Vec::new();
            case.worded(sweep, portions, &say, |row| {
                worded.push((row.root, row.line, row.digests, row.outcome, row.words.to_vec()));
                Ok::<_, CaseError>(())
            }).unwrap();
            let expected: Vec<_> = joined.iter().map(|row| {
                let row = (Worded::of(row, &[]).unwrap(), format!("{:?}", row.judged()).into_bytes());
                (row.0.root, row.0.line, row.0.digests, row.0.outcome, row.1)
            }).collect();
            prop_assert_eq!(worded, expected);
        }
    }
}
