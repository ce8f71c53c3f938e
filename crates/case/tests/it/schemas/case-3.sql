-- The case, version 3. Readable with the ordinary sqlite3; docs/case.md explains it.
-- Moments are milliseconds since 1970-01-01 UTC. Digests are raw bytes: hex(digest) shows them.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- By which a case is told from others, whatever it is called; its copies have the same.
INSERT INTO meta VALUES ('uid', lower(hex(randomblob(16))));

-- Another case whose sweeps were brought here.
CREATE TABLE origin (
    id        INTEGER PRIMARY KEY,
    uid       TEXT NOT NULL UNIQUE,             -- of that case
    merged_at INTEGER NOT NULL                  -- the last time
);

-- One intake: a scan or a list with its settings.
CREATE TABLE sweep (
    id                 INTEGER PRIMARY KEY,
    command            TEXT NOT NULL,
    settings           TEXT NOT NULL,           -- JSON, enough to go on with an unfinished intake
    started_at         INTEGER NOT NULL,
    intake_finished_at INTEGER,                 -- NULL: interrupted
    queued             INTEGER NOT NULL DEFAULT 0, -- the last sighting whose digest has joined the queue
    excluded           INTEGER NOT NULL DEFAULT 0,
    series             INTEGER REFERENCES sweep, -- the first of the sweeps that carry one another's rows on; NULL: none
    shape              TEXT,                    -- what they have in common
    answers            INTEGER,                 -- the last answer there was when it took over the rows of those before
    answers_until      INTEGER,                 -- one from later than this, by a wrong clock, counted for nothing
    malicious_since    INTEGER,                 -- and from when on an answer counted for it, by verdict
    suspicious_since   INTEGER,
    unknown_since      INTEGER,
    known_since        INTEGER,
    carried_queued     INTEGER NOT NULL DEFAULT 0, -- 1: what it took over and no answer counts for has joined the queue
    put_off            TEXT,                    -- why what waits is not being asked
    intake_run         INTEGER,                 -- the run that takes its rows in, or did last
    uid                TEXT,                    -- the same in every case that holds the sweep
    origin             INTEGER REFERENCES origin, -- the case that it was made in; NULL: this one
    host               TEXT,                    -- the machine that it was begun on; NULL: unknown
    tool               TEXT,                    -- the version that began it; NULL: unknown
    arguments          TEXT,                    -- as typed, a JSON array, without secrets; NULL: unknown
    pruned_at          INTEGER                  -- when the rows were dropped that nobody needs; NULL: it is whole
);
CREATE INDEX series ON sweep (series);
CREATE UNIQUE INDEX sweep_uid ON sweep (uid);

-- What the user pointed at.
CREATE TABLE root (
    sweep       INTEGER NOT NULL REFERENCES sweep,
    n           INTEGER NOT NULL,
    given       BLOB NOT NULL,                  -- as typed
    opened      BLOB NOT NULL,                  -- the absolute path, or the spool of a list from stdin
    fingerprint BLOB,                           -- SHA-256 of a list's bytes when it was read
    PRIMARY KEY (sweep, n)
) WITHOUT ROWID;

-- One process at work on one sweep.
CREATE TABLE run (
    id         INTEGER PRIMARY KEY,
    sweep      INTEGER NOT NULL REFERENCES sweep,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,
    exit_code  INTEGER,
    budget     INTEGER,                         -- what it might spend, in hashes of quota; NULL: whatever it took
    session    TEXT,                            -- the process at work on it: FILE-session-… is locked while it lives
    uid        TEXT,                            -- these five as in `sweep`
    origin     INTEGER REFERENCES origin,
    host       TEXT,
    tool       TEXT,
    arguments  TEXT
);
CREATE UNIQUE INDEX run_uid ON run (uid);

-- How far a run's hashing had come, from time to time: a few hundred lines at most, the later the further apart.
CREATE TABLE reading (
    run     INTEGER NOT NULL REFERENCES run,
    at      INTEGER NOT NULL,
    n_files INTEGER NOT NULL,                   -- hashed by this run until then
    n_bytes INTEGER NOT NULL,
    PRIMARY KEY (run, at)
) WITHOUT ROWID;

-- One row of the user's.
CREATE TABLE sighting (
    sweep   INTEGER NOT NULL REFERENCES sweep,
    seq     INTEGER NOT NULL,
    root    INTEGER NOT NULL,
    path    BLOB,                               -- NULL for a row of a list
    line    INTEGER,                            -- NULL for a file
    size    INTEGER,
    md5     BLOB,
    sha1    BLOB,
    sha256  BLOB,
    kind    INTEGER,                            -- which digest is asked: 1 md5, 2 sha1, 3 sha256
    class   INTEGER,                            -- when it would be asked for this row's sake: 1 first … 4 last
    suspicion TEXT,                             -- why this class; NULL for a row of a list
    outcome TEXT,                               -- set only where there is no digest to ask about
    reason  TEXT,
    until   INTEGER,                            -- the last sweep of the series that saw it; NULL: it is still seen
    kept    INTEGER NOT NULL DEFAULT 0,         -- 1: since then nobody could look where it was
    device  INTEGER,                            -- what the file is recognised by, see docs/incremental.md
    inode   INTEGER,
    modified_ns INTEGER,
    changed_ns  INTEGER,                        -- NULL: not to be trusted, the file is read each time
    born_ns     INTEGER,
    note    TEXT,                               -- what is odd about it, beside its verdict
    PRIMARY KEY (sweep, seq)
) WITHOUT ROWID;

-- The file systems that sightings lie on.
CREATE TABLE device (
    id      INTEGER PRIMARY KEY,                -- the first 64 bits of the SHA-256 of its name
    name    TEXT NOT NULL,
    trusted INTEGER NOT NULL                    -- 1: its change times are
);

-- What was said about a digest. Only ever added to.
CREATE TABLE answer (
    id            INTEGER PRIMARY KEY,
    kind          INTEGER NOT NULL,
    digest        BLOB NOT NULL,
    answered_at   INTEGER NOT NULL,
    run           INTEGER NOT NULL REFERENCES run,
    source        TEXT NOT NULL,                -- service, simulator
    verdict       TEXT NOT NULL,                -- malicious, suspicious, unknown, known
    reason        TEXT,
    threat_name   TEXT,
    threat_level  INTEGER,
    trust_factor  INTEGER,
    scanner_match INTEGER,
    scanner_count INTEGER,
    first_seen    TEXT,
    last_seen     TEXT,
    md5           BLOB,
    sha1          BLOB,
    sha256        BLOB,
    origin        INTEGER REFERENCES origin     -- the case that it was given to; NULL: this one
);

-- Which digests of a file of ours belong together, where an answer was given for one of them and the sweep computed
-- more than one. x'' is a digest that was not computed.
CREATE TABLE same_file (
    answer INTEGER NOT NULL REFERENCES answer,
    md5    BLOB NOT NULL,
    sha1   BLOB NOT NULL,
    sha256 BLOB NOT NULL,
    PRIMARY KEY (answer, md5, sha1, sha256)
) WITHOUT ROWID;

-- One attempt at the service: the ledger. Written before the request's first byte leaves.
CREATE TABLE attempt (
    id          INTEGER PRIMARY KEY,
    run         INTEGER NOT NULL REFERENCES run,
    product     TEXT NOT NULL DEFAULT 'TCA-0101', -- quota is counted by product
    n_hashes    INTEGER NOT NULL,
    reserved_at INTEGER NOT NULL,
    sent_at     INTEGER,                        -- NULL: it never left
    settled_at  INTEGER,                        -- NULL while it travels
    ended       TEXT,                           -- 200, or the word of the fault
    charged_max INTEGER NOT NULL DEFAULT 0,
    charged_min INTEGER NOT NULL DEFAULT 0,
    in_doubt    INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX attempt_at ON attempt (reserved_at);

-- What became of one distinct digest of one sweep. A digest without a row here waits: in the queue, in a claim, or
-- behind `sweep.queued`.
CREATE TABLE want (
    sweep   INTEGER NOT NULL REFERENCES sweep,
    kind    INTEGER NOT NULL,
    digest  BLOB NOT NULL,
    state   TEXT NOT NULL,                      -- an outcome
    class   INTEGER NOT NULL,                   -- in which it waited
    reason  TEXT,
    answer  INTEGER REFERENCES answer,
    attempt INTEGER REFERENCES attempt,         -- the attempt that settled it
    learned TEXT,                               -- how an answer came without asking while the sweep was at work
    PRIMARY KEY (sweep, kind, digest)
) WITHOUT ROWID;

-- The queue: distinct digests that wait to be asked, many to a row.
CREATE TABLE queue (
    block INTEGER PRIMARY KEY REFERENCES block,
    sweep INTEGER NOT NULL REFERENCES sweep,
    kind  INTEGER NOT NULL,
    class INTEGER NOT NULL,                     -- the best of its sightings: it may only rise
    turn  INTEGER NOT NULL,                     -- within its class: 0 if an earlier run put it off
    first BLOB NOT NULL,                        -- the first of the digests
    n     INTEGER NOT NULL                      -- how many
);

-- The digests of a row of the queue, ascending, one behind the other.
CREATE TABLE block (
    id      INTEGER PRIMARY KEY,
    digests BLOB NOT NULL
);

-- A batch that has left the queue and is not settled.
CREATE TABLE claim (
    id      INTEGER PRIMARY KEY,
    run     INTEGER NOT NULL REFERENCES run,
    sweep   INTEGER NOT NULL REFERENCES sweep,
    kind    INTEGER NOT NULL,
    n       INTEGER NOT NULL,
    digests BLOB NOT NULL,                      -- ascending, one behind the other
    ranks   BLOB NOT NULL                       -- a byte for each: twice its class and its turn
);
-- What a case derives from its tables; made anew when an older case is brought up to date.

-- The columns behind the kind are the order of asking, so that a claim reads the queue from its front.
CREATE INDEX queue_order ON queue (sweep, kind, class, turn, first);

-- Who may be at work.
CREATE INDEX at_work ON run (session) WHERE session IS NOT NULL;

-- By the digests that an answer names beside the one that was asked, so that each of the three finds it.
CREATE INDEX answer_md5 ON answer (md5) WHERE md5 IS NOT NULL;
CREATE INDEX answer_sha1 ON answer (sha1) WHERE sha1 IS NOT NULL;
CREATE INDEX answer_sha256 ON answer (sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX same_file_md5 ON same_file (md5) WHERE md5 <> x'';
CREATE INDEX same_file_sha1 ON same_file (sha1) WHERE sha1 <> x'';
CREATE INDEX same_file_sha256 ON same_file (sha256) WHERE sha256 <> x'';

-- Everything that decides whether an answer still counts, so that a lookup reads nothing else.
CREATE INDEX answer_of ON answer (kind, digest, answered_at, verdict, origin);

-- The rows of each sweep: its own, and those of earlier ones of its series that it found unchanged. As long as a sweep
-- has not come to its end, nobody knows which those are. Of a sweep that was pruned, what is left of its own.
CREATE VIEW present AS
SELECT
    sweep, seq, sweep AS born, 0 AS carried, root, path, line, size, md5, sha1, sha256, kind, class, suspicion,
    outcome, reason, note, device, inode, modified_ns, changed_ns, born_ns
FROM sighting
UNION ALL
SELECT
    later.id, s.seq, s.sweep, 1, s.root, s.path, s.line, s.size, s.md5, s.sha1, s.sha256, s.kind, s.class, s.suspicion,
    s.outcome, s.reason, s.note, s.device, s.inode, s.modified_ns, s.changed_ns, s.born_ns
FROM sweep later
JOIN sweep earlier ON earlier.series = later.series AND earlier.id < later.id
JOIN sighting s ON s.sweep = earlier.id
WHERE later.intake_finished_at IS NOT NULL AND later.pruned_at IS NULL AND (s.until IS NULL OR s.until >= later.id);

-- Every row with what became of it. A digest that waits is owed: deferred. One that the sweep took over and did
-- not want has the answer that counted then; what a merge has brought since did not.
CREATE VIEW result AS
SELECT
    s.sweep, s.seq, s.born, s.root, s.path, s.line, s.size, s.md5, s.sha1, s.sha256,
    CASE
        WHEN s.outcome IS NOT NULL THEN s.outcome
        WHEN w.state IS NULL AND a.id IS NOT NULL THEN 'cached'
        ELSE coalesce(w.state, 'deferred')
    END AS outcome,
    CASE
        WHEN s.outcome IS NOT NULL THEN s.reason
        WHEN s.note IS NOT NULL THEN s.note
        WHEN w.state IS NULL AND a.id IS NULL THEN coalesce(sweep.put_off, 'interrupted')
        ELSE coalesce(w.reason, a.reason)
    END AS reason,
    a.verdict, a.threat_name, a.threat_level, a.trust_factor, a.scanner_match, a.scanner_count,
    a.first_seen, a.last_seen, a.answered_at, a.source,
    a.id AS answer
FROM sweep
JOIN present s ON s.sweep = sweep.id
LEFT JOIN want w
    ON s.kind IS NOT NULL AND w.sweep = s.sweep AND w.kind = s.kind
    AND w.digest = CASE s.kind WHEN 1 THEN s.md5 WHEN 2 THEN s.sha1 ELSE s.sha256 END
LEFT JOIN answer a ON a.id = CASE
    WHEN w.state IS NOT NULL OR NOT s.carried THEN w.answer
    ELSE (
        SELECT CASE WHEN answered_at >= CASE verdict
                WHEN 'malicious' THEN sweep.malicious_since WHEN 'suspicious' THEN sweep.suspicious_since
                WHEN 'unknown' THEN sweep.unknown_since ELSE sweep.known_since END
            THEN id END
        FROM answer
        WHERE kind = s.kind AND digest = CASE s.kind WHEN 1 THEN s.md5 WHEN 2 THEN s.sha1 ELSE s.sha256 END
            AND id <= sweep.answers AND answered_at <= sweep.answers_until AND origin IS sweep.origin
        ORDER BY answered_at DESC, id DESC LIMIT 1)
    END;
