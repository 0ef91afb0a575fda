-- name: read_live_events
-- $1 text, $2 bigint: the position to read after; $3 int: how many events, 0 for none; $4 text[]:
-- scopes of the cameras, null for all.
-- At least one row: the epoch (null: it has no name yet), how far events were deleted, and the oldest
-- transaction in progress, with no event.
SELECT
    epoch.epoch, epoch.floor_xid::text, epoch.floor_id, here.horizon::text,
    found.xid::text, found.id, found.camera, found.event
FROM (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS horizon) AS here
LEFT JOIN live_epoch AS epoch ON true
LEFT JOIN LATERAL (
    SELECT xid, id, camera, event
    FROM live_events
    WHERE (xid, id) > ($1::text::xid8, $2::bigint) AND xid < here.horizon
      AND ($4::text[] IS NULL
           OR camera = ANY ($4)
           OR split_part(camera, '/', 1) = ANY ($4)
           OR split_part(camera, '/', 1) || '/' || split_part(camera, '/', 2) = ANY ($4))
    ORDER BY xid, id
    LIMIT $3
) AS found ON true
ORDER BY found.xid, found.id


-- name: open_live_epoch
-- $1 text: its name. Does nothing where there is one.
INSERT INTO live_epoch (epoch) VALUES ($1) ON CONFLICT DO NOTHING


-- name: lock_live_epoch
-- Returns true where no other transaction deletes events now.
SELECT true FROM live_epoch FOR UPDATE SKIP LOCKED


-- name: trim_live_events
-- $1 bigint: UTC ms; events of before are deleted; $2 int: at most so many; $3 bigint: so many are
-- kept, even if they are newer. Returns how many were deleted, and notes the newest of them.
WITH surplus AS (
    SELECT xid, id FROM live_events ORDER BY xid DESC, id DESC OFFSET $3 LIMIT 1
), oldest AS (
    SELECT xid, id, created_ms FROM live_events ORDER BY xid, id LIMIT $2
), gone AS (
    DELETE FROM live_events USING oldest
    WHERE live_events.xid = oldest.xid AND live_events.id = oldest.id
      AND (oldest.created_ms < $1
           OR (oldest.xid, oldest.id) <= (SELECT xid, id FROM surplus))
    RETURNING live_events.xid, live_events.id
), last AS (
    SELECT xid, id FROM gone ORDER BY xid DESC, id DESC LIMIT 1
), noted AS (
    UPDATE live_epoch SET floor_xid = last.xid, floor_id = last.id
    FROM last
    WHERE (last.xid, last.id) > (live_epoch.floor_xid, live_epoch.floor_id)
)
SELECT count(*) FROM gone


-- name: camera_states
-- $1 bigint: now, UTC ms. What the state of each camera is made of; as in list_cameras, without labels.
SELECT
    cameras.id, cameras.created_ms,
    CASE WHEN footage.last_ms > cameras.retired_ms THEN NULL ELSE cameras.retired_ms END AS retired_ms,
    CASE WHEN footage.last_ms > $1::bigint
         THEN least(footage.last_ms, live.newest_end_ms) ELSE footage.last_ms END AS last_ms,
    live.overlap_ms, newest.started_ms AS run_started_ms
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
    SELECT started_ms
    FROM runs
    WHERE runs.camera = cameras.id
      AND (footage.last_ms <= $1 OR live.run IS NULL OR runs.run = live.run)
    ORDER BY run DESC
    LIMIT 1
) AS newest ON true
ORDER BY cameras.id
