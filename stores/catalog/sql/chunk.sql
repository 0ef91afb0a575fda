-- $1 text: camera; $2 uuid: run; $3 bigint: window's start, UTC ms; $4 text: digest. The chunk of the
-- address: one that others took the place of answers until its object goes.
SELECT window_ms, digest, object_key, size_bytes
FROM chunks
WHERE camera = $1 AND run = $2 AND window_start_ms = $3 AND digest = $4
UNION ALL
SELECT window_ms, NULL, NULL, -1
FROM deletions
WHERE camera = $1 AND run = $2 AND what = 'chunk' AND window_start_ms = $3 AND digest = $4
  AND window_ms IS NOT NULL
UNION ALL
SELECT window_ms, NULL, NULL, -1
FROM chunks
WHERE camera = $1 AND run = $2 AND window_start_ms = $3
LIMIT 1
