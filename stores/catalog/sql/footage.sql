-- name: covered
-- $1 text: camera; $2, $3 bigint: from and to, UTC ms; $4 bigint: tolerance, ms.
-- Intervals with footage (islands). For whole chunks, the primary key's index is enough.
WITH segments AS (
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
    FROM segments
), islands AS (
    SELECT
        start_ms, end_ms, count(*) FILTER (WHERE fresh) OVER (ORDER BY start_ms, end_ms) AS island
    FROM marked
)
SELECT greatest(min(start_ms), $2) AS from_ms, least(max(end_ms), $3) AS to_ms
FROM islands
GROUP BY island
ORDER BY 1


-- name: reported_gaps
-- $1 text: camera; $2, $3 bigint: from and to, UTC ms. Gaps that manifests report, and those of
-- lost windows.
SELECT gap.from_ms, gap.to_ms, gap.reason
FROM chunks
CROSS JOIN LATERAL jsonb_to_recordset(chunks.gaps) AS gap (from_ms bigint, to_ms bigint, reason text)
WHERE camera = $1
  AND window_start_ms > $2::bigint - 90000000 AND window_start_ms < $3::bigint + 90000000
  AND (NOT whole OR gaps <> '[]')
  AND gap.to_ms > $2 AND gap.from_ms < $3
UNION ALL
SELECT gap.from_ms, gap.to_ms, gap.reason
FROM lost_windows
CROSS JOIN LATERAL jsonb_to_recordset(lost_windows.gaps) AS gap (
    from_ms bigint, to_ms bigint, reason text)
WHERE camera = $1
  AND window_start_ms > $2::bigint - 90000000 AND window_start_ms < $3::bigint + 90000000
  AND gap.to_ms > $2 AND gap.from_ms < $3
ORDER BY from_ms


-- name: footage_before
-- $1 text: camera; $2 bigint: UTC ms, in a gap. When the newest fragment before it ends, and the newest
-- days (start, UTC ms) with chunks up to it.
SELECT
    (SELECT end_ms FROM fragments
     WHERE camera = $1 AND start_ms < $2::bigint
     ORDER BY start_ms DESC LIMIT 1) AS end_ms,
    ARRAY(
        SELECT DISTINCT day_ms FROM chunk_days
        WHERE camera = $1 AND day_ms <= $2 ORDER BY day_ms DESC LIMIT 8) AS days


-- name: footage_before_in_day
-- $1 text: camera; $2 bigint: UTC ms, in a gap; $3 bigint: day, UTC ms. When the footage of this day's
-- chunks before the gap ends.
SELECT (SELECT max(upper(part)) FROM unnest(covered) AS part WHERE lower(part) < $2) AS end_ms
FROM chunks
WHERE camera = $1 AND start_ms < $2::bigint
  AND window_start_ms >= $3::bigint AND window_start_ms < least($2, $3 + 86400000)
ORDER BY window_start_ms DESC, start_ms DESC
LIMIT 1


-- name: footage_extent
-- $1 text: camera. Start and end of its footage, by the catalog.
SELECT first_ms, last_ms FROM footage WHERE camera = $1


-- name: upsert_footage_and_runs
-- Updates the camera's footage and runs. Needs `extents` (start and end of footage, by the events)
-- and `given` (events with camera, run and start_ms).
footage_extents AS (
    -- Deleted footage counts for the end of the footage, but not for its start: its first_ms is its
    -- last_ms.
    INSERT INTO footage AS known (camera, first_ms, last_ms, width, height, video_codec)
    SELECT
        camera, coalesce(min(start_ms), max(end_ms)), max(end_ms),
        (array_agg(width ORDER BY end_ms DESC))[1],
        (array_agg(height ORDER BY end_ms DESC))[1],
        (array_agg(video_codec ORDER BY end_ms DESC))[1]
    FROM extents
    GROUP BY camera
    ON CONFLICT (camera) DO UPDATE SET
        first_ms = CASE WHEN excluded.first_ms < excluded.last_ms
                        THEN least(known.first_ms, excluded.first_ms) ELSE known.first_ms END,
        last_ms = greatest(known.last_ms, excluded.last_ms),
        width = CASE WHEN excluded.last_ms >= known.last_ms THEN excluded.width ELSE known.width END,
        height = CASE WHEN excluded.last_ms >= known.last_ms
                      THEN excluded.height ELSE known.height END,
        video_codec = CASE WHEN excluded.last_ms >= known.last_ms
                           THEN excluded.video_codec ELSE known.video_codec END
    WHERE excluded.last_ms >= known.last_ms OR excluded.first_ms < known.first_ms
), announced AS (
    -- A run may lack its run-started: other recorders send none, or its notice is still in flight.
    -- Then the run starts with its first footage, in whatever order the events arrive.
    INSERT INTO runs AS known (camera, run, started_ms)
    SELECT camera, run, min(start_ms) AS started_ms
    FROM given
    GROUP BY camera, run
    HAVING NOT EXISTS (
        SELECT FROM runs
        WHERE runs.camera = given.camera AND runs.run = given.run
          AND (runs.edge IS NOT NULL OR runs.started_ms <= min(given.start_ms))
    )
    ORDER BY camera, run
    ON CONFLICT (camera, run) DO UPDATE SET started_ms = excluded.started_ms
    WHERE known.edge IS NULL AND excluded.started_ms < known.started_ms
)
