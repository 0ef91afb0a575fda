-- $1 text: camera; $2, $3 bigint: windows that start in [$2, $3), UTC ms. Deleted chunks, with
-- those whose tombstone names no window. What retention has under way (a hold may keep its objects)
-- counts as deleted at the end of time.
SELECT
    run::text AS run, window_start_ms, digest,
    CASE WHEN EXISTS (
        SELECT FROM deletions
        WHERE deletions.camera = $1
          AND deletions.run = tombstones.run
          AND deletions.what = 'chunk'
          AND deletions.window_start_ms IS NOT DISTINCT FROM tombstones.window_start_ms
          AND deletions.digest IS NOT DISTINCT FROM tombstones.digest
    ) THEN 1::bigint << 60 ELSE deleted_ms END AS deleted_ms
FROM tombstones
WHERE camera = $1 AND what = 'chunk'
  AND (window_start_ms IS NULL OR window_start_ms >= $2 AND window_start_ms < $3)
