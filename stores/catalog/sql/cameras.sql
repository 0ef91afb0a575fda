-- name: add_tenant
-- $1 text: tenant; $2 bigint: now, UTC ms.
INSERT INTO tenants (id, name, created_ms) VALUES ($1, $1, $2) ON CONFLICT DO NOTHING


-- name: add_camera
-- $1 text: camera; $2 text: site; $3 text: name; $4 bigint: now, UTC ms.
-- Returns whether the camera is new. A known camera gets the new name, and is in use again.
INSERT INTO cameras (id, site, name, created_ms)
VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, retired_ms = NULL
RETURNING xmax = 0 AS added


-- name: create_camera
-- $1 text: camera; $2 text: site; $3 text: name; $4 bigint: now, UTC ms. No row: it is registered.
INSERT INTO cameras (id, site, name, created_ms)
VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
RETURNING id


-- name: lock_camera
-- $1 text: camera. Row lock until the end of the transaction. Footage from after it was retired
-- brings it back.
SELECT
    cameras.id, cameras.name, cameras.disabled_ms,
    CASE WHEN footage.last_ms > cameras.retired_ms THEN NULL ELSE cameras.retired_ms END AS retired_ms
FROM cameras
LEFT JOIN footage ON footage.camera = cameras.id
WHERE cameras.id = $1
FOR UPDATE OF cameras


-- name: update_camera
-- $1 text: camera; $2 text: name; $3 bigint: disabled since, UTC ms, null: it is not; $4 bigint:
-- retired since, UTC ms, null: it is not.
UPDATE cameras SET name = $2, disabled_ms = $3, retired_ms = $4 WHERE id = $1


-- name: disabled_cameras
-- $1 text: site. The ids of its cameras that are not to be recorded.
SELECT id FROM cameras WHERE site = $1 AND disabled_ms IS NOT NULL


-- name: retire_camera
-- $1 text: camera; $2 bigint: now, UTC ms. Returns its id where it is registered.
UPDATE cameras SET retired_ms = $2 WHERE id = $1 RETURNING id


-- name: known_cameras
-- The ids of all registered cameras.
SELECT id FROM cameras ORDER BY id


-- name: cameras_columns
-- A part. $2 bigint: now, UTC ms. Footage from the future does not hide what is live: a clock was set
-- back. A camera out of use is so until footage ends after it was retired.
    cameras.id, cameras.name, cameras.created_ms, cameras.disabled_ms, footage.first_ms,
    CASE WHEN footage.last_ms > cameras.retired_ms THEN NULL ELSE cameras.retired_ms END AS retired_ms,
    CASE WHEN footage.last_ms > $2::bigint
         THEN least(footage.last_ms, live.newest_end_ms) ELSE footage.last_ms END AS last_ms,
    live.overlap_ms, footage.width, footage.height, newest.started_ms AS run_started_ms,
    newest.ended_ms AS run_ended_ms, newest.reason AS run_reason


-- name: cameras_joins
-- A part. $2: as in cameras_columns.
FROM cameras
LEFT JOIN footage ON footage.camera = cameras.id
LEFT JOIN LATERAL (
    SELECT run, newest_end_ms, overlap_ms
    FROM live_sections
    WHERE live_sections.camera = cameras.id
    ORDER BY number DESC
    LIMIT 1
) AS live ON true
LEFT JOIN LATERAL (
    SELECT started_ms, ended_ms, reason
    FROM runs
    WHERE runs.camera = cameras.id
      AND (footage.last_ms <= $2 OR live.run IS NULL OR runs.run = live.run)
    ORDER BY run DESC
    LIMIT 1
) AS newest ON true


-- name: labels_of_minutes
-- A part, for a row `cameras`. $2 bigint: now, UTC ms; $3 bigint: how long before and after it, ms.
SELECT label, max(most) AS most
FROM detection_minutes
WHERE detection_minutes.camera = cameras.id
  AND minute_ms > $2::bigint - $3::bigint - 60000 AND minute_ms < $2::bigint + $3::bigint
  AND NOT EXISTS (  -- detections of a replay count once it is current
      SELECT FROM model_replays
      WHERE model_replays.camera = cameras.id
        AND model_replays.to_ms > minute_ms AND model_replays.from_ms <= minute_ms
        AND model_replays.model = detection_minutes.model
        AND model_replays.model_version = detection_minutes.model_version
        AND model_replays.state NOT IN ('current', 'dropped')
  )
GROUP BY label


-- name: get_camera
-- $1 text: camera; $2 bigint: now, UTC ms. It reads no table with days, so its plan can be cached.
SELECT
-- include: cameras_columns
-- include: cameras_joins
WHERE cameras.id = $1


-- name: recent_labels
-- $1 text: camera; $2 bigint: now, UTC ms; $3 bigint: how long before and after it, ms. The labels
-- that were detected then, and the most of each in one frame.
SELECT label, most
FROM (SELECT $1::text AS id) AS cameras
CROSS JOIN LATERAL (
-- include: labels_of_minutes
) AS labels
ORDER BY most DESC, label


-- name: list_cameras
-- $1 text: only this camera, null for all; $2 bigint: now, UTC ms; $3 bigint: labels detected so long
-- before and after it, ms.
SELECT
    detected.recent,
-- include: cameras_columns
-- include: cameras_joins
LEFT JOIN LATERAL (
    SELECT jsonb_agg(
        jsonb_build_object('label', label, 'count', most) ORDER BY most DESC, label) AS recent
    FROM (
-- include: labels_of_minutes
    ) AS labels
) AS detected ON true
WHERE $1::text IS NULL OR cameras.id = $1
ORDER BY cameras.id


-- name: lock_cameras
-- $1 text: what to lock; $2 text[]: cameras. Advisory locks until the end of the transaction.
SELECT pg_advisory_xact_lock(lock)
FROM (
    SELECT DISTINCT hashtextextended($1 || ' ' || camera, 0) AS lock
    FROM unnest($2::text[]) AS camera
    ORDER BY lock
) AS locks
