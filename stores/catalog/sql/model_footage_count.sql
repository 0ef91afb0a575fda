-- $1 text: camera; $2, $3 bigint: from and to, UTC ms; $4 bigint: replay. How many chunks touch the
-- stretch, how many of them the replay is through with, how many fragments no chunk holds yet.
SELECT count(*) AS chunks, count(mark.digest) AS done, (
    SELECT count(*) FROM fragments
    WHERE camera = $1 AND start_ms > $2::bigint - 3600000 AND start_ms < $3 AND end_ms > $2
) AS loose
FROM chunks
LEFT JOIN model_replay_chunks AS mark
    ON mark.replay = $4 AND mark.window_start_ms = chunks.window_start_ms AND mark.run = chunks.run
   AND mark.digest = chunks.digest AND mark.fault IS NULL
WHERE chunks.camera = $1
  AND chunks.window_start_ms > $2::bigint - 7200000 AND chunks.window_start_ms < $3::bigint
  AND chunks.end_ms > $2 AND chunks.start_ms < $3
