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
