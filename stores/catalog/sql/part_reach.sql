-- Of `heard` (how far a camera's footage reaches, as was told) and `given` (events with camera, run
-- and start_ms): the camera's footage, and its runs.
reach AS (
    -- Footage that was deleted counts for how far it reached, not for where it begins: then
    -- first_ms is last_ms.
    INSERT INTO footage AS known (camera, first_ms, last_ms, width, height, video_codec)
    SELECT
        camera, coalesce(min(start_ms), max(end_ms)), max(end_ms),
        (array_agg(width ORDER BY end_ms DESC))[1],
        (array_agg(height ORDER BY end_ms DESC))[1],
        (array_agg(video_codec ORDER BY end_ms DESC))[1]
    FROM heard
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
    -- A run may lack its run-started: other recorders, or a notice still on its way. Then it began
    -- with its first footage, in whatever order that comes.
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
