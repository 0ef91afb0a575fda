-- $1 text: camera; $2 bigint: UTC ms. Where the last footage that starts before it ends.
SELECT greatest(
    (SELECT end_ms FROM chunks
     WHERE camera = $1 AND window_start_ms < $2 AND start_ms < $2
     ORDER BY window_start_ms DESC LIMIT 1),
    (SELECT end_ms FROM fragments
     WHERE camera = $1 AND start_ms < $2
     ORDER BY start_ms DESC LIMIT 1)) AS end_ms
