-- $1 text: camera; $2, $3 bigint: from and to, UTC ms.
SELECT ended_ms, reason
FROM runs
WHERE camera = $1 AND ended_ms >= $2 AND ended_ms < $3
ORDER BY ended_ms
