-- $1 text: camera; $2, $3 bigint: from and to, UTC ms. The days with chunk rows: start, UTC ms.
SELECT DISTINCT window_start_ms - window_start_ms % 86400000 AS day_ms
FROM chunks
WHERE camera = $1 AND window_start_ms >= $2 AND window_start_ms < $3
ORDER BY day_ms
