//! A sweep read back: its rows, each with what became of it.

use crate::codes::{count, digests, outcome};
use crate::joining::COUNTED;
use crate::{Case, CaseError, SweepId};
use hashsweep_model::{Answer, Dates, Digests, Place, Row, Settled, Stamp, Verdict};

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
    a.digest, a.verdict, a.source, a.answered_at, a.trust_factor, a.threat_level, a.scanner_match, a.scanner_count,
    a.reason, a.threat_name, a.first_seen, a.last_seen, s.inode, s.modified_ns, s.changed_ns, s.born_ns
    FROM sweep JOIN offer s
    LEFT JOIN want w ON s.kind IS NOT NULL AND w.sweep = ?1 AND w.kind = s.kind AND w.digest = s.digest
    LEFT JOIN answer a ON a.id = CASE WHEN w.state IS NOT NULL OR NOT s.carried THEN w.answer ELSE s.counted END
    WHERE sweep.id = ?1";

/// The digests that the sweep ?1 may have with one of these verdicts.
fn with_verdict(verdicts: &str) -> String {
    format!(
        "SELECT wanted.kind, wanted.digest FROM want AS wanted JOIN answer ON answer.id = wanted.answer
         WHERE wanted.sweep = ?1 AND answer.verdict IN ({verdicts})
         UNION ALL SELECT kind, digest FROM answer
         WHERE verdict IN ({verdicts}) AND id <= (SELECT answers FROM sweep WHERE id = ?1)"
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
        each: impl FnMut(Row) -> Result<(), E>,
    ) -> Result<(), E> {
        if (only, order) == (Only::All, Order::Arrival) && self.is_of_lists(sweep)? {
            return self.listed(sweep, each);
        }
        self.joined(sweep, only, order, each)
    }

    /// The same for rows of any kind, each joined with what became of it.
    pub(crate) fn joined<E: From<CaseError>>(
        &self,
        sweep: SweepId,
        only: Only,
        order: Order,
        mut each: impl FnMut(Row) -> Result<(), E>,
    ) -> Result<(), E> {
        let verdicts = match only {
            Only::All => None,
            Only::Findings => Some("'malicious', 'suspicious'"),
            Only::Unknown => Some("'unknown'"),
        };
        // The digests are found first, in the order of the queue, in which most answers were given; else every row
        // would be two looks at random pages to find the few that are wanted.
        let only = verdicts.map(|verdicts| (verdicts, with_verdict(verdicts)));
        if let Some((_, digests)) = &only
            && !self.is_there_any(digests, sweep)?
        {
            return Ok(());
        }
        let only = only.map_or_else(String::new, |(verdicts, digests)| {
            format!(
                " AND s.kind IS NOT NULL AND a.verdict IN ({verdicts}) AND (s.kind, s.digest) IN ({digests})"
            )
        });
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

    fn is_there_any(&self, digests: &str, sweep: SweepId) -> Result<bool, CaseError> {
        Ok(self.connection.query_row(&format!("SELECT EXISTS ({digests})"), [sweep.0], |row| row.get(0))?)
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
    let answer = blob(9)?.is_some().then(|| settled(row, 9)).transpose()?;
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

/// The answer in the columns from `first` on, which are [`packed::COLUMNS`](crate::packed::COLUMNS).
pub(crate) fn settled(row: &rusqlite::Row<'_>, first: usize) -> Result<Settled, CaseError> {
    settled_over(None, row, first)
}

/// The same, in the memory that the texts of an earlier one have.
pub(crate) fn settled_over(
    earlier: Option<Settled>,
    row: &rusqlite::Row<'_>,
    first: usize,
) -> Result<Settled, CaseError> {
    let damaged = |error: rusqlite::types::FromSqlError| CaseError::Damaged(error.to_string());
    let word = |i: usize| row.get_ref(first + i)?.as_str().map_err(damaged);
    let text = |i: usize, earlier: Option<String>| -> Result<Option<String>, CaseError> {
        let Some(word) = row.get_ref(first + i)?.as_str_or_null().map_err(damaged)? else { return Ok(None) };
        let mut text = earlier.unwrap_or_default();
        text.clear();
        text.push_str(word);
        Ok(Some(text))
    };
    let [reason, threat_name, first_seen, last_seen] = earlier.map_or([const { None }; 4], |earlier| {
        let Answer { reason, threat_name, first_seen, last_seen, .. } = earlier.answer;
        [reason, threat_name, first_seen, last_seen]
    });
    let source = word(2)?.parse().map_err(|_| CaseError::Damaged("an answer from nowhere".to_owned()))?;
    Ok(Settled {
        answer: Answer {
            digest: crate::codes::digest(row.get_ref(first)?.as_blob().map_err(damaged)?)?,
            verdict: parse_verdict(word(1)?)?,
            trust_factor: row.get(first + 4)?,
            threat_level: row.get(first + 5)?,
            scanner_match: row.get(first + 6)?,
            scanner_count: row.get(first + 7)?,
            reason: text(8, reason)?,
            threat_name: text(9, threat_name)?,
            first_seen: text(10, first_seen)?,
            last_seen: text(11, last_seen)?,
            sample: Digests::default(),
        },
        answered_at: Stamp(row.get(first + 3)?),
        source,
    })
}

pub(crate) fn parse_verdict(word: &str) -> Result<Verdict, CaseError> {
    word.parse().map_err(|e: hashsweep_model::NotAVerdict| CaseError::Damaged(e.to_string()))
}
