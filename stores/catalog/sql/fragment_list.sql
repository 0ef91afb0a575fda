-- $1 text: camera; $2, $3 bigint: from and to, UTC ms.
SELECT run, seq, start_ms, end_ms
FROM fragments
WHERE camera = $1 AND start_ms > $2::bigint - 3600000 AND start_ms < $3 AND end_ms > $2
ORDER BY start_ms, run, seq
