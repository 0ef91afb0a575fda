-- $1 text: camera; $2, $3 bigint: from and to, UTC ms; $4 bigint: replay; $5 bigint, $6 uuid: the
-- last chunk of the page before; $7 integer: page's size. Current chunks that touch the stretch and
-- that the replay has not looked at as they are now, by window and run.
SELECT
    chunks.window_start_ms, chunks.run, chunks.digest, chunks.object_key, chunks.fragments
FROM chunks
LEFT JOIN model_replay_chunks AS mark
    ON mark.replay = $4 AND mark.window_start_ms = chunks.window_start_ms AND mark.run = chunks.run
WHERE chunks.camera = $1
  AND chunks.window_start_ms > $2::bigint - 7200000 AND chunks.window_start_ms < $3::bigint
  AND chunks.end_ms > $2 AND chunks.start_ms < $3
  AND (chunks.window_start_ms, chunks.run) > ($5, $6)
  AND (mark.digest IS NULL OR mark.digest <> chunks.digest OR mark.fault IS NOT NULL)
ORDER BY chunks.window_start_ms, chunks.run
LIMIT $7
