-- $1 text: camera; $2, $3 bigint: from and to, UTC ms; $4 bigint: tolerance, ms.
-- Islands of footage. Whole chunks are read from the primary key's index alone.
WITH pieces AS (
    SELECT start_ms, end_ms
    FROM chunks
    WHERE camera = $1
      AND window_start_ms > $2::bigint - 7200000 AND window_start_ms < $3::bigint
      AND end_ms > $2 AND start_ms < $3 AND whole
    UNION ALL
    SELECT lower(part), upper(part)
    FROM chunks
    CROSS JOIN LATERAL unnest(covered) AS part
    WHERE camera = $1
      AND window_start_ms > $2::bigint - 7200000 AND window_start_ms < $3::bigint
      AND end_ms > $2 AND start_ms < $3 AND NOT whole
      AND upper(part) > $2 AND lower(part) < $3
    UNION ALL
    SELECT start_ms, end_ms
    FROM fragments
    WHERE camera = $1 AND start_ms > $2::bigint - 3600000 AND start_ms < $3 AND end_ms > $2
), marked AS (
    SELECT
        start_ms, end_ms,
        start_ms > $4::bigint + max(end_ms) OVER (
            ORDER BY start_ms, end_ms ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS fresh
    FROM pieces
), islands AS (
    SELECT
        start_ms, end_ms, count(*) FILTER (WHERE fresh) OVER (ORDER BY start_ms, end_ms) AS island
    FROM marked
)
SELECT greatest(min(start_ms), $2) AS from_ms, least(max(end_ms), $3) AS to_ms
FROM islands
GROUP BY island
ORDER BY 1
