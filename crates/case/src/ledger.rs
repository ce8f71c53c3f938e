//! What asking has cost, read back from the attempts.

use crate::calendar::first_moment;
use crate::codes::{column, count};
use crate::{Case, CaseError, SweepId};
use hashsweep_model::{Quota, Stamp};
use rusqlite::params;

/// Which attempts are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of the case.
    Case,
    /// Those of one sweep at file reputation, over all its runs; reports fetched later are not the sweep's.
    Sweep(SweepId),
    /// Those of the latest run that was made here.
    LastRun,
    /// Those of other cases whose sweeps were brought here.
    Brought,
    /// Those reserved at or after `from` and before `to`.
    Between {
        /// Included.
        from: Stamp,
        /// Excluded.
        to: Stamp,
    },
}

/// What is still travelling counts as in doubt: nobody has seen its fate.
const SUM: &str = "SELECT coalesce(sum(charged_max), 0), coalesce(sum(charged_min), 0),
    coalesce(sum(CASE WHEN settled_at IS NULL AND sent_at IS NOT NULL THEN n_hashes ELSE in_doubt END), 0),
    count(sent_at)
    FROM attempt WHERE ";

const SUM_BY_DAY: &str = "SELECT coalesce(sum(charged_max), 0), coalesce(sum(charged_min), 0),
    coalesce(sum(CASE WHEN settled_at IS NULL AND sent_at IS NOT NULL THEN n_hashes ELSE in_doubt END), 0),
    count(sent_at), reserved_at / 86400000
    FROM attempt";

/// What one run has cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunCost {
    /// Its number within the case, from 1.
    pub run: i64,
    /// The sweep it worked on.
    pub sweep: SweepId,
    /// When it began.
    pub started_at: Stamp,
    /// The three figures over its attempts, of all products.
    pub quota: Quota,
}

impl Case {
    /// The three figures over these attempts.
    pub fn quota(&self, scope: Scope) -> Result<Quota, CaseError> {
        Ok(self.sum(scope)?.0)
    }

    /// How many requests left.
    pub fn requests(&self, scope: Scope) -> Result<u64, CaseError> {
        Ok(self.sum(scope)?.1)
    }

    /// The three figures by product, over all attempts of the case.
    pub fn quota_by_product(&self) -> Result<Vec<(String, Quota)>, CaseError> {
        let mut products =
            self.connection.prepare("SELECT DISTINCT product FROM attempt ORDER BY product")?;
        let products: Vec<String> = products.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        products
            .into_iter()
            .map(|product| {
                let quota = self.connection.query_row(&format!("{SUM}product = ?1"), [&product], quota)?;
                Ok((product, quota))
            })
            .collect()
    }

    /// The three figures of one product over the attempts reserved at or after `from` and before `to`.
    pub fn quota_of(&self, product: &str, from: Stamp, to: Stamp) -> Result<Quota, CaseError> {
        let which = "product = ?1 AND reserved_at >= ?2 AND reserved_at < ?3";
        Ok(self.connection.query_row(&format!("{SUM}{which}"), params![product, from.0, to.0], quota)?)
    }

    /// The three figures by day of UTC, oldest first, days on which nothing was asked left out.
    pub fn quota_by_day(&self) -> Result<Vec<(Stamp, Quota)>, CaseError> {
        let mut days = self.connection.prepare(&format!("{SUM_BY_DAY} GROUP BY 5 ORDER BY 5"))?;
        let days = days.query_map([], |row| Ok((first_moment(row.get(4)?), quota(row)?)))?;
        Ok(days.collect::<Result<_, _>>()?)
    }

    /// The latest `most` runs that asked anything, oldest first.
    pub fn quota_by_run(&self, most: usize) -> Result<Vec<RunCost>, CaseError> {
        let mut runs = self.connection.prepare(
            "SELECT run.id, run.sweep, run.started_at,
                 coalesce(sum(charged_max), 0), coalesce(sum(charged_min), 0),
                 coalesce(sum(CASE WHEN settled_at IS NULL AND sent_at IS NOT NULL THEN n_hashes ELSE in_doubt END), 0)
             FROM attempt JOIN run ON run.id = attempt.run GROUP BY run.id ORDER BY run.id DESC LIMIT ?1",
        )?;
        let runs = runs.query_map([column(most as u64)], |row| {
            Ok(RunCost {
                run: row.get(0)?,
                sweep: SweepId(row.get(1)?),
                started_at: Stamp(row.get(2)?),
                quota: Quota {
                    charged_max: count(row.get(3)?),
                    charged_min: count(row.get(4)?),
                    in_doubt: count(row.get(5)?),
                },
            })
        })?;
        let mut runs: Vec<RunCost> = runs.collect::<Result<_, _>>()?;
        runs.reverse();
        Ok(runs)
    }

    fn sum(&self, scope: Scope) -> Result<(Quota, u64), CaseError> {
        let (which, a, b) = match scope {
            Scope::Case => ("?1 = ?2", 0, 0),
            Scope::Sweep(sweep) => (
                "product = 'TCA-0101' AND run IN (SELECT id FROM run WHERE sweep = ?1) AND ?2 = 0",
                sweep.0,
                0,
            ),
            Scope::LastRun => ("run = (SELECT max(id) FROM run WHERE origin IS NULL) AND ?1 = ?2", 0, 0),
            Scope::Brought => ("run IN (SELECT id FROM run WHERE origin IS NOT NULL) AND ?1 = ?2", 0, 0),
            Scope::Between { from, to } => ("reserved_at >= ?1 AND reserved_at < ?2", from.0, to.0),
        };
        Ok(self.connection.query_row(&format!("{SUM}{which}"), params![a, b], |row| {
            Ok((quota(row)?, count(row.get(3)?)))
        })?)
    }
}

pub(crate) fn quota(row: &rusqlite::Row<'_>) -> rusqlite::Result<Quota> {
    Ok(Quota {
        charged_max: count(row.get(0)?),
        charged_min: count(row.get(1)?),
        in_doubt: count(row.get(2)?),
    })
}
