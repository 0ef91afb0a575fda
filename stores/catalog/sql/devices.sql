-- name: load_devices
-- $1 text: tenant/site, null: all sites. One row for each key of each device.
SELECT devices.id, devices.state, devices.generation, keys.id AS key, keys.public_key,
    keys.first_generation, keys.last_generation, keys.revoked
FROM devices JOIN device_keys AS keys ON keys.device = devices.id
WHERE $1::text IS NULL OR devices.site = $1
ORDER BY devices.id, keys.first_generation


-- name: load_some_devices
-- $1 text[]: tenant/site/device. As load_devices.
SELECT devices.id, devices.state, devices.generation, keys.id AS key, keys.public_key,
    keys.first_generation, keys.last_generation, keys.revoked
FROM devices JOIN device_keys AS keys ON keys.device = devices.id
WHERE devices.id = ANY ($1::text[])
ORDER BY devices.id, keys.first_generation


-- name: changed_devices
-- $1 bigint: UTC ms by the clock of PostgreSQL. The devices that changed since then.
SELECT id, changed_ms FROM devices WHERE changed_ms >= $1


-- name: database_now_ms
SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint


-- name: device_columns
devices.id, devices.state, devices.generation, devices.key, devices.enrolled_ms, devices.renewed_ms,
    devices.expires_ms, devices.locked_ms, devices.locked_why, devices.revoked_ms, devices.can_rejoin,
    devices.certificate, devices.renewal_id


-- name: lock_device
-- $1 text: tenant/site/device. Row lock until the end of the transaction.
SELECT
-- include: device_columns
FROM devices WHERE id = $1 FOR UPDATE


-- name: lock_device_name
-- $1 text: tenant/site/device, which may not exist yet. Advisory lock until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('enrol ' || $1, 0))


-- name: get_device
-- $1 text: tenant/site/device.
SELECT
-- include: device_columns
FROM devices WHERE id = $1


-- name: list_devices
-- $1 text[]: scopes, of which one contains the device's site or is within it; $2 text: only devices after
-- this one; $3 text: only of this tenant/site, null: of all; $4 integer: limit.
SELECT
-- include: device_columns
FROM devices
WHERE EXISTS (
    SELECT FROM unnest($1::text[]) AS scope
    WHERE scope IN ('*', site, split_part(site, '/', 1)) OR starts_with(scope, site || '/'))
  AND id > $2 AND ($3::text IS NULL OR site = $3)
ORDER BY id
LIMIT $4


-- name: key_of_device
-- $1 text: id of a key. The device that has or had it.
SELECT device FROM device_keys WHERE id = $1


-- name: put_enrolled_device
-- $1 text: tenant/site/device; $2 integer: generation; $3 text: id of its key; $4 text: certificate,
-- PEM; $5 text: id of the request; $6 bigint: now; $7 bigint: when the certificate expires, UTC ms.
INSERT INTO devices (id, site, state, generation, key, certificate, renewal_id, enrolled_ms, renewed_ms,
    expires_ms, changed_ms)
VALUES ($1, split_part($1, '/', 1) || '/' || split_part($1, '/', 2), 'enrolled', $2, $3, $4, $5, $6, $6,
    $7, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
ON CONFLICT (id) DO UPDATE SET
    state = 'enrolled', generation = excluded.generation, key = excluded.key,
    certificate = excluded.certificate, renewal_id = excluded.renewal_id,
    enrolled_ms = excluded.enrolled_ms, renewed_ms = excluded.renewed_ms,
    expires_ms = excluded.expires_ms, changed_ms = excluded.changed_ms,
    locked_ms = NULL, locked_why = NULL, revoked_ms = NULL, can_rejoin = false


-- name: end_device_keys
-- $1 text: tenant/site/device; $2 integer: its newest generation; $3 boolean: whether nothing that they
-- signed is believed any more. Ends the keys in use.
UPDATE device_keys SET last_generation = coalesce(last_generation, $2), revoked = revoked OR $3
WHERE device = $1 AND (last_generation IS NULL OR $3)


-- name: add_device_key
-- $1 text: its id; $2 text: tenant/site/device; $3 bytea: public key; $4 integer: its first generation;
-- $5 bigint: now, UTC ms.
INSERT INTO device_keys (id, device, public_key, first_generation, created_ms)
VALUES ($1, $2, $3, $4, $5)


-- name: renew_device
-- $1 text: tenant/site/device; $2 integer: the new generation; $3 text: certificate, PEM; $4 text: id
-- of the request; $5 bigint: now; $6 bigint: when the certificate expires, UTC ms.
UPDATE devices SET generation = $2, certificate = $3, renewal_id = $4, renewed_ms = $5, expires_ms = $6,
    can_rejoin = false, changed_ms = (extract(epoch FROM clock_timestamp()) * 1000)::bigint
WHERE id = $1


-- name: set_device_state
-- $1 text: tenant/site/device; $2 text: locked, revoked or enrolled (unlocked); $3 bigint: now, UTC ms;
-- $4 text: why it is locked, null otherwise.
UPDATE devices SET state = $2,
    locked_ms = CASE WHEN $2 = 'locked' THEN $3::bigint END,
    locked_why = CASE WHEN $2 = 'locked' THEN $4 END,
    revoked_ms = CASE WHEN $2 = 'revoked' THEN $3::bigint END,
    can_rejoin = $2 = 'enrolled',
    changed_ms = (extract(epoch FROM clock_timestamp()) * 1000)::bigint
WHERE id = $1


-- name: add_enrolment_code
-- $1 bytea: SHA-256 of the code; $2 text: tenant/site; $3 text: tenant/site/device or null; $4 bigint:
-- now; $5 text: who makes it; $6 bigint: when it expires, UTC ms.
INSERT INTO enrolment_codes (hash, site, device, created_ms, created_by, expires_ms)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id


-- name: delete_old_codes
-- $1 bigint: UTC ms. Deletes the codes that expired before.
DELETE FROM enrolment_codes WHERE expires_ms < $1


-- name: count_open_codes
-- $1 text: tenant/site; $2 bigint: now, UTC ms.
SELECT count(*) FROM enrolment_codes WHERE site = $1 AND used_ms IS NULL AND expires_ms > $2


-- name: lock_code
-- $1 bytea: SHA-256 of the code. Row lock until the end of the transaction.
SELECT id, site, device, expires_ms, used_ms, used_by, failures FROM enrolment_codes
WHERE hash = $1 FOR UPDATE


-- name: use_code
-- $1 bigint: its number; $2 bigint: now, UTC ms; $3 text: tenant/site/device.
UPDATE enrolment_codes SET used_ms = $2, used_by = $3 WHERE id = $1


-- name: count_code_failure
-- $1 bigint: its number.
UPDATE enrolment_codes SET failures = failures + 1 WHERE id = $1
