-- From version 1, which kept every digest that waited in a row of `want`, and wrote claims down there. What waited is
-- put into the queue afterwards, block by block.

DROP VIEW result;
DROP INDEX queue;
DROP INDEX answer_of;
ALTER TABLE sweep ADD COLUMN queued INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sweep ADD COLUMN put_off TEXT;
ALTER TABLE sweep ADD COLUMN intake_run INTEGER;
ALTER TABLE run ADD COLUMN session TEXT;
ALTER TABLE want ADD COLUMN learned TEXT;
UPDATE sweep SET queued = coalesce((SELECT max(seq) FROM sighting WHERE sighting.sweep = sweep.id), 0);
ALTER TABLE sighting ADD COLUMN class INTEGER;
ALTER TABLE sighting ADD COLUMN suspicion TEXT;
-- Nothing is known of the files that would put one behind another.
UPDATE sighting SET class = 1 WHERE kind IS NOT NULL;
ALTER TABLE sweep ADD COLUMN series INTEGER REFERENCES sweep;
ALTER TABLE sweep ADD COLUMN shape TEXT;
ALTER TABLE sweep ADD COLUMN answers INTEGER;
ALTER TABLE sweep ADD COLUMN answers_until INTEGER;
ALTER TABLE sweep ADD COLUMN malicious_since INTEGER;
ALTER TABLE sweep ADD COLUMN suspicious_since INTEGER;
ALTER TABLE sweep ADD COLUMN unknown_since INTEGER;
ALTER TABLE sweep ADD COLUMN known_since INTEGER;
ALTER TABLE sweep ADD COLUMN carried_queued INTEGER NOT NULL DEFAULT 0;
CREATE INDEX series ON sweep (series);
ALTER TABLE sighting ADD COLUMN until INTEGER;
ALTER TABLE sighting ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sighting ADD COLUMN device INTEGER;
ALTER TABLE sighting ADD COLUMN inode INTEGER;
ALTER TABLE sighting ADD COLUMN modified_ns INTEGER;
ALTER TABLE sighting ADD COLUMN changed_ns INTEGER;
ALTER TABLE sighting ADD COLUMN born_ns INTEGER;
ALTER TABLE sighting ADD COLUMN note TEXT;
CREATE TABLE device (
    id      INTEGER PRIMARY KEY,
    name    TEXT NOT NULL,
    trusted INTEGER NOT NULL
);
ALTER TABLE want ADD COLUMN class INTEGER NOT NULL DEFAULT 1;
ALTER TABLE run ADD COLUMN budget INTEGER;
UPDATE want SET state = 'pending' WHERE state = 'asking';
CREATE TABLE same_file (
    answer INTEGER NOT NULL REFERENCES answer,
    md5    BLOB NOT NULL,
    sha1   BLOB NOT NULL,
    sha256 BLOB NOT NULL,
    PRIMARY KEY (answer, md5, sha1, sha256)
) WITHOUT ROWID;
CREATE TABLE queue (
    block INTEGER PRIMARY KEY REFERENCES block,
    sweep INTEGER NOT NULL REFERENCES sweep,
    kind  INTEGER NOT NULL,
    class INTEGER NOT NULL,
    turn  INTEGER NOT NULL,
    first BLOB NOT NULL,
    n     INTEGER NOT NULL
);
CREATE TABLE block (
    id      INTEGER PRIMARY KEY,
    digests BLOB NOT NULL
);
CREATE TABLE claim (
    id      INTEGER PRIMARY KEY,
    run     INTEGER NOT NULL REFERENCES run,
    sweep   INTEGER NOT NULL REFERENCES sweep,
    kind    INTEGER NOT NULL,
    n       INTEGER NOT NULL,
    digests BLOB NOT NULL,
    ranks   BLOB NOT NULL
);
