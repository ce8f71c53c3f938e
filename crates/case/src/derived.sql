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
