//! What a case without a network owes: out to where there is one, and answered when the answers come in.

use crate::codes::{class, kind};
use crate::waiting::{claim_of, unpacked};
use crate::{Case, CaseError, Freshness, SweepId};
use hashsweep_model::{Class, Digest, Stamp};
use rusqlite::{Connection, Rows};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// What came of the answers for one sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaughtUp {
    /// Digests that waited or had failed.
    pub owed: u64,
    /// Those that still do.
    pub left: u64,
}

impl Case {
    /// Every digest that waits in these sweeps or came to nothing, once, in the order of asking: by class, and within
    /// one by kind and value.
    pub fn pending(&self, sweeps: &[SweepId]) -> Result<Vec<Digest>, CaseError> {
        let mut best: BTreeMap<Digest, Class> = BTreeMap::new();
        for sweep in sweeps {
            for (class, digest) in written(&self.connection, *sweep)?.into_iter().chain(self.unsaid(*sweep)?)
            {
                match best.entry(digest) {
                    Entry::Vacant(place) => {
                        place.insert(class);
                    }
                    Entry::Occupied(mut known) if class < *known.get() => {
                        known.insert(class);
                    }
                    Entry::Occupied(_) => {}
                }
            }
        }
        let mut all: Vec<(Class, Digest)> = best.into_iter().map(|(digest, class)| (class, digest)).collect();
        all.sort_unstable_by_key(|(class, digest)| (*class, digest.kind(), *digest));
        Ok(all.into_iter().map(|(_, digest)| digest).collect())
    }

    /// What a sweep took over from earlier ones while nobody was asked, and no answer counts for.
    fn unsaid(&self, sweep: SweepId) -> Result<Vec<(Class, Digest)>, CaseError> {
        let mut unsaid = self.connection.prepare(
            "SELECT min(p.class), p.kind, CASE p.kind WHEN 1 THEN p.md5 WHEN 2 THEN p.sha1 ELSE p.sha256 END AS digest
             FROM sweep JOIN result r ON r.sweep = sweep.id JOIN present p USING (sweep, born, seq)
             WHERE sweep.id = ?1 AND answers IS NOT NULL AND NOT carried_queued
                 AND r.outcome IN ('deferred', 'failed') AND p.carried AND p.kind IS NOT NULL
             GROUP BY 2, 3",
        )?;
        ranked(unsaid.query([sweep.0])?)
    }

    /// Settles what a sweep owes by the answers that are in the case, however old, and says of the rest why it waits.
    pub fn catch_up_with_answers(
        &mut self,
        sweep: SweepId,
        why: &str,
        now: Stamp,
    ) -> Result<CaughtUp, CaseError> {
        let owed = self.pending(&[sweep])?.len() as u64;
        let left = self.group(|group| {
            group.reopen(sweep, &Freshness::ANYTHING)?;
            group.defer_rest(sweep, why, &Freshness::ANYTHING, now)
        })?;
        Ok(CaughtUp { owed, left })
    }
}

/// What stands in the queue, what those have claimed who died, and what was deferred or failed.
fn written(case: &Connection, sweep: SweepId) -> Result<Vec<(Class, Digest)>, CaseError> {
    let mut waiting = case.prepare(
        "SELECT class, kind, digests FROM queue JOIN block ON block.id = queue.block WHERE sweep = ?1
         UNION ALL SELECT class, kind, digest FROM want WHERE sweep = ?1 AND state IN ('deferred', 'failed')",
    )?;
    let mut all = ranked(waiting.query([sweep.0])?)?;
    let mut claims = case.prepare("SELECT sweep, kind, digests, ranks FROM claim WHERE sweep = ?1")?;
    let mut rows = claims.query([sweep.0])?;
    while let Some(row) = rows.next()? {
        let (_, claimed) = claim_of(row)?;
        all.extend(claimed.into_iter().map(|(rank, digest)| (rank.class, digest)));
    }
    Ok(all)
}

/// Rows of a class, a kind, and digests one behind the other.
fn ranked(mut rows: Rows<'_>) -> Result<Vec<(Class, Digest)>, CaseError> {
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let of_class = class(row.get(0)?)?;
        let digests = unpacked(kind(row.get(1)?)?, row.get_ref(2)?.as_blob().unwrap_or_default())?;
        all.extend(digests.into_iter().map(|digest| (of_class, digest)));
    }
    Ok(all)
}
