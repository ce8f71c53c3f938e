-- The case, version 1. Readable with the ordinary sqlite3; docs/case.md explains it.
-- Moments are milliseconds since 1970-01-01 UTC. Digests are raw bytes: hex(digest) shows them.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- One intake: a scan or a list with its settings.
CREATE TABLE sweep (
    id                 INTEGER PRIMARY KEY,
    command            TEXT NOT NULL,
    settings           TEXT NOT NULL,           -- JSON, enough to go on with an unfinished intake
    started_at         INTEGER NOT NULL,
    intake_finished_at INTEGER,                 -- NULL: interrupted
    excluded           INTEGER NOT NULL DEFAULT 0
);

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
    exit_code  INTEGER
);

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
    outcome TEXT,                               -- set only where there is no digest to ask about
    reason  TEXT,
    PRIMARY KEY (sweep, seq)
) WITHOUT ROWID;

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
    sha256        BLOB
);
CREATE INDEX answer_of ON answer (kind, digest, answered_at);

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

-- The queue: one distinct digest of one sweep.
CREATE TABLE want (
    sweep   INTEGER NOT NULL REFERENCES sweep,
    kind    INTEGER NOT NULL,
    digest  BLOB NOT NULL,
    state   TEXT NOT NULL,                      -- pending, asking, or an outcome
    reason  TEXT,
    answer  INTEGER REFERENCES answer,
    attempt INTEGER REFERENCES attempt,         -- the attempt that settled it
    PRIMARY KEY (sweep, kind, digest)
) WITHOUT ROWID;
-- Spelt with OR because SQLite must prove that a query stays within a partial index: it sees `state = 'pending'` in
-- one side of an OR, but not in an IN; then every claim would walk over all that is settled.
CREATE INDEX queue ON want (sweep, state, kind, digest) WHERE state = 'pending' OR state = 'asking';

-- Every row with what became of it. A digest still in the queue is owed: deferred.
CREATE VIEW result AS
SELECT
    s.sweep, s.seq, s.root, s.path, s.line, s.size, s.md5, s.sha1, s.sha256,
    coalesce(s.outcome, CASE WHEN w.state IN ('pending', 'asking') THEN 'deferred' ELSE w.state END) AS outcome,
    CASE
        WHEN s.outcome IS NOT NULL THEN s.reason
        WHEN w.state IN ('pending', 'asking') THEN 'interrupted'
        ELSE coalesce(w.reason, a.reason)
    END AS reason,
    a.verdict, a.threat_name, a.threat_level, a.trust_factor, a.scanner_match, a.scanner_count,
    a.first_seen, a.last_seen, a.answered_at, a.source,
    a.id AS answer
FROM sighting s
LEFT JOIN want w
    ON s.kind IS NOT NULL AND w.sweep = s.sweep AND w.kind = s.kind
    AND w.digest = CASE s.kind WHEN 1 THEN s.md5 WHEN 2 THEN s.sha1 ELSE s.sha256 END
LEFT JOIN answer a ON a.id = w.answer;
