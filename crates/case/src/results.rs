//! A sweep read back: its rows, and the tally that proves them complete.

use crate::codes::{count, digests, outcome};
use crate::joining::COUNTED;
use crate::ledger::Scope;
use crate::{Case, CaseError, SweepId};
use hashsweep_model::{Answer, Dates, Outcome, Place, Row, Settled, Skip, Stamp, Tally, Verdict};

/// In which order rows are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By path, for files.
    Path,
    /// As they came in: for a list, as they stand in it.
    Arrival,
}

/// Which rows are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// All of them.
    All,
    /// Those with a verdict of `suspicious` or `malicious`.
    Findings,
    /// Those with a verdict of `unknown`.
    Unknown,
}

/// As the view `result` has it, which would look every answer up twice.
const COLUMNS: &str = "SELECT s.root, s.path, s.line, s.size, s.md5, s.sha1, s.sha256,
    CASE
        WHEN s.outcome IS NOT NULL THEN s.outcome
        WHEN w.state IS NULL AND a.id IS NOT NULL THEN 'cached'
        ELSE coalesce(w.state, 'deferred')
    END,
    CASE
        WHEN s.outcome IS NOT NULL THEN s.reason
        WHEN s.note IS NOT NULL THEN s.note
        WHEN w.state IS NULL AND a.id IS NULL THEN coalesce(sweep.put_off, 'interrupted')
        ELSE coalesce(w.reason, a.reason)
    END,
    a.digest, a.verdict, a.reason, a.threat_name, a.threat_level, a.trust_factor, a.scanner_match, a.scanner_count,
    a.first_seen, a.last_seen, a.answered_at, a.source, s.inode, s.modified_ns, s.changed_ns, s.born_ns
    FROM sweep JOIN offer s
    LEFT JOIN want w ON s.kind IS NOT NULL AND w.sweep = ?1 AND w.kind = s.kind AND w.digest = s.digest
    LEFT JOIN answer a ON a.id = CASE WHEN w.state IS NOT NULL OR NOT s.carried THEN w.answer ELSE s.counted END
    WHERE sweep.id = ?1";

/// Keeps the rows whose digest has one of these verdicts. The digests are found first, in the order of the queue, in
/// which most answers were given; else every row would be two looks at random pages to find the few that are wanted.
fn with_verdict(verdicts: &str) -> String {
    format!(
        " AND s.kind IS NOT NULL AND a.verdict IN ({verdicts})
          AND (s.kind, s.digest) IN (
              SELECT wanted.kind, wanted.digest FROM want AS wanted JOIN answer ON answer.id = wanted.answer
              WHERE wanted.sweep = ?1 AND answer.verdict IN ({verdicts})
              UNION ALL SELECT kind, digest FROM answer
              WHERE verdict IN ({verdicts}) AND id <= (SELECT answers FROM sweep WHERE id = ?1))"
    )
}

/// The rows of the sweep ?1, each with the digest that is asked, and with the answer that counted for it as the sweep
/// took it over, if it did.
fn offer() -> String {
    format!(
        "WITH offer AS (SELECT *, CASE WHEN carried AND kind IS NOT NULL THEN {COUNTED} END AS counted
         FROM (SELECT *, CASE kind WHEN 1 THEN md5 WHEN 2 THEN sha1 WHEN 3 THEN sha256 END AS digest
               FROM present WHERE sweep = ?1) AS offer) "
    )
}

impl Case {
    /// Hands each row of a sweep to `each`, which may stop the reading with an error of its own.
    pub fn rows<E: From<CaseError>>(
        &self,
        sweep: SweepId,
        only: Only,
        order: Order,
        mut each: impl FnMut(Row) -> Result<(), E>,
    ) -> Result<(), E> {
        let only = match only {
            Only::All => String::new(),
            Only::Findings => with_verdict("'malicious', 'suspicious'"),
            Only::Unknown => with_verdict("'unknown'"),
        };
        let order = match order {
            Order::Path => " ORDER BY s.path, s.root, s.line, s.born, s.seq",
            Order::Arrival => " ORDER BY s.born, s.seq",
        };
        let mut rows = self
            .connection
            .prepare(&format!("{}{COLUMNS}{only}{order}", offer()))
            .map_err(CaseError::from)?;
        let mut rows = rows.query([sweep.0]).map_err(CaseError::from)?;
        while let Some(row) = rows.next().map_err(CaseError::from)? {
            each(row_of(row)?)?;
        }
        Ok(())
    }

    /// Counts a sweep.
    pub fn tally(&self, sweep: SweepId) -> Result<Tally, CaseError> {
        // One snapshot for all the counts: beside a writer they would contradict one another.
        let _snapshot = self.connection.unchecked_transaction()?;
        self.count(sweep)
    }

    /// The same, within a snapshot that is open already.
    pub(crate) fn count(&self, sweep: SweepId) -> Result<Tally, CaseError> {
        let stored = self.sweep(Some(sweep))?;
        let mut tally = Tally {
            intake_finished: stored.intake_finished,
            excluded: stored.excluded,
            quota: self.quota(Scope::Sweep(sweep))?,
            requests: self.requests(Scope::Sweep(sweep))?,
            ..Tally::default()
        };
        (tally.rows, tally.bytes_read, tally.contradictions) = self.connection.query_row(
            "SELECT count(*), coalesce(sum(size), 0), count(note) FROM present WHERE sweep = ?1",
            [sweep.0],
            |row| Ok((count(row.get(0)?), count(row.get(1)?), count(row.get(2)?))),
        )?;
        self.count_rows_without_digest(sweep, &mut tally)?;
        self.count_digests(sweep, &mut tally)?;
        Ok(tally)
    }

    fn count_rows_without_digest(&self, sweep: SweepId, tally: &mut Tally) -> Result<(), CaseError> {
        let mut groups = self.connection.prepare(
            "SELECT outcome, reason, count(*) FROM present WHERE sweep = ?1 AND kind IS NULL GROUP BY 1, 2",
        )?;
        let mut groups = groups.query([sweep.0])?;
        while let Some(row) = groups.next()? {
            let text = |i: usize| row.get_ref(i)?.as_str_or_null().map_err(rusqlite::Error::from);
            let fate = Counted { outcome: text(0)?, verdict: None, reason: text(1)? };
            fate.add_to(tally, count(row.get(2)?))?;
        }
        Ok(())
    }

    /// How many digests of a sweep have joined and are not settled.
    fn n_waiting(&self, sweep: SweepId) -> Result<u64, CaseError> {
        let sum = "SELECT (SELECT coalesce(sum(n), 0) FROM queue WHERE sweep = ?1)
            + (SELECT coalesce(sum(n), 0) FROM claim WHERE sweep = ?1)";
        Ok(count(self.connection.query_row(sum, [sweep.0], |row| row.get(0))?))
    }

    /// Counts the digests that the rows offer, each once, and the rows with them.
    ///
    /// The digests come from the rows themselves, so that one which never reached the queue shows as an imbalance.
    /// They come in key order, in which the queue is stored and most answers were given: joined as they lie, a
    /// million rows would be two million looks at random pages.
    fn count_digests(&self, sweep: SweepId, tally: &mut Tally) -> Result<(), CaseError> {
        let mut digests = self.connection.prepare(&format!(
            "SELECT coalesce(want.state, CASE
                     WHEN answer.id IS NOT NULL THEN 'cached'
                     WHEN offer.carried AND NOT sweep.carried_queued OR offer.first > sweep.queued THEN 'deferred'
                 END), answer.verdict,
                 CASE WHEN want.state IS NULL THEN coalesce(sweep.put_off, 'interrupted') ELSE want.reason END,
                 offer.n,
                 CASE coalesce(want.state, 'cached') WHEN 'cached' THEN answer.answered_at END,
                 want.state = 'cached' AND (want.learned IS NOT NULL
                     OR answer.run >= (SELECT min(id) FROM run WHERE sweep = ?1))
             FROM (SELECT *, CASE WHEN carried THEN {COUNTED} END AS counted
                   FROM (SELECT kind, CASE kind WHEN 1 THEN md5 WHEN 2 THEN sha1 ELSE sha256 END AS digest,
                             count(*) AS n, min(iif(carried, NULL, seq)) AS first, min(carried) AS carried
                         FROM present WHERE sweep = ?1 AND kind IS NOT NULL GROUP BY 1, 2) AS offer) AS offer
             JOIN sweep ON sweep.id = ?1
             LEFT JOIN want ON want.sweep = ?1 AND want.kind = offer.kind AND want.digest = offer.digest
             LEFT JOIN answer ON answer.id = coalesce(want.answer, iif(want.state IS NULL, offer.counted, NULL))"
        ))?;
        let mut digests = digests.query([sweep.0])?;
        let n_waiting = self.n_waiting(sweep)?;
        // There are few different fates and many digests: counted by their words first.
        let mut fates: Vec<(Fate, u64, u64)> = Vec::new();
        while let Some(row) = digests.next()? {
            let text = |i: usize| row.get_ref(i)?.as_str_or_null().map_err(rusqlite::Error::from);
            let fate = Counted { outcome: text(0)?, verdict: text(1)?, reason: text(2)? };
            let n_rows = count(row.get(3)?);
            tally.distinct += 1;
            if let Some(at) = row.get::<_, Option<i64>>(4)?.map(Stamp) {
                tally.oldest_cached = Some(tally.oldest_cached.map_or(at, |oldest| oldest.min(at)));
                tally.learned += u64::from(row.get::<_, Option<bool>>(5)?.unwrap_or(false));
            }
            tally.duplicates += n_rows - 1;
            match fates.iter_mut().find(|(known, ..)| fate.is(known)) {
                Some((_, digests, rows)) => {
                    *digests += 1;
                    *rows += n_rows;
                }
                None => fates.push((fate.to_owned(), 1, n_rows)),
            }
        }
        for ((mut outcome_word, verdict, reason), n_digests, n_rows) in fates {
            // What has no fate waits, and then the queue and the claims hold as many. Else some were lost.
            if outcome_word.is_none() && n_digests == n_waiting {
                outcome_word = Some(Outcome::Deferred.name().to_owned());
            }
            if let Some(word) = &outcome_word {
                *tally.digests.entry(outcome(word)?).or_default() += n_digests;
            }
            Counted {
                outcome: outcome_word.as_deref(),
                verdict: verdict.as_deref(),
                reason: reason.as_deref(),
            }
            .add_to(tally, n_rows)?;
        }
        Ok(())
    }
}

/// Outcome, verdict and reason.
type Fate = (Option<String>, Option<String>, Option<String>);

/// What became of some rows, in the words of the case.
struct Counted<'row> {
    outcome: Option<&'row str>,
    verdict: Option<&'row str>,
    reason: Option<&'row str>,
}

impl Counted<'_> {
    fn is(&self, fate: &Fate) -> bool {
        self.outcome == fate.0.as_deref()
            && self.verdict == fate.1.as_deref()
            && self.reason == fate.2.as_deref()
    }

    fn to_owned(&self) -> Fate {
        (self.outcome.map(str::to_owned), self.verdict.map(str::to_owned), self.reason.map(str::to_owned))
    }

    /// A row without an outcome is not counted anywhere, and so shows as an imbalance. The reason of an answer is
    /// not counted either: its verdict is.
    fn add_to(&self, tally: &mut Tally, n_rows: u64) -> Result<(), CaseError> {
        let Some(word) = self.outcome else { return Ok(()) };
        let outcome = outcome(word)?;
        *tally.outcomes.entry(outcome).or_default() += n_rows;
        if let Some(verdict) = self.verdict {
            *tally.verdicts.entry(parse_verdict(verdict)?).or_default() += n_rows;
            return Ok(());
        }
        let Some(reason) = self.reason.map(str::to_owned) else { return Ok(()) };
        match outcome {
            Outcome::Skipped => {
                let reason = reason.parse::<Skip>().map_or(reason, |skip| skip.kind.to_string());
                *tally.skipped.entry(reason).or_default() += n_rows;
            }
            Outcome::Answered
            | Outcome::Cached
            | Outcome::Local
            | Outcome::Deferred
            | Outcome::Failed
            | Outcome::Invalid => *tally.reasons.entry((outcome, reason)).or_default() += n_rows,
        }
        Ok(())
    }
}

fn row_of(row: &rusqlite::Row<'_>) -> Result<Row, CaseError> {
    let blob = |i: usize| -> Result<Option<&[u8]>, CaseError> {
        row.get_ref(i)?.as_blob_or_null().map_err(|e| CaseError::Damaged(e.to_string()))
    };
    let place = match (blob(1)?, row.get::<_, Option<i64>>(2)?) {
        (Some(path), _) => Place::Path(path.to_vec()),
        (None, Some(line)) => Place::Line(count(line)),
        (None, None) => return Err(CaseError::Damaged("a row without a place".to_owned())),
    };
    let outcome_word: Option<String> = row.get(7)?;
    let outcome_word =
        outcome_word.ok_or_else(|| CaseError::Damaged("a row without an outcome".to_owned()))?;
    let answer = match blob(9)? {
        None => None,
        Some(asked) => Some(Settled {
            answer: Answer {
                digest: crate::codes::digest(asked)?,
                verdict: parse_verdict(&row.get::<_, String>(10)?)?,
                reason: row.get(11)?,
                threat_name: row.get(12)?,
                threat_level: row.get(13)?,
                trust_factor: row.get(14)?,
                scanner_match: row.get(15)?,
                scanner_count: row.get(16)?,
                first_seen: row.get(17)?,
                last_seen: row.get(18)?,
                sample: hashsweep_model::Digests::default(),
            },
            answered_at: Stamp(row.get(19)?),
            source: row
                .get::<_, String>(20)?
                .parse()
                .map_err(|_| CaseError::Damaged("an answer from nowhere".to_owned()))?,
        }),
    };
    Ok(Row {
        root: row.get(0)?,
        place,
        size: row.get::<_, Option<i64>>(3)?.map(count),
        digests: digests([blob(4)?, blob(5)?, blob(6)?])?,
        dates: Dates {
            // The column holds its bits: a number above 2^63 is negative there.
            inode: row.get::<_, Option<i64>>(21)?.map(i64::cast_unsigned),
            modified_ns: row.get(22)?,
            changed_ns: row.get(23)?,
            born_ns: row.get(24)?,
        },
        outcome: outcome(&outcome_word)?,
        reason: row.get(8)?,
        answer,
    })
}

fn parse_verdict(word: &str) -> Result<Verdict, CaseError> {
    word.parse().map_err(|e: hashsweep_model::NotAVerdict| CaseError::Damaged(e.to_string()))
}
