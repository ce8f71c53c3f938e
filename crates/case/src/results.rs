//! A sweep read back: its rows, and the tally that proves them complete.

use crate::codes::{count, digests, outcome};
use crate::ledger::Scope;
use crate::{Case, CaseError, SweepId};
use hashsweep_model::{Answer, Outcome, Place, Row, Settled, Skip, Stamp, Tally, Verdict};
use rusqlite::params;

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

const COLUMNS: &str = "SELECT r.root, r.path, r.line, r.size, r.md5, r.sha1, r.sha256, r.outcome, r.reason,
    a.kind, a.digest, a.verdict, a.reason, a.threat_name, a.threat_level, a.trust_factor, a.scanner_match,
    a.scanner_count, a.first_seen, a.last_seen, a.answered_at, a.source
    FROM result r LEFT JOIN answer a ON a.id = r.answer WHERE r.sweep = ?1";

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
            Only::All => "",
            Only::Findings => " AND r.verdict IN ('malicious', 'suspicious')",
            Only::Unknown => " AND r.verdict = 'unknown'",
        };
        let order = match order {
            Order::Path => " ORDER BY r.path, r.root, r.line, r.seq",
            Order::Arrival => " ORDER BY r.seq",
        };
        let mut rows =
            self.connection.prepare(&format!("{COLUMNS}{only}{order}")).map_err(CaseError::from)?;
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
        let stored = self.sweep(Some(sweep))?;
        let mut tally = Tally {
            intake_finished: stored.intake_finished,
            excluded: stored.excluded,
            quota: self.quota(Scope::Sweep(sweep))?,
            requests: self.requests(Scope::Sweep(sweep))?,
            ..Tally::default()
        };
        let (rows, with_digest, bytes_read) = self.connection.query_row(
            "SELECT count(*), count(kind), coalesce(sum(size), 0) FROM sighting WHERE sweep = ?1",
            [sweep.0],
            |row| Ok((count(row.get(0)?), count(row.get(1)?), count(row.get(2)?))),
        )?;
        (tally.rows, tally.bytes_read) = (rows, bytes_read);
        self.count_rows(sweep, &mut tally)?;
        let mut states = self.connection.prepare(
            "SELECT CASE WHEN state IN ('pending', 'asking') THEN 'deferred' ELSE state END, count(*)
             FROM want WHERE sweep = ?1 GROUP BY 1",
        )?;
        let mut states = states.query([sweep.0])?;
        while let Some(row) = states.next()? {
            tally.digests.insert(outcome(&row.get::<_, String>(0)?)?, count(row.get(1)?));
        }
        // Counted from the rows themselves, so that a digest that never reached the queue shows as an imbalance.
        let distinct: i64 = self.connection.query_row(
            "SELECT count(*) FROM (SELECT DISTINCT kind,
                 CASE kind WHEN 1 THEN md5 WHEN 2 THEN sha1 ELSE sha256 END
             FROM sighting WHERE sweep = ?1 AND kind IS NOT NULL)",
            [sweep.0],
            |row| row.get(0),
        )?;
        tally.distinct = count(distinct);
        tally.duplicates = with_digest - tally.distinct;
        Ok(tally)
    }

    fn count_rows(&self, sweep: SweepId, tally: &mut Tally) -> Result<(), CaseError> {
        let mut groups = self.connection.prepare(
            "SELECT outcome, verdict, CASE WHEN verdict IS NULL THEN reason END, count(*)
             FROM result WHERE sweep = ?1 GROUP BY 1, 2, 3",
        )?;
        let mut groups = groups.query(params![sweep.0])?;
        while let Some(row) = groups.next()? {
            let Some(word) = row.get::<_, Option<String>>(0)? else { continue };
            let (outcome, n) = (outcome(&word)?, count(row.get(3)?));
            *tally.outcomes.entry(outcome).or_default() += n;
            if let Some(verdict) = row.get::<_, Option<String>>(1)? {
                *tally.verdicts.entry(parse_verdict(&verdict)?).or_default() += n;
            }
            let Some(reason) = row.get::<_, Option<String>>(2)? else { continue };
            match outcome {
                Outcome::Skipped => {
                    let reason = reason.parse::<Skip>().map_or(reason, |skip| skip.kind.to_string());
                    *tally.skipped.entry(reason).or_default() += n;
                }
                Outcome::Answered
                | Outcome::Cached
                | Outcome::Local
                | Outcome::Deferred
                | Outcome::Failed
                | Outcome::Invalid => *tally.reasons.entry((outcome, reason)).or_default() += n,
            }
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
    let answer = match blob(10)? {
        None => None,
        Some(asked) => Some(Settled {
            answer: Answer {
                digest: crate::codes::digest(asked)?,
                verdict: parse_verdict(&row.get::<_, String>(11)?)?,
                reason: row.get(12)?,
                threat_name: row.get(13)?,
                threat_level: row.get(14)?,
                trust_factor: row.get(15)?,
                scanner_match: row.get(16)?,
                scanner_count: row.get(17)?,
                first_seen: row.get(18)?,
                last_seen: row.get(19)?,
                sample: hashsweep_model::Digests::default(),
            },
            answered_at: Stamp(row.get(20)?),
            source: row
                .get::<_, String>(21)?
                .parse()
                .map_err(|_| CaseError::Damaged("an answer from nowhere".to_owned()))?,
        }),
    };
    Ok(Row {
        root: row.get(0)?,
        place,
        size: row.get::<_, Option<i64>>(3)?.map(count),
        digests: digests([blob(4)?, blob(5)?, blob(6)?])?,
        outcome: outcome(&outcome_word)?,
        reason: row.get(8)?,
        answer,
    })
}

fn parse_verdict(word: &str) -> Result<Verdict, CaseError> {
    word.parse().map_err(|e: hashsweep_model::NotAVerdict| CaseError::Damaged(e.to_string()))
}
