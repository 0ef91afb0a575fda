-- name: open_edge_link
-- $1 text: device; $2 text: worker; $3 text: socket; $4 text: software. The newest socket wins.
INSERT INTO edge_links (device, worker, socket, software) VALUES ($1, $2, $3, $4)
ON CONFLICT (device) DO UPDATE
SET worker = $2, socket = $3, software = $4, since_at = clock_timestamp()


-- name: close_edge_link
-- $1 text: device; $2 text: socket. Does nothing where a newer socket is open.
DELETE FROM edge_links WHERE device = $1 AND socket = $2


-- name: changed_edge_links
-- $1 text[]: devices; $2 text[]: their sockets, in the same order. Those that have another socket, or
-- (overtaken is false) no row.
SELECT given.device, edge_links.device IS NOT NULL AS overtaken
FROM unnest($1::text[], $2::text[]) AS given (device, socket)
LEFT JOIN edge_links ON edge_links.device = given.device
WHERE edge_links.socket IS DISTINCT FROM given.socket


-- name: list_edge_links
-- $1 text: site, null for all; $2 interval: how old a worker's keep-alive may be. Who is connected.
SELECT device, worker, software, (extract(epoch FROM since_at) * 1000)::bigint AS since_ms
FROM edge_links JOIN link_workers ON link_workers.id = worker
WHERE seen_at > clock_timestamp() - $2::interval
  AND ($1::text IS NULL OR starts_with(device, $1 || '/'))
ORDER BY device


-- name: lock_edge_device
-- $1 text: device; $2 text: principal. Until the transaction ends, no one else counts their
-- commands. Always in this order.
SELECT pg_advisory_xact_lock(hashtextextended('edge-command ' || $1, 0)),
    pg_advisory_xact_lock(hashtextextended('edge-command-of ' || $2, 0))


-- name: count_edge_commands
-- $1 text: device; $2 text: principal; $3 bigint: now; $4 bigint: a minute ago, UTC ms.
SELECT
    (SELECT count(*) FROM edge_commands
     WHERE device = $1 AND state = 'sent' AND deadline_ms > $3) AS open_of_device,
    (SELECT count(*) FROM edge_commands
     WHERE device = $1 AND sent_ms > $4) AS last_minute_of_device,
    (SELECT count(*) FROM edge_commands
     WHERE principal = $2 AND sent_ms > $4) AS last_minute_of_principal


-- name: add_edge_command
-- $1 text: id; $2 text: device; $3 text: kind; $4 text: camera, or null; $5 text: principal;
-- $6 text: its name; $7 bigint: now; $8 bigint: deadline, UTC ms.
INSERT INTO edge_commands (id, device, kind, camera, principal, sent_by, sent_ms, deadline_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)


-- name: finish_edge_command
-- $1 text: id; $2 text: device; $3 text: state; $4 bigint: now, UTC ms; $5 text: detail;
-- $6 jsonb: result, or null; $7 bytea: body, or null; $8 text: its media type, or null.
-- The kind, where it was open and its deadline is not over.
UPDATE edge_commands
SET state = $3, done_ms = $4, detail = $5, result = $6, body = $7, body_type = $8
WHERE id = $1 AND device = $2 AND state = 'sent' AND deadline_ms > $4
RETURNING kind


-- name: open_edge_commands
-- $1 text: device; $2 bigint: now, UTC ms. What it has to answer yet.
SELECT id, device, kind, camera, sent_ms, deadline_ms FROM edge_commands
WHERE device = $1 AND state = 'sent' AND deadline_ms > $2 ORDER BY sent_ms


-- name: expire_edge_commands
-- $1 bigint: now, UTC ms. The kinds of those that expired. Rows that another worker has are left.
UPDATE edge_commands SET state = 'expired', done_ms = $1, detail = CASE
    WHEN EXISTS (SELECT FROM edge_links WHERE edge_links.device = edge_commands.device)
    THEN 'The device did not answer in time.' ELSE 'The device is not connected.' END
WHERE id = ANY (ARRAY(
    SELECT id FROM edge_commands WHERE state = 'sent' AND deadline_ms <= $1
    ORDER BY deadline_ms LIMIT 1000 FOR UPDATE SKIP LOCKED
)) RETURNING kind


-- name: delete_old_edge_commands
-- $1 bigint: rows given before are deleted; $2 bigint: bodies from before are deleted, UTC ms.
WITH bodies AS (
    UPDATE edge_commands SET body = NULL WHERE body IS NOT NULL AND done_ms < $2 AND sent_ms >= $1
)
DELETE FROM edge_commands WHERE sent_ms < $1


-- name: finished_edge_commands
-- $1 text[]: ids. Those of them that wait for no answer any more.
SELECT id FROM edge_commands WHERE id = ANY ($1) AND state <> 'sent'


-- name: get_edge_command
-- $1 text: id; $2 text: device.
SELECT id, device, kind, camera, principal, sent_by, sent_ms, deadline_ms, state, done_ms, detail,
    result, body_type, length(body) AS body_bytes
FROM edge_commands WHERE id = $1 AND device = $2


-- name: get_edge_command_body
-- $1 text: id; $2 text: device.
SELECT body, body_type FROM edge_commands WHERE id = $1 AND device = $2


-- name: list_edge_commands
-- $1 text: device; $2 bigint: sent before, UTC ms; $3 text: id of the last one shown; $4 int: limit.
-- The newest first, without bodies.
SELECT id, device, kind, camera, principal, sent_by, sent_ms, deadline_ms, state, done_ms, detail,
    result, body_type, length(body) AS body_bytes
FROM edge_commands WHERE device = $1 AND (sent_ms, id) < ($2, $3)
ORDER BY sent_ms DESC, id DESC LIMIT $4


-- name: edge_device_exists
-- $1 text: device; $2 text: its site; $3 text: its name.
SELECT EXISTS (SELECT FROM edges WHERE site = $2 AND edge = $3)
    OR EXISTS (SELECT FROM edge_links WHERE device = $1)
    OR EXISTS (SELECT FROM devices WHERE id = $1) AS exists


-- name: device_of_camera
-- $1 text: site; $2 jsonb: [{"camera": tenant/site/camera}]. The device whose newest heartbeat has
-- this camera.
SELECT edge FROM edges WHERE site = $1 AND cameras @> $2::jsonb ORDER BY heard_ms DESC LIMIT 1
