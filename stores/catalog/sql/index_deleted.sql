-- $1 jsonb: list of deleted events. The cameras' footage is locked.
-- A row goes with its tombstone: a chunk only where its digest is the one deleted.
WITH given AS (
    SELECT DISTINCT ON (camera, run, what, first_seq, last_seq, window_start_ms, digest) *
    FROM jsonb_to_recordset($1::jsonb) AS d (
        camera text, run uuid, what text, first_seq integer, last_seq integer,
        window_start_ms bigint, digest text, reason text, deleted_ms bigint)
), gone_fragments AS (
    DELETE FROM fragments
    USING given
    WHERE given.what = 'fragments'
      AND fragments.camera = given.camera
      AND fragments.run = given.run
      AND fragments.seq >= coalesce(given.first_seq, 0)
      AND fragments.seq <= coalesce(given.last_seq, 99999999)
), gone_chunks AS (
    DELETE FROM chunks
    USING given
    WHERE given.what = 'chunk'
      AND chunks.camera = given.camera
      AND chunks.run = given.run
      AND chunks.window_start_ms = coalesce(given.window_start_ms, chunks.window_start_ms)
      AND chunks.digest = coalesce(given.digest, chunks.digest)
)
INSERT INTO tombstones (
    camera, run, what, first_seq, last_seq, window_start_ms, digest, reason, deleted_ms)
SELECT camera, run, what, first_seq, last_seq, window_start_ms, digest, reason, deleted_ms
FROM given
ON CONFLICT DO NOTHING
