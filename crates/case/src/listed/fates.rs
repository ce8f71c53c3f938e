//! What became of all digests of a sweep, in memory, so that not each part of its rows need walk the table.

use crate::codes::{kind, kind_code, outcome};
use crate::{Case, CaseError, SweepId};
use hashsweep_model::{Digest, HashKind, Outcome};
use std::num::NonZeroU64;

/// Of all wordings, the last so many are looked at for the same: nearly all digests share a few.
const RECENT: usize = 16;

/// Outcomes with their reasons. Few, and shared by many.
#[derive(Default)]
pub(super) struct Wordings(Vec<(Outcome, Option<String>)>);

impl Wordings {
    /// Which of them these are.
    pub(super) fn put(&mut self, outcome: Outcome, reason: Option<&str>) -> u32 {
        let recent = self.0.len().saturating_sub(RECENT);
        let is_same = |words: &(Outcome, Option<String>)| words.0 == outcome && words.1.as_deref() == reason;
        let known = self.0[recent..].iter().rposition(is_same).map(|at| recent + at);
        let nth = known.unwrap_or_else(|| {
            self.0.push((outcome, reason.map(str::to_owned)));
            self.0.len() - 1
        });
        u32::try_from(nth).expect("a sweep that is held has fewer digests")
    }

    pub(super) fn get(&self, nth: u32) -> (Outcome, Option<&str>) {
        let (outcome, reason) = &self.0[nth as usize];
        (*outcome, reason.as_deref())
    }

    pub(super) fn n(&self) -> u32 {
        u32::try_from(self.0.len()).expect("a sweep that is held has fewer digests")
    }
}

/// What became of every digest of a sweep that does not wait: 32 bytes for each SHA-1.
pub(super) struct Fates {
    wordings: Wordings,
    /// In the order of [`HashKind::ALL`].
    of_kinds: [OfKind; 3],
}

/// Those of one kind, ascending.
#[derive(Default)]
struct OfKind {
    /// One behind the other.
    digests: Vec<u8>,
    words: Vec<u32>,
    answers: Vec<Option<NonZeroU64>>,
}

/// What became of one digest: its outcome, why as far as the case says so, and the number of its answer.
pub(super) struct Fate<'a> {
    pub(super) became: (Outcome, Option<&'a str>),
    pub(super) answer: Option<i64>,
}

/// The columns of `want` that a fate is read from.
pub(super) const COLUMNS: &str = "state, reason, answer";

impl<'r> Fate<'r> {
    /// From its [`COLUMNS`], behind so many others.
    pub(super) fn of(want: &'r rusqlite::Row<'_>, behind: usize) -> Result<Fate<'r>, CaseError> {
        let text = |i: usize| want.get_ref(behind + i)?.as_str_or_null().map_err(rusqlite::Error::from);
        let state = text(0)?.ok_or_else(|| CaseError::Damaged("a digest without a fate".into()))?;
        Ok(Fate { became: (outcome(state)?, text(1)?), answer: want.get(behind + 2)? })
    }
}

impl Case {
    /// Reads all of them; `None` if they are more than that, which they are not if each is of a row.
    pub(super) fn fates(&self, sweep: SweepId, at_most: i64) -> Result<Option<Fates>, CaseError> {
        let mut fates = Fates { wordings: Wordings::default(), of_kinds: Default::default() };
        let mut wants = self.connection.prepare_cached(&format!(
            "SELECT kind, digest, {COLUMNS} FROM want WHERE sweep = ?1 ORDER BY kind, digest"
        ))?;
        let mut wants = wants.query([sweep.0])?;
        let mut n_left = at_most;
        while let Some(want) = wants.next()? {
            n_left -= 1;
            if n_left < 0 {
                return Ok(None);
            }
            let kind = kind(want.get(0)?)?;
            let digest = want.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            if digest.len() != kind.n_bytes() {
                return Err(CaseError::Damaged("a digest of a wrong length".to_owned()));
            }
            let Fate { became: (outcome, reason), answer } = Fate::of(want, 2)?;
            let answer = answer.map(|answer| {
                let number = u64::try_from(answer).ok().and_then(NonZeroU64::new);
                number.ok_or_else(|| CaseError::Damaged(format!("answer {answer} is not there")))
            });
            let of_kind = &mut fates.of_kinds[place(kind)];
            of_kind.digests.extend_from_slice(digest);
            of_kind.words.push(fates.wordings.put(outcome, reason));
            of_kind.answers.push(answer.transpose()?);
        }
        Ok(Some(fates))
    }
}

impl Fates {
    /// Hands over what became of these digests of one kind, ascending, each with its place among them. Those that
    /// wait are left out.
    pub(super) fn of(
        &self,
        digests: &[Digest],
        mut each: impl FnMut(usize, Fate<'_>) -> Result<(), CaseError>,
    ) -> Result<(), CaseError> {
        let Some(kind) = digests.first().map(Digest::kind) else { return Ok(()) };
        let OfKind { digests: known, words, answers } = &self.of_kinds[place(kind)];
        let mut known = known.chunks_exact(kind.n_bytes()).enumerate().peekable();
        for (i, digest) in digests.iter().enumerate() {
            let digest = Key::of(digest.as_bytes());
            while known.next_if(|(_, known)| Key::of(known) < digest).is_some() {}
            if let Some((at, _)) = known.next_if(|(_, known)| Key::of(known) == digest) {
                let answer = answers[at].map(|answer| answer.get().cast_signed());
                each(i, Fate { became: self.wordings.get(words[at]), answer })?;
            }
        }
        Ok(())
    }
}

/// A digest as it is compared: as good as always its first eight bytes decide.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a>(u64, &'a [u8]);

impl Key<'_> {
    fn of(digest: &[u8]) -> Key<'_> {
        let (first, rest) = digest.split_first_chunk().expect("no digest is so short");
        Key(u64::from_be_bytes(*first), rest)
    }
}

fn place(kind: HashKind) -> usize {
    usize::try_from(kind_code(kind) - 1).expect("codes begin at 1")
}
