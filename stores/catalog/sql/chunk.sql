-- $1 text: camera; $2 uuid: run; $3 bigint: window's start, UTC ms.
SELECT window_ms, digest, object_key, size_bytes
FROM chunks
WHERE camera = $1 AND run = $2 AND window_start_ms = $3
