-- $1 text: camera; $2, $3 bigint: from and to, UTC ms.
SELECT run, window_start_ms, window_ms, revision, start_ms, end_ms, size_bytes, digest, reason
FROM chunks
WHERE camera = $1
  AND window_start_ms > $2::bigint - 7200000 AND window_start_ms < $3::bigint
  AND end_ms > $2 AND start_ms < $3
ORDER BY window_start_ms, run
