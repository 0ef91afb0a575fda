-- name: add_release
-- $1 integer: number; $2 text: version; $3 text: canonical text; $4 text: id of the key; $5 bytea:
-- signature; $6 bigint: now, UTC ms; $7 text: who; $8 text: note. No row: the number or the version
-- exists.
INSERT INTO releases (number, version, text, signed_by, signature, added_ms, added_by, note)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT DO NOTHING
RETURNING number


-- name: list_releases
-- The newest first.
SELECT number, version, text, signed_by, signature, added_ms, added_by, note, withdrawn_ms, withdrawn_why
FROM releases ORDER BY number DESC


-- name: withdraw_release
-- $1 integer: number; $2 bigint: now, UTC ms; $3 text: why.
UPDATE releases SET withdrawn_ms = $2, withdrawn_why = $3 WHERE number = $1 AND withdrawn_ms IS NULL


-- name: rollout_columns
rollouts.id, rollouts.release, rollouts.state, rollouts.ring, rollouts.round, rollouts.soak_since_ms,
    rollouts.rules, rollouts.reason, rollouts.note, rollouts.started_ms, rollouts.started_by,
    rollouts.changed_ms, rollouts.ring_ms, rollouts.ended_ms


-- name: add_rollout
-- $1 integer: release; $2 jsonb: rules; $3 text: note; $4 bigint: now, UTC ms; $5 text: who; $6 text:
-- the first ring. Returns its number.
INSERT INTO rollouts (release, state, ring, rules, note, started_ms, started_by, changed_ms, ring_ms)
VALUES ($1, 'running', $6, $2, $3, $4, $5, $4, $4)
RETURNING id


-- name: lock_active_rollout
-- Row lock until the end of the transaction. No row: none is active.
SELECT
-- include: rollout_columns
FROM rollouts WHERE state IN ('running', 'paused', 'halted', 'rolling-back') FOR UPDATE


-- name: lock_rollout
-- $1 bigint: number. Row lock until the end of the transaction.
SELECT
-- include: rollout_columns
FROM rollouts WHERE id = $1 FOR UPDATE


-- name: get_rollout
-- $1 bigint: number.
SELECT
-- include: rollout_columns
FROM rollouts WHERE id = $1


-- name: current_rollout
-- The active rollout, else the newest one that finished: what devices follow.
SELECT
-- include: rollout_columns
FROM rollouts WHERE state IN ('running', 'paused', 'halted', 'rolling-back', 'finished')
ORDER BY state = 'finished', id DESC
LIMIT 1


-- name: list_rollouts
-- $1 bigint: only older ones than this, or null; $2 integer: limit. The newest first.
SELECT
-- include: rollout_columns
FROM rollouts WHERE $1::bigint IS NULL OR id < $1
ORDER BY id DESC
LIMIT $2


-- name: set_rollout
-- $1 bigint: number; $2 text: state; $3 text: ring; $4 bigint: since when it soaks, or null; $5 text:
-- reason; $6 bigint: now, UTC ms; $7 integer: round.
UPDATE rollouts SET
    changed_ms = CASE WHEN state = $2 THEN changed_ms ELSE $6 END,
    ring_ms = CASE WHEN ring = $3 AND round = $7 THEN ring_ms ELSE $6 END,
    ended_ms = CASE WHEN $2 IN ('finished', 'rolled-back', 'stopped') THEN $6 END,
    state = $2, ring = $3, soak_since_ms = $4, reason = $5, round = $7
WHERE id = $1


-- name: rollout_devices
-- $1 bigint: rollout. Each device with its newest signs of life.
SELECT rows.device, rows.ring, rows.state, rows.reason, rows.attempt, rows.round, rows.came_from,
    rows.began_ms, rows.changed_ms, rows.excused, rows.cameras_before, rows.spool_before,
    software.reported_ms, software.release AS running, edges.heard_ms AS heartbeat_ms,
    edges.spool_waiting, edges.spool_oldest_ms,
    (SELECT count(*)::integer FROM jsonb_array_elements(edges.cameras) AS camera
     WHERE camera ->> 'state' = 'recording') AS cameras_recording
FROM rollout_devices AS rows
LEFT JOIN device_software AS software ON software.device = rows.device
LEFT JOIN edges ON edges.site = split_part(rows.device, '/', 1) || '/' || split_part(rows.device, '/', 2)
    AND edges.edge = split_part(rows.device, '/', 3)
WHERE rows.rollout = $1
ORDER BY rows.device


-- name: devices_without_row
-- $1 bigint: rollout. The enrolled devices that are not in it, each with the ring of its site's file.
SELECT devices.id AS device, devices.site, coalesce(site_updates.ring, 'rest') AS ring
FROM devices
LEFT JOIN site_updates ON site_updates.site = devices.site
WHERE devices.state = 'enrolled' AND NOT EXISTS (
    SELECT FROM rollout_devices WHERE rollout = $1 AND device = devices.id)
ORDER BY devices.id


-- name: drop_gone_rollout_devices
-- $1 bigint: rollout. Deletes the rows of devices that were revoked or locked before they began.
DELETE FROM rollout_devices AS rows
WHERE rollout = $1 AND rows.state IN ('pending', 'waiting', 'downloading') AND NOT EXISTS (
    SELECT FROM devices WHERE devices.id = rows.device AND devices.state = 'enrolled')


-- name: get_rollout_device
-- $1 bigint: rollout; $2 text: device. Row lock until the end of the transaction.
SELECT ring, state, reason, attempt, round, came_from, began_ms, changed_ms
FROM rollout_devices WHERE rollout = $1 AND device = $2 FOR UPDATE


-- name: put_rollout_device
-- $1 bigint: rollout; $2 text: device; $3 text: ring; $4 text: state; $5 text: reason; $6 integer:
-- attempt; $7 integer: round; $8 integer: where it came from; $9 bigint: when it began; $10 bigint:
-- since when it is in its state, UTC ms; $11 boolean: excused. What recorded and waited when it
-- begins is noted.
INSERT INTO rollout_devices AS known (
    rollout, device, ring, state, reason, attempt, round, came_from, began_ms, changed_ms, excused)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (rollout, device) DO UPDATE SET
    ring = excluded.ring, state = excluded.state, reason = excluded.reason, attempt = excluded.attempt,
    round = excluded.round, came_from = excluded.came_from, began_ms = excluded.began_ms,
    changed_ms = excluded.changed_ms, excused = excluded.excused


-- name: note_before_update
-- $1 bigint: rollout; $2 text: device. Notes how many cameras record and fragments wait now.
UPDATE rollout_devices SET
    spool_before = edges.spool_waiting,
    cameras_before = (
        SELECT count(*)::integer FROM jsonb_array_elements(edges.cameras) AS camera
        WHERE camera ->> 'state' = 'recording')
FROM edges
WHERE rollout = $1 AND device = $2 AND edges.site || '/' || edges.edge = $2


-- name: put_device_software
-- $1 text: device; $2 text: agent; $3 text: hardware; $4 text: image; $5 integer: release; $6 text:
-- system; $7 jsonb: the report; $8 bigint: now, UTC ms. Locks the row: one report at a time.
INSERT INTO device_software (device, agent, hardware, image, release, system, report, reported_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (device) DO UPDATE SET
    agent = excluded.agent, hardware = excluded.hardware, image = excluded.image,
    release = excluded.release, system = excluded.system, report = excluded.report,
    reported_ms = excluded.reported_ms


-- name: site_update_policy
-- $1 text: tenant/site. How its devices are updated, and its time zone.
SELECT sites.zone, coalesce(site_updates.ring, 'rest') AS ring, site_updates.maintenance,
    site_updates.lock
FROM sites LEFT JOIN site_updates ON site_updates.site = sites.id
WHERE sites.id = $1


-- name: set_site_update_policy
-- $1 text: tenant/site; $2 text: ring; $3 jsonb: maintenance window. No row: nothing changes.
INSERT INTO site_updates AS known (site, ring, maintenance) VALUES ($1, $2, $3)
ON CONFLICT (site) DO UPDATE SET ring = excluded.ring, maintenance = excluded.maintenance
WHERE (known.ring, known.maintenance) IS DISTINCT FROM (excluded.ring, excluded.maintenance)
RETURNING site


-- name: lock_site_updates
-- $1 text: tenant/site; $2 text: why, null: the lock ends; $3 text: who; $4 bigint: now, UTC ms. No row:
-- it was so before.
INSERT INTO site_updates AS known (site, lock, locked_by, locked_ms)
VALUES ($1, $2::text, CASE WHEN $2 IS NOT NULL THEN $3::text END,
    CASE WHEN $2 IS NOT NULL THEN $4::bigint END)
ON CONFLICT (site) DO UPDATE SET
    lock = excluded.lock, locked_by = excluded.locked_by, locked_ms = excluded.locked_ms
WHERE known.lock IS DISTINCT FROM excluded.lock
RETURNING site


-- name: list_fleet
-- $1 text[]: scopes; $2 text: only devices after this one; $3 integer: limit; $4 bigint: the current
-- rollout, or null; $5 text: only of this tenant/site, or null. Each enrolled device, what it runs,
-- how it is, and its update in that rollout.
SELECT devices.id AS device, devices.site, software.agent, software.hardware, software.image,
    software.release, software.system, software.reported_ms,
    coalesce(rows.ring, site_updates.ring, 'rest') AS ring, site_updates.maintenance,
    site_updates.lock, sites.zone,
    rows.state, rows.reason, rows.attempt, rows.round, rows.came_from, rows.began_ms, rows.changed_ms,
    coalesce(rows.excused, false) AS excused, rows.cameras_before, rows.spool_before,
    edges.heard_ms AS heartbeat_ms, edges.software, edges.spool_waiting, edges.spool_oldest_ms,
    jsonb_array_length(edges.cameras) AS cameras,
    (SELECT count(*)::integer FROM jsonb_array_elements(edges.cameras) AS camera
     WHERE camera ->> 'state' = 'recording') AS cameras_recording
FROM devices
JOIN sites ON sites.id = devices.site
LEFT JOIN device_software AS software ON software.device = devices.id
LEFT JOIN site_updates ON site_updates.site = devices.site
LEFT JOIN rollout_devices AS rows ON rows.device = devices.id AND rows.rollout = $4
LEFT JOIN edges ON edges.site = devices.site AND edges.edge = split_part(devices.id, '/', 3)
WHERE devices.state = 'enrolled' AND devices.id > $2
  AND ($5::text IS NULL OR devices.site = $5)
  AND EXISTS (
    SELECT FROM unnest($1::text[]) AS scope
    WHERE scope IN ('*', devices.site, split_part(devices.site, '/', 1))
        OR starts_with(scope, devices.site || '/'))
ORDER BY devices.id
LIMIT $3


-- name: count_update_states
-- $1 bigint: rollout.
SELECT state, count(*)::integer AS devices FROM rollout_devices WHERE rollout = $1 GROUP BY state


-- name: count_devices_behind
-- $1 bigint: UTC ms. How many enrolled devices do not run the release of the newest rollout that
-- finished, if it finished before.
SELECT count(*)::integer
FROM devices
LEFT JOIN device_software AS software ON software.device = devices.id
CROSS JOIN (
    SELECT release, ended_ms FROM rollouts WHERE state = 'finished' ORDER BY id DESC LIMIT 1
) AS newest
WHERE devices.state = 'enrolled' AND newest.ended_ms < $1
  AND coalesce(software.release, 0) < newest.release
