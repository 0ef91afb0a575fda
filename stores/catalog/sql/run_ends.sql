-- $1 text: camera; $2, $3 bigint: from and to, UTC ms. Runs that ended in the range, and the last
-- one before it.
SELECT ended_ms, reason
FROM runs
WHERE camera = $1 AND ended_ms < $3
  AND ended_ms >= coalesce(
      (SELECT max(ended_ms) FROM runs WHERE camera = $1 AND ended_ms <= $2), $2)
ORDER BY ended_ms
