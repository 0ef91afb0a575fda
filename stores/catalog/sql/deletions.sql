-- $1 text: camera; $2 bigint: those after this number; $3 integer: at most so many; $4 bigint: now,
-- UTC ms.
SELECT
    id, camera, run::text AS run, what, first_seq, last_seq, window_start_ms, digest, cause,
    from_ms, to_ms, size_bytes, decided_ms, window_ms, not_before_ms
FROM deletions
WHERE camera = $1 AND id > $2 AND not_before_ms <= $4
ORDER BY id
LIMIT $3
