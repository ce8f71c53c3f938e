//! Whether a case keeps its own rules: read from the tables alone, so that it also judges the code that wrote them.
//!
//! Every rule is a question whose answer is what breaks it. It costs a few readings of the whole case in key order,
//! and changes nothing.

use crate::calendar::{date, first_moment};
use crate::codes::count;
use crate::open::VIEWS;
use crate::{Account, Case, CaseError};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};

/// What came of holding a case against one of its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The rule, as it should be.
    pub rule: &'static str,
    /// How many things break it.
    pub n_broken: u64,
    /// The first of them, if any: what it is and where.
    pub example: Option<String>,
}

/// The digest that a row asks about.
pub(crate) const ASKED: &str = "CASE kind WHEN 1 THEN md5 WHEN 2 THEN sha1 WHEN 3 THEN sha256 END";

/// Digests on their way, each in a row of its own.
const ON_THE_WAY: &str = "WITH RECURSIVE packed AS MATERIALIZED (
        SELECT 'block ' || block AS place, sweep, kind, digests, CASE kind WHEN 1 THEN 16 WHEN 2 THEN 20 ELSE 32 END AS width
        FROM queue JOIN block ON block.id = queue.block
        UNION ALL
        SELECT 'claim ' || id, sweep, kind, digests, CASE kind WHEN 1 THEN 16 WHEN 2 THEN 20 ELSE 32 END FROM claim
    ), longest AS (SELECT coalesce(max(length(digests) / width), 0) AS n FROM packed),
    number(i) AS (SELECT 0 FROM longest WHERE n > 0 UNION ALL SELECT i + 1 FROM number, longest WHERE i + 1 < n),
    waiting AS MATERIALIZED (
        SELECT place, sweep, kind, substr(digests, i * width + 1, width) AS digest
        FROM packed JOIN number ON i < length(digests) / width
    ) ";

/// Rules about single tables and references, with what breaks each. The first column says what and where. A case that
/// breaks one of them would spoil every case that it is merged into.
const RULES: [(&str, &str); 19] = [
    (
        "the case, its sweeps and its runs have names",
        "SELECT 'sweep ' || id FROM sweep WHERE coalesce(uid, '') = ''
         UNION ALL SELECT 'run ' || id FROM run WHERE coalesce(uid, '') = ''
         UNION ALL SELECT 'the case' WHERE NOT EXISTS (SELECT 1 FROM meta WHERE name = 'uid' AND value <> '')",
    ),
    (
        "every sweep was begun by a command that there is, with settings that are JSON",
        "SELECT 'sweep ' || id FROM sweep WHERE command NOT IN ('scan', 'list', 'image') OR NOT json_valid(settings)",
    ),
    (
        "sweeps that carry one another's rows on are scans of one shape",
        "SELECT 'sweep ' || id FROM sweep WHERE series IS NOT NULL AND pruned_at IS NULL AND (
             command <> 'scan' OR shape IS NULL OR EXISTS (SELECT 1 FROM sweep AS other
                 WHERE other.series = sweep.series AND other.pruned_at IS NULL AND other.shape IS NOT sweep.shape))",
    ),
    (
        "the rows of a sweep are numbered without a gap, and none has joined the queue that is not there",
        "SELECT 'sweep ' || id || ': ' || n || ' rows, the last of them ' || last || ', and ' || queued || ' have joined'
         FROM (SELECT id, queued, pruned_at, coalesce(sum(n), 0) AS n, coalesce(min(first), 1) AS first,
                   coalesce(max(last), 0) AS last
               FROM sweep LEFT JOIN (
                   SELECT sweep, count(*) AS n, min(seq) AS first, max(seq) AS last FROM sighting GROUP BY sweep
                   UNION ALL SELECT sweep, sum(n), min(seq), max(seq + n - 1) FROM stretch GROUP BY sweep
               ) AS numbered ON numbered.sweep = sweep.id GROUP BY id)
         WHERE pruned_at IS NULL AND (first <> 1 OR last <> n OR queued > last)",
    ),
    (
        "rows that stand together are those of a list, with a digest each and numbers that no other row has",
        "SELECT 'sweep ' || sweep || ' row ' || seq FROM stretch
         -- Counted on from there, numbers stay below what a number holds.
         WHERE n NOT BETWEEN 1 AND 256 OR seq NOT BETWEEN 1 AND 1 << 62 OR line NOT BETWEEN 0 AND 1 << 62 OR length(digests) IS NOT n * CASE kind WHEN 1 THEN 16 WHEN 2 THEN 20 WHEN 3 THEN 32 END
         UNION ALL SELECT 'sweep ' || sweep || ' row ' || seq FROM stretch JOIN sweep ON sweep.id = stretch.sweep
         WHERE command <> 'list' OR series IS NOT NULL
         UNION ALL SELECT 'sweep ' || sweep || ' row ' || seq FROM (
             SELECT sweep, seq, seq + n AS end, lead(seq) OVER (PARTITION BY sweep ORDER BY seq) AS next FROM stretch)
         WHERE next < end
         UNION ALL SELECT 'sweep ' || sweep || ' row ' || seq FROM sighting
         WHERE seq < (SELECT stretch.seq + n FROM stretch WHERE stretch.sweep = sighting.sweep AND stretch.seq <= sighting.seq
                      ORDER BY stretch.seq DESC LIMIT 1)",
    ),
    (
        "a row of a list stands once",
        "SELECT 'sweep ' || sweep || ' row ' || max(seq) FROM recorded WHERE line IS NOT NULL
         GROUP BY sweep, root, line HAVING count(*) > 1",
    ),
    (
        "every row of a sweep has one of its roots and a place",
        "SELECT 'sweep ' || sweep || ' row ' || seq FROM sighting WHERE (path IS NULL) = (line IS NULL)
             OR NOT EXISTS (SELECT 1 FROM root WHERE root.sweep = sighting.sweep AND root.n = sighting.root)
         UNION ALL SELECT 'sweep ' || sweep || ' row ' || seq FROM stretch
         WHERE NOT EXISTS (SELECT 1 FROM root WHERE root.sweep = stretch.sweep AND root.n = stretch.root)",
    ),
    (
        "a place stands once in a scan",
        // Two rows of one place, the earlier of which still stood when the later came, both show in some sweep.
        "WITH placed AS (
             SELECT sighting.sweep, seq, series, until,
                 lag(sighting.sweep) OVER place AS before,
                 max(coalesce(until, 9223372036854775807)) OVER (place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
                     AS stood
             FROM sighting JOIN sweep ON sweep.id = sighting.sweep
             WHERE path IS NOT NULL AND command = 'scan'
             WINDOW place AS (PARTITION BY coalesce(series, -sweep.id), root, path ORDER BY sighting.sweep, seq)
         )
         SELECT 'sweep ' || sweep || ' row ' || seq FROM placed
         WHERE before = sweep OR stood >= sweep AND EXISTS (
             SELECT 1 FROM sweep AS later
             WHERE later.series = placed.series AND later.intake_finished_at IS NOT NULL AND later.pruned_at IS NULL
                 AND later.id >= placed.sweep AND later.id <= stood AND later.id <= coalesce(until, later.id))",
    ),
    (
        "every row has either a digest to ask about or an outcome",
        "SELECT 'sweep ' || sweep || ' row ' || seq FROM sighting
         WHERE (kind IS NULL) = (outcome IS NULL) OR kind IS NOT NULL AND {ASKED} IS NULL",
    ),
    (
        "every digest has the length of its kind",
        "SELECT 'sweep ' || sweep || ' row ' || seq FROM sighting
             WHERE length(md5) <> 16 OR length(sha1) <> 20 OR length(sha256) <> 32
         UNION ALL SELECT 'sweep ' || sweep || ' want ' || hex(digest) FROM want
             WHERE length(digest) IS NOT CASE kind WHEN 1 THEN 16 WHEN 2 THEN 20 WHEN 3 THEN 32 END
         UNION ALL SELECT 'answer ' || id FROM answer
             WHERE length(digest) IS NOT CASE kind WHEN 1 THEN 16 WHEN 2 THEN 20 WHEN 3 THEN 32 END
             OR length(md5) <> 16 OR length(sha1) <> 20 OR length(sha256) <> 32
         UNION ALL SELECT 'block ' || block FROM queue LEFT JOIN block ON block.id = queue.block
             WHERE length(digests) IS NOT n * CASE kind WHEN 1 THEN 16 WHEN 2 THEN 20 WHEN 3 THEN 32 END
             OR first IS NOT substr(digests, 1, length(first))
         UNION ALL SELECT 'block ' || id FROM block WHERE id NOT IN (SELECT block FROM queue)
         UNION ALL SELECT 'claim ' || id FROM claim
             WHERE length(digests) IS NOT n * CASE kind WHEN 1 THEN 16 WHEN 2 THEN 20 WHEN 3 THEN 32 END
             OR length(ranks) IS NOT n",
    ),
    (
        "every digest of a row is settled or waits, and only once",
        "{ON_THE_WAY}, known AS (
             SELECT sweep, kind, digest, 1 AS n FROM want UNION ALL SELECT sweep, kind, digest, 1 FROM waiting
         ), counted AS MATERIALIZED (SELECT sweep, kind, digest, sum(n) AS n FROM known GROUP BY 1, 2, 3),
         offered AS MATERIALIZED (
             SELECT sweep, kind, {ASKED} AS digest, min(seq) AS seq FROM recorded
             WHERE kind IS NOT NULL GROUP BY 1, 2, 3
         )
         SELECT 'sweep ' || offered.sweep || ' row ' || seq FROM offered JOIN sweep ON sweep.id = offered.sweep
             LEFT JOIN counted USING (sweep, kind, digest)
             WHERE seq <= sweep.queued AND n IS NOT 1",
    ),
    (
        "a settled digest has an outcome, and an answer about it if it was answered or cached",
        "SELECT 'sweep ' || want.sweep || ' want ' || hex(want.digest) FROM want LEFT JOIN answer ON answer.id = want.answer
         WHERE want.state NOT IN ('answered', 'cached', 'local', 'deferred', 'failed', 'invalid')
             OR want.state IN ('answered', 'cached') AND (answer.id IS NULL
                 OR want.digest NOT IN (answer.digest, coalesce(answer.md5, x''), coalesce(answer.sha1, x''), coalesce(answer.sha256, x'')))
             OR want.state NOT IN ('answered', 'cached') AND want.answer IS NOT NULL
             OR want.state = 'answered' AND want.attempt IS NULL",
    ),
    (
        "whatever is asked about has its place in the order of asking",
        "SELECT 'sweep ' || sweep || ' row ' || seq FROM sighting WHERE kind IS NOT NULL AND class NOT BETWEEN 1 AND 4
         UNION ALL SELECT 'sweep ' || sweep || ' want ' || hex(digest) FROM want WHERE class NOT BETWEEN 1 AND 4
         UNION ALL SELECT 'block ' || block FROM queue WHERE class NOT BETWEEN 1 AND 4 OR turn NOT IN (0, 1)",
    ),
    (
        "nothing waits in a sweep that was pruned",
        "SELECT 'sweep ' || sweep FROM (SELECT sweep FROM queue UNION SELECT sweep FROM claim) AS waiting
             JOIN sweep ON sweep.id = waiting.sweep WHERE pruned_at IS NOT NULL",
    ),
    (
        "a file that an answer was given for has the digest that was asked",
        "SELECT 'answer ' || answer FROM same_file JOIN answer ON answer.id = same_file.answer
         WHERE digest IS NOT CASE kind WHEN 1 THEN same_file.md5 WHEN 2 THEN same_file.sha1 ELSE same_file.sha256 END",
    ),
    (
        "every answer has a verdict and a source",
        "SELECT 'answer ' || id FROM answer WHERE verdict NOT IN ('malicious', 'suspicious', 'unknown', 'known')
             OR source NOT IN ('service', 'simulator')",
    ),
    (
        "no attempt is charged for more than it sent, or before it was sent",
        "SELECT 'attempt ' || id FROM attempt
         WHERE charged_min > charged_max OR charged_max + in_doubt > n_hashes
             OR charged_max < 0 OR charged_min < 0 OR in_doubt < 0
             -- No request is as large, and sums of such would pass what a number holds.
             OR n_hashes NOT BETWEEN 0 AND 1000000
             OR sent_at IS NULL AND charged_max + in_doubt > 0
             OR settled_at IS NULL AND charged_max + in_doubt > 0 OR (settled_at IS NULL) <> (ended IS NULL)",
    ),
    (
        "no attempt settled more digests than it asked about",
        "SELECT 'attempt ' || attempt.id FROM attempt JOIN want ON want.attempt = attempt.id
         GROUP BY attempt.id HAVING count(*) > n_hashes OR attempt.sent_at IS NULL AND sum(want.state = 'answered') > 0",
    ),
    (
        "what the ledger charged covers every digest that was answered",
        "SELECT 'sweep ' || answered.sweep || ': ' || n || ' answered, ' || coalesce(charged, 0) || ' charged'
         FROM (SELECT sweep, count(*) AS n FROM want WHERE state = 'answered' GROUP BY sweep) AS answered
         LEFT JOIN (SELECT sweep, sum(charged_max + in_doubt) AS charged FROM attempt JOIN run ON run.id = attempt.run
                    GROUP BY sweep) AS ledger USING (sweep)
         WHERE n > coalesce(charged, 0)",
    ),
];

/// Goes through the rows of every sweep, those that it took over as well.
const NOTHING_TOO_MUCH: (&str, &str) = (
    "every digest that is settled or waits is a row's",
    "{ON_THE_WAY}, offered AS MATERIALIZED (
         SELECT DISTINCT sweep, kind, {ASKED} AS digest FROM present WHERE kind IS NOT NULL
     ), known AS (
         SELECT sweep, kind, digest, 'want' AS place FROM want
         UNION ALL SELECT sweep, kind, digest, place FROM waiting
     )
     SELECT 'sweep ' || sweep || ' ' || place || ' ' || hex(known.digest) FROM known
         LEFT JOIN offered USING (sweep, kind, digest) WHERE offered.digest IS NULL",
);

impl Case {
    /// Holds the case against every rule, as it is at one moment. What breaks a rule is not an error; what keeps a
    /// rule from being looked at counts as breaking it.
    pub fn verify(&self) -> Result<Vec<Check>, CaseError> {
        // One snapshot: beside a writer the tables would contradict one another.
        let snapshot = self.connection.unchecked_transaction()?;
        let mut checks = vec![check("the file's pages and indexes are whole", integrity(&snapshot))];
        checks.extend(tables(&snapshot));
        checks.push(of_rule(&snapshot, NOTHING_TOO_MUCH));
        checks.push(check("the books of every sweep balance", self.imbalances()));
        drop(snapshot);
        Ok(checks)
    }

    /// The first rule that the tables break by themselves, without going through what each sweep took over.
    pub(crate) fn first_broken(&self) -> Result<Option<Check>, CaseError> {
        let snapshot = self.connection.unchecked_transaction()?;
        Ok(tables(&snapshot).find(|check| check.n_broken > 0))
    }

    /// Whether the accounts of a user's machine hold at least what was asked from this case on it: they are written
    /// first. None of them reaches further back than its first day. Looks at the case before it looks at them, so that
    /// it may be done beside a run.
    pub fn verify_against(&self, accounts: &[Account], host: Option<&str>) -> Check {
        check("the accounts hold at least what this case has asked", self.uncovered(accounts, host))
    }

    fn uncovered(&self, accounts: &[Account], host: Option<&str>) -> Result<Found, CaseError> {
        let ours = self.asked_here(host)?;
        let mut theirs = Costs::new();
        for account in accounts {
            for (key, n) in account.by_day()? {
                *theirs.entry(key).or_default() += n;
            }
        }
        let mut found = Found::default();
        let Some(first) = theirs.keys().map(|(_, day)| *day).min() else { return Ok(found) };
        // What was asked on the first day may have been asked before the account was begun.
        let is_older = ours.keys().any(|(_, day)| *day < first);
        let first = first + i64::from(is_older);
        let products: BTreeSet<String> = ours.keys().map(|(product, _)| product.clone()).collect();
        for product in products {
            let sum = |costs: &Costs, day: i64| -> u64 {
                costs.range((product.clone(), first)..=(product.clone(), day)).map(|(_, n)| n).sum()
            };
            // Added up from the first day, because an account may count a request in the day before.
            let days = ours.range((product.clone(), first)..).take_while(|((of, _), _)| *of == product);
            let short = days.map(|((_, day), _)| *day).find(|day| sum(&theirs, *day) < sum(&ours, *day));
            if let Some(day) = short {
                found.add(format!(
                    "{product} until {}: {} in the case, {} in the accounts",
                    date(first_moment(day)),
                    sum(&ours, day),
                    sum(&theirs, day)
                ));
            }
        }
        Ok(found)
    }

    /// What was asked on this machine, by product and day.
    fn asked_here(&self, host: Option<&str>) -> Result<Costs, CaseError> {
        let mut costs = self.connection.prepare(
            "SELECT product, reserved_at / 86400000,
                 sum(charged_max + CASE WHEN settled_at IS NULL AND sent_at IS NOT NULL THEN n_hashes ELSE in_doubt END)
             FROM attempt JOIN run ON run.id = attempt.run
             WHERE origin IS NULL AND (host IS NULL OR host IS ?1) GROUP BY 1, 2",
        )?;
        let costs = costs.query_map([host], |row| Ok(((row.get(0)?, row.get(1)?), count(row.get(2)?))))?;
        Ok(costs.collect::<Result<_, _>>()?)
    }

    /// Sweeps whose rows are not all accounted for, or that the view `result` shows otherwise than the tables do.
    fn imbalances(&self) -> Result<Found, CaseError> {
        let mut found = Found::default();
        for sweep in self.sweep_ids()? {
            let tally = self.count(sweep)?;
            if let Err(imbalance) = tally.check() {
                found.add(format!("sweep {}: {}", sweep.0, imbalance.0));
                continue;
            }
            let mut shown = self.connection.prepare(
                "SELECT outcome, count(*) FROM result WHERE sweep = ?1 GROUP BY outcome ORDER BY outcome",
            )?;
            let shown = shown.query_map([sweep.0], |row| Ok((row.get(0)?, count(row.get(1)?))))?;
            let shown: Vec<(String, u64)> = shown.collect::<Result<_, _>>()?;
            let outcomes = tally.outcomes.iter().filter(|(_, n)| **n > 0);
            let mut counted: Vec<_> = outcomes.map(|(outcome, n)| (outcome.name().to_owned(), *n)).collect();
            counted.sort();
            if shown != counted {
                found.add(format!("sweep {}: the view 'result' counts otherwise than the tables", sweep.0));
            }
        }
        Ok(found)
    }
}

/// Hashes of quota, at most, by product and day since 1970-01-01.
pub(crate) type Costs = BTreeMap<(String, i64), u64>;

/// What breaks a rule.
#[derive(Default)]
struct Found {
    n: u64,
    first: Option<String>,
}

impl Found {
    fn add(&mut self, what: String) {
        self.n += 1;
        self.first.get_or_insert(what);
    }

    fn unite(&mut self, other: Found) {
        self.n += other.n;
        self.first = self.first.take().or(other.first);
    }
}

fn check(rule: &'static str, found: Result<Found, CaseError>) -> Check {
    let found = found.unwrap_or_else(|error| Found { n: 1, first: Some(error.to_string()) });
    Check { rule, n_broken: found.n, example: found.first }
}

type Look = fn(&Connection) -> Result<Found, CaseError>;

/// The rules about tables, each looked at when it is asked for.
fn tables(case: &Connection) -> impl Iterator<Item = Check> {
    const FIRST: [(&str, Look); 3] = [
        ("what shows the tables is hashsweep's own", views),
        ("what refers to a row finds it", references),
        ("every value is of its column's kind", kinds),
    ];
    let first = FIRST.into_iter().map(|(rule, look)| check(rule, look(case)));
    first.chain(RULES.into_iter().map(|rule| of_rule(case, rule)))
}

fn of_rule(case: &Connection, (rule, breaking): (&'static str, &str)) -> Check {
    let breaking = breaking.replace("{ON_THE_WAY}", ON_THE_WAY).replace("{ASKED}", ASKED);
    check(rule, found(case, &breaking))
}

fn found(case: &Connection, breaking: &str) -> Result<Found, CaseError> {
    let mut rows = case.prepare(breaking)?;
    let mut rows = rows.query([])?;
    let mut found = Found::default();
    while let Some(row) = rows.next()? {
        let what: Option<String> = row.get(0)?;
        found.add(what.unwrap_or_else(|| "a row without a name".to_owned()));
    }
    Ok(found)
}

fn integrity(case: &Connection) -> Result<Found, CaseError> {
    let mut found = found(case, "SELECT integrity_check FROM pragma_integrity_check")?;
    if found.first.as_deref() == Some("ok") {
        found = Found::default();
    }
    Ok(found)
}

/// SQLite keeps the words that a view was made with. To the end: the first half of one of ours shows half of the rows.
fn views(case: &Connection) -> Result<Found, CaseError> {
    let mut shown = Found::default();
    let mut views = case.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'view'")?;
    let mut views = views.query([])?;
    while let Some(view) = views.next()? {
        let (name, words): (String, String) = (view.get(0)?, view.get(1)?);
        if !VIEWS.contains(&format!("{words};")) {
            shown.add(format!("view {name}"));
        }
    }
    Ok(shown)
}

/// SQLite takes text where a number belongs, and whoever reads it trips over it.
fn kinds(case: &Connection) -> Result<Found, CaseError> {
    let mut columns = case.prepare(
        "SELECT t.name, c.name, lower(c.type) FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
         WHERE t.type = 'table' AND c.type IN ('INTEGER', 'TEXT', 'BLOB') ORDER BY t.rowid, c.cid",
    )?;
    let columns = columns.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let mut of_table: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for column in columns {
        let (table, column, kind): (String, String, String) = column?;
        let otherwise =
            format!("WHEN typeof(\"{column}\") NOT IN ('null', '{kind}') THEN '{table}.{column}'");
        of_table.entry(table).or_default().push(otherwise);
    }
    let mut wrong = Found::default();
    for (table, columns) in of_table {
        let breaking =
            format!("SELECT CASE {} END AS what FROM \"{table}\" WHERE what IS NOT NULL", columns.join(" "));
        wrong.unite(found(case, &breaking)?);
    }
    Ok(wrong)
}

fn references(case: &Connection) -> Result<Found, CaseError> {
    found(
        case,
        "SELECT \"table\" || coalesce(' ' || rowid, '') || ' refers to a ' || parent || ' that is not there'
         FROM pragma_foreign_key_check",
    )
}
