//! The rows of a list as they stand in it, read back set at a time.
//!
//! ```text
//!  rows of a part ──digests──► sorted ──beside `want`──► what became of each ──beside `answer`──► what was said
//!         └────────────────read again, in their order───────────────┴──► rows
//! ```
//!
//! Joined as they lie, each row would be two looks at random pages of the case. In key order, in which fates are stored
//! and most answers were given, both tables are walked. The cost is memory: some 100 bytes for each digest of a part.

use crate::codes::{column, count, digest, digests, kind_code, outcome};
use crate::joining::walk;
use crate::packed::{self, Packed};
use crate::{Case, CaseError, SweepId};
use hashsweep_model::{Dates, Digest, Digests, Outcome, Place, Row};

/// Rows whose fates are in memory at once. Each part walks all fates of the sweep.
const AT_ONCE: usize = 4_000_000;

/// What became of a digest.
#[derive(Clone, Copy)]
struct Fate {
    /// In [`Fates::words`].
    words: u32,
    /// Where its answer begins in [`Fates::answers`].
    answer: Option<u64>,
}

/// Rows one behind the other.
struct Part {
    n_rows: usize,
    /// The number of the last.
    last: i64,
    /// The digests that rows are asked by, with the row's place in the part.
    offered: Vec<(Digest, u32)>,
}

/// What became of the digests of some rows.
struct Fates {
    /// For each row the place of its digest's fate. Rows without a digest have that of what waits.
    of_row: Vec<u32>,
    /// The first is that of what waits.
    fates: Vec<Fate>,
    /// Few, and shared by many.
    words: Vec<(Outcome, Option<String>)>,
    answers: Packed,
}

impl Case {
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
        self.listed_with(sweep, AT_ONCE, each)
    }

    fn listed_with<E: From<CaseError>>(
        &self,
        sweep: SweepId,
        at_once: usize,
        mut each: impl FnMut(Row) -> Result<(), E>,
    ) -> Result<(), E> {
        // One snapshot: fates and rows are read one after the other.
        let _snapshot = self.connection.unchecked_transaction().map_err(CaseError::from)?;
        let mut last = 0;
        loop {
            let Part { n_rows, last: end, mut offered } = self.part(sweep, last, at_once)?;
            if n_rows == 0 {
                return Ok(());
            }
            offered.sort_unstable();
            let fates = self.fates(sweep, n_rows, &offered)?;
            drop(offered);
            self.rows_with(sweep, last, &fates, &mut each)?;
            last = end;
        }
    }

    /// What became of the digests that so many rows offer.
    fn fates(&self, sweep: SweepId, n_rows: usize, offered: &[(Digest, u32)]) -> Result<Fates, CaseError> {
        let put_off: String = self.connection.query_row(
            "SELECT coalesce(put_off, 'interrupted') FROM sweep WHERE id = ?1",
            [sweep.0],
            |row| row.get(0),
        )?;
        let mut fates = Fates {
            of_row: vec![0; n_rows],
            fates: vec![Fate { words: 0, answer: None }],
            words: vec![(Outcome::Deferred, Some(put_off))],
            answers: Packed::default(),
        };
        // The numbers of answers, with the places of the fates that have them.
        let mut answered: Vec<(i64, u32)> = Vec::new();
        for of_kind in offered.chunk_by(|(a, _), (b, _)| a.kind() == b.kind()) {
            let distinct: Vec<&[(Digest, u32)]> = of_kind.chunk_by(|(a, _), (b, _)| a == b).collect();
            let wants = self.connection.prepare_cached(
                "SELECT digest, state, reason, answer FROM want
                 WHERE sweep = ?1 AND kind = ?2 AND digest >= ?3 ORDER BY digest",
            )?;
            walk(
                wants,
                sweep,
                &distinct,
                |rows| &rows[0].0,
                |i, want| {
                    let text = |i: usize| want.get_ref(i)?.as_str_or_null().map_err(rusqlite::Error::from);
                    let state =
                        text(1)?.ok_or_else(|| CaseError::Damaged("a digest without a fate".into()))?;
                    let place = fates.add(state, text(2)?)?;
                    if let Some(answer) = want.get::<_, Option<i64>>(3)? {
                        answered.push((answer, place));
                    }
                    for (_, row) in distinct[i] {
                        fates.of_row[*row as usize] = place;
                    }
                    Ok(())
                },
            )?;
        }
        answered.sort_unstable();
        self.read_answers(&answered, &mut fates)?;
        Ok(fates)
    }

    /// The next rows behind `last`, and the digests that they are asked by.
    fn part(&self, sweep: SweepId, last: i64, at_once: usize) -> Result<Part, CaseError> {
        let mut rows = self.connection.prepare_cached(
            "SELECT seq, kind, CASE kind WHEN 1 THEN md5 WHEN 2 THEN sha1 WHEN 3 THEN sha256 END
             FROM sighting WHERE sweep = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
        )?;
        let mut rows = rows.query((sweep.0, last, column(at_once as u64)))?;
        let mut part = Part { n_rows: 0, last, offered: Vec::new() };
        while let Some(row) = rows.next()? {
            part.last = row.get(0)?;
            let place = u32::try_from(part.n_rows).expect("a part has far fewer rows");
            part.n_rows += 1;
            let (Some(code), Some(bytes)) =
                (row.get::<_, Option<i64>>(1)?, row.get_ref(2)?.as_blob_or_null()?)
            else {
                continue;
            };
            let digest = digest(bytes)?;
            if kind_code(digest.kind()) != code {
                return Err(CaseError::Damaged("a digest of another kind than its row says".to_owned()));
            }
            part.offered.push((digest, place));
        }
        Ok(part)
    }

    /// `answered` is ascending: answers lie in the order of their numbers.
    fn read_answers(&self, answered: &[(i64, u32)], fates: &mut Fates) -> Result<(), CaseError> {
        /// Steps over so many answers before it looks the next one up instead.
        const NEAR: i64 = 24;
        let mut answers = self.connection.prepare_cached(&format!(
            "SELECT id, {} FROM answer WHERE id >= ?1 ORDER BY id",
            packed::COLUMNS
        ))?;
        let mut left = answered;
        while let Some((wanted, _)) = left.first() {
            let mut rows = answers.query([wanted])?;
            while let Some(&(wanted, _)) = left.first() {
                let Some(row) = rows.next()? else {
                    return Err(CaseError::Damaged(format!("answer {wanted} is not there")));
                };
                let id: i64 = row.get(0)?;
                if id > wanted {
                    return Err(CaseError::Damaged(format!("answer {wanted} is not there")));
                }
                if id == wanted {
                    let at = fates.answers.push(row, 1)?;
                    let n = left.iter().take_while(|(of, _)| *of == id).count();
                    for (_, place) in &left[..n] {
                        fates.fates[*place as usize].answer = Some(at);
                    }
                    left = &left[n..];
                    if left.first().is_some_and(|(next, _)| next - id > NEAR) {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn rows_with<E: From<CaseError>>(
        &self,
        sweep: SweepId,
        last: i64,
        fates: &Fates,
        each: &mut impl FnMut(Row) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rows = self
            .connection
            .prepare_cached(
                "SELECT root, line, md5, sha1, sha256, outcome, coalesce(reason, note)
                 FROM sighting WHERE sweep = ?1 AND seq > ?2 ORDER BY seq",
            )
            .map_err(CaseError::from)?;
        let mut rows = rows.query((sweep.0, last)).map_err(CaseError::from)?;
        for fate in &fates.of_row {
            let Some(row) = rows.next().map_err(CaseError::from)? else {
                return Err(CaseError::Damaged("rows of a list went away".to_owned()).into());
            };
            each(fates.row(row, *fate)?)?;
        }
        Ok(())
    }
}

impl Fates {
    /// Adds a fate and returns its place.
    fn add(&mut self, state: &str, reason: Option<&str>) -> Result<u32, CaseError> {
        let outcome = outcome(state)?;
        let is_same = |words: &(Outcome, Option<String>)| words.0 == outcome && words.1.as_deref() == reason;
        // The last words come again soonest.
        let words = self.words.iter().rposition(is_same).unwrap_or_else(|| {
            self.words.push((outcome, reason.map(str::to_owned)));
            self.words.len() - 1
        });
        let words = u32::try_from(words).expect("a part has far fewer digests");
        self.fates.push(Fate { words, answer: None });
        Ok(u32::try_from(self.fates.len() - 1).expect("a part has far fewer digests"))
    }

    fn row(&self, row: &rusqlite::Row<'_>, fate: u32) -> Result<Row, CaseError> {
        let blob = |i: usize| -> Result<Option<&[u8]>, CaseError> {
            row.get_ref(i)?.as_blob_or_null().map_err(|e| CaseError::Damaged(e.to_string()))
        };
        let line: Option<i64> = row.get(1)?;
        let line = line.ok_or_else(|| CaseError::Damaged("a row of a list without a line".to_owned()))?;
        let own = row.get_ref(5)?.as_str_or_null().map_err(|e| CaseError::Damaged(e.to_string()))?;
        let mut whole = Row {
            root: row.get(0)?,
            place: Place::Line(count(line)),
            size: None,
            digests: Digests::default(),
            dates: Dates::default(),
            outcome: Outcome::Deferred,
            reason: None,
            answer: None,
        };
        whole.digests = digests([blob(2)?, blob(3)?, blob(4)?])?;
        whole.reason = row.get(6)?;
        if let Some(own) = own {
            whole.outcome = outcome(own)?;
            return Ok(whole);
        }
        let fate = self.fates[fate as usize];
        let (outcome, reason) = &self.words[fate.words as usize];
        whole.outcome = *outcome;
        whole.answer = fate.answer.map(|at| self.answers.get(at)).transpose()?;
        if whole.reason.is_none() {
            let said = whole.answer.as_ref().and_then(|settled| settled.answer.reason.as_ref());
            whole.reason = reason.as_ref().or(said).cloned();
        }
        Ok(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Claim, Fate, Freshness, NewRoot, NewSweep, Only, Order};
    use hashsweep_model::{Answer, Class, DigestError, HashKind, Seen, Sighting, Source, Stamp, Verdict};
    use proptest::prelude::*;

    fn digest((kind, value): (u8, u8)) -> Digest {
        Digest::from_bytes(&vec![value; [16, 20, 32][usize::from(kind)]]).unwrap()
    }

    fn sighting(line: u64, of: Option<(u8, u8)>) -> Sighting {
        let seen = match of.map(digest) {
            Some(asked) => {
                let beside = if asked.kind() == HashKind::Md5 { asked } else { digest((0, 99)) };
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
            rows in prop::collection::vec(prop::option::of((0u8..3, 0u8..40)), 0..90),
            n_batches in 0usize..8,
            is_put_off: bool,
            at_once in 1usize..40,
        ) {
            let directory = tempfile::tempdir().unwrap();
            let mut case = Case::open(&directory.path().join("case.db")).unwrap();
            let rows: Vec<Sighting> = (1..).zip(&rows).map(|(line, of)| sighting(line, *of)).collect();
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
            let mut listed = Vec::new();
            case.listed_with(sweep, at_once, |row| { listed.push(row); Ok::<_, CaseError>(()) }).unwrap();
            let mut joined = Vec::new();
            case.joined(sweep, Only::All, Order::Arrival, |row| { joined.push(row); Ok::<_, CaseError>(()) })
                .unwrap();
            prop_assert_eq!(listed, joined);
        }
    }
}
