-- From version 1, which asked in the order of the digests, wrote claims down and queued every digest at once.

DROP VIEW result;
DROP INDEX queue;
ALTER TABLE sweep ADD COLUMN queued INTEGER NOT NULL DEFAULT 0;
UPDATE sweep SET queued = coalesce((SELECT max(seq) FROM sighting WHERE sighting.sweep = sweep.id), 0);
ALTER TABLE sighting ADD COLUMN class INTEGER;
ALTER TABLE sighting ADD COLUMN suspicion TEXT;
-- Nothing is known of the files that would put one behind another.
UPDATE sighting SET class = 1 WHERE kind IS NOT NULL;
ALTER TABLE want ADD COLUMN class INTEGER NOT NULL DEFAULT 1;
ALTER TABLE want ADD COLUMN turn INTEGER NOT NULL DEFAULT 1;
ALTER TABLE run ADD COLUMN budget INTEGER;
UPDATE want SET state = 'pending' WHERE state = 'asking';
