//! What asking has cost, read back from the attempts.

use crate::codes::count;
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
    /// Those of the latest run.
    LastRun,
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

    fn sum(&self, scope: Scope) -> Result<(Quota, u64), CaseError> {
        let (which, a, b) = match scope {
            Scope::Case => ("?1 = ?2", 0, 0),
            Scope::Sweep(sweep) => (
                "product = 'TCA-0101' AND run IN (SELECT id FROM run WHERE sweep = ?1) AND ?2 = 0",
                sweep.0,
                0,
            ),
            Scope::LastRun => ("run = (SELECT max(id) FROM run) AND ?1 = ?2", 0, 0),
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
