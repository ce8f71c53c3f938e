//! What asking about a sweep would take, before anything is asked.

use crate::codes::{class, count, kind};
use crate::joining::COUNTED;
use crate::stretch::last_row;
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
        if self.is_of_lists(sweep)? && self.has_all_joined(sweep)? {
            self.plan_of_list(sweep)
        } else {
            self.plan_by_rows(sweep)
        }
    }

    fn has_all_joined(&self, sweep: SweepId) -> Result<bool, CaseError> {
        let queued = "SELECT queued FROM sweep WHERE id = ?1";
        let queued: i64 = self.connection.query_row(queued, [sweep.0], |row| row.get(0))?;
        Ok(queued == last_row(&self.connection, sweep)?)
    }

    /// Digests of lists are all of one class, and those that have joined are counted where they stand.
    fn plan_of_list(&self, sweep: SweepId) -> Result<Vec<Planned>, CaseError> {
        let mut lines = self.connection.prepare(
            "SELECT kind, sum(to_ask), sum(cached), sum(local) FROM (
                 SELECT kind, n AS to_ask, 0 AS cached, 0 AS local FROM queue WHERE sweep = ?1
                 UNION ALL SELECT kind, n, 0, 0 FROM claim WHERE sweep = ?1
                 UNION ALL SELECT kind, state IN ('deferred', 'failed'), state = 'cached', state = 'local' FROM want
                 WHERE sweep = ?1)
             GROUP BY kind ORDER BY kind",
        )?;
        let mut rows = lines.query([sweep.0])?;
        let mut plan = Vec::new();
        while let Some(row) = rows.next()? {
            plan.push(Planned {
                class: Class::First,
                kind: kind(row.get(0)?)?,
                suspicion: None,
                to_ask: count(row.get(1)?),
                cached: count(row.get(2)?),
                local: count(row.get(3)?),
            });
        }
        plan.retain(|line| line.to_ask + line.cached + line.local > 0);
        Ok(plan)
    }

    fn plan_by_rows(&self, sweep: SweepId) -> Result<Vec<Planned>, CaseError> {
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
        // What is known of the digest of a list stands in `want`.
        let offers = if self.is_of_lists(sweep)? {
            "SELECT kind, digest, 0 AS carried FROM want WHERE sweep = ?1"
        } else {
            "SELECT kind, CASE kind WHEN 1 THEN md5 WHEN 2 THEN sha1 ELSE sha256 END AS digest, sum(NOT carried) = 0 AS carried
             FROM present WHERE sweep = ?1 AND kind IS NOT NULL GROUP BY 1, 2"
        };
        let mut lines = self.connection.prepare(&format!(
            "SELECT offer.state IN ('answered', 'invalid'), iif(offer.state = 'local', coalesce(offer.reason, ''), NULL),
                 answer.origin IS NOT NULL, answer.kind = offer.kind AND answer.digest = offer.digest,
                 count(*), min(answered_at), max(answered_at)
             FROM (SELECT offer.kind, offer.digest, coalesce(want.state, 'cached') AS state, want.reason,
                       iif(want.state IS NULL, {COUNTED}, want.answer) AS known_by
                   FROM ({offers}) AS offer
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Claim, Fate, Freshness, NewRoot, NewSweep};
    use hashsweep_model::{Answer, Digest, Digests, Place, Seen, Sighting, Source, Verdict};

    fn listed(line: u8) -> Sighting {
        let digest = Digest::from_bytes(&[line; 20][..if line < 50 { 16 } else { 20 }]).unwrap();
        let digests = Digests::default().with(digest);
        let seen = Seen::Listed { digests, asked: digest.kind() };
        Sighting { root: 0, place: Place::Line(u64::from(line)), seen }
    }

    fn begin(group: &mut crate::Group<'_>) -> Result<(SweepId, crate::RunId), CaseError> {
        let new = NewSweep {
            command: "list".to_owned(),
            settings: String::new(),
            roots: vec![NewRoot { given: b"list".to_vec(), opened: "/list".into() }],
        };
        let sweep = group.begin_sweep(&new, Stamp(0))?;
        Ok((sweep, group.begin_run(sweep, Stamp(1))?))
    }

    #[test]
    fn a_list_is_planned_as_its_rows_would_be() {
        let directory = tempfile::tempdir().unwrap();
        let mut case = Case::open(&directory.path().join("case.db")).unwrap();
        let fresh = Freshness::ANYTHING;
        let rows: Vec<_> = (1..200).chain(20..120).map(listed).collect();
        let claim = Claim {
            n_batches: 5,
            batch_size: 10,
            also_partial: true,
            most_digests: u64::MAX,
            up_to: Class::Last,
        };
        case.group(|group| {
            let earlier = begin(group)?;
            group.record(earlier.0, &rows[..120], &fresh)?;
            group.catch_up(earlier.0, &fresh)?;
            for claimed in group.claim(earlier, claim, &fresh, Stamp(2))?.batches {
                let answer =
                    |digest: &Digest| (*digest, Fate::Answered(Answer::bare(*digest, Verdict::Known)));
                let fates: Vec<_> = claimed.batch.digests().iter().map(answer).collect();
                group.settle(earlier, claimed.attempt, &fates, Source::Simulator, Stamp(3))?;
            }
            group.defer_rest(earlier.0, "budget", &fresh, Stamp(4))
        })
        .unwrap();
        let sweep = case
            .group(|group| {
                let later = begin(group)?;
                group.record(later.0, &rows, &fresh)?;
                group.catch_up(later.0, &fresh)?;
                let batches = group.claim(later, claim, &fresh, Stamp(5))?.batches;
                let failed = |digest: &Digest| (*digest, Fate::Failed("broken".to_owned()));
                let fates: Vec<_> = batches[0].batch.digests().iter().map(failed).collect();
                group.settle(later, batches[0].attempt, &fates, Source::Simulator, Stamp(6))?;
                Ok(later.0)
            })
            .unwrap();
        assert!(case.is_of_lists(sweep).unwrap() && case.has_all_joined(sweep).unwrap());
        let plan = case.plan_of_list(sweep).unwrap();
        assert_eq!(plan, case.plan(sweep).unwrap());
        assert_eq!(plan.len(), 2);
        assert!(plan.iter().any(|line| line.cached > 0), "{plan:?}");
        // What is on its way is to be asked, as far as a plan goes.
        assert_eq!(plan, case.plan_by_rows(sweep).unwrap());
        let known: u64 = case.known_before(sweep).unwrap().iter().map(|known| known.n_digests).sum();
        assert_eq!(known, plan.iter().map(|line| line.cached + line.local).sum());
        // Rows that have not joined are planned by themselves.
        case.group(|group| group.store(sweep, &[listed(250)])).unwrap();
        assert!(!case.has_all_joined(sweep).unwrap());
        let to_ask = |plan: &[Planned]| plan.iter().map(|line| line.to_ask).sum::<u64>();
        assert_eq!(to_ask(&case.plan(sweep).unwrap()), to_ask(&plan) + 1);
    }
}
