-- From version 2, which did not say where a sweep was made, and knew of one case only. What it did not write down stays
-- unknown; the names by which sweeps and runs are told apart are given afterwards.

DROP VIEW IF EXISTS result;
DROP VIEW IF EXISTS present;
DROP INDEX IF EXISTS queue_order;
DROP INDEX IF EXISTS at_work;
DROP INDEX IF EXISTS answer_md5;
DROP INDEX IF EXISTS answer_sha1;
DROP INDEX IF EXISTS answer_sha256;
DROP INDEX IF EXISTS same_file_md5;
DROP INDEX IF EXISTS same_file_sha1;
DROP INDEX IF EXISTS same_file_sha256;
DROP INDEX IF EXISTS answer_of;
CREATE TABLE origin (
    id        INTEGER PRIMARY KEY,
    uid       TEXT NOT NULL UNIQUE,
    merged_at INTEGER NOT NULL
);
ALTER TABLE sweep ADD COLUMN uid TEXT;
ALTER TABLE sweep ADD COLUMN origin INTEGER REFERENCES origin;
ALTER TABLE sweep ADD COLUMN host TEXT;
ALTER TABLE sweep ADD COLUMN tool TEXT;
ALTER TABLE sweep ADD COLUMN arguments TEXT;
ALTER TABLE sweep ADD COLUMN pruned_at INTEGER;
ALTER TABLE run ADD COLUMN uid TEXT;
ALTER TABLE run ADD COLUMN origin INTEGER REFERENCES origin;
ALTER TABLE run ADD COLUMN host TEXT;
ALTER TABLE run ADD COLUMN tool TEXT;
ALTER TABLE run ADD COLUMN arguments TEXT;
CREATE TABLE reading (
    run     INTEGER NOT NULL REFERENCES run,
    at      INTEGER NOT NULL,
    n_files INTEGER NOT NULL,
    n_bytes INTEGER NOT NULL,
    PRIMARY KEY (run, at)
) WITHOUT ROWID;
ALTER TABLE answer ADD COLUMN origin INTEGER REFERENCES origin;
CREATE UNIQUE INDEX sweep_uid ON sweep (uid);
CREATE UNIQUE INDEX run_uid ON run (uid);
