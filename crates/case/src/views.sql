-- What is shown of the tables, beside them; made anew when an older case is brought up to date.

-- The rows of `stretch`, one by one. CROSS: once for each stretch, and not all of them once for each number. LIMIT says
-- how few numbers there are: taken for millions, they would have a join look through all rows for each answer.
CREATE VIEW listed AS
SELECT
    sweep, seq + i AS seq, root, NULL AS path, line + i AS line, NULL AS size,
    CASE kind WHEN 1 THEN substr(digests, i * 16 + 1, 16) END AS md5,
    CASE kind WHEN 2 THEN substr(digests, i * 20 + 1, 20) END AS sha1,
    CASE kind WHEN 3 THEN substr(digests, i * 32 + 1, 32) END AS sha256,
    kind, 1 AS class, NULL AS suspicion, NULL AS outcome, NULL AS reason, NULL AS until, 0 AS kept, NULL AS device,
    NULL AS inode, NULL AS modified_ns, NULL AS changed_ns, NULL AS born_ns, NULL AS note
FROM stretch CROSS JOIN (
    WITH RECURSIVE up(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM up WHERE i < 255) SELECT i FROM up LIMIT 256
) AS nth ON i < n;

-- Every row that sweeps have recorded, whichever table it is in.
CREATE VIEW recorded AS
SELECT
    sweep, seq, root, path, line, size, md5, sha1, sha256, kind, class, suspicion, outcome, reason, until, kept, device,
    inode, modified_ns, changed_ns, born_ns, note
FROM sighting
UNION ALL
SELECT
    sweep, seq, root, path, line, size, md5, sha1, sha256, kind, class, suspicion, outcome, reason, until, kept, device,
    inode, modified_ns, changed_ns, born_ns, note
FROM listed;

-- The rows of each sweep: its own, and those of earlier ones of its series that it found unchanged. As long as a sweep
-- has not come to its end, nobody knows which those are. Of a sweep that was pruned, what is left of its own.
CREATE VIEW present AS
SELECT
    sweep, seq, sweep AS born, 0 AS carried, root, path, line, size, md5, sha1, sha256, kind, class, suspicion,
    outcome, reason, note, device, inode, modified_ns, changed_ns, born_ns
FROM sighting
UNION ALL
SELECT
    sweep, seq, sweep, 0, root, path, line, size, md5, sha1, sha256, kind, class, suspicion,
    outcome, reason, note, device, inode, modified_ns, changed_ns, born_ns
FROM listed
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
