//! A sweep's own history: its runs and the requests they settled, in order.

use crate::codes::{column, count};
use crate::{Case, CaseError, Group, RunId, SweepId};
use hashsweep_model::{Quota, Stamp};
use rusqlite::params;

/// One process at work on a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its number within the case, from 1.
    pub number: i64,
    /// When it began.
    pub started_at: Stamp,
    /// When it ended; `None` if it was killed, or is still at work.
    pub ended_at: Option<Stamp>,
    /// What it was allowed to spend, in hashes of quota.
    pub budget: Option<u64>,
}

/// A request at file reputation whose fate is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// When its fate was known.
    pub settled_at: Stamp,
    /// The hashes in it, if their answers came: how much of the queue it settled.
    pub n_answered: u64,
    /// What it cost.
    pub quota: Quota,
}

/// How far a run's hashing had come at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// When.
    pub at: Stamp,
    /// Files hashed by the run until then.
    pub n_files: u64,
    /// Their bytes.
    pub n_bytes: u64,
}

impl Group<'_> {
    /// Remembers how far a run's hashing has come; of two notes of one moment the later counts.
    pub fn note_reading(&mut self, run: RunId, reading: Reading) -> Result<(), CaseError> {
        self.transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO reading (run, at, n_files, n_bytes) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![run.0, reading.at.0, column(reading.n_files), column(reading.n_bytes)])?;
        Ok(())
    }

    /// Remembers what a run may spend, in hashes of quota.
    pub fn bound_run(&mut self, run: RunId, budget: u64) -> Result<(), CaseError> {
        self.transaction
            .execute("UPDATE run SET budget = ?2 WHERE id = ?1", params![run.0, column(budget)])?;
        Ok(())
    }
}

impl Case {
    /// The runs of a sweep, oldest first.
    pub fn runs(&self, sweep: SweepId) -> Result<Vec<Run>, CaseError> {
        let mut runs = self
            .connection
            .prepare("SELECT id, started_at, ended_at, budget FROM run WHERE sweep = ?1 ORDER BY id")?;
        let runs = runs.query_map([sweep.0], |row| {
            Ok(Run {
                number: row.get(0)?,
                started_at: Stamp(row.get(1)?),
                ended_at: row.get::<_, Option<i64>>(2)?.map(Stamp),
                budget: row.get::<_, Option<i64>>(3)?.map(count),
            })
        })?;
        Ok(runs.collect::<Result<_, _>>()?)
    }

    /// Hands how far the hashing of a sweep's runs had come to `each`, run by run (by number), in the order of time.
    pub fn readings_of(&self, sweep: SweepId, mut each: impl FnMut(i64, Reading)) -> Result<(), CaseError> {
        let mut readings = self.connection.prepare(
            "SELECT run, at, n_files, n_bytes FROM reading WHERE run IN (SELECT id FROM run WHERE sweep = ?1)
             ORDER BY run, at",
        )?;
        let mut readings = readings.query([sweep.0])?;
        while let Some(row) = readings.next()? {
            let (n_files, n_bytes) = (count(row.get(2)?), count(row.get(3)?));
            each(row.get(0)?, Reading { at: Stamp(row.get(1)?), n_files, n_bytes });
        }
        Ok(())
    }

    /// When a sweep's intake reached its end.
    pub fn intake_finished_at(&self, sweep: SweepId) -> Result<Option<Stamp>, CaseError> {
        let at: Option<i64> = self.connection.query_row(
            "SELECT intake_finished_at FROM sweep WHERE id = ?1",
            [sweep.0],
            |row| row.get(0),
        )?;
        Ok(at.map(Stamp))
    }

    /// Hands the requests that a sweep's runs sent and settled to `each`, in the order in which they were settled.
    pub fn requests_of(&self, sweep: SweepId, mut each: impl FnMut(Request)) -> Result<(), CaseError> {
        let mut requests = self.connection.prepare(
            "SELECT settled_at, CASE ended WHEN '200' THEN n_hashes ELSE 0 END, charged_max, charged_min, in_doubt
             FROM attempt
             WHERE product = 'TCA-0101' AND sent_at IS NOT NULL AND settled_at IS NOT NULL
                 AND run IN (SELECT id FROM run WHERE sweep = ?1)
             ORDER BY settled_at, id",
        )?;
        let mut requests = requests.query([sweep.0])?;
        while let Some(row) = requests.next()? {
            each(Request {
                settled_at: Stamp(row.get(0)?),
                n_answered: count(row.get(1)?),
                quota: Quota {
                    charged_max: count(row.get(2)?),
                    charged_min: count(row.get(3)?),
                    in_doubt: count(row.get(4)?),
                },
            });
        }
        Ok(())
    }
}
