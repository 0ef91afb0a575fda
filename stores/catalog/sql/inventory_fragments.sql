-- $1 text: camera; $2 uuid: run; $3 integer: rows above this seq; $4 integer: at most so many.
SELECT seq, start_ms, indexed_ms
FROM fragments
WHERE camera = $1 AND run = $2 AND seq > $3
ORDER BY seq
LIMIT $4
