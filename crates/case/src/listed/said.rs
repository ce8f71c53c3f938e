//! What was said of the digests of a part, kept as whoever reads the rows wants it.

use super::part::Part;
use crate::packed::{self, Packed};
use crate::results::settled_over;
use crate::{Case, CaseError};
use hashsweep_model::{Judged, Outcome, Settled};

/// Where nothing is kept.
const NOTHING: u64 = u64::MAX;

/// Keeps what was said.
pub(super) trait Keep {
    /// Keeps what became of a digest, and says where: its outcome and why, and the answer, if it has one, whose
    /// [`packed::COLUMNS`] stand in the row behind the first.
    fn keep(
        &mut self,
        became: (Outcome, Option<&str>),
        answer: Option<&rusqlite::Row<'_>>,
    ) -> Result<u64, CaseError>;
}

/// For each place of a part what was said.
pub(super) struct Said<K> {
    kept: K,
    at: Vec<u64>,
}

impl Case {
    /// Reads what was said of the digests of a part. Answers lie in the order of their numbers.
    pub(super) fn said<K: Keep>(&self, part: &Part, mut kept: K) -> Result<Said<K>, CaseError> {
        /// Steps over so many answers before it looks the next one up instead.
        const NEAR: i64 = 24;
        let (n_words, words) = part.worded();
        let bare: Vec<u64> =
            (0..n_words).map(|words| kept.keep(part.wording(words), None)).collect::<Result<_, _>>()?;
        let mut at: Vec<u64> = words.iter().map(|words| bare[*words as usize]).collect();
        let mut answers = self.connection.prepare_cached(&format!(
            "SELECT id, {} FROM answer WHERE id >= ?1 ORDER BY id",
            packed::COLUMNS
        ))?;
        let mut left = part.answered.as_slice();
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
                for (_, place) in &left[..n] {
                    at[*place as usize] = kept.keep(part.fate(*place), Some(row))?;
                }
                left = &left[n..];
                if left.first().is_some_and(|(next, _)| next - id > NEAR) {
                    break;
                }
            }
        }
        Ok(Said { kept, at })
    }
}

impl Keep for Packed {
    fn keep(
        &mut self,
        _: (Outcome, Option<&str>),
        answer: Option<&rusqlite::Row<'_>>,
    ) -> Result<u64, CaseError> {
        answer.map_or(Ok(NOTHING), |answer| self.push(answer, 1))
    }
}

impl Said<Packed> {
    /// Where its answer is kept.
    pub(super) fn at(&self, place: u32) -> u64 {
        self.at[place as usize]
    }

    pub(super) fn answer(&self, at: u64) -> Result<Option<Settled>, CaseError> {
        if at == NOTHING { Ok(None) } else { self.kept.get(at).map(Some) }
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
    ) -> Result<u64, CaseError> {
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
        Ok(at as u64)
    }
}

/// Bytes of a length.
const LENGTH: usize = size_of::<u32>();

impl Said<InWords<'_>> {
    pub(super) fn words(&self, place: u32) -> &[u8] {
        let at = usize::try_from(self.at[place as usize]).expect("it is in memory");
        let (n, rest) = self.kept.bytes[at..].split_first_chunk().expect("a length is put before all words");
        &rest[..u32::from_le_bytes(*n) as usize]
    }
}
