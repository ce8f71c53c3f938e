//! The end of a walk: which rows of the earlier sweeps hold for this one, and what has become of the others.
//!
//! ```text
//!  found again ──────────────► its interval goes on: nothing is written
//!  not found ─┬─ replaced, or its directory was looked at ──► ends with the sweep before
//!             └─ nobody could look where it was ────────────► ends too, and is kept for when it is found again
//! ```

use crate::group::Freshness;
use crate::standing::{Stand, Standee, Standing};
use crate::{CaseError, Group, SweepId};
use hashsweep_model::{Place, Seen, Sighting, Skip, SkipKind, Verdict};
use rusqlite::params;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What a walk tells about its end.
#[derive(Clone, Debug, Default)]
pub struct Walked {
    /// The file systems that it came to: as traces name them, for people, and whether their times can be trusted.
    pub devices: Vec<(u64, String, bool)>,
}

/// What was carried over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Rows that ended with the sweep before: gone, or replaced by a row of this one.
    pub n_ended: u64,
    /// Rows that nobody could look for.
    pub n_kept: u64,
}

/// What this sweep's own rows say of a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Own {
    /// Somebody looked.
    Seen,
    /// Nobody could look, there and below.
    Blind,
}

/// A row that was not found again.
struct Missed {
    nth: usize,
    root: u32,
    path: Vec<u8>,
    device: Option<i64>,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Gone,
    Kept,
    /// Its file system was not met. Kept, if none of that file system's files was.
    OnNobodysDevice,
}

impl Group<'_> {
    /// Takes over what a walk found as the earlier sweeps of its series left it. It is the last thing to be done before
    /// [`finish_intake`](Group::finish_intake), and belongs into one group with it.
    ///
    /// Where nobody could look is a row of its own, so that nothing below is called gone: the walk made one for each
    /// directory that it could not enter, and for a file system that it did not come to one is made here.
    pub fn carry_over(
        &mut self,
        standing: &Standing,
        walked: &Walked,
        fresh: &Freshness,
    ) -> Result<Carried, CaseError> {
        let sweep = standing.sweep;
        let mut device = self
            .transaction
            .prepare_cached("INSERT OR IGNORE INTO device (id, name, trusted) VALUES (?1, ?2, ?3)")?;
        for (id, name, is_trusted) in &walked.devices {
            device.execute(params![id.cast_signed(), name, is_trusted])?;
        }
        drop(device);
        let Some(base) = standing.base else { return Ok(Carried::default()) };
        if !self.is_of_one_series(base, sweep)? {
            // Another sweep of the series has begun meanwhile, and what the series last saw is now its business.
            self.copy(sweep, standing.rows.iter().filter(|row| row.is_seen()))?;
            return Ok(Carried::default());
        }
        let missed = self.missed(standing, walked)?;
        self.mark_missing_devices(standing, &missed)?;
        let carried = self.end(base, standing, &missed)?;
        self.copy(sweep, standing.rows.iter().filter(|row| row.is_kept && row.is_seen()))?;
        let since = Verdict::WORST_FIRST.map(|verdict| fresh.between(verdict).start().0);
        let until = Verdict::WORST_FIRST.map(|verdict| fresh.between(verdict).end().0).into_iter().min();
        self.transaction.execute(
            "UPDATE sweep SET answers = (SELECT coalesce(max(id), 0) FROM answer), malicious_since = ?2,
                 suspicious_since = ?3, unknown_since = ?4, known_since = ?5, answers_until = ?6
             WHERE id = ?1",
            params![sweep.0, since[0], since[1], since[2], since[3], until],
        )?;
        Ok(carried)
    }

    fn is_of_one_series(&self, base: SweepId, sweep: SweepId) -> Result<bool, CaseError> {
        let mut series = self.transaction.prepare_cached(
            "SELECT (SELECT series FROM sweep WHERE id = ?1) = (SELECT series FROM sweep WHERE id = ?2)",
        )?;
        Ok(series.query_row([base.0, sweep.0], |row| row.get::<_, Option<bool>>(0))?.unwrap_or(false))
    }

    /// The rows that were not found again, and what to think of each.
    fn missed(&self, standing: &Standing, walked: &Walked) -> Result<Vec<Missed>, CaseError> {
        if standing.rows.iter().all(Standee::is_seen) {
            return Ok(Vec::new());
        }
        let own = self.own(standing)?;
        let mut blind: HashSet<u128> = standing.blind_places().collect();
        blind.extend(own.iter().filter(|(_, own)| **own == Own::Blind).map(|(place, _)| *place));
        let mut read = self.transaction.prepare_cached(
            "SELECT root, path, device, kind IS NOT NULL FROM sighting WHERE sweep = ?1 AND seq = ?2",
        )?;
        let mut missed = Vec::new();
        let mut met: HashSet<i64> = walked.devices.iter().map(|(id, ..)| id.cast_signed()).collect();
        for (nth, row) in standing.rows.iter().enumerate().filter(|(_, row)| !row.is_seen()) {
            let (root, path, device, was_read): (u32, Vec<u8>, Option<i64>, bool) = read
                .query_row([row.sweep, row.seq], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                })?;
            let place = standing.place_print(root, &path);
            let fate = match own.get(&place) {
                Some(Own::Seen) => {
                    // What was on that file system is looked at on another one now.
                    met.extend(device);
                    Fate::Gone
                }
                _ if !was_read => Fate::Gone,
                Some(Own::Blind) => Fate::Kept,
                None if is_below(standing, &blind, root, &path) => Fate::Kept,
                None => Fate::OnNobodysDevice,
            };
            missed.push(Missed { nth, root, path, device, fate });
        }
        if missed.iter().any(|row: &Missed| row.fate == Fate::OnNobodysDevice) {
            // On a network each mounting has another name, and rows that go on keep the name that they had.
            let mut device = self
                .transaction
                .prepare_cached("SELECT device FROM sighting WHERE sweep = ?1 AND seq = ?2")?;
            for row in standing.rows.iter().filter(|row| row.is_seen()) {
                met.extend(device.query_row([row.sweep, row.seq], |row| row.get::<_, Option<i64>>(0))?);
            }
        }
        for row in &mut missed {
            if row.fate == Fate::OnNobodysDevice && row.device.is_none_or(|device| met.contains(&device)) {
                row.fate = Fate::Gone;
            }
        }
        Ok(missed)
    }

    /// The places of this sweep's own rows.
    fn own(&self, standing: &Standing) -> Result<HashMap<u128, Own>, CaseError> {
        let mut rows = self
            .transaction
            .prepare("SELECT root, path, reason FROM sighting WHERE sweep = ?1 AND path IS NOT NULL")?;
        let mut rows = rows.query([standing.sweep.0])?;
        let mut own = HashMap::new();
        while let Some(row) = rows.next()? {
            let path = row.get_ref(1)?.as_blob().unwrap_or_default();
            let reason: Option<String> = row.get(2)?;
            let skip = reason.and_then(|reason| reason.parse::<Skip>().ok());
            let is_blind = skip.is_some_and(|skip| skip.kind.is_not_looked_at());
            own.insert(
                standing.place_print(row.get(0)?, path),
                if is_blind { Own::Blind } else { Own::Seen },
            );
        }
        Ok(own)
    }

    /// A row for each root and each file system under it that the walk did not come to, at the directory that all its
    /// files lay in.
    fn mark_missing_devices(&mut self, standing: &Standing, missed: &[Missed]) -> Result<(), CaseError> {
        let mut common: BTreeMap<(u32, i64), &[u8]> = BTreeMap::new();
        for row in missed.iter().filter(|row| row.fate == Fate::OnNobodysDevice) {
            let Some(device) = row.device else { continue };
            let directory = directory_of(&row.path);
            common
                .entry((row.root, device))
                .and_modify(|common| *common = common_directory(common, directory))
                .or_insert(directory);
        }
        let skip = Skip::because(SkipKind::MissingRoot, "its file system is not mounted");
        let places: BTreeSet<(u32, &[u8])> =
            common.into_iter().map(|((root, _), directory)| (root, directory)).collect();
        let rows = places.into_iter().map(|(root, directory)| Sighting {
            root,
            place: Place::Path(directory.to_vec()),
            seen: Seen::Skipped(skip.clone()),
        });
        let rows: Vec<Sighting> = rows.filter(|row| standing.stand(row) == Stand::New).collect();
        self.store(standing.sweep, &rows)?;
        Ok(())
    }

    /// Ends the intervals of what was not found again. The rows that say where nobody could look may have been found
    /// again only now.
    fn end(&self, base: SweepId, standing: &Standing, missed: &[Missed]) -> Result<Carried, CaseError> {
        let mut end = self.transaction.prepare_cached(
            "UPDATE sighting SET until = coalesce(until, ?3), kept = ?4 WHERE sweep = ?1 AND seq = ?2",
        )?;
        let mut carried = Carried::default();
        for Missed { nth, fate, .. } in missed {
            let row = &standing.rows[*nth];
            let is_kept = *fate != Fate::Gone;
            if row.is_seen() || row.is_kept && is_kept {
                continue;
            }
            end.execute(params![row.sweep, row.seq, base.0, is_kept])?;
            if is_kept {
                carried.n_kept += 1;
            } else {
                carried.n_ended += 1;
            }
        }
        Ok(carried)
    }

    /// Makes rows of this sweep's own out of earlier ones whose interval does not reach it.
    fn copy<'s>(&self, sweep: SweepId, rows: impl Iterator<Item = &'s Standee>) -> Result<(), CaseError> {
        let mut seq: i64 = self
            .transaction
            .prepare_cached("SELECT coalesce(max(seq), 0) FROM sighting WHERE sweep = ?1")?
            .query_row([sweep.0], |row| row.get(0))?;
        let mut copy = self.transaction.prepare_cached(
            "INSERT INTO sighting (sweep, seq, root, path, size, md5, sha1, sha256, kind, class, suspicion, outcome,
                 reason, device, inode, modified_ns, changed_ns, born_ns, note)
             SELECT ?1, ?2, root, path, size, md5, sha1, sha256, kind, class, suspicion, outcome, reason, device, inode,
                 modified_ns, changed_ns, born_ns, note
             FROM sighting WHERE sweep = ?3 AND seq = ?4",
        )?;
        let mut forget = self
            .transaction
            .prepare_cached("UPDATE sighting SET kept = 0 WHERE sweep = ?1 AND seq = ?2 AND kept")?;
        for row in rows {
            seq += 1;
            copy.execute(params![sweep.0, seq, row.sweep, row.seq])?;
            forget.execute([row.sweep, row.seq])?;
        }
        Ok(())
    }
}

/// Whether a directory above the path is one that nobody could look into. A root may have been given with a slash at
/// its end.
fn is_below(standing: &Standing, blind: &HashSet<u128>, root: u32, path: &[u8]) -> bool {
    let is_blind = |directory: &[u8]| blind.contains(&standing.place_print(root, directory));
    !blind.is_empty()
        && (0..path.len())
            .filter(|at| path[*at] == b'/')
            .any(|at| is_blind(&path[..at]) || is_blind(&path[..=at]))
}

/// Without the slash at its end, unless it is nothing else.
fn directory_of(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(0) => &path[..1],
        Some(slash) => &path[..slash],
        None => path,
    }
}

/// The directory that holds both, or is both.
fn common_directory<'p>(a: &'p [u8], b: &[u8]) -> &'p [u8] {
    let n_same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let ends_there = |path: &[u8]| path.len() == n_same || path[n_same] == b'/';
    if ends_there(a) && ends_there(b) { &a[..n_same] } else { directory_of(&a[..n_same]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_that_two_lie_in() {
        let check = |a: &str, b: &str, expected: &str| {
            assert_eq!(common_directory(a.as_bytes(), b.as_bytes()), expected.as_bytes(), "{a} {b}");
        };
        check("/srv/a", "/srv/b", "/srv");
        check("/srv/disk", "/srv/disk", "/srv/disk");
        check("/srv/disk/x", "/srv/disk", "/srv/disk");
        check("/srv/disk", "/srv/disk/x", "/srv/disk");
        check("/srv/disk1", "/srv/disk2", "/srv");
        check("/srv/disk", "/srv/disk2", "/srv");
        check("/a", "/b", "/");
        check("tree/a/b", "tree/c", "tree");
    }
}
