-- Of schema :source, which is put in its place. Its tombstones, under numbers of our own.
WITH told AS (
    SELECT camera, run, what, first_seq, last_seq, window_start_ms, digest, reason, deleted_ms
    FROM :source.tombstones
), gone_fragments AS (
    DELETE FROM fragments
    USING told
    WHERE told.what = 'fragments'
      AND fragments.camera = told.camera
      AND fragments.run = told.run
      AND fragments.seq >= coalesce(told.first_seq, 0)
      AND fragments.seq <= coalesce(told.last_seq, 99999999)
), gone_chunks AS (
    DELETE FROM chunks
    USING told
    WHERE told.what = 'chunk'
      AND chunks.camera = told.camera
      AND chunks.run = told.run
      AND chunks.window_start_ms = coalesce(told.window_start_ms, chunks.window_start_ms)
      AND chunks.digest = coalesce(told.digest, chunks.digest)
)
INSERT INTO tombstones (
    camera, run, what, first_seq, last_seq, window_start_ms, digest, reason, deleted_ms)
SELECT * FROM told
ON CONFLICT DO NOTHING
