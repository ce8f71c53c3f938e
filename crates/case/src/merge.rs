//! Several cases into one: the sweeps of a case with their rows, its answers and its ledger come into another.
//!
//! Sweeps and runs are known by their names (`uid`), attempts and answers by their place within their run, which only
//! ever grows. So a case that comes again adds what is new in it and nothing else, by whichever way it comes.
//!
//! The history of one case is a line: of two copies one must hold all that the other holds. Then the one that is ahead
//! says how rows and fates stand. A sweep that was brought here may be asked about here, too; from then on its fates
//! are this case's affair.

use crate::codes::count;
use crate::excerpt::EXCERPT;
use crate::open::{
    CASE, LOOK, PATIENCE, as_it_lies, has_log, is_no_permission, only_to_read, private_file_anew,
    refuse_foreign, version,
};
use crate::session::Session;
use crate::{Case, CaseError, Group, SweepId};
use hashsweep_model::Stamp;
use rusqlite::{Connection, params};
use std::path::{Path, PathBuf};

/// What came into a case that was not there before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Sweeps.
    pub sweeps: u64,
    /// Rows.
    pub rows: u64,
    /// What became of digests.
    pub fates: u64,
    /// Answers.
    pub answers: u64,
    /// Lines of the ledger.
    pub attempts: u64,
}

/// Whose names here are whose there, and which side says how a sweep stands.
const MAPS: &str = "
CREATE TEMP TABLE of_origin (src INTEGER PRIMARY KEY, uid TEXT NOT NULL, dst INTEGER);
CREATE TEMP TABLE of_sweep (src INTEGER PRIMARY KEY, dst INTEGER NOT NULL UNIQUE, leads INTEGER NOT NULL DEFAULT 1);
CREATE TEMP TABLE of_run (src INTEGER PRIMARY KEY, dst INTEGER NOT NULL);
CREATE TEMP TABLE of_attempt (src INTEGER PRIMARY KEY, dst INTEGER NOT NULL);
CREATE TEMP TABLE of_answer (src INTEGER PRIMARY KEY, dst INTEGER NOT NULL);
CREATE TEMP TABLE behind (origin INTEGER PRIMARY KEY);
";

/// In place of an origin: this case itself. It is no rowid that SQLite gives out.
const HERE: i64 = 0;

const FORGET_MAPS: &str = "
DROP TABLE IF EXISTS temp.of_origin; DROP TABLE IF EXISTS temp.of_sweep; DROP TABLE IF EXISTS temp.of_run;
DROP TABLE IF EXISTS temp.of_attempt; DROP TABLE IF EXISTS temp.of_answer; DROP TABLE IF EXISTS temp.behind;
";

impl Case {
    /// Brings another case in, which is only read. Refuses if it belongs to another service, if it breaks a rule, if
    /// anybody is at work at either of them, or if both are copies of one case that have each gone on.
    pub fn merge(&mut self, source: &Path, now: Stamp) -> Result<Merged, CaseError> {
        if is_one_file(source, self.path()) {
            return Err(CaseError::IsTarget(source.to_owned()));
        }
        match BroughtUpToDate::of(source, self.path())? {
            Some(copy) => self.merge_current((source, &copy.0), now),
            None => self.merge_current((source, source), now),
        }
    }

    /// `named` is what the user calls it.
    fn merge_current(&mut self, (named, source): (&Path, &Path), now: Stamp) -> Result<Merged, CaseError> {
        if let Some(broken) = Case::open_to_read(source)?.first_broken()? {
            return Err(CaseError::Unsound {
                path: named.to_owned(),
                rule: broken.rule,
                example: broken.example.unwrap_or_default(),
            });
        }
        self.attach(source)?;
        let merged = self.group(|group| group.merge(source, now));
        let detached = self.connection.execute_batch(&format!("{FORGET_MAPS} DETACH DATABASE src"));
        let merged = merged?;
        detached?;
        Ok(merged)
    }
}

impl Case {
    /// Where nothing may be written nobody writes, and the source is read as it lies.
    fn attach(&mut self, source: &Path) -> Result<(), CaseError> {
        let attach = |name: String| -> rusqlite::Result<()> {
            self.connection.execute("ATTACH DATABASE ?1 AS src", [name])?;
            let looked = self.connection.query_row("SELECT count(*) FROM src.sqlite_schema", [], |_| Ok(()));
            looked.or_else(|error| self.connection.execute_batch("DETACH DATABASE src").and(Err(error)))
        };
        match attach(only_to_read(source)) {
            Err(error) if is_no_permission(&error) && !has_log(source) => Ok(attach(as_it_lies(source))?),
            Err(error) if is_no_permission(&error) => Err(CaseError::LogOnReadOnly(source.to_owned())),
            attached => Ok(attached?),
        }
    }
}

/// By whatever names: SQLite would keep two logs of it.
fn is_one_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |path: &Path| path.metadata().map(|meta| (meta.dev(), meta.ino())).ok();
    id(a).is_some_and(|a| Some(a) == id(b))
}

/// A copy of a case of an older version, brought up to date. Dropping it deletes it.
struct BroughtUpToDate(PathBuf);

impl BroughtUpToDate {
    /// Nothing for a case that is up to date. The copy lies beside the case that it is for.
    fn of(source: &Path, beside: &Path) -> Result<Option<BroughtUpToDate>, CaseError> {
        if !source.exists() {
            return Err(CaseError::Missing(source.to_owned()));
        }
        refuse_foreign(source, &CASE)?;
        let (connection, found) = look(source)?;
        match found {
            None => Err(CaseError::NotACase(source.to_owned())),
            Some(found) if found == CASE.version => Ok(None),
            Some(_) => {
                let path = crate::open::beside(beside, &format!("-merging-{:016x}", fastrand::u64(..)));
                drop(private_file_anew(&path).map_err(crate::open::io(&path))?);
                let copy = BroughtUpToDate(path);
                let name = copy.0.to_str().ok_or_else(|| CaseError::NotACase(source.to_owned()))?;
                connection.execute("VACUUM INTO ?1", [name])?;
                drop(Case::open(&copy.0)?);
                Ok(Some(copy))
            }
        }
    }
}

/// A connection that only reads, and the version of the schema.
fn look(source: &Path) -> Result<(Connection, Option<i64>), CaseError> {
    let open = |name: String| {
        let connection = Connection::open_with_flags(name, LOOK)?;
        connection.busy_timeout(PATIENCE)?;
        let found = version(&connection, source, &CASE)?;
        Ok((connection, found))
    };
    match open(only_to_read(source)) {
        Err(CaseError::Database(error)) if is_no_permission(&error) => open(as_it_lies(source)),
        looked => looked,
    }
}

impl Drop for BroughtUpToDate {
    fn drop(&mut self) {
        for file in Case::files_of(&self.0) {
            let _ = std::fs::remove_file(file);
        }
    }
}

impl Group<'_> {
    /// Brings in what is attached as `src`.
    fn merge(&mut self, source: &Path, now: Stamp) -> Result<Merged, CaseError> {
        self.look_around(SweepId(0), now)?;
        if self.has_others_at_work() {
            return Err(CaseError::InUse(self.database()));
        }
        for (schema, case) in [("main", self.database()), ("src", source.to_owned())] {
            let is_excerpt = format!("SELECT 1 FROM {schema}.meta WHERE name = ?1");
            if self.transaction.prepare(&is_excerpt)?.exists([EXCERPT])? {
                return Err(CaseError::Excerpt(case));
            }
        }
        self.refuse_living(source)?;
        self.share_service(source)?;
        let before = self.totals()?;
        self.transaction.execute_batch(FORGET_MAPS)?;
        self.transaction.execute_batch(MAPS)?;
        self.name_origins(now)?;
        self.refuse_diverged(source)?;
        self.bring_sweeps_and_runs()?;
        self.bring_ledger()?;
        self.bring_answers()?;
        self.refuse_altered(source)?;
        self.decide_who_leads()?;
        self.bring_rows()?;
        self.bring_fates()?;
        self.bring_queue()?;
        // What was claimed and sent by those who died over there is in doubt here as well.
        self.take_over(now)?;
        self.prune(&[], now)?;
        let after = self.totals()?;
        Ok(Merged {
            sweeps: after.sweeps - before.sweeps,
            rows: after.rows.saturating_sub(before.rows),
            fates: after.fates.saturating_sub(before.fates),
            answers: after.answers - before.answers,
            attempts: after.attempts - before.attempts,
        })
    }

    fn totals(&self) -> Result<Merged, CaseError> {
        let n = |table: &str| -> Result<u64, CaseError> {
            let sql = format!("SELECT count(*) FROM main.{table}");
            Ok(count(self.transaction.query_row(&sql, [], |row| row.get(0))?))
        };
        let in_stretches = "SELECT coalesce(sum(n), 0) FROM main.stretch";
        let in_stretches = count(self.transaction.query_row(in_stretches, [], |row| row.get(0))?);
        Ok(Merged {
            sweeps: n("sweep")?,
            rows: n("sighting")? + in_stretches,
            fates: n("want")?,
            answers: n("answer")?,
            attempts: n("attempt")?,
        })
    }

    fn refuse_living(&self, source: &Path) -> Result<(), CaseError> {
        let database = source.canonicalize().map_err(crate::open::io(source))?;
        let mut sessions =
            self.transaction.prepare("SELECT DISTINCT session FROM src.run WHERE session IS NOT NULL")?;
        let sessions: Vec<String> = sessions.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for name in sessions {
            if !Session::is_over(&database, &name)? {
                return Err(CaseError::InUse(source.to_owned()));
            }
        }
        Ok(())
    }

    fn share_service(&self, source: &Path) -> Result<(), CaseError> {
        let mut services = self.transaction.prepare(
            "SELECT (SELECT value FROM main.meta WHERE name = 'service'), (SELECT value FROM src.meta WHERE name = 'service')",
        )?;
        let (here, there): (Option<String>, Option<String>) =
            services.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if let (Some(has), Some(wants)) = (&here, there)
            && *has != wants
        {
            return Err(CaseError::OtherService { has: has.clone(), wants });
        }
        // A case of sweeps that asked nobody belongs to no service yet, and once it belongs to the simulator it could
        // never take a real answer.
        let simulated =
            "SELECT 1 FROM src.answer WHERE source = 'simulator' AND EXISTS (SELECT 1 FROM main.sweep)";
        if here.is_none() && self.transaction.prepare(simulated)?.exists([])? {
            return Err(CaseError::Simulated(source.to_owned()));
        }
        self.transaction.execute(
            "INSERT OR IGNORE INTO main.meta SELECT name, value FROM src.meta WHERE name IN ('service', 'unknowns_are_reported')",
            [],
        )?;
        Ok(())
    }

    /// The source itself, and the cases that it was merged from.
    fn name_origins(&self, now: Stamp) -> Result<(), CaseError> {
        self.transaction.execute(
            "INSERT INTO of_origin (src, uid)
             SELECT ?1, value FROM src.meta WHERE name = 'uid' UNION ALL SELECT id, uid FROM src.origin",
            [HERE],
        )?;
        self.transaction.execute(
            "INSERT INTO main.origin (uid, merged_at)
             SELECT uid, ?1 FROM of_origin WHERE uid <> (SELECT value FROM main.meta WHERE name = 'uid') ORDER BY src
             ON CONFLICT DO UPDATE SET merged_at = excluded.merged_at",
            [now.0],
        )?;
        self.transaction.execute(
            "UPDATE of_origin SET dst = (SELECT id FROM main.origin WHERE origin.uid = of_origin.uid)",
            [],
        )?;
        Ok(())
    }

    /// Finds out of which cases there is more here than there. If there is more of one of them there as well, copies
    /// of it have gone on in two ways.
    fn refuse_diverged(&self, source: &Path) -> Result<(), CaseError> {
        self.transaction.execute(
            "INSERT INTO behind SELECT DISTINCT coalesce(origin, ?1) FROM (
                 SELECT origin FROM main.sweep WHERE uid NOT IN (SELECT uid FROM src.sweep)
                 UNION ALL SELECT origin FROM main.run WHERE uid NOT IN (SELECT uid FROM src.run))",
            [HERE],
        )?;
        let mut diverged = self.transaction.prepare(
            "SELECT 1 FROM (
                 SELECT origin FROM src.sweep WHERE uid NOT IN (SELECT uid FROM main.sweep)
                 UNION ALL SELECT origin FROM src.run WHERE uid NOT IN (SELECT uid FROM main.run)) AS new
             JOIN of_origin ON of_origin.src = coalesce(new.origin, ?1)
             JOIN behind ON behind.origin = coalesce(of_origin.dst, ?1)",
        )?;
        if diverged.exists([HERE])? {
            return Err(CaseError::Diverged(source.to_owned()));
        }
        Ok(())
    }

    /// In the order in which they came into the source: sweeps of a series stay in theirs.
    fn bring_sweeps_and_runs(&self) -> Result<(), CaseError> {
        self.transaction.execute_batch(
            "INSERT INTO main.sweep (command, settings, started_at, uid, origin, host, tool, arguments, pruned_at)
             SELECT command, settings, started_at, new.uid, of_origin.dst, host, tool, arguments, pruned_at
             FROM src.sweep AS new JOIN of_origin ON of_origin.src = coalesce(new.origin, 0)
             WHERE new.uid NOT IN (SELECT uid FROM main.sweep) ORDER BY new.id;
             INSERT INTO of_sweep (src, dst)
             SELECT there.id, here.id FROM src.sweep AS there JOIN main.sweep AS here USING (uid);
             -- A sweep that is held against another names it by its number.
             UPDATE main.sweep SET settings = json_set(sweep.settings, '$.baseline', (
                 SELECT of_sweep.dst FROM of_sweep WHERE of_sweep.src = there.settings ->> '$.baseline'))
             FROM of_sweep JOIN src.sweep AS there ON there.id = of_sweep.src
             WHERE sweep.id = of_sweep.dst AND there.settings ->> '$.baseline' IS NOT NULL;
             INSERT INTO main.root SELECT dst, n, given, opened, fingerprint
             FROM src.root JOIN of_sweep ON of_sweep.src = root.sweep WHERE true
             ON CONFLICT DO UPDATE SET fingerprint = coalesce(fingerprint, excluded.fingerprint);
             INSERT INTO main.run (sweep, started_at, ended_at, exit_code, budget, uid, origin, host, tool, arguments)
             SELECT of_sweep.dst, started_at, ended_at, exit_code, budget, new.uid, of_origin.dst, host, tool, arguments
             FROM src.run AS new JOIN of_sweep ON of_sweep.src = new.sweep
             JOIN of_origin ON of_origin.src = coalesce(new.origin, 0)
             WHERE new.uid NOT IN (SELECT uid FROM main.run) ORDER BY new.id;
             INSERT INTO of_run SELECT there.id, here.id FROM src.run AS there JOIN main.run AS here USING (uid);
             UPDATE main.run SET ended_at = there.ended_at, exit_code = there.exit_code
             FROM of_run JOIN src.run AS there ON there.id = of_run.src
             WHERE run.id = of_run.dst AND there.ended_at IS NOT NULL
                 AND (run.ended_at IS NULL OR run.exit_code IS NULL AND there.exit_code IS NOT NULL);
             INSERT OR IGNORE INTO main.reading SELECT of_run.dst, at, n_files, n_bytes
             FROM src.reading JOIN of_run ON of_run.src = reading.run;
             INSERT OR IGNORE INTO main.device SELECT id, name, trusted FROM src.device;",
        )?;
        Ok(())
    }

    /// Attempts keep the run that made them, and are told apart within it by their place.
    fn bring_ledger(&self) -> Result<(), CaseError> {
        self.transaction.execute_batch(
            "WITH here AS MATERIALIZED (SELECT run, count(*) AS n FROM main.attempt GROUP BY run),
             there AS (SELECT *, row_number() OVER (PARTITION BY run ORDER BY id) AS nth FROM src.attempt)
             INSERT INTO main.attempt (run, product, n_hashes, reserved_at, sent_at, settled_at, ended, charged_max,
                 charged_min, in_doubt)
             SELECT dst, product, n_hashes, reserved_at, sent_at, settled_at, ended, charged_max, charged_min, in_doubt
             FROM there JOIN of_run ON of_run.src = there.run LEFT JOIN here ON here.run = dst
             WHERE nth > coalesce(here.n, 0) ORDER BY there.id;
             WITH here AS (SELECT id, run, row_number() OVER (PARTITION BY run ORDER BY id) AS nth FROM main.attempt),
             there AS (SELECT id, run, row_number() OVER (PARTITION BY run ORDER BY id) AS nth FROM src.attempt)
             INSERT INTO of_attempt SELECT there.id, here.id
             FROM there JOIN of_run ON of_run.src = there.run JOIN here ON here.run = of_run.dst AND here.nth = there.nth;
             UPDATE main.attempt SET sent_at = there.sent_at, settled_at = there.settled_at, ended = there.ended,
                 charged_max = there.charged_max, charged_min = there.charged_min, in_doubt = there.in_doubt
             FROM of_attempt JOIN src.attempt AS there ON there.id = of_attempt.src
             WHERE attempt.id = of_attempt.dst AND there.settled_at IS NOT NULL
                 AND (attempt.settled_at IS NULL OR attempt.ended = 'killed' AND there.ended <> 'killed');",
        )?;
        Ok(())
    }

    /// In the order in which they were given, so that the latest that a sweep knew of stays the latest.
    fn bring_answers(&self) -> Result<(), CaseError> {
        self.transaction.execute_batch(
            "WITH here AS MATERIALIZED (SELECT run, count(*) AS n FROM main.answer GROUP BY run),
             there AS (SELECT *, row_number() OVER (PARTITION BY run ORDER BY id) AS nth FROM src.answer)
             INSERT INTO main.answer (kind, digest, answered_at, run, source, verdict, reason, threat_name,
                 threat_level, trust_factor, scanner_match, scanner_count, first_seen, last_seen, md5, sha1, sha256, origin)
             SELECT kind, digest, answered_at, of_run.dst, source, verdict, reason, threat_name,
                 threat_level, trust_factor, scanner_match, scanner_count, first_seen, last_seen, md5, sha1, sha256,
                 of_origin.dst
             FROM there JOIN of_run ON of_run.src = there.run LEFT JOIN here ON here.run = of_run.dst
             JOIN of_origin ON of_origin.src = coalesce(there.origin, 0)
             WHERE nth > coalesce(here.n, 0) ORDER BY there.id;
             WITH here AS (SELECT id, run, row_number() OVER (PARTITION BY run ORDER BY id) AS nth FROM main.answer),
             there AS (SELECT id, run, row_number() OVER (PARTITION BY run ORDER BY id) AS nth FROM src.answer)
             INSERT INTO of_answer SELECT there.id, here.id
             FROM there JOIN of_run ON of_run.src = there.run JOIN here ON here.run = of_run.dst AND here.nth = there.nth;
             INSERT OR IGNORE INTO main.same_file SELECT dst, md5, sha1, sha256
             FROM src.same_file JOIN of_answer ON of_answer.src = same_file.answer;",
        )?;
        Ok(())
    }

    /// What was brought in before is known by its place. If another stands there now, fates would be given to the wrong
    /// digests.
    fn refuse_altered(&self, source: &Path) -> Result<(), CaseError> {
        let mut altered = self.transaction.prepare(
            "SELECT 1 FROM of_answer JOIN src.answer AS there ON there.id = src JOIN main.answer AS here ON here.id = dst
             WHERE (here.kind, here.digest, here.answered_at, here.verdict)
                 <> (there.kind, there.digest, there.answered_at, there.verdict)
             UNION ALL
             SELECT 1 FROM of_attempt JOIN src.attempt AS there ON there.id = src JOIN main.attempt AS here ON here.id = dst
             WHERE (here.product, here.n_hashes, here.reserved_at)
                 <> (there.product, there.n_hashes, there.reserved_at)",
        )?;
        if altered.exists([])? {
            return Err(CaseError::Altered(source.to_owned()));
        }
        Ok(())
    }

    /// The source says how a sweep stands, unless there is more of that sweep's own case here, or somebody has asked
    /// about it here. Rows that are new over there need their fates, though.
    fn decide_who_leads(&self) -> Result<(), CaseError> {
        self.transaction.execute_batch(
            "UPDATE of_sweep SET leads = 0
             WHERE (SELECT coalesce(origin, 0) FROM main.sweep WHERE id = dst) IN (SELECT origin FROM behind);
             UPDATE of_sweep SET leads = 0 WHERE leads
                 AND (SELECT here.intake_finished_at IS NOT NULL OR there.intake_finished_at IS NULL
                      FROM main.sweep AS here, src.sweep AS there WHERE here.id = dst AND there.id = of_sweep.src)
                 AND EXISTS (SELECT 1 FROM main.run JOIN main.attempt ON attempt.run = run.id
                     WHERE run.sweep = dst AND run.uid NOT IN (SELECT uid FROM src.run) AND attempt.product = 'TCA-0101');
             -- What was pruned over there and is whole here stays so.
             UPDATE of_sweep SET leads = 0 WHERE EXISTS (
                 SELECT 1 FROM main.sweep AS here, src.sweep AS there
                 WHERE here.id = dst AND there.id = of_sweep.src AND there.pruned_at IS NOT NULL AND here.pruned_at IS NULL);",
        )?;
        Ok(())
    }

    /// Rows, and what decides which sweeps they belong to.
    fn bring_rows(&self) -> Result<(), CaseError> {
        self.transaction.execute_batch(
            "UPDATE main.sweep SET intake_finished_at = there.intake_finished_at, queued = there.queued,
                 excluded = there.excluded, shape = there.shape, put_off = there.put_off,
                 series = (SELECT dst FROM of_sweep WHERE src = there.series),
                 intake_run = (SELECT dst FROM of_run WHERE src = there.intake_run),
                 answers = CASE WHEN there.answers IS NOT NULL THEN coalesce((
                     SELECT dst FROM of_answer JOIN src.answer ON answer.id = of_answer.src
                     WHERE of_answer.src <= there.answers AND answer.origin IS there.origin
                     ORDER BY of_answer.src DESC LIMIT 1), 0) END,
                 answers_until = there.answers_until, malicious_since = there.malicious_since,
                 suspicious_since = there.suspicious_since, unknown_since = there.unknown_since,
                 known_since = there.known_since, carried_queued = there.carried_queued
             FROM of_sweep JOIN src.sweep AS there ON there.id = of_sweep.src WHERE sweep.id = dst AND leads;
             INSERT INTO main.sighting (sweep, seq, root, path, line, size, md5, sha1, sha256, kind, class, suspicion,
                 outcome, reason, until, kept, device, inode, modified_ns, changed_ns, born_ns, note)
             SELECT of_sweep.dst, seq, root, path, line, size, md5, sha1, sha256, kind, class, suspicion, outcome, reason,
                 last.dst, kept, device, inode, modified_ns, changed_ns, born_ns, note
             FROM src.sighting AS there JOIN of_sweep ON of_sweep.src = there.sweep
             LEFT JOIN of_sweep AS last ON last.src = there.until
             WHERE of_sweep.leads
             ON CONFLICT DO UPDATE SET until = excluded.until, kept = excluded.kept
                 WHERE until IS NOT excluded.until OR kept <> excluded.kept;
             INSERT OR IGNORE INTO main.stretch (sweep, seq, n, root, line, kind, digests)
             SELECT of_sweep.dst, seq, n, root, line, kind, digests
             FROM src.stretch AS there JOIN of_sweep ON of_sweep.src = there.sweep WHERE leads ORDER BY there.id;
             -- What pruning here took out of a stretch that is whole over there.
             DELETE FROM main.sighting
             WHERE sweep IN (SELECT dst FROM of_sweep JOIN main.stretch ON stretch.sweep = dst WHERE leads)
                 AND seq < (SELECT stretch.seq + n FROM main.stretch
                     WHERE stretch.sweep = sighting.sweep AND stretch.seq <= sighting.seq
                     ORDER BY stretch.seq DESC LIMIT 1);",
        )?;
        self.end_what_was_dropped()
    }

    /// In a sweep that was pruned over there and is whole here, rows have ended meanwhile: those that are still there
    /// say when, and those that are not before the next sweep that is whole on both sides.
    fn end_what_was_dropped(&self) -> Result<(), CaseError> {
        self.transaction.execute_batch(
            "WITH pruned AS MATERIALIZED (
                 SELECT of_sweep.src, of_sweep.dst, (
                     SELECT min(whole.id) FROM src.sweep AS whole
                     WHERE whole.series = there.series AND whole.id > there.id AND whole.pruned_at IS NULL) AS next,
                     there.series
                 FROM of_sweep JOIN src.sweep AS there ON there.id = of_sweep.src JOIN main.sweep AS here ON here.id = dst
                 WHERE there.pruned_at IS NOT NULL AND here.pruned_at IS NULL
                     AND coalesce(here.origin, 0) NOT IN (SELECT origin FROM behind)),
             ends AS MATERIALIZED (
                 SELECT pruned.dst AS sweep, here.seq, there.seq IS NULL AS is_dropped, there.kept,
                     CASE WHEN there.seq IS NULL THEN (
                         SELECT max(before.dst) FROM src.sweep AS earlier JOIN of_sweep AS before ON before.src = earlier.id
                         WHERE earlier.series = pruned.series AND earlier.id < pruned.next)
                     ELSE (SELECT dst FROM of_sweep WHERE src = there.until) END AS until
                 FROM pruned JOIN main.sighting AS here ON here.sweep = pruned.dst
                 LEFT JOIN src.sighting AS there ON there.sweep = pruned.src AND there.seq = here.seq
                 WHERE there.seq IS NOT NULL OR pruned.next IS NOT NULL)
             UPDATE main.sighting SET until = ends.until, kept = coalesce(ends.kept, 0)
             FROM ends WHERE sighting.sweep = ends.sweep AND sighting.seq = ends.seq
                 AND (NOT is_dropped AND (sighting.until IS NOT ends.until OR sighting.kept <> ends.kept)
                      OR is_dropped AND (sighting.until IS NULL OR sighting.until > ends.until));",
        )?;
        Ok(())
    }

    fn bring_fates(&self) -> Result<(), CaseError> {
        self.transaction.execute_batch(
            "DELETE FROM main.want WHERE sweep IN (SELECT dst FROM of_sweep WHERE leads)
                 -- CROSS: of the two, SQLite would go through all fates over there for each one here.
                 AND NOT EXISTS (SELECT 1 FROM of_sweep CROSS JOIN src.want AS there ON there.sweep = of_sweep.src
                     WHERE dst = want.sweep AND there.kind = want.kind AND there.digest = want.digest);
             INSERT INTO main.want (sweep, kind, digest, state, class, reason, answer, attempt, learned)
             SELECT of_sweep.dst, kind, digest, state, class, reason, of_answer.dst, of_attempt.dst, learned
             FROM src.want AS there JOIN of_sweep ON of_sweep.src = there.sweep
             LEFT JOIN of_answer ON of_answer.src = there.answer LEFT JOIN of_attempt ON of_attempt.src = there.attempt
             WHERE leads
             ON CONFLICT DO UPDATE SET state = excluded.state, class = excluded.class, reason = excluded.reason,
                 answer = excluded.answer, attempt = excluded.attempt, learned = excluded.learned
             WHERE state <> excluded.state OR class <> excluded.class OR reason IS NOT excluded.reason
                 OR answer IS NOT excluded.answer OR attempt IS NOT excluded.attempt OR learned IS NOT excluded.learned;",
        )?;
        Ok(())
    }

    /// What waits. What was claimed by somebody who died waits again.
    fn bring_queue(&self) -> Result<(), CaseError> {
        let leading = "SELECT dst FROM of_sweep WHERE leads";
        self.transaction.execute_batch(&format!(
            "DELETE FROM main.block WHERE id IN (SELECT block FROM main.queue WHERE sweep IN ({leading}));
             DELETE FROM main.queue WHERE sweep IN ({leading});
             DELETE FROM main.claim WHERE sweep IN ({leading});
             INSERT INTO main.claim (run, sweep, kind, n, digests, ranks)
             SELECT of_run.dst, of_sweep.dst, kind, n, digests, ranks
             FROM src.claim AS there JOIN of_run ON of_run.src = there.run JOIN of_sweep ON of_sweep.src = there.sweep
             WHERE leads ORDER BY there.id;"
        ))?;
        let mut blocks = self.transaction.prepare(
            "SELECT of_sweep.dst, kind, class, turn, first, n, digests
             FROM src.queue AS there JOIN src.block ON block.id = there.block JOIN of_sweep ON of_sweep.src = there.sweep
             WHERE leads ORDER BY there.block",
        )?;
        let mut put = self.transaction.prepare("INSERT INTO main.block (digests) VALUES (?1)")?;
        let mut place = self.transaction.prepare(
            "INSERT INTO main.queue (block, sweep, kind, class, turn, first, n) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        let mut rows = blocks.query([])?;
        while let Some(row) = rows.next()? {
            let number = |i: usize| row.get::<_, i64>(i);
            let block = put.insert([row.get_ref(6)?.as_blob()?])?;
            let first = row.get_ref(4)?.as_blob()?;
            place.execute(params![
                block,
                number(0)?,
                number(1)?,
                number(2)?,
                number(3)?,
                first,
                number(5)?
            ])?;
        }
        Ok(())
    }
}
