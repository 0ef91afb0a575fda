-- $1 text: camera; $2, $3 bigint: from and to, UTC ms. The first window in it that has a chunk, and
-- how many chunks there are.
SELECT min(window_start_ms) AS first_ms, count(*) AS chunks
FROM chunks
WHERE camera = $1 AND window_start_ms >= $2 AND window_start_ms < $3
