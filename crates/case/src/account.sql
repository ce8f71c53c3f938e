-- An account, version 1: what every case and process on this machine has spent under one user at one service.
-- Days are counted from 1970-01-01 UTC, moments in milliseconds.

-- What is settled, by day.
CREATE TABLE spent (
    product     TEXT NOT NULL,
    day         INTEGER NOT NULL,
    charged_max INTEGER NOT NULL,
    charged_min INTEGER NOT NULL,
    in_doubt    INTEGER NOT NULL,
    late        INTEGER NOT NULL,               -- of charged_max and in_doubt, what left in the day's last two minutes
    PRIMARY KEY (product, day)
) WITHOUT ROWID;

-- What has left or is about to, and is not settled.
CREATE TABLE held (
    id       INTEGER PRIMARY KEY,
    session  TEXT NOT NULL,
    product  TEXT NOT NULL,
    n_hashes INTEGER NOT NULL,
    at       INTEGER NOT NULL
);
