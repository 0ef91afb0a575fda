-- $1 text: camera; $2 bigint: UTC ms, in a hole. Where the footage before it ends.
SELECT greatest(
    (SELECT (SELECT max(upper(part)) FROM unnest(covered) AS part WHERE lower(part) < $2)
     FROM chunks
     WHERE camera = $1 AND window_start_ms < $2 AND start_ms < $2
     ORDER BY window_start_ms DESC, start_ms DESC LIMIT 1),
    (SELECT end_ms FROM fragments
     WHERE camera = $1 AND start_ms < $2
     ORDER BY start_ms DESC LIMIT 1)) AS end_ms
