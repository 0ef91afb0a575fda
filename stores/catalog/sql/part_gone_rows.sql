-- Of `given` (tombstones): the rows that go with them, of a chunk the digest that was deleted.
gone_fragments AS (
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
