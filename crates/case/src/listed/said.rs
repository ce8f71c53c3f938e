//! What was said of the digests of a part, kept as whoever reads the rows wants it.

use super::part::Part;
use crate::packed::{self, Packed};
use crate::results::settled_over;
use crate::{Case, CaseError};
use hashsweep_model::{Judged, Outcome, Settled};
use std::hint::black_box;
use std::sync::Arc;

/// Keeps what was said.
pub(super) trait Keep {
    /// Keeps what became of a digest, and says where, if there is anything to keep: its outcome and why, and the
    /// answer, if it has one, whose [`packed::COLUMNS`] stand in the row behind the first.
    fn keep(
        &mut self,
        became: (Outcome, Option<&str>),
        answer: Option<&rusqlite::Row<'_>>,
    ) -> Result<Option<u64>, CaseError>;

    /// Bytes of what is kept.
    fn n_bytes(&self) -> usize;
}

/// For each place of a part what was said.
pub(super) struct Said<K> {
    kept: Vec<Arc<K>>,
    at: Vec<At>,
}

/// Where something is kept: in which of several, and where there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At(u64);

impl At {
    const NOWHERE: At = At(u64::MAX);
    /// A terabyte of words is in nobody's memory.
    const SHIFT: u32 = 40;

    fn new(of: usize, at: Option<u64>) -> At {
        at.map_or(At::NOWHERE, |at| {
            debug_assert!(at < 1 << At::SHIFT);
            At((of as u64) << At::SHIFT | at)
        })
    }
}

impl<K> Said<K> {
    fn get(&self, At(at): At) -> (&K, u64) {
        let of = usize::try_from(at >> At::SHIFT).expect("it is in memory");
        (&self.kept[of], at & ((1 << At::SHIFT) - 1))
    }
}

/// What was said in the parts before, as far as there is room: rows of several parts have the same answer.
pub(super) struct Earlier<K> {
    kept: Vec<Arc<K>>,
    /// Ascending by the answers' numbers.
    known: Vec<Known>,
    /// Bytes that both may still take.
    room: usize,
}

/// Where it is kept that a digest with this outcome, of which nothing else is to be said, has this answer.
struct Known {
    answer: i64,
    outcome: Outcome,
    at: At,
}

impl<K: Keep> Earlier<K> {
    pub(super) fn new(room: usize) -> Earlier<K> {
        Earlier { kept: Vec::new(), known: Vec::new(), room }
    }

    /// Whatever of this is known already goes where it belongs; the rest is handed back. Ascending by the answers'
    /// numbers.
    fn recall(&self, part: &Part, mut answered: Vec<(i64, u32)>, to: &mut [At]) -> Vec<(i64, u32)> {
        let mut known = self.known.as_slice();
        answered.retain(|(answer, place)| {
            let before = known.iter().take_while(|known| known.answer < *answer).count();
            known = &known[before..];
            let became = part.fate(*place);
            let of_answer = known.iter().take_while(|known| known.answer == *answer);
            let same = of_answer.into_iter().find(|known| (known.outcome, None) == became);
            same.inspect(|known| to[*place as usize] = known.at).is_none()
        });
        answered
    }

    /// Keeps what was read for the parts that follow, if there is room.
    fn remember(&mut self, lots: &[Arc<K>], read: Vec<Known>) {
        let n_bytes = lots.iter().map(|lot| lot.n_bytes()).sum::<usize>() + read.len() * size_of::<Known>();
        if n_bytes > self.room {
            return;
        }
        self.room -= n_bytes;
        self.kept.extend_from_slice(lots);
        self.known.extend(read);
        // Two ascending runs: this merges them.
        self.known.sort_by_key(|known| known.answer);
    }
}

/// Some answers, and what was said of the digests that have them.
struct Lot<K> {
    kept: K,
    /// Ascending by the answers' numbers.
    read: Vec<Read>,
}

/// The answer of a place, and where among its lot it is kept.
struct Read {
    answer: i64,
    place: u32,
    at: Option<u64>,
}

impl Case {
    /// Reads what was said of the digests of a part, of which the answers are taken. If there is another connection,
    /// it reads half of it beside this one.
    pub(super) fn said<K: Keep + Send>(
        &self,
        beside: Option<&mut Case>,
        part: &mut Part,
        keep: &(dyn Fn() -> K + Sync),
        earlier: &mut Earlier<K>,
    ) -> Result<Said<K>, CaseError> {
        let answered = std::mem::take(&mut part.answered);
        let part = &*part;
        let nth = earlier.kept.len();
        let mut own = keep();
        let (wordings, words) = part.worded();
        let bare: Vec<At> = (0..wordings.n())
            .map(|words| Ok(At::new(nth, own.keep(wordings.get(words), None)?)))
            .collect::<Result<_, CaseError>>()?;
        let mut at: Vec<At> = words.iter().map(|words| bare[*words as usize]).collect();
        let answered = earlier.recall(part, answered, &mut at);
        let lots = match beside {
            None => vec![self.lot(part, &answered, own)?],
            Some(beside) => std::thread::scope(|scope| {
                let (low, high) = answered.split_at(answered.len() / 2);
                let high = scope.spawn(move || beside.lot(part, high, keep()));
                let low = self.lot(part, low, own);
                let high = high.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                Ok::<_, CaseError>(vec![low?, high?])
            })?,
        };
        let (mut own, mut known) = (Vec::with_capacity(lots.len()), Vec::with_capacity(answered.len()));
        for (of, lot) in (nth..).zip(lots) {
            for Read { answer, place, at: in_lot } in lot.read {
                let kept = At::new(of, in_lot);
                at[place as usize] = kept;
                if let (outcome, None) = part.fate(place) {
                    known.push(Known { answer, outcome, at: kept });
                }
            }
            own.push(Arc::new(lot.kept));
        }
        let kept = earlier.kept.iter().chain(&own).cloned().collect();
        earlier.remember(&own, known);
        Ok(Said { kept, at })
    }

    /// Reads some of the answers of a part. They lie in the order of their numbers.
    fn lot<K: Keep>(&self, part: &Part, answered: &[(i64, u32)], mut kept: K) -> Result<Lot<K>, CaseError> {
        /// Steps over so many answers before it looks the next one up instead.
        const NEAR: i64 = 24;
        let mut read = Vec::with_capacity(answered.len());
        let mut answers = self.connection.prepare_cached(&format!(
            "SELECT id, {} FROM answer WHERE id >= ?1 ORDER BY id",
            packed::COLUMNS
        ))?;
        let mut left = answered;
        while let Some((wanted, _)) = left.first() {
            let mut rows = answers.query([wanted])?;
            while let Some(&(wanted, _)) = left.first() {
                let missing = || CaseError::Damaged(format!("answer {wanted} is not there"));
                let row = rows.next()?.ok_or_else(missing)?;
                let id: i64 = row.get(0)?;
                if id > wanted {
                    return Err(missing());
                }
                if id < wanted {
                    continue;
                }
                let n = left.iter().take_while(|(of, _)| *of == id).count();
                for &(answer, place) in &left[..n] {
                    read.push(Read { answer, place, at: kept.keep(part.fate(place), Some(row))? });
                }
                left = &left[n..];
                if left.first().is_some_and(|(next, _)| next - id > NEAR) {
                    break;
                }
            }
        }
        Ok(Lot { kept, read })
    }
}

impl Keep for Packed {
    fn keep(
        &mut self,
        _: (Outcome, Option<&str>),
        answer: Option<&rusqlite::Row<'_>>,
    ) -> Result<Option<u64>, CaseError> {
        answer.map(|answer| self.push(answer, 1)).transpose()
    }

    fn n_bytes(&self) -> usize {
        Packed::n_bytes(self)
    }
}

impl Said<Packed> {
    /// Where the answers are kept.
    pub(super) fn at(&self, places: &[u32], to: &mut Vec<At>) {
        to.extend(places.iter().map(|place| self.at[*place as usize]));
    }

    pub(super) fn answer(&self, at: At) -> Result<Option<Settled>, CaseError> {
        if at == At::NOWHERE {
            return Ok(None);
        }
        let (kept, at) = self.get(at);
        kept.get(at).map(Some)
    }
}

/// How a row's outcome and answer are put in words, behind what there is already.
pub(crate) type Say<'s> = &'s (dyn Fn(Judged<'_>, &mut Vec<u8>) + Sync);

/// Words, each behind its length.
pub(super) struct InWords<'s> {
    say: Say<'s>,
    bytes: Vec<u8>,
    /// The last answer, for the memory that it has.
    answer: Option<Settled>,
}

impl<'s> InWords<'s> {
    pub(super) fn new(say: Say<'s>) -> InWords<'s> {
        InWords { say, bytes: Vec::new(), answer: None }
    }
}

impl Keep for InWords<'_> {
    fn keep(
        &mut self,
        (outcome, reason): (Outcome, Option<&str>),
        answer: Option<&rusqlite::Row<'_>>,
    ) -> Result<Option<u64>, CaseError> {
        let earlier = self.answer.take();
        let answer = answer.map(|row| settled_over(earlier, row, 1)).transpose()?;
        let said = answer.as_ref().and_then(|settled| settled.answer.reason.as_deref());
        let judged = Judged { outcome, reason: reason.or(said), answer: answer.as_ref() };
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; LENGTH]);
        (self.say)(judged, &mut self.bytes);
        let n = u32::try_from(self.bytes.len() - at - LENGTH).expect("words about one row are short");
        self.bytes[at..at + LENGTH].copy_from_slice(&n.to_le_bytes());
        self.answer = answer;
        Ok(Some(at as u64))
    }

    fn n_bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// Bytes of a length.
const LENGTH: usize = size_of::<u32>();

impl Said<InWords<'_>> {
    /// The words of all these places. Whoever copies them waits for memory only once, because they are touched first,
    /// at their beginnings, where the lengths are, and at their ends.
    pub(super) fn words<'s>(&'s self, places: &[u32], to: &mut Vec<&'s [u8]>) {
        to.extend(places.iter().map(|place| self.words_at(self.at[*place as usize])));
        let ends = to.iter().fold(0, |ends, words| ends ^ words.last().copied().unwrap_or_default());
        black_box(ends);
    }

    fn words_at(&self, at: At) -> &[u8] {
        let (kept, at) = self.get(at);
        let at = usize::try_from(at).expect("it is in memory");
        let (n, rest) = kept.bytes[at..].split_first_chunk().expect("a length is put before all words");
        &rest[..u32::from_le_bytes(*n) as usize]
    }
}
