-- From version 3, in which every row of a list stood in `sighting`. There those stay that are there.

DROP VIEW IF EXISTS result;
DROP VIEW IF EXISTS present;
CREATE TABLE stretch (
    id      INTEGER PRIMARY KEY,
    sweep   INTEGER NOT NULL REFERENCES sweep,
    seq     INTEGER NOT NULL,
    n       INTEGER NOT NULL,
    root    INTEGER NOT NULL,
    line    INTEGER NOT NULL,
    kind    INTEGER NOT NULL,
    digests BLOB NOT NULL,
    UNIQUE (sweep, seq)
);
