//! One file, three digests: an answer that was given for one of them answers for the others.
//!
//! Two things say which digests belong together: an answer that shows a file's digests, and a file that we have read
//! ourselves. Both may be wrong or not enough. MD5 and SHA-1 collide for whoever wants them to, and a service may show
//! anything. So a bridge is crossed only while everything that the case holds about the digests at its two ends names
//! one file; else the digest is asked, which costs a unit and can mislead nobody. What cannot be seen is a collision
//! of which the case knows only one side.

use crate::codes::{class_code, digest, digests, kind_code};
use crate::joining::Offer;
use crate::joining::{CARRIED, FROM_CARRIED};
use crate::{CaseError, Freshness, Group, SweepId};
use hashsweep_model::{Class, Digest, Digests, HashKind, Outcome, Stamp, Verdict};
use rusqlite::params;
use std::collections::BTreeMap;
use std::ops::Range;

/// An answer that says something about a digest.
#[derive(Clone, Debug)]
struct Word {
    id: i64,
    asked: Digest,
    answered_at: Stamp,
    run: i64,
    verdict: Verdict,
    /// Which digests belong together by it; nothing if it does not say.
    file: Digests,
}

/// Of a row: whether it has more than one digest.
const SEVERAL: &str = "(md5 IS NOT NULL) + (sha1 IS NOT NULL) + (sha256 IS NOT NULL) > 1";

/// How far the rows of a sweep have been looked at for the kinds of their digests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KindsSeen {
    sweep: SweepId,
    last_row: i64,
    several: bool,
}

impl KindsSeen {
    fn none(sweep: SweepId) -> KindsSeen {
        KindsSeen { sweep, last_row: 0, several: false }
    }
}

impl Word {
    /// Whether it is about its own question. An answer that shows another digest of the kind that was asked is about
    /// who knows which file.
    fn is_believable(&self) -> bool {
        self.file.get(self.asked.kind()) == Some(self.asked)
    }
}

/// Which answers are recent enough.
#[derive(Clone, Copy)]
struct Recent<'a> {
    fresh: &'a Freshness,
    /// What this run and later ones were told counts, whatever is made of earlier answers.
    run: i64,
}

impl Recent<'_> {
    fn is_possible(self, word: &Word) -> bool {
        word.run >= self.run || word.answered_at <= *self.fresh.between(word.verdict).end()
    }

    fn counts(self, word: &Word) -> bool {
        word.run >= self.run || self.fresh.between(word.verdict).contains(&word.answered_at)
    }
}

/// The one file that all of these are about; `None` if they are about more than one.
fn one_file(parts: impl IntoIterator<Item = Digests>) -> Option<Digests> {
    parts.into_iter().try_fold(Digests::default(), |file, part| {
        part.iter().try_fold(file, |file, digest| match file.get(digest.kind()) {
            Some(other) if other != digest => None,
            Some(_) | None => Some(file.with(digest)),
        })
    })
}

/// What the answers about other digests of its file say for a digest.
enum Bridged {
    /// Nothing, or nothing that is as new as what was said about the digest itself.
    Nothing,
    /// The newest answer of all is this one, and it counts.
    Answer(i64),
    /// The newest answer of all is one of these, and too old to count: the digest is to be asked, even if an older one
    /// that was given for the digest itself would count for longer.
    Outdated,
}

/// The word that says the newest of `about`, a digest of a file that has the digests `own`, and the file it is about. If
/// it was given for `about` itself there is nothing to bridge.
fn newest<'w>(
    about: Digest,
    own: Digests,
    words: &'w [Word],
    recent: Recent<'_>,
) -> Option<(&'w Word, Digests)> {
    let is_direct = |word: &Word| word.asked == about;
    let believable = || words.iter().filter(|word| word.is_believable());
    let file = one_file(believable().map(|word| word.file).chain([own.with(about)]))?;
    let usable = |word: &&Word| {
        let tells = is_direct(word) || word.is_believable() && word.verdict != Verdict::Unknown;
        tells && recent.is_possible(word)
    };
    let word = words.iter().filter(usable).max_by_key(|word| (word.answered_at, word.id))?;
    (!is_direct(word)).then_some((word, file))
}

/// CROSS: from the rows to their fates. The other way round, all rows would be gone through for each fate.
const REMEMBER_FILES: &str = "INSERT OR IGNORE INTO same_file
    SELECT w.answer, coalesce(s.md5, x''), coalesce(s.sha1, x''), coalesce(s.sha256, x'')
    FROM present s
    CROSS JOIN want w ON w.sweep = s.sweep AND w.kind = s.kind
        AND w.digest = CASE s.kind WHEN 1 THEN s.md5 WHEN 2 THEN s.sha1 ELSE s.sha256 END
    JOIN answer a ON a.id = w.answer
    WHERE s.sweep = ?1 AND s.path IS NOT NULL AND a.kind = s.kind AND a.verdict <> 'unknown'
        AND EXISTS (SELECT 1 FROM want WHERE sweep = ?1 AND answer IS NOT NULL)";

impl Group<'_> {
    /// Settles those that an answer about another digest of their file answers, and takes them out. `rows` are those
    /// that offer them: behind its start, up to its end. Takes out and returns those as well that are to be asked
    /// because such an answer is the newest and too old.
    pub(crate) fn settle_bridged(
        &self,
        (sweep, rows): (SweepId, &Range<i64>),
        offers: &mut Vec<Offer>,
        fresh: &Freshness,
    ) -> Result<Vec<Offer>, CaseError> {
        let mut outdated = Vec::new();
        let Some(kind) = offers.first().map(|(digest, _)| digest.kind()) else { return Ok(outdated) };
        if !self.others_were_asked(kind)? {
            return Ok(outdated);
        }
        let recent = Recent { fresh, run: self.run_of(sweep)? };
        let files = self.files(sweep, rows, kind)?;
        let mut left = Vec::with_capacity(offers.len());
        for (about, class) in offers.drain(..) {
            let bridged = match files.get(&about) {
                Some(None) => Bridged::Nothing,
                Some(Some(own)) => self.bridged(about, *own, recent)?,
                None => self.bridged(about, Digests::default(), recent)?,
            };
            match bridged {
                Bridged::Answer(answer) => self.settle_as_cached(sweep, (about, class), answer)?,
                Bridged::Outdated => outdated.push((about, class)),
                Bridged::Nothing => left.push((about, class)),
            }
        }
        *offers = left;
        Ok(outdated)
    }

    /// The same for what waits already, so many digests of each kind from the front of the queue. Which other digests a
    /// file has is not looked up again for that: files with several wait for their own answers.
    pub(crate) fn learn_bridged(
        &self,
        sweep: SweepId,
        (up_to, most): (Class, u64),
        fresh: &Freshness,
    ) -> Result<u64, CaseError> {
        let mut n_learned = 0;
        for kind in HashKind::ALL {
            if !self.others_were_asked(kind)? || self.has_several_kinds(sweep)? {
                continue;
            }
            let recent = Recent { fresh, run: self.run_of(sweep)? };
            for block in self.front(sweep, kind, up_to, most)? {
                let mut left = Vec::with_capacity(block.digests.len());
                for about in &block.digests {
                    match self.bridged(*about, Digests::default(), recent)? {
                        Bridged::Answer(answer) => {
                            self.settle_as_cached(sweep, (*about, block.rank.class), answer)?;
                        }
                        Bridged::Outdated | Bridged::Nothing => left.push(*about),
                    }
                }
                if left.len() < block.digests.len() {
                    n_learned += (block.digests.len() - left.len()) as u64;
                    self.keep(&block, &left)?;
                }
            }
        }
        Ok(n_learned)
    }

    /// Remembers which digests of the sweep's own files belong together, where an answer was given for one of them: a
    /// list of another kind may bring another. A sweep that computes one kind of digest has nothing to remember, nor has
    /// one that got no answer.
    pub(crate) fn remember_files(&mut self, sweep: SweepId) -> Result<(), CaseError> {
        if self.has_several_kinds(sweep)? {
            self.transaction.execute(REMEMBER_FILES, [sweep.0])?;
        }
        Ok(())
    }

    /// What a digest of a file with the digests `own` may take over from another one.
    fn bridged(&self, about: Digest, own: Digests, recent: Recent<'_>) -> Result<Bridged, CaseError> {
        let mut words = self.words_about(about)?;
        for other in own.iter().filter(|other| *other != about) {
            for mut word in self.words_about(other)?.into_iter().filter(|word| word.asked == other) {
                // The file is at hand and shows what belongs together; the answer need not.
                if word.file == Digests::default() {
                    word.file = own;
                }
                words.push(word);
            }
        }
        let Some((word, file)) = newest(about, own, &words, recent) else { return Ok(Bridged::Nothing) };
        let far_end = self.words_about(word.asked)?;
        let far_files = far_end.iter().filter(|word| word.is_believable()).map(|word| word.file);
        Ok(match one_file(far_files.chain([file])) {
            Some(_) if recent.counts(word) => Bridged::Answer(word.id),
            Some(_) => Bridged::Outdated,
            None => Bridged::Nothing,
        })
    }

    /// Every answer that names the digest, was given for it, or was given for a file of ours that has it.
    fn words_about(&self, about: Digest) -> Result<Vec<Word>, CaseError> {
        let (column, code) = (about.kind().name(), kind_code(about.kind()));
        let mut words = self.transaction.prepare_cached(&format!(
            "SELECT id, digest, answered_at, run, verdict, md5, sha1, sha256 FROM answer WHERE {column} = ?1
             UNION ALL
             SELECT a.id, a.digest, a.answered_at, a.run, a.verdict, nullif(f.md5, x''), nullif(f.sha1, x''),
                 nullif(f.sha256, x'')
             FROM same_file f JOIN answer a ON a.id = f.answer WHERE f.{column} = ?1 AND f.{column} <> x''
             UNION ALL
             SELECT id, digest, answered_at, run, verdict, NULL, NULL, NULL FROM answer
             WHERE kind = {code} AND digest = ?1 AND {column} IS NOT ?1"
        ))?;
        let mut rows = words.query([about.as_bytes()])?;
        let mut words = Vec::new();
        while let Some(row) = rows.next()? {
            let blob = |i: usize| row.get_ref(i)?.as_blob_or_null().map_err(rusqlite::Error::from);
            let verdict: String = row.get(4)?;
            words.push(Word {
                id: row.get(0)?,
                asked: digest(blob(1)?.unwrap_or_default())?,
                answered_at: Stamp(row.get(2)?),
                run: row.get(3)?,
                verdict: verdict
                    .parse()
                    .map_err(|e: hashsweep_model::NotAVerdict| CaseError::Damaged(e.to_string()))?,
                file: digests([blob(5)?, blob(6)?, blob(7)?])?,
            });
        }
        Ok(words)
    }

    /// The files of some rows that have several digests, by the one that is asked. `None` where one digest comes with
    /// several files.
    fn files(
        &self,
        sweep: SweepId,
        rows: &Range<i64>,
        kind: HashKind,
    ) -> Result<BTreeMap<Digest, Option<Digests>>, CaseError> {
        let mut files = BTreeMap::new();
        let mut sightings = self.transaction.prepare_cached(&if *rows == CARRIED {
            format!("SELECT md5, sha1, sha256 {FROM_CARRIED} AND ?2 = ?3 AND s.kind = ?4 AND {SEVERAL}")
        } else {
            format!(
                "SELECT md5, sha1, sha256 FROM sighting
                 WHERE sweep = ?1 AND seq > ?2 AND seq <= ?3 AND kind = ?4 AND {SEVERAL}"
            )
        })?;
        let mut sightings = sightings.query(params![sweep.0, rows.start, rows.end, kind_code(kind)])?;
        while let Some(row) = sightings.next()? {
            let blob = |i: usize| row.get_ref(i)?.as_blob_or_null().map_err(rusqlite::Error::from);
            let file = digests([blob(0)?, blob(1)?, blob(2)?])?;
            let asked =
                file.get(kind).ok_or_else(|| CaseError::Damaged("a row without its digest".to_owned()))?;
            files
                .entry(asked)
                .and_modify(|known: &mut Option<Digests>| *known = known.filter(|known| *known == file))
                .or_insert(Some(file));
        }
        Ok(files)
    }

    /// Whether any row of a sweep has more than one digest. The rows of a scan are all alike, those of a list need not be;
    /// each is looked at once.
    fn has_several_kinds(&self, sweep: SweepId) -> Result<bool, CaseError> {
        let mut seen =
            self.hand.kinds.get().filter(|seen| seen.sweep == sweep).unwrap_or(KindsSeen::none(sweep));
        if !seen.several {
            let mut rows = self.transaction.prepare_cached(&format!(
                "SELECT coalesce(max(seq), ?2), coalesce(max({SEVERAL}), 0) FROM sighting WHERE sweep = ?1 AND seq > ?2"
            ))?;
            (seen.last_row, seen.several) =
                rows.query_row([sweep.0, seen.last_row], |row| Ok((row.get(0)?, row.get(1)?)))?;
            self.hand.kinds.set(Some(seen));
        }
        let mut carried =
            self.transaction.prepare_cached(&format!("SELECT {SEVERAL} {FROM_CARRIED} LIMIT 1"))?;
        let carried = carried.query_map([sweep.0], |row| row.get(0))?.next().transpose()?;
        Ok(seen.several || carried.unwrap_or(false))
    }

    fn settle_as_cached(&self, sweep: SweepId, (about, class): Offer, answer: i64) -> Result<(), CaseError> {
        self.transaction
            .prepare_cached(
                "INSERT INTO want (sweep, kind, digest, state, class, answer) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                sweep.0,
                kind_code(about.kind()),
                about.as_bytes(),
                Outcome::Cached.name(),
                class_code(class),
                answer
            ])?;
        Ok(())
    }

    /// The run at work on a sweep: the first of them where there are several.
    fn run_of(&self, sweep: SweepId) -> Result<i64, CaseError> {
        let mut run = self.transaction.prepare_cached(
            "SELECT coalesce(min(id) FILTER (WHERE session IS NOT NULL), max(id), 0) FROM run WHERE sweep = ?1",
        )?;
        Ok(run.query_row([sweep.0], |row| row.get(0))?)
    }

    /// Whether any answer was given for a digest of another kind: without one there is nothing to bridge.
    pub(crate) fn others_were_asked(&self, kind: HashKind) -> Result<bool, CaseError> {
        let mut others = self.transaction.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM answer WHERE kind < ?1) OR EXISTS (SELECT 1 FROM answer WHERE kind > ?1)",
        )?;
        Ok(others.query_row([kind_code(kind)], |row| row.get(0))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Case;

    /// It once took each fate to all rows of its kind: half a minute for 20,000 files.
    #[test]
    fn files_are_remembered_row_by_row() {
        let directory = tempfile::tempdir().unwrap();
        let case = Case::open(&directory.path().join("case.db")).unwrap();
        let mut steps = case.connection.prepare(&format!("EXPLAIN QUERY PLAN {REMEMBER_FILES}")).unwrap();
        let steps = steps.query_map([1], |row| row.get::<_, String>(3)).unwrap();
        let steps: Vec<String> = steps.map(Result::unwrap).collect();
        let by_digest = "SEARCH w USING PRIMARY KEY (sweep=? AND kind=? AND digest=?)";
        assert!(steps.iter().any(|step| step == by_digest), "{steps:#?}");
    }
}
