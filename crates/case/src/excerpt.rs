//! One sweep in a case of its own, to hand over: its rows with what was said of them and what that cost, and nothing of
//! any other sweep but what its own rows rest on.

use crate::open::beside;
use crate::verify::ASKED;
use crate::{Case, CaseError, Group, SweepId};
use hashsweep_model::Stamp;
use rusqlite::params;
use std::path::{Path, PathBuf};

/// What says that a case holds one sweep only, in `meta`.
pub(crate) const EXCERPT: &str = "excerpt_of_sweep";

impl Case {
    /// Writes one sweep to a new file, 0600, which is a case that reports and verifies like any other. Refuses to
    /// replace anything. Needs room for a whole copy beside it meanwhile.
    pub fn export_sweep(&self, sweep: SweepId, to: &Path, now: Stamp) -> Result<(), CaseError> {
        self.sweep(Some(sweep))?;
        if to.exists() {
            return Err(CaseError::Taken(to.to_owned()));
        }
        let whole = Whole(beside(to, &format!("-partial-{:016x}", fastrand::u64(..))));
        self.export(&whole.0)?;
        let mut case = Case::open(&whole.0)?;
        case.group(|group| group.keep_only(sweep, now))?;
        // What was deleted is still in the pages of that file; a copy has only what is left.
        case.export(to)
    }
}

/// A copy that is deleted when it is dropped.
struct Whole(PathBuf);

impl Drop for Whole {
    fn drop(&mut self) {
        for file in Case::files_of(&self.0) {
            let _ = std::fs::remove_file(file);
        }
    }
}

impl Group<'_> {
    /// Leaves one sweep, as if it were the last.
    fn keep_only(&mut self, sweep: SweepId, now: Stamp) -> Result<(), CaseError> {
        // What somebody had on its way when the copy was made is in doubt in it.
        self.look_around(SweepId(0), now)?;
        self.take_over(now)?;
        self.transaction.execute(
            "DELETE FROM sighting WHERE sweep <> ?1 AND NOT EXISTS (
                 SELECT 1 FROM sweep AS later JOIN sweep AS earlier ON earlier.series = later.series
                 WHERE later.id = ?1 AND earlier.id = sighting.sweep AND earlier.id < later.id
                     AND later.intake_finished_at IS NOT NULL AND (until IS NULL OR until >= later.id))",
            [sweep.0],
        )?;
        // Lists carry no rows on.
        self.transaction.execute("DELETE FROM stretch WHERE sweep <> ?1", [sweep.0])?;
        self.transaction.execute_batch(&format!(
            "CREATE TEMP TABLE asked AS
                 SELECT DISTINCT sweep, kind, {ASKED} AS digest, class FROM recorded WHERE kind IS NOT NULL;
             UPDATE sighting SET until = NULL, kept = 0 WHERE until IS NOT NULL;"
        ))?;
        for statement in LEAVE {
            let mut statement = self.transaction.prepare(statement)?;
            match statement.parameter_count() {
                0 => statement.execute([])?,
                1 => statement.execute([sweep.0])?,
                _ => statement.execute([sweep.0, now.0])?,
            };
        }
        self.transaction.execute_batch("DROP TABLE temp.asked")?;
        self.transaction
            .execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", params![EXCERPT, sweep.0.to_string()])?;
        Ok(())
    }
}

/// Everything else, each after what refers to it. ?1 is the sweep, ?2 now.
const LEAVE: [&str; 16] = [
    "DELETE FROM block WHERE id IN (SELECT block FROM queue WHERE sweep <> ?1)",
    "DELETE FROM queue WHERE sweep <> ?1",
    "DELETE FROM claim WHERE sweep <> ?1",
    "DELETE FROM want WHERE sweep <> ?1
         AND (sweep, kind, digest) NOT IN (SELECT sweep, kind, digest FROM temp.asked)",
    "INSERT OR IGNORE INTO want (sweep, kind, digest, state, class, reason)
         SELECT sweep, kind, digest, 'deferred', class, 'pruned' FROM temp.asked WHERE sweep <> ?1",
    "DELETE FROM answer WHERE id NOT IN (SELECT answer FROM want WHERE answer IS NOT NULL)
         AND (kind, digest) NOT IN (SELECT kind, digest FROM temp.asked)",
    "DELETE FROM same_file WHERE answer NOT IN (SELECT id FROM answer)",
    "DELETE FROM attempt WHERE run NOT IN (SELECT id FROM run WHERE sweep = ?1)
         AND id NOT IN (SELECT attempt FROM want WHERE attempt IS NOT NULL)",
    "DELETE FROM reading WHERE run NOT IN (SELECT id FROM run WHERE sweep = ?1)",
    "DELETE FROM run WHERE sweep <> ?1
         AND id NOT IN (SELECT run FROM answer) AND id NOT IN (SELECT run FROM attempt)",
    "UPDATE run SET arguments = NULL WHERE sweep <> ?1",
    "UPDATE sweep SET series = NULL WHERE series IS NOT (SELECT series FROM sweep WHERE id = ?1)",
    "UPDATE sweep SET pruned_at = coalesce(pruned_at, ?2), settings = '{}', arguments = NULL, shape = NULL,
         put_off = NULL WHERE id <> ?1",
    "DELETE FROM root WHERE sweep <> ?1 AND sweep NOT IN (SELECT sweep FROM sighting)",
    "DELETE FROM sweep WHERE id <> ?1 AND id NOT IN (SELECT sweep FROM run) AND id NOT IN (SELECT sweep FROM sighting)
         AND id IS NOT (SELECT series FROM sweep WHERE id = ?1)",
    "DELETE FROM device WHERE id NOT IN (SELECT device FROM sighting WHERE device IS NOT NULL)",
];
