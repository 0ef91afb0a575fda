-- name: index_heartbeats
-- $1 jsonb: list of heartbeats, one of each edge; $2 bigint: now, UTC ms.
INSERT INTO edges AS known (
    site, edge, sent_ms, heard_ms, software, spool_bytes, spool_waiting, spool_oldest_ms,
    disk_free_bytes, cameras, config_version, config_state, config_detail,
    clock_state, clock_error_ms, identity_state, identity_generation, identity_renew_ms, identity_expires_ms, clock_trust)
SELECT
    site, edge, sent_ms, $2, software, spool_bytes, spool_waiting, spool_oldest_ms,
    disk_free_bytes, cameras, config_version, config_state, config_detail,
    clock_state, clock_error_ms, identity_state, identity_generation, identity_renew_ms, identity_expires_ms, clock_trust
FROM jsonb_to_recordset($1::jsonb) AS h (
    site text, edge text, sent_ms bigint, software text, spool_bytes bigint,
    spool_waiting bigint, spool_oldest_ms bigint, disk_free_bytes bigint, cameras jsonb,
    config_version integer, config_state text, config_detail text,
    clock_state text, clock_error_ms integer, identity_state text, identity_generation integer,
    identity_renew_ms bigint, identity_expires_ms bigint, clock_trust text)
ORDER BY site, edge
ON CONFLICT (site, edge) DO UPDATE SET
    sent_ms = excluded.sent_ms, heard_ms = excluded.heard_ms, software = excluded.software,
    spool_bytes = excluded.spool_bytes, spool_waiting = excluded.spool_waiting,
    spool_oldest_ms = excluded.spool_oldest_ms, disk_free_bytes = excluded.disk_free_bytes,
    cameras = excluded.cameras, config_version = excluded.config_version,
    config_state = excluded.config_state, config_detail = excluded.config_detail,
    clock_state = excluded.clock_state, clock_error_ms = excluded.clock_error_ms,
    identity_state = excluded.identity_state, identity_generation = excluded.identity_generation,
    identity_renew_ms = excluded.identity_renew_ms,
    identity_expires_ms = excluded.identity_expires_ms, clock_trust = excluded.clock_trust
-- A clock that is fast counts only up to when its heartbeat arrived: it shuts no other one out.
WHERE (least(excluded.sent_ms, excluded.heard_ms), excluded.sent_ms)
    > (least(known.sent_ms, known.heard_ms), known.sent_ms)


-- name: list_edges
-- The newest heartbeat of each edge device.
SELECT site, edge, sent_ms, heard_ms, software, spool_bytes, spool_waiting, spool_oldest_ms,
    disk_free_bytes, cameras, config_version, config_state, config_detail,
    clock_state, clock_error_ms, identity_state, identity_generation, identity_renew_ms, identity_expires_ms, clock_trust
FROM edges ORDER BY site, edge


-- name: forget_edge
-- $1 text: site; $2 text: edge. Returns its name where it is known. A new heartbeat adds it again.
DELETE FROM edges WHERE site = $1 AND edge = $2 RETURNING edge


-- name: forget_silent_edges
-- $1 bigint: UTC ms. Deletes the devices without a heartbeat since then; returns them.
DELETE FROM edges WHERE heard_ms < $1 RETURNING site, edge


-- name: site_health
-- $1 bigint: UTC ms since which a camera that sends has footage; $2 bigint: UTC ms since which an
-- edge device that is online was heard. For each site: its cameras in use that have footage, how
-- many of them send; its edge devices, how many of them are online.
SELECT sites.id AS site, sites.unsigned,
    coalesce(cameras.in_use, 0) AS cameras, coalesce(cameras.sending, 0) AS cameras_sending,
    coalesce(devices.known, 0) AS edges, coalesce(devices.online, 0) AS edges_online
FROM sites
LEFT JOIN (
    SELECT cameras.site, count(*) AS in_use,
        count(*) FILTER (WHERE footage.last_ms >= $1) AS sending
    FROM cameras JOIN footage ON footage.camera = cameras.id
    WHERE cameras.retired_ms IS NULL AND cameras.disabled_ms IS NULL
    GROUP BY cameras.site
) AS cameras ON cameras.site = sites.id
LEFT JOIN (
    SELECT site, count(*) AS known, count(*) FILTER (WHERE heard_ms >= $2) AS online
    FROM edges GROUP BY site
) AS devices ON devices.site = sites.id
ORDER BY sites.id
