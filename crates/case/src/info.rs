//! What is in a case, in few figures: cheap to read, whatever its size, but for one look at every row and answer.

use crate::codes::count;
use crate::ledger::Scope;
use crate::verify::ASKED;
use crate::{Case, CaseError, Size, SweepId};
use hashsweep_model::{Quota, Stamp, Verdict};
use std::collections::BTreeMap;

/// What is in a case.
#[derive(Clone, Debug)]
pub struct Info {
    /// By which it is told from others.
    pub uid: String,
    /// The service it belongs to.
    pub service: Option<String>,
    /// How large it is.
    pub size: Size,
    /// Its sweeps, oldest first, those that were pruned too.
    pub sweeps: Vec<Brief>,
    /// Rows that are stored; one that stands for many sweeps counts once.
    pub n_rows: u64,
    /// Of these, rows that no sweep to come goes on with.
    pub n_ended: u64,
    /// Distinct digests of these rows that are asked about.
    pub n_digests: u64,
    /// What was said.
    pub answers: Answers,
    /// Distinct digests that wait or came to nothing, over all sweeps; a digest counts once for each.
    pub n_owed: u64,
    /// What asking has cost, all products, those of merged cases too.
    pub quota: Quota,
    /// How many requests were sent.
    pub requests: u64,
    /// Of the cost, what other cases have spent whose sweeps were brought here.
    pub brought: Quota,
}

/// A sweep in one line.
#[derive(Clone, Debug)]
pub struct Brief {
    /// Its number.
    pub id: SweepId,
    /// Its name in every case.
    pub uid: String,
    /// `scan` or `list`.
    pub command: String,
    /// When it began.
    pub started_at: Stamp,
    /// When its intake came to its end.
    pub intake_finished_at: Option<Stamp>,
    /// When it was pruned.
    pub pruned_at: Option<Stamp>,
    /// The machine that it was begun on, if that is known.
    pub host: Option<String>,
    /// The program and its version, if that is known.
    pub tool: Option<String>,
    /// What was typed, a JSON array, if that is known.
    pub arguments: Option<String>,
    /// The case that it was made in, unless it is this one.
    pub origin: Option<String>,
    /// What the user pointed at, as typed.
    pub roots: Vec<Vec<u8>>,
    /// Rows of its own, without those that it found as an earlier sweep had left them.
    pub n_own_rows: u64,
}

/// The answers of a case.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// How many there are by verdict, every one that was ever given.
    pub by_verdict: BTreeMap<Verdict, u64>,
    /// Distinct digests that have one.
    pub n_digests: u64,
    /// When the first was given.
    pub oldest: Option<Stamp>,
    /// When the last was given.
    pub newest: Option<Stamp>,
}

impl Case {
    /// What is in it at one moment.
    pub fn info(&self) -> Result<Info, CaseError> {
        let _snapshot = self.connection.unchecked_transaction()?;
        let one = |sql: &str| -> Result<u64, CaseError> {
            Ok(count(self.connection.query_row(sql, [], |row| row.get(0))?))
        };
        Ok(Info {
            uid: self.uid()?,
            service: self.service()?,
            size: self.size()?,
            sweeps: self.briefs()?,
            n_rows: one(
                "SELECT (SELECT count(*) FROM sighting) + (SELECT coalesce(sum(n), 0) FROM stretch)",
            )?,
            n_ended: one("SELECT count(*) FROM sighting WHERE until IS NOT NULL AND NOT kept")?,
            n_digests: one(&format!(
                "SELECT count(*) FROM (SELECT DISTINCT {ASKED} FROM recorded WHERE kind IS NOT NULL)"
            ))?,
            answers: self.answers()?,
            n_owed: one(
                "SELECT (SELECT coalesce(sum(n), 0) FROM queue) + (SELECT coalesce(sum(n), 0) FROM claim)
                     + (SELECT count(*) FROM want JOIN sweep ON sweep.id = want.sweep
                        WHERE state IN ('deferred', 'failed') AND pruned_at IS NULL)",
            )?,
            quota: self.quota(Scope::Case)?,
            requests: self.requests(Scope::Case)?,
            brought: self.quota(Scope::Brought)?,
        })
    }

    fn briefs(&self) -> Result<Vec<Brief>, CaseError> {
        let mut sweeps = self.connection.prepare(
            "SELECT sweep.id, sweep.uid, command, started_at, intake_finished_at, pruned_at, host, tool, arguments,
                 origin.uid, (SELECT count(*) FROM sighting WHERE sighting.sweep = sweep.id)
                     + (SELECT coalesce(sum(n), 0) FROM stretch WHERE stretch.sweep = sweep.id)
             FROM sweep LEFT JOIN origin ON origin.id = sweep.origin ORDER BY sweep.id",
        )?;
        let mut roots = self.connection.prepare("SELECT given FROM root WHERE sweep = ?1 ORDER BY n")?;
        let mut rows = sweeps.query([])?;
        let mut briefs = Vec::new();
        while let Some(row) = rows.next()? {
            let id = row.get(0)?;
            let roots = roots.query_map([id], |row| row.get(0))?;
            briefs.push(Brief {
                id: SweepId(id),
                uid: row.get(1)?,
                command: row.get(2)?,
                started_at: Stamp(row.get(3)?),
                intake_finished_at: row.get::<_, Option<i64>>(4)?.map(Stamp),
                pruned_at: row.get::<_, Option<i64>>(5)?.map(Stamp),
                host: row.get(6)?,
                tool: row.get(7)?,
                arguments: row.get(8)?,
                origin: row.get(9)?,
                roots: roots.collect::<Result<_, _>>()?,
                n_own_rows: count(row.get(10)?),
            });
        }
        Ok(briefs)
    }

    fn answers(&self) -> Result<Answers, CaseError> {
        let mut answers = Answers::default();
        let mut by_verdict = self.connection.prepare(
            "SELECT verdict, count(*), min(answered_at), max(answered_at) FROM answer GROUP BY verdict",
        )?;
        let mut rows = by_verdict.query([])?;
        while let Some(row) = rows.next()? {
            let verdict = row.get_ref(0)?.as_str()?.parse::<Verdict>();
            let verdict = verdict.map_err(|error| CaseError::Damaged(error.to_string()))?;
            answers.by_verdict.insert(verdict, count(row.get(1)?));
            let (first, last) = (Stamp(row.get(2)?), Stamp(row.get(3)?));
            answers.oldest = Some(answers.oldest.map_or(first, |oldest| oldest.min(first)));
            answers.newest = Some(answers.newest.map_or(last, |newest| newest.max(last)));
        }
        answers.n_digests = count(self.connection.query_row(
            "SELECT count(*) FROM (SELECT DISTINCT kind, digest FROM answer)",
            [],
            |row| row.get(0),
        )?);
        Ok(answers)
    }
}
