//! Sweeps and runs: who asked for what, when.

use crate::codes::count;
use crate::stretch::{Recorded, in_order};
use crate::{Case, CaseError, Freshness, Group};
use hashsweep_model::Stamp;
use rusqlite::{OptionalExtension, Row, params};
use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Names a sweep within its case, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SweepId(pub i64);

/// Names a run within its case, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub(crate) i64);

/// Who takes a sweep's rows in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntakeTurn {
    /// This run, until its work on the queue ends.
    Ours,
    /// Another living process does.
    AnothersYet,
    /// Nobody any more: all are in.
    Finished,
}

/// Who begins a sweep or a run. What is not given stays unknown.
#[derive(Clone, Debug, Default)]
pub struct Maker {
    /// The machine.
    pub host: Option<String>,
    /// The program and its version.
    pub tool: Option<String>,
    /// What was typed, as a JSON array; without secrets.
    pub arguments: Option<String>,
}

/// A sweep about to begin.
#[derive(Clone, Debug)]
pub struct NewSweep {
    /// `scan` or `list`.
    pub command: String,
    /// Whatever the caller needs to go on with it, as JSON; without secrets.
    pub settings: String,
    /// What the user pointed at, in order.
    pub roots: Vec<NewRoot>,
}

/// One thing the user pointed at.
#[derive(Clone, Debug)]
pub struct NewRoot {
    /// As typed.
    pub given: Vec<u8>,
    /// What to open.
    pub opened: PathBuf,
}

/// A sweep as the case remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Its name.
    pub id: SweepId,
    /// `scan` or `list`.
    pub command: String,
    /// As the caller stored them.
    pub settings: String,
    /// When it began.
    pub started_at: Stamp,
    /// Whether its intake reached the end.
    pub intake_finished: bool,
    /// Entries left out by the user's filters.
    pub excluded: u64,
    /// The machine that it was begun on, if that is known.
    pub host: Option<String>,
    /// Whether it was made in another case, and brought here by a merge.
    pub is_brought: bool,
    /// What the user pointed at, in order.
    pub roots: Vec<StoredRoot>,
}

/// A root as the case remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRoot {
    /// As typed.
    pub given: Vec<u8>,
    /// What to open.
    pub opened: PathBuf,
    /// SHA-256 of a list's bytes when it was read to its end.
    pub fingerprint: Option<[u8; 32]>,
}

impl From<&NewRoot> for StoredRoot {
    fn from(new: &NewRoot) -> StoredRoot {
        StoredRoot { given: new.given.clone(), opened: new.opened.clone(), fingerprint: None }
    }
}

impl Group<'_> {
    /// Begins a sweep.
    pub fn begin_sweep(&mut self, new: &NewSweep, now: Stamp) -> Result<SweepId, CaseError> {
        self.transaction.execute(
            "INSERT INTO sweep (command, settings, started_at, uid, host, tool, arguments)
             VALUES (?1, ?2, ?3, lower(hex(randomblob(16))), ?4, ?5, ?6)",
            params![new.command, new.settings, now.0, self.maker.host, self.maker.tool, self.maker.arguments],
        )?;
        let sweep = self.transaction.last_insert_rowid();
        for (n, root) in (0i64..).zip(&new.roots) {
            self.transaction.execute(
                "INSERT INTO root (sweep, n, given, opened) VALUES (?1, ?2, ?3, ?4)",
                params![sweep, n, root.given, root.opened.as_os_str().as_bytes()],
            )?;
        }
        Ok(SweepId(sweep))
    }

    /// Puts a sweep that has just begun into the series of those over the same roots with the same command and this
    /// shape: whatever else decides which rows there are and what is in them. Rows of that series go on in it, unless
    /// it is the first. Nothing goes on that was seen on another machine: the same path is another file there.
    ///
    /// A sweep of the series that has not come to its end leaves it: what it would take over is no longer what the
    /// series last saw. It keeps its own rows, and reads the rest if it is resumed. Nor does a series begin with one:
    /// the rows that it has yet to write would be rows of the later sweeps as well.
    pub fn join_series(&mut self, sweep: SweepId, shape: &str) -> Result<(), CaseError> {
        let mut alike = self.transaction.prepare(
            "SELECT series FROM sweep AS alike
             WHERE series IS NOT NULL AND id < ?1 AND shape = ?2 AND intake_finished_at IS NOT NULL
                 AND origin IS NULL AND pruned_at IS NULL
                 AND (host IS NULL OR host IS (SELECT host FROM sweep WHERE id = ?1))
                 AND command = (SELECT command FROM sweep WHERE id = ?1)
                 AND NOT EXISTS (SELECT given, opened FROM root WHERE sweep = ?1
                     EXCEPT SELECT given, opened FROM root WHERE root.sweep = alike.id AND root.n =
                         (SELECT n FROM root AS mine WHERE mine.sweep = ?1 AND mine.given = root.given
                             AND mine.opened = root.opened))
                 AND (SELECT count(*) FROM root WHERE sweep = ?1) = (SELECT count(*) FROM root WHERE sweep = alike.id)
             ORDER BY id DESC",
        )?;
        let alike: Vec<i64> =
            alike.query_map(params![sweep.0, shape], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let series = alike.first().copied().unwrap_or(sweep.0);
        self.transaction.execute(
            "UPDATE sweep SET series = id WHERE series = ?1 AND id <> ?2 AND intake_finished_at IS NULL",
            params![series, sweep.0],
        )?;
        self.transaction.execute(
            "UPDATE sweep SET series = ?2, shape = ?3 WHERE id = ?1",
            params![sweep.0, series, shape],
        )?;
        Ok(())
    }

    /// Begins a run of a sweep and takes over what dead processes left undone: what they had reserved is released,
    /// what they had sent is in doubt. A process is at work on one run at a time; its earlier ones are over.
    pub fn begin_run(&mut self, sweep: SweepId, now: Stamp) -> Result<RunId, CaseError> {
        self.leave_the_queue()?;
        self.look_around(sweep, now)?;
        self.take_over(now)?;
        self.transaction.execute(
            "INSERT INTO run (sweep, started_at, session, uid, host, tool, arguments)
             VALUES (?1, ?2, ?3, lower(hex(randomblob(16))), ?4, ?5, ?6)",
            params![
                sweep.0,
                now.0,
                self.session.map(|session| session.name.as_str()),
                self.maker.host,
                self.maker.tool,
                self.maker.arguments
            ],
        )?;
        Ok(RunId(self.transaction.last_insert_rowid()))
    }

    /// Asks for the turn to take a sweep's rows in, which one process has at a time.
    pub fn take_turn(&mut self, sweep: SweepId, run: RunId, now: Stamp) -> Result<IntakeTurn, CaseError> {
        self.look_around(sweep, now)?;
        let mut turn = self.transaction.prepare_cached(
            "SELECT intake_finished_at IS NOT NULL, coalesce(run.id <> ?2 AND run.session IS NOT NULL, 0)
             FROM sweep LEFT JOIN run ON run.id = sweep.intake_run WHERE sweep.id = ?1",
        )?;
        Ok(match turn.query_row([sweep.0, run.0], |row| Ok((row.get(0)?, row.get(1)?)))? {
            (true, _) => IntakeTurn::Finished,
            (false, true) => IntakeTurn::AnothersYet,
            (false, false) => {
                self.transaction
                    .execute("UPDATE sweep SET intake_run = ?2 WHERE id = ?1", [sweep.0, run.0])?;
                IntakeTurn::Ours
            }
        })
    }

    /// Ends a run.
    pub fn end_run(&mut self, run: RunId, now: Stamp, exit_code: Option<u8>) -> Result<(), CaseError> {
        self.transaction.execute(
            "UPDATE run SET ended_at = ?2, exit_code = ?3, session = NULL WHERE id = ?1",
            params![run.0, now.0, exit_code],
        )?;
        Ok(())
    }

    /// Says that the intake reached its end, and how many entries the user's filters left out. What was recorded and
    /// has not joined the queue yet joins now. Returns how many digests that are.
    pub fn finish_intake(
        &mut self,
        sweep: SweepId,
        excluded: u64,
        fresh: &Freshness,
        now: Stamp,
    ) -> Result<u64, CaseError> {
        self.transaction.execute(
            "UPDATE sweep SET intake_finished_at = ?2, excluded = ?3 WHERE id = ?1",
            params![sweep.0, now.0, crate::codes::column(excluded)],
        )?;
        self.enqueue(sweep, fresh)
    }

    /// Remembers what a list's bytes were when it was read.
    pub fn fingerprint(&mut self, sweep: SweepId, root: u32, sha256: [u8; 32]) -> Result<(), CaseError> {
        self.transaction.execute(
            "UPDATE root SET fingerprint = ?3 WHERE sweep = ?1 AND n = ?2",
            params![sweep.0, root, sha256],
        )?;
        Ok(())
    }
}

impl Case {
    /// One sweep, or the latest: of those made here, if there are any.
    pub fn sweep(&self, id: Option<SweepId>) -> Result<Sweep, CaseError> {
        let found = self
            .connection
            .query_row(
                "SELECT id, command, settings, started_at, intake_finished_at IS NOT NULL, excluded, host,
                     origin IS NOT NULL, pruned_at
                 FROM sweep WHERE id = ?1 OR ?1 IS NULL AND pruned_at IS NULL
                 ORDER BY origin IS NULL DESC, id DESC LIMIT 1",
                [id.map(|id| id.0)],
                |row| Ok((sweep_of(row)?, row.get::<_, Option<i64>>(8)?)),
            )
            .optional()?;
        let mut sweep = match (found, id) {
            (Some((sweep, None)), _) => sweep,
            (Some((sweep, Some(at))), _) => {
                return Err(CaseError::Pruned { sweep: sweep.id.0, at: Stamp(at) });
            }
            (None, Some(SweepId(id))) => return Err(CaseError::NoSuchSweep(id)),
            (None, None) => return Err(CaseError::NoSweep),
        };
        let mut roots = self
            .connection
            .prepare("SELECT given, opened, fingerprint FROM root WHERE sweep = ?1 ORDER BY n")?;
        sweep.roots = roots.query_map([sweep.id.0], root_of)?.collect::<Result<_, _>>()?;
        Ok(sweep)
    }

    /// Every sweep that was not pruned, in the order in which they came into the case.
    pub fn sweep_ids(&self) -> Result<Vec<SweepId>, CaseError> {
        let mut ids = self.connection.prepare("SELECT id FROM sweep WHERE pruned_at IS NULL ORDER BY id")?;
        Ok(ids.query_map([], |row| Ok(SweepId(row.get(0)?)))?.collect::<Result<_, _>>()?)
    }

    /// The name of a sweep that holds in every case.
    pub fn uid_of(&self, sweep: SweepId) -> Result<String, CaseError> {
        Ok(self.connection.query_row("SELECT uid FROM sweep WHERE id = ?1", [sweep.0], |row| row.get(0))?)
    }

    /// When a run that was made here last came to its end with everything that it was asked for.
    pub fn last_success(&self) -> Result<Option<Stamp>, CaseError> {
        let last: Option<i64> = self.connection.query_row(
            "SELECT max(ended_at) FROM run WHERE exit_code IN (0, 1) AND origin IS NULL",
            [],
            |row| row.get(0),
        )?;
        Ok(last.map(Stamp))
    }

    /// How the last run of a sweep ended, if it ended at all.
    pub fn last_exit(&self, sweep: SweepId) -> Result<Option<u8>, CaseError> {
        let exit_of_last = "SELECT exit_code FROM run WHERE sweep = ?1 ORDER BY id DESC LIMIT 1";
        let last = self.connection.query_row(exit_of_last, [sweep.0], |row| row.get(0)).optional()?;
        Ok(last.flatten())
    }

    /// The paths of a sweep's rows so far, each with its root, for an intake that goes on.
    pub fn recorded(&self, sweep: SweepId, mut each: impl FnMut(u32, &[u8])) -> Result<(), CaseError> {
        let mut rows = self
            .connection
            .prepare("SELECT root, path FROM sighting WHERE sweep = ?1 AND path IS NOT NULL")?;
        let mut rows = rows.query([sweep.0])?;
        while let Some(row) = rows.next()? {
            each(row.get(0)?, row.get_ref(1)?.as_blob().unwrap_or_default());
        }
        Ok(())
    }

    /// The recorded rows of a list in their order: the row's number and its digest, or why it has none.
    pub fn recorded_list(
        &self,
        sweep: SweepId,
        root: u32,
        mut each: impl FnMut(u64, Result<&[u8], &str>),
    ) -> Result<(), CaseError> {
        let alone = "SELECT seq, root, line, coalesce(md5, sha1, sha256), coalesce(reason, '') FROM sighting
             WHERE sweep = ?1 AND seq > ?2 AND line IS NOT NULL ORDER BY seq";
        in_order(&self.connection, (sweep, 0), alone, |recorded| {
            match recorded {
                Recorded::Alone(row) if row.get::<_, u32>(1)? == root => {
                    let damaged =
                        |error: rusqlite::types::FromSqlError| CaseError::Damaged(error.to_string());
                    let digest = row.get_ref(3)?.as_blob_or_null().map_err(damaged)?;
                    let reason = row.get_ref(4)?.as_str().map_err(damaged)?;
                    each(count(row.get(2)?), digest.ok_or(reason));
                }
                Recorded::Together(stretch) if stretch.root == root => {
                    for (line, (_, digest)) in (count(stretch.line)..).zip(stretch.rows()) {
                        each(line, Ok(digest.as_bytes()));
                    }
                }
                Recorded::Alone(_) | Recorded::Together(_) => {}
            }
            Ok(ControlFlow::Continue(()))
        })
    }
}

fn sweep_of(row: &Row<'_>) -> rusqlite::Result<Sweep> {
    Ok(Sweep {
        id: SweepId(row.get(0)?),
        command: row.get(1)?,
        settings: row.get(2)?,
        started_at: Stamp(row.get(3)?),
        intake_finished: row.get(4)?,
        excluded: count(row.get(5)?),
        host: row.get(6)?,
        is_brought: row.get(7)?,
        roots: Vec::new(),
    })
}

fn root_of(row: &Row<'_>) -> rusqlite::Result<StoredRoot> {
    Ok(StoredRoot {
        given: row.get(0)?,
        opened: PathBuf::from(OsStr::from_bytes(row.get_ref(1)?.as_blob().unwrap_or_default())),
        fingerprint: row.get(2)?,
    })
}
