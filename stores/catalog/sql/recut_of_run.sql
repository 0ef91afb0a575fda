-- $1 text: camera; $2 uuid: run; $3 bigint, $4 integer: a window's start, UTC ms, and length, ms.
-- The run's current chunks in windows of another length that overlap it.
SELECT window_start_ms, window_ms, seqs::text AS seqs
FROM chunks
WHERE camera = $1 AND run = $2 AND window_ms <> $4
  AND window_start_ms > $3::bigint - 3600000 AND window_start_ms < $3::bigint + $4
  AND window_start_ms + window_ms > $3
ORDER BY window_start_ms
