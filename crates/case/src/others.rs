//! The other processes at one case: what they hold, whether they live, and what becomes of the work of the dead.
//!
//! A claim is alive exactly as long as its session's lock is held ([`Session`]). So nothing here waits, and nothing
//! here knows a time limit: a process that is merely slow, or stopped, keeps what it has claimed.
//!
//! A process that is alone pays one question a group: whether somebody else has changed the case. Only then are the
//! others' claims read.

use crate::codes::kind;
use crate::group::Group;
use crate::session::Session;
use crate::waiting::unpacked;
use crate::{Case, CaseError, SweepId};
use hashsweep_model::{Class, Digest, HashKind, Stamp};
use rusqlite::params;
use std::collections::HashMap;
use std::path::PathBuf;

/// Why a digest is left that another process has claimed.
pub(crate) const IN_OTHER_HANDS: &str = "in the hands of another process";

/// What is known of the other processes.
#[derive(Debug, Default)]
pub(crate) struct Others {
    /// SQLite's count of other connections' commits, when last looked at.
    seen: Option<i64>,
    /// How often it has moved.
    stirs: u64,
    /// Whether there has been another at work since this process began its run.
    has_met: bool,
    at_work: Vec<(String, SweepId)>,
    /// What they hold, and for which sweep.
    held: HashMap<Digest, SweepId>,
}

/// How a sweep's queue stands beside other processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beside {
    /// How often others have changed the case: as long as it grows, somebody is at work.
    pub stirs: u64,
    /// Digests that wait and that nobody holds.
    pub waiting: u64,
    /// Digests that wait for another process to settle them.
    pub elsewhere: u64,
}

impl Others {
    /// The group has come to nothing: what it found has to be found again.
    pub(crate) fn undo(&mut self) {
        self.seen = None;
    }

    /// Whether somebody else has been at work since this process began its run.
    pub(crate) fn have_been_met(&self) -> bool {
        self.has_met
    }

    pub(crate) fn hold(&self, digest: Digest) -> bool {
        !self.held.is_empty() && self.held.contains_key(&digest)
    }

    /// Whether one of them asks it for this very sweep.
    pub(crate) fn hold_for(&self, sweep: SweepId, digest: Digest) -> bool {
        self.held.get(&digest) == Some(&sweep)
    }
}

impl Case {
    /// Whether another living process is at work on this sweep.
    pub fn is_at_work_elsewhere(&self, sweep: SweepId) -> Result<bool, CaseError> {
        let Some(session) = self.session() else { return Ok(false) };
        let mut names = self.connection.prepare_cached(
            "SELECT session FROM run WHERE sweep = ?1 AND session IS NOT NULL AND session <> ?2",
        )?;
        let names: Vec<String> =
            names.query_map(params![sweep.0, session.name], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for name in names {
            if !Session::is_over(&session.database, &name)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Group<'_> {
    /// Finds out who else is at work and what they hold, and takes over what the dead have left. What comes back to
    /// the sweep's queue with that is counted.
    pub(crate) fn look_around(&mut self, sweep: SweepId, now: Stamp) -> Result<(), CaseError> {
        self.look()?;
        let Some(session) = self.session else { return Ok(()) };
        let mut names: Vec<&str> = self.others.at_work.iter().map(|(name, _)| name.as_str()).collect();
        names.dedup();
        let mut dead = Vec::new();
        for name in names {
            if Session::is_over(&session.database, name)? {
                dead.push(name.to_owned());
            }
        }
        if !dead.is_empty() {
            for name in &dead {
                self.transaction
                    .prepare_cached("UPDATE run SET session = NULL WHERE session = ?1")?
                    .execute([name])?;
            }
            self.take_over(now)?;
            self.others.stirs += 1;
            self.read_others(&session.name)?;
            self.beside(sweep)?;
        }
        Ok(())
    }

    /// Finds out who else is at work and what they hold, if anything has changed.
    pub(crate) fn look(&mut self) -> Result<(), CaseError> {
        let Some(session) = self.session else { return Ok(()) };
        let version: i64 =
            self.transaction.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if self.others.seen != Some(version) {
            self.read_others(&session.name)?;
            // Counted by change; what is seen first is how things are.
            let changed = self.others.seen.is_some();
            self.others.stirs += u64::from(changed);
            self.others.has_met |= changed || !self.others.at_work.is_empty();
            self.others.seen = Some(version);
        }
        Ok(())
    }

    /// What belongs to runs that nobody is at work on any more: what had been reserved is released, what had been
    /// sent is in doubt, and what had been claimed may be claimed again.
    pub(crate) fn take_over(&mut self, now: Stamp) -> Result<(), CaseError> {
        self.transaction.execute(
            "UPDATE attempt SET settled_at = ?1, ended = 'killed',
                    in_doubt = CASE WHEN sent_at IS NULL THEN 0 ELSE n_hashes END
             WHERE settled_at IS NULL AND run IN (SELECT id FROM run WHERE session IS NULL)",
            [now.0],
        )?;
        self.return_claims()
    }

    fn read_others(&mut self, own: &str) -> Result<(), CaseError> {
        let mut at_work = self.transaction.prepare_cached(
            "SELECT session, sweep FROM run WHERE session IS NOT NULL AND session <> ?1 ORDER BY session",
        )?;
        let at_work = at_work.query_map([own], |row| Ok((row.get(0)?, SweepId(row.get(1)?))))?;
        self.others.at_work = at_work.collect::<Result<_, _>>()?;
        let mut claims = self.transaction.prepare_cached(
            "SELECT claim.sweep, kind, digests FROM claim JOIN run ON run.id = claim.run WHERE run.session <> ?1",
        )?;
        let mut claims = claims.query([own])?;
        self.others.held.clear();
        while let Some(row) = claims.next()? {
            let sweep = SweepId(row.get(0)?);
            let digests = unpacked(kind(row.get(1)?)?, row.get_ref(2)?.as_blob().unwrap_or_default())?;
            self.others.held.extend(digests.into_iter().map(|digest| (digest, sweep)));
        }
        Ok(())
    }

    /// This process is at work on nothing any more: whatever it held is anybody's.
    pub(crate) fn leave_the_queue(&mut self) -> Result<(), CaseError> {
        self.hand.put_all_down();
        if let Some(session) = self.session {
            self.transaction.execute("UPDATE run SET session = NULL WHERE session = ?1", [&session.name])?;
        }
        self.return_claims()
    }

    /// Whether another process is at work on any sweep.
    pub(crate) fn has_others_at_work(&self) -> bool {
        !self.others.at_work.is_empty()
    }

    /// The file that this is about.
    pub(crate) fn database(&self) -> PathBuf {
        self.session.map(|session| session.database.clone()).unwrap_or_default()
    }

    /// Whether another process is at work on this sweep too.
    pub(crate) fn is_shared(&self, sweep: SweepId) -> bool {
        self.others.at_work.iter().any(|(_, theirs)| *theirs == sweep)
    }

    /// Counts a sweep's queue. Where others hold something it goes through all of it, so it is for a queue that has
    /// run dry.
    pub(crate) fn beside(&mut self, sweep: SweepId) -> Result<Beside, CaseError> {
        let for_this_sweep = self.others.held.values().filter(|theirs| **theirs == sweep).count() as u64;
        let mut n_held = 0;
        if !self.others.held.is_empty() {
            for kind in HashKind::ALL {
                self.blocks((sweep, kind), Class::Last, |block| {
                    n_held += block.digests.iter().filter(|digest| self.others.hold(**digest)).count() as u64;
                    Ok(true)
                })?;
            }
        }
        let waiting = self.waiting(sweep)? - n_held;
        self.hand.backlog.count_anew(waiting);
        Ok(Beside { stirs: self.others.stirs, waiting, elsewhere: for_this_sweep + n_held })
    }
}
