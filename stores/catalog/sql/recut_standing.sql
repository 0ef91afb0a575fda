-- $1 text: camera; $2, $3 bigint: from and to, UTC ms. Its current chunks, by name.
SELECT run::text AS run, window_start_ms, revision, digest
FROM chunks
WHERE camera = $1 AND window_start_ms >= $2 AND window_start_ms < $3
