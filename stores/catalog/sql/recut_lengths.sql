-- $1 text: camera; $2, $3 bigint: from and to, UTC ms. The lengths of the windows that touch it.
SELECT DISTINCT window_ms
FROM chunks
WHERE camera = $1 AND window_start_ms > $2::bigint - 3600000 AND window_start_ms < $3
  AND window_start_ms + window_ms > $2
