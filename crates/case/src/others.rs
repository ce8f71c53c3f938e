//! The other processes at one case: what they hold, whether they live, and what becomes of the work of the dead.
//!
//! A claim is alive exactly as long as its session's lock is held ([`Session`]). So nothing here waits, and nothing
//! here knows a time limit: a process that is merely slow, or stopped, keeps what it has claimed.
//!
//! A process that is alone pays one question a group: whether somebody else has changed the case. Only then are the
//! others' claims looked at, and only those read that are new.

use crate::codes::{digest, kind, kind_code};
use crate::group::Group;
use crate::hand::ClaimId;
use crate::session::Session;
use crate::{CaseError, RunId, SweepId};
use hashsweep_model::{Batch, Digest, Stamp};
use rusqlite::params;
use std::collections::{BTreeMap, HashSet};

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
    claims: BTreeMap<ClaimId, Vec<Digest>>,
    held: HashSet<Digest>,
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
        self.held.contains(&digest)
    }

    pub(crate) fn held(&self) -> impl Iterator<Item = Digest> {
        self.held.iter().copied()
    }

    fn forget(&mut self, claim: ClaimId) {
        for digest in self.claims.remove(&claim).unwrap_or_default() {
            self.held.remove(&digest);
        }
    }
}

impl Group<'_> {
    /// Finds out who else is at work and what they hold, and takes over what the dead have left.
    pub(crate) fn look_around(&mut self, now: Stamp) -> Result<(), CaseError> {
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
        self.transaction
            .execute("DELETE FROM claim WHERE run IN (SELECT id FROM run WHERE session IS NULL)", [])?;
        Ok(())
    }

    fn read_others(&mut self, own: &str) -> Result<(), CaseError> {
        let mut at_work = self.transaction.prepare_cached(
            "SELECT session, sweep FROM run WHERE session IS NOT NULL AND session <> ?1 ORDER BY session",
        )?;
        let at_work = at_work.query_map([own], |row| Ok((row.get(0)?, SweepId(row.get(1)?))))?;
        self.others.at_work = at_work.collect::<Result<_, _>>()?;
        let mut claims = self.transaction.prepare_cached(
            "SELECT attempt, kind, digests FROM claim JOIN run ON run.id = claim.run WHERE run.session <> ?1",
        )?;
        let mut claims = claims.query([own])?;
        let mut gone: HashSet<ClaimId> = self.others.claims.keys().copied().collect();
        let mut come = Vec::new();
        while let Some(row) = claims.next()? {
            let id: ClaimId = row.get(0)?;
            if !gone.remove(&id) {
                come.push((id, unpack(row.get(1)?, row.get_ref(2)?.as_blob().unwrap_or_default())?));
            }
        }
        // First, because a digest may have gone from one hand to another.
        for claim in gone {
            self.others.forget(claim);
        }
        for (claim, digests) in come {
            self.others.held.extend(&digests);
            self.others.claims.insert(claim, digests);
        }
        Ok(())
    }

    /// Writes down that a batch is ours.
    pub(crate) fn write_claim(&self, run: RunId, claim: ClaimId, batch: &Batch) -> Result<(), CaseError> {
        let digests: Vec<u8> = batch.digests().iter().flat_map(Digest::as_bytes).copied().collect();
        self.transaction
            .prepare_cached("INSERT INTO claim (attempt, run, kind, digests) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![claim, run.0, kind_code(batch.kind()), digests])?;
        Ok(())
    }

    /// This process is at work on nothing any more: whatever it held is anybody's.
    pub(crate) fn leave_the_queue(&mut self) -> Result<(), CaseError> {
        self.hand.put_all_down();
        if let Some(session) = self.session {
            self.transaction.execute(
                "DELETE FROM claim WHERE run IN (SELECT id FROM run WHERE session = ?1)",
                [&session.name],
            )?;
            self.transaction.execute("UPDATE run SET session = NULL WHERE session = ?1", [&session.name])?;
        }
        Ok(())
    }

    /// A batch is settled to its last digest.
    pub(crate) fn drop_claim(&self, claim: ClaimId) -> Result<(), CaseError> {
        self.transaction.prepare_cached("DELETE FROM claim WHERE attempt = ?1")?.execute([claim])?;
        Ok(())
    }

    /// Whether another process is at work on this sweep too.
    pub(crate) fn is_shared(&self, sweep: SweepId) -> bool {
        self.others.at_work.iter().any(|(_, theirs)| *theirs == sweep)
    }

    /// Counts a sweep's queue. It goes through all of it, so it is for a queue that has run dry.
    pub(crate) fn beside(&mut self, sweep: SweepId) -> Result<Beside, CaseError> {
        let mut beside = Beside { stirs: self.others.stirs, waiting: 0, elsewhere: 0 };
        let mut pending = self
            .transaction
            .prepare_cached("SELECT digest FROM want WHERE sweep = ?1 AND state = 'pending'")?;
        let mut pending = pending.query([sweep.0])?;
        while let Some(row) = pending.next()? {
            let digest = digest(row.get_ref(0)?.as_blob().unwrap_or_default())?;
            if self.others.hold(digest) {
                beside.elsewhere += 1;
            } else if !self.hand.has(sweep, digest) {
                beside.waiting += 1;
            }
        }
        self.hand.waiting = beside.waiting;
        Ok(beside)
    }

    /// Leaves to the others what is theirs. Returns how many digests stay.
    pub(crate) fn leave_to_others(&self, sweep: SweepId) -> Result<u64, CaseError> {
        if self.is_shared(sweep) {
            // Whatever waits is asked by whoever is still at work on this sweep.
            let left = self.transaction.execute(
                "UPDATE want SET reason = ?2 WHERE sweep = ?1 AND state = 'pending'",
                params![sweep.0, IN_OTHER_HANDS],
            )?;
            return Ok(left as u64);
        }
        let mut leave = self.transaction.prepare_cached(
            "UPDATE want SET state = 'deferred', reason = ?4
             WHERE sweep = ?1 AND kind = ?2 AND digest = ?3 AND state = 'pending'",
        )?;
        let mut left = 0;
        for digest in self.others.held() {
            let key = (kind_code(digest.kind()), digest.as_bytes());
            left += leave.execute(params![sweep.0, key.0, key.1, IN_OTHER_HANDS])? as u64;
        }
        Ok(left)
    }
}

/// A batch's digests from their column: one behind the other.
fn unpack(kind_code: i64, bytes: &[u8]) -> Result<Vec<Digest>, CaseError> {
    bytes.chunks(kind(kind_code)?.n_bytes()).map(digest).collect()
}
