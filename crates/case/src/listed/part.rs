//! Rows that stand one behind the other in a list, and what became of their digests.

use super::fates::{self, Fate, Fates, Wordings};
use crate::codes::{count, digest, digests, kind_code, outcome};
use crate::joining::walk;
use crate::stretch::{Recorded, Stretch, in_order};
use crate::{Case, CaseError, SweepId};
use hashsweep_model::{Digest, Digests, Outcome};
use std::collections::HashMap;
use std::ops::ControlFlow;

/// Rows with more than one digest, or with words of their own, that are in memory at once: some 110 bytes each.
const MOST_ODD: usize = 1_000_000;

/// In [`Part::wordings`] those of a digest that waits.
const WAITS: u32 = 0;

/// Some rows of a sweep. What became of them stands at places: one for each distinct digest, in key order, and behind
/// these one for each row that has words of its own.
pub(super) struct Part {
    /// For each row its place.
    of_row: Vec<u32>,
    runs: Vec<Run>,
    odd: Vec<Odd>,
    /// For each place that has one its digest.
    digests: Vec<Digest>,
    /// For each place which of the wordings.
    fates: Vec<u32>,
    wordings: Wordings,
    /// The numbers of answers, ascending, with the places that have them.
    pub(super) answered: Vec<(i64, u32)>,
}

/// Where a run of rows begins that lie line by line in one list.
#[derive(Clone, Copy)]
struct Run {
    row: u32,
    root: u32,
    line: u64,
}

/// A row of which the digest at its place is not all.
struct Odd {
    row: u32,
    digests: Digests,
}

/// What a row says of itself.
struct Own {
    row: u32,
    /// Whether there is a digest to ask about.
    is_asked: bool,
    outcome: Option<Outcome>,
    reason: Option<String>,
}

/// Rows as they were read.
#[derive(Default)]
struct Rows {
    n: u32,
    runs: Vec<Run>,
    odd: Vec<Odd>,
    own: Vec<Own>,
    /// The digests that rows are asked by.
    offered: Vec<(Digest, u32)>,
}

/// One row, with its outcome, and why as far as the case says so.
pub(super) struct Found<'p> {
    pub(super) root: u32,
    pub(super) line: u64,
    pub(super) digests: Digests,
    pub(super) outcome: Outcome,
    pub(super) reason: Option<&'p str>,
}

impl Case {
    /// The next rows behind the one numbered `last`, which becomes the last of them; `None` where there are no more.
    /// What became of their digests is among what is held, or is read.
    pub(super) fn part(
        &self,
        sweep: SweepId,
        held: Option<&Fates>,
        last: &mut i64,
        at_once: usize,
    ) -> Result<Option<Part>, CaseError> {
        let mut rows = self.rows_behind(sweep, last, at_once)?;
        if rows.n == 0 {
            return Ok(None);
        }
        let put_off: String = self.connection.query_row(
            "SELECT coalesce(put_off, 'interrupted') FROM sweep WHERE id = ?1",
            [sweep.0],
            |row| row.get(0),
        )?;
        rows.offered.sort_unstable();
        let mut part = Part {
            of_row: vec![0; rows.n as usize],
            runs: rows.runs,
            odd: rows.odd,
            digests: Vec::new(),
            fates: Vec::new(),
            wordings: Wordings::default(),
            answered: Vec::new(),
        };
        let waits = part.wordings.put(Outcome::Deferred, Some(&put_off));
        debug_assert_eq!(waits, WAITS);
        for same in rows.offered.chunk_by(|(a, _), (b, _)| a == b) {
            let place = short(part.digests.len());
            part.digests.push(same[0].0);
            for (_, row) in same {
                part.of_row[*row as usize] = place;
            }
        }
        drop(rows.offered);
        part.fates = vec![WAITS; part.digests.len()];
        self.read_fates(sweep, held, &mut part)?;
        part.add(rows.own);
        part.answered.sort_unstable();
        Ok(Some(part))
    }

    fn rows_behind(&self, sweep: SweepId, last: &mut i64, at_once: usize) -> Result<Rows, CaseError> {
        let alone =
            "SELECT seq, root, line, kind, CASE kind WHEN 1 THEN md5 WHEN 2 THEN sha1 WHEN 3 THEN sha256 END,
                 kind IS NULL OR coalesce(outcome, reason, note) IS NOT NULL
                     OR (md5 IS NOT NULL) + (sha1 IS NOT NULL) + (sha256 IS NOT NULL) > 1,
                 md5, sha1, sha256, outcome, coalesce(reason, note)
             FROM sighting WHERE sweep = ?1 AND seq > ?2 ORDER BY seq";
        let mut rows = Rows::default();
        in_order(&self.connection, (sweep, *last), alone, |recorded| {
            match recorded {
                Recorded::Alone(row) => {
                    *last = row.get(0)?;
                    rows.add(row)?;
                }
                Recorded::Together(stretch) => {
                    *last = stretch.last();
                    rows.add_stretch(stretch);
                }
            }
            let goes_on = (rows.n as usize) < at_once && rows.odd.len() < MOST_ODD;
            Ok(if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(rows)
    }

    fn read_fates(&self, sweep: SweepId, held: Option<&Fates>, part: &mut Part) -> Result<(), CaseError> {
        let digests = std::mem::take(&mut part.digests);
        let mut before = 0;
        for of_kind in digests.chunk_by(|a, b| a.kind() == b.kind()) {
            let mut note = |i: usize, Fate { became: (outcome, reason), answer }: Fate<'_>| {
                let place = before + i;
                part.fates[place] = part.wordings.put(outcome, reason);
                part.answered.extend(answer.map(|answer| (answer, short(place))));
                Ok(())
            };
            if let Some(held) = held {
                held.of(of_kind, note)?;
            } else {
                let wants = self.connection.prepare_cached(&format!(
                    "SELECT digest, {} FROM want
                     WHERE sweep = ?1 AND kind = ?2 AND digest >= ?3 ORDER BY digest",
                    fates::COLUMNS
                ))?;
                walk(wants, sweep, of_kind, |digest| digest, |i, want| note(i, Fate::of(want, 1)?))?;
            }
            before += of_kind.len();
        }
        part.digests = digests;
        Ok(())
    }
}

impl Rows {
    /// Rows that lie line by line, of which the first has this place.
    fn place(&mut self, root: u32, line: u64, n: u32) -> u32 {
        let nth = self.n;
        self.n += n;
        let goes_on =
            |run: &Run| run.root == root && run.line.checked_add(u64::from(nth - run.row)) == Some(line);
        if !self.runs.last().is_some_and(goes_on) {
            self.runs.push(Run { row: nth, root, line });
        }
        nth
    }

    fn add_stretch(&mut self, stretch: &Stretch<'_>) {
        let nth = self.place(stretch.root, count(stretch.line), short(stretch.n_rows()));
        self.offered.extend((nth..).zip(stretch.rows()).map(|(nth, (_, digest))| (digest, nth)));
    }

    fn add(&mut self, row: &rusqlite::Row<'_>) -> Result<(), CaseError> {
        let line: Option<i64> = row.get(2)?;
        let line =
            count(line.ok_or_else(|| CaseError::Damaged("a row of a list without a line".to_owned()))?);
        let nth = self.place(row.get(1)?, line, 1);
        let blob = |i: usize| -> Result<Option<&[u8]>, CaseError> {
            row.get_ref(i)?.as_blob_or_null().map_err(|e| CaseError::Damaged(e.to_string()))
        };
        if let (Some(code), Some(bytes)) = (row.get::<_, Option<i64>>(3)?, blob(4)?) {
            let digest = digest(bytes)?;
            if kind_code(digest.kind()) != code {
                return Err(CaseError::Damaged("a digest of another kind than its row says".to_owned()));
            }
            self.offered.push((digest, nth));
        }
        if row.get(5)? {
            self.odd.push(Odd { row: nth, digests: digests([blob(6)?, blob(7)?, blob(8)?])? });
            let text = |i: usize| -> Result<Option<&str>, CaseError> {
                row.get_ref(i)?.as_str_or_null().map_err(|e| CaseError::Damaged(e.to_string()))
            };
            let (own, reason) = (text(9)?.map(outcome).transpose()?, text(10)?.map(str::to_owned));
            let is_asked = self.offered.last().is_some_and(|(_, row)| *row == nth);
            if own.is_some() || reason.is_some() || !is_asked {
                self.own.push(Own { row: nth, is_asked, outcome: own, reason });
            }
        }
        Ok(())
    }
}

impl Part {
    /// Gives rows that say something of themselves places of their own. An outcome is all there is to a row; a reason
    /// takes the place of what would be said of its digest.
    fn add(&mut self, own: Vec<Own>) {
        if own.is_empty() {
            return;
        }
        let answers: HashMap<u32, i64> =
            self.answered.iter().map(|(answer, place)| (*place, *answer)).collect();
        for Own { row, is_asked, outcome, reason } in own {
            let shared = is_asked.then_some(self.of_row[row as usize]);
            let place = short(self.fates.len());
            self.of_row[row as usize] = place;
            let words = match (outcome, reason) {
                (Some(outcome), reason) => self.wordings.put(outcome, reason.as_deref()),
                (None, Some(reason)) => {
                    let words = shared.map_or(WAITS, |shared| self.fates[shared as usize]);
                    self.wordings.put(self.wordings.get(words).0, Some(&reason))
                }
                (None, None) => WAITS,
            };
            self.fates.push(words);
            let answer = shared.filter(|_| outcome.is_none()).and_then(|shared| answers.get(&shared));
            self.answered.extend(answer.map(|answer| (*answer, place)));
        }
    }

    /// What became of a row in the words of the case: its outcome, and why.
    pub(super) fn fate(&self, place: u32) -> (Outcome, Option<&str>) {
        self.wordings.get(self.fates[place as usize])
    }

    /// All that is said of outcomes, and for each place which of it.
    pub(super) fn worded(&self) -> (&Wordings, &[u32]) {
        (&self.wordings, &self.fates)
    }

    /// Hands the rows to `each`, in their order, with what `look` finds for the places of their digests. These lie in
    /// no order, so that it is asked for some rows at a time: the memory of all of them is on its way at once.
    pub(super) fn rows<'p, T, E>(
        &'p self,
        look: impl Fn(&[u32], &mut Vec<T>),
        mut each: impl FnMut(Found<'p>, T) -> Result<(), E>,
    ) -> Result<(), E> {
        const AHEAD: usize = 64;
        let mut runs = self.runs.iter().copied().peekable();
        let mut odd = self.odd.iter().peekable();
        let mut run = Run { row: 0, root: 0, line: 0 };
        let (mut ahead, mut looked) = (Vec::with_capacity(AHEAD), Vec::with_capacity(AHEAD));
        let mut row = 0;
        for places in self.of_row.chunks(AHEAD) {
            let of_place =
                |&place: &u32| (self.digests.get(place as usize).copied(), self.fates[place as usize]);
            ahead.extend(places.iter().map(of_place));
            look(places, &mut looked);
            for ((digest, words), looked) in ahead.drain(..).zip(looked.drain(..)) {
                if let Some(next) = runs.next_if(|next| next.row == row) {
                    run = next;
                }
                let digests = match (odd.next_if(|odd| odd.row == row), digest) {
                    (Some(odd), _) => odd.digests,
                    (None, Some(digest)) => Digests::default().with(digest),
                    (None, None) => Digests::default(),
                };
                let (outcome, reason) = self.wordings.get(words);
                let line = run.line + u64::from(row - run.row);
                each(Found { root: run.root, line, digests, outcome, reason }, looked)?;
                row += 1;
            }
        }
        Ok(())
    }
}

/// A part has far fewer rows, digests and words.
fn short(n: usize) -> u32 {
    u32::try_from(n).expect("a part is short")
}
