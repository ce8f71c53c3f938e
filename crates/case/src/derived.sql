-- What a case derives from its tables; made anew when an older case is brought up to date.

-- The columns behind the kind are the order of asking, so that a claim reads the queue from its front.
CREATE INDEX queue_order ON queue (sweep, kind, class, turn, first);

-- By the digests that an answer names beside the one that was asked, so that each of the three finds it.
CREATE INDEX answer_md5 ON answer (md5) WHERE md5 IS NOT NULL;
CREATE INDEX answer_sha1 ON answer (sha1) WHERE sha1 IS NOT NULL;
CREATE INDEX answer_sha256 ON answer (sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX same_file_md5 ON same_file (md5) WHERE md5 <> x'';
CREATE INDEX same_file_sha1 ON same_file (sha1) WHERE sha1 <> x'';
CREATE INDEX same_file_sha256 ON same_file (sha256) WHERE sha256 <> x'';

-- Everything that decides whether an answer still counts, so that a lookup reads nothing else.
CREATE INDEX answer_of ON answer (kind, digest, answered_at, verdict);

-- Every row with what became of it. A digest that waits is owed: deferred.
CREATE VIEW result AS
SELECT
    s.sweep, s.seq, s.root, s.path, s.line, s.size, s.md5, s.sha1, s.sha256,
    CASE
        WHEN s.outcome IS NOT NULL THEN s.outcome
        ELSE coalesce(w.state, 'deferred')
    END AS outcome,
    CASE
        WHEN s.outcome IS NOT NULL THEN s.reason
        WHEN w.state IS NULL THEN coalesce((SELECT put_off FROM sweep WHERE id = s.sweep), 'interrupted')
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
