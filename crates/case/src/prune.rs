//! Dropping what nobody needs any more: the rows of old sweeps, and with them what a series drags along.
//!
//! A sweep that is pruned keeps its line, its runs and what they cost, and of its rows
//!
//! - findings: what any answer calls malicious or suspicious, and what contradicts an earlier row of the same file;
//! - what a later sweep of its series that is kept took over, or may still find again.
//!
//! Answers stay, all of them: they are what makes the next sweep cheap, and the history of each verdict.

use crate::codes::count;
use crate::verify::ASKED;
use crate::{Case, CaseError, Group, Sweep, SweepId};
use hashsweep_model::{Outcome, Stamp};
use rusqlite::params;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

/// Which sweeps stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// Of those over the same roots on the same machine, so many that came to their end, and whatever came after them.
    Latest(u64),
    /// Those begun at or after this moment.
    Since(Stamp),
}

/// A sweep that is to go and still owes answers, or is not at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owing {
    /// The sweep.
    pub sweep: SweepId,
    /// Distinct digests without an answer, as far as it has come.
    pub n_digests: u64,
    /// Whether its intake came to its end.
    pub intake_finished: bool,
}

/// What pruning drops, or would.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Rows.
    pub rows: u64,
    /// What had become of digests.
    pub fates: u64,
    /// Rows of pruned sweeps that stay because they are findings, or because a later sweep needs them.
    pub rows_left: u64,
}

/// The digests of findings, by whichever way an answer names them.
const BAD: &str = "CREATE TEMP TABLE bad AS
    WITH finding AS MATERIALIZED (SELECT * FROM answer WHERE verdict IN ('malicious', 'suspicious'))
    SELECT digest FROM finding
    UNION SELECT md5 FROM finding WHERE md5 IS NOT NULL
    UNION SELECT sha1 FROM finding WHERE sha1 IS NOT NULL
    UNION SELECT sha256 FROM finding WHERE sha256 IS NOT NULL
    UNION SELECT f.md5 FROM same_file f JOIN finding ON finding.id = f.answer WHERE f.md5 <> x''
    UNION SELECT f.sha1 FROM same_file f JOIN finding ON finding.id = f.answer WHERE f.sha1 <> x''
    UNION SELECT f.sha256 FROM same_file f JOIN finding ON finding.id = f.answer WHERE f.sha256 <> x''";

/// Every sweep without its rows, and the next one of its series that keeps them.
const GONE: &str = "INSERT INTO temp.gone
    WITH going AS MATERIALIZED (
        SELECT id, series FROM sweep WHERE pruned_at IS NOT NULL OR id IN (SELECT value FROM json_each(?1))
    )
    SELECT id, (SELECT min(later.id) FROM sweep later WHERE later.series = going.series AND later.id > going.id
                AND later.id NOT IN (SELECT id FROM going)) AS next
    FROM going";

/// The rows of those sweeps that nobody needs.
const UNNEEDED: &str = "sweep IN (SELECT id FROM gone) AND note IS NULL
    AND (kind IS NULL OR {ASKED} NOT IN (SELECT digest FROM bad))
    AND (SELECT next IS NULL OR until IS NOT NULL AND NOT kept AND until < next FROM gone WHERE gone.id = sweep)";

impl Case {
    /// The sweeps that are not to stay, oldest first.
    pub fn outlived(&self, retention: Retention) -> Result<Vec<SweepId>, CaseError> {
        let mut going = Vec::new();
        let mut finished: HashMap<_, u64> = HashMap::new();
        for id in self.sweep_ids()?.into_iter().rev() {
            let sweep = self.sweep(Some(id))?;
            let is_going = match retention {
                Retention::Since(moment) => sweep.started_at < moment,
                Retention::Latest(n) => {
                    let n_later = finished.entry(alike(&sweep)).or_default();
                    let is_going = *n_later >= n;
                    *n_later += u64::from(sweep.intake_finished);
                    is_going
                }
            };
            if is_going {
                going.push(id);
            }
        }
        going.reverse();
        Ok(going)
    }

    /// Those of these sweeps that still owe answers, or rows.
    pub fn owing(&self, sweeps: &[SweepId]) -> Result<Vec<Owing>, CaseError> {
        let mut owing = Vec::new();
        for sweep in sweeps {
            let intake_finished = self.sweep(Some(*sweep))?.intake_finished;
            let n_digests = self.owed(*sweep)?;
            if !intake_finished || n_digests > 0 {
                owing.push(Owing { sweep: *sweep, n_digests, intake_finished });
            }
        }
        Ok(owing)
    }

    /// How many digests of a sweep wait or came to nothing. What it took over from earlier sweeps while nobody was
    /// asked is counted row by row; everything else is written down.
    fn owed(&self, sweep: SweepId) -> Result<u64, CaseError> {
        let (written, is_unsaid): (i64, bool) = self.connection.query_row(
            "SELECT (SELECT coalesce(sum(n), 0) FROM queue WHERE sweep = ?1)
                  + (SELECT coalesce(sum(n), 0) FROM claim WHERE sweep = ?1)
                  + (SELECT count(*) FROM want WHERE sweep = ?1 AND state IN ('deferred', 'failed')),
                 answers IS NOT NULL AND NOT carried_queued
             FROM sweep WHERE id = ?1",
            [sweep.0],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        if !is_unsaid {
            return Ok(count(written));
        }
        let tally = self.tally(sweep)?;
        Ok(tally.digests_of(Outcome::Deferred) + tally.digests_of(Outcome::Failed))
    }
}

/// What sweeps have in common that take one another's place.
#[derive(PartialEq, Eq, Hash)]
struct Alike {
    command: String,
    host: Option<String>,
    roots: BTreeSet<(Vec<u8>, PathBuf)>,
}

fn alike(sweep: &Sweep) -> Alike {
    let roots = sweep.roots.iter().map(|root| (root.given.clone(), root.opened.clone())).collect();
    Alike { command: sweep.command.clone(), host: sweep.host.clone(), roots }
}

impl Group<'_> {
    /// Counts what [`prune`](Self::prune) would drop.
    pub fn prunable(&mut self, sweeps: &[SweepId]) -> Result<Dropped, CaseError> {
        self.look_for_unneeded(sweeps)?;
        let unneeded = UNNEEDED.replace("{ASKED}", ASKED);
        let (rows, rows_left) = self.transaction.query_row(
            &format!(
                "SELECT count(*) FILTER (WHERE {unneeded}), count(*) FILTER (WHERE NOT ({unneeded})) FROM recorded
                 WHERE sweep IN (SELECT id FROM gone)"
            ),
            [],
            |row| Ok((count(row.get(0)?), count(row.get(1)?))),
        )?;
        let fates = self.transaction.query_row(
            &format!(
                "SELECT count(*) FROM want WHERE sweep IN (SELECT id FROM gone)
                     AND (sweep, kind, digest) NOT IN (SELECT sweep, kind, {ASKED} FROM recorded
                         WHERE sweep IN (SELECT id FROM gone) AND kind IS NOT NULL AND NOT ({unneeded}))"
            ),
            [],
            |row| row.get(0),
        )?;
        self.forget_what_was_found()?;
        Ok(Dropped { rows, fates: count(fates), rows_left })
    }

    /// Drops the rows of these sweeps, and of those pruned earlier, that nobody needs. What one of them still owed is
    /// owed no more. Refuses if another process is at work on one of them.
    pub fn prune(&mut self, sweeps: &[SweepId], now: Stamp) -> Result<Dropped, CaseError> {
        self.look_around(SweepId(0), now)?;
        if sweeps.iter().any(|sweep| self.is_shared(*sweep)) {
            return Err(CaseError::InUse(self.database()));
        }
        self.look_for_unneeded(sweeps)?;
        let unneeded = UNNEEDED.replace("{ASKED}", ASKED);
        // What is left of a stretch stands by itself from now on.
        let in_stretches = self.transaction.query_row(
            "SELECT coalesce(sum(n), 0) FROM stretch WHERE sweep IN (SELECT id FROM gone)",
            [],
            |row| row.get(0),
        )?;
        let taken_out = self.transaction.execute(
            &format!(
                "INSERT INTO sighting (sweep, seq, root, line, md5, sha1, sha256, kind, class)
                 SELECT sweep, seq, root, line, md5, sha1, sha256, kind, class FROM listed
                 WHERE sweep IN (SELECT id FROM gone) AND NOT ({unneeded})"
            ),
            [],
        )?;
        self.transaction.execute("DELETE FROM stretch WHERE sweep IN (SELECT id FROM gone)", [])?;
        let rows = self.transaction.execute(&format!("DELETE FROM sighting WHERE {unneeded}"), [])?;
        let rows = count(in_stretches).saturating_sub(taken_out as u64) + rows as u64;
        // Of the fates, those of the rows that are left.
        let left = format!(
            "SELECT sweep, kind, {ASKED} FROM sighting WHERE sweep IN (SELECT id FROM gone) AND kind IS NOT NULL"
        );
        let fates = self.transaction.execute(
            &format!(
                "DELETE FROM want WHERE sweep IN (SELECT id FROM gone) AND (sweep, kind, digest) NOT IN ({left})"
            ),
            [],
        )?;
        self.transaction.execute_batch(&format!(
            "DELETE FROM block WHERE id IN (SELECT block FROM queue WHERE sweep IN (SELECT id FROM gone));
             DELETE FROM queue WHERE sweep IN (SELECT id FROM gone);
             DELETE FROM claim WHERE sweep IN (SELECT id FROM gone);
             INSERT OR IGNORE INTO want (sweep, kind, digest, state, class, reason)
                 SELECT sweep, kind, {ASKED}, 'deferred', class, 'pruned' FROM sighting
                 WHERE sweep IN (SELECT id FROM gone) AND kind IS NOT NULL;"
        ))?;
        self.transaction.execute(
            "UPDATE sweep SET pruned_at = ?1 WHERE pruned_at IS NULL AND id IN (SELECT id FROM gone)",
            [now.0],
        )?;
        let rows_left = self.transaction.query_row(
            "SELECT count(*) FROM sighting WHERE sweep IN (SELECT id FROM gone)",
            [],
            |row| row.get(0),
        )?;
        self.forget_what_was_found()?;
        Ok(Dropped { rows, fates: fates as u64, rows_left: count(rows_left) })
    }

    fn look_for_unneeded(&self, sweeps: &[SweepId]) -> Result<(), CaseError> {
        self.forget_what_was_found()?;
        let ids: Vec<String> = sweeps.iter().map(|sweep| sweep.0.to_string()).collect();
        self.transaction.execute_batch("CREATE TEMP TABLE gone (id INTEGER PRIMARY KEY, next INTEGER)")?;
        self.transaction.execute(GONE, params![format!("[{}]", ids.join(","))])?;
        self.transaction.execute_batch(BAD)?;
        Ok(())
    }

    fn forget_what_was_found(&self) -> Result<(), CaseError> {
        Ok(self.transaction.execute_batch("DROP TABLE IF EXISTS temp.gone; DROP TABLE IF EXISTS temp.bad")?)
    }
}
