-- name: add_deletions
-- $1 jsonb: list of deletions. Adds them as pending.
INSERT INTO deletions (
    camera, run, what, first_seq, last_seq, window_start_ms, digest, cause, from_ms, to_ms,
    size_bytes, decided_ms, window_ms, not_before_ms)
SELECT
    camera, run, what, first_seq, last_seq, window_start_ms, digest, cause, from_ms, to_ms,
    size_bytes, decided_ms, window_ms, not_before_ms
FROM jsonb_to_recordset($1::jsonb) AS d (
    camera text, run uuid, what text, first_seq integer, last_seq integer,
    window_start_ms bigint, digest text, cause text, from_ms bigint, to_ms bigint,
    size_bytes bigint, decided_ms bigint, window_ms integer, not_before_ms bigint)


-- name: pending_deletions
-- $1 text: camera; $2 bigint: only higher numbers; $3 integer: limit; $4 bigint: now, UTC ms.
SELECT
    id, camera, run::text AS run, what, first_seq, last_seq, window_start_ms, digest, cause,
    from_ms, to_ms, size_bytes, decided_ms, window_ms, not_before_ms
FROM deletions
WHERE camera = $1 AND id > $2 AND not_before_ms <= $4
ORDER BY id
LIMIT $3


-- name: remove_deletions
-- $1 bigint[]: numbers of deletions whose objects are deleted.
DELETE FROM deletions WHERE id = ANY($1)


-- name: cameras_with_footage
-- The cameras that have chunks, fragments or pending deletions, by id.
SELECT camera FROM footage UNION SELECT camera FROM deletions ORDER BY camera
