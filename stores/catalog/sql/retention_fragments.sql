-- $1 text: camera; $2 bigint: fragments that end up to this, UTC ms; $3 bigint, $4 uuid, $5 integer:
-- only rows after this start, run and seq; $6 integer: at most so many.
SELECT run::text AS run, seq, start_ms, end_ms, size_bytes
FROM fragments
WHERE camera = $1 AND end_ms <= $2 AND start_ms <= $2 AND (start_ms, run, seq) > ($3, $4, $5)
ORDER BY start_ms, run, seq
LIMIT $6
