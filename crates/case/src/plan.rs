//! What asking about a sweep would take, before anything is asked.

use crate::codes::{class, count, kind};
use crate::joining::COUNTED;
use crate::{Case, CaseError, SweepId};
use hashsweep_model::{Class, HashKind, Stamp};

/// Some digests of a sweep that are asked together, and why: one line of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When they are asked.
    pub class: Class,
    /// The kind they are asked by.
    pub kind: HashKind,
    /// Why in this class; `None` for rows of a list.
    pub suspicion: Option<String>,
    /// Distinct digests that a run would ask: those in the queue, and those that an earlier run could not settle.
    pub to_ask: u64,
    /// Distinct digests that an earlier answer is fresh enough for.
    pub cached: u64,
    /// Distinct digests that this machine decided.
    pub local: u64,
}

/// Digests of a sweep that need no asking any more, by what tells of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownBefore {
    /// What tells of them.
    pub from: Teller,
    /// Distinct digests.
    pub n_digests: u64,
    /// When the oldest of the answers was given; `None` where there is no answer.
    pub oldest: Option<Stamp>,
    /// And the newest.
    pub newest: Option<Stamp>,
}

/// What makes it needless to ask about a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Teller {
    /// This sweep has been told already.
    Settled,
    /// This case asked about that very digest.
    Asked,
    /// Another digest of the same file was asked about.
    Bridged,
    /// Another case asked, and its answers were brought here.
    Brought,
    /// This machine decides, for this reason.
    Local(String),
}

impl Case {
    /// What a run would ask about a sweep's digests, in the order in which it would, and what needs no asking.
    pub fn plan(&self, sweep: SweepId) -> Result<Vec<Planned>, CaseError> {
        let mut lines = self.connection.prepare(&format!(
            "SELECT offer.class, offer.kind, offer.suspicion,
                 count(*) FILTER (WHERE state IS NULL AND counted IS NULL OR state IN ('deferred', 'failed')),
                 count(*) FILTER (WHERE state = 'cached' OR state IS NULL AND counted IS NOT NULL),
                 count(*) FILTER (WHERE state = 'local')
             FROM (SELECT *, CASE WHEN carried THEN {COUNTED} END AS counted
                   FROM (SELECT kind, CASE kind WHEN 1 THEN md5 WHEN 2 THEN sha1 ELSE sha256 END AS digest,
                             min(class) AS class, suspicion, sum(NOT carried) = 0 AS carried
                         FROM present WHERE sweep = ?1 AND kind IS NOT NULL GROUP BY 1, 2) AS offer) AS offer
             LEFT JOIN want ON want.sweep = ?1 AND want.kind = offer.kind AND want.digest = offer.digest
             GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        ))?;
        let mut rows = lines.query([sweep.0])?;
        let mut plan = Vec::new();
        while let Some(row) = rows.next()? {
            plan.push(Planned {
                class: class(row.get(0)?)?,
                kind: kind(row.get(1)?)?,
                suspicion: row.get(2)?,
                to_ask: count(row.get(3)?),
                cached: count(row.get(4)?),
                local: count(row.get(5)?),
            });
        }
        plan.retain(|line| line.to_ask + line.cached + line.local > 0);
        Ok(plan)
    }

    /// What tells of the digests of a sweep that need no asking, and how old it is.
    pub fn known_before(&self, sweep: SweepId) -> Result<Vec<KnownBefore>, CaseError> {
        let mut lines = self.connection.prepare(&format!(
            "SELECT offer.state IN ('answered', 'invalid'), iif(offer.state = 'local', coalesce(offer.reason, ''), NULL),
                 answer.origin IS NOT NULL, answer.kind = offer.kind AND answer.digest = offer.digest,
                 count(*), min(answered_at), max(answered_at)
             FROM (SELECT offer.kind, offer.digest, coalesce(want.state, 'cached') AS state, want.reason,
                       iif(want.state IS NULL, {COUNTED}, want.answer) AS known_by
                   FROM (SELECT kind, CASE kind WHEN 1 THEN md5 WHEN 2 THEN sha1 ELSE sha256 END AS digest,
                             sum(NOT carried) = 0 AS carried
                         FROM present WHERE sweep = ?1 AND kind IS NOT NULL GROUP BY 1, 2) AS offer
                   LEFT JOIN want ON want.sweep = ?1 AND want.kind = offer.kind AND want.digest = offer.digest
                   WHERE want.state IN ('cached', 'local', 'answered', 'invalid') OR want.state IS NULL AND offer.carried) AS offer
             LEFT JOIN answer ON answer.id = offer.known_by
             WHERE answer.id IS NOT NULL OR offer.state <> 'cached'
             GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4 DESC",
        ))?;
        let mut rows = lines.query([sweep.0])?;
        let mut known = Vec::new();
        while let Some(row) = rows.next()? {
            let from = match (row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, Option<bool>>(3)?) {
                (true, ..) => Teller::Settled,
                (false, Some(reason), ..) => Teller::Local(reason),
                (false, None, true, _) => Teller::Brought,
                (false, None, false, Some(true)) => Teller::Asked,
                (false, None, false, _) => Teller::Bridged,
            };
            known.push(KnownBefore {
                from,
                n_digests: count(row.get(4)?),
                oldest: row.get::<_, Option<i64>>(5)?.map(Stamp),
                newest: row.get::<_, Option<i64>>(6)?.map(Stamp),
            });
        }
        Ok(known)
    }
}
