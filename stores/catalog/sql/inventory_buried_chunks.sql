-- $1 text: camera; $2, $3 bigint: windows that start in [$2, $3), UTC ms. Deleted chunks, with
-- those whose tombstone names no window.
SELECT run::text AS run, window_start_ms, digest, deleted_ms
FROM tombstones
WHERE camera = $1 AND what = 'chunk'
  AND (window_start_ms IS NULL OR window_start_ms >= $2 AND window_start_ms < $3)
