-- name: grants_of_api_key
-- A column of a statement on api_keys: the key's grants, each as role:scope.
ARRAY(
    SELECT role || ':' || scope FROM api_key_grants WHERE key = api_keys.id ORDER BY scope, role
) AS grants


-- name: add_api_key
-- $1 text: name; $2 bytea: SHA-256 of the key; $3 text: hint; $4 bigint: now, UTC ms; $5 text: the
-- site whose configuration it reads, null for a key of people and programs; $6 bigint: when it
-- expires, UTC ms, null for never; $7 text[]: networks of its clients, null for any.
INSERT INTO api_keys (name, hash, hint, created_ms, edge_of, expires_ms, networks)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING id


-- name: add_api_key_grant
-- $1 bigint: number of the key; $2 text: role; $3 text: scope.
INSERT INTO api_key_grants (key, role, scope) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING


-- name: list_api_keys
-- All keys, revoked ones too, oldest first.
SELECT id, name, edge_of, hint, created_ms, revoked_ms, expires_ms, networks, used_ms,
-- include: grants_of_api_key
FROM api_keys ORDER BY id


-- name: api_key_by_hash
-- $1 bytea: SHA-256 of the key.
SELECT id, name, edge_of, hash, expires_ms, networks, used_ms,
-- include: grants_of_api_key
FROM api_keys WHERE hash = $1 AND revoked_ms IS NULL


-- name: api_key_by_session
-- $1 bigint: number of the key; $2 text: the session. No row: one of them is not valid any more.
SELECT id, name, edge_of, hash, expires_ms, networks, used_ms,
-- include: grants_of_api_key
FROM api_keys
WHERE id = $1 AND revoked_ms IS NULL AND NOT EXISTS (SELECT FROM ended_sessions WHERE session = $2)


-- name: end_session
-- $1 text: the session; $2 bigint: when its cookie expires, UTC ms; $3 bigint: now, UTC ms.
-- Deletes rows whose cookies have expired: no one can use these anyway.
WITH expired AS (DELETE FROM ended_sessions WHERE until_ms <= $3)
INSERT INTO ended_sessions (session, until_ms) VALUES ($1, $2) ON CONFLICT DO NOTHING


-- name: note_api_key_use
-- $1 bigint: number of the key; $2 bigint: now, UTC ms. Writes once a minute at most.
UPDATE api_keys SET used_ms = $2 WHERE id = $1 AND coalesce(used_ms, 0) <= $2::bigint - 60000


-- name: revoke_api_key
-- $1 bigint: number of the key; $2 bigint: now, UTC ms. Returns its name.
UPDATE api_keys SET revoked_ms = coalesce(revoked_ms, $2) WHERE id = $1 RETURNING name
