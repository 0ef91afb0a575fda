-- name: grants_of_api_key
-- A column of a statement on api_keys: the key's grants, each as role:scope.
ARRAY(
    SELECT role || ':' || scope FROM api_key_grants WHERE key = api_keys.id ORDER BY scope, role
) AS grants


-- name: add_api_key
-- $1 text: name; $2 bytea: SHA-256 of the key; $3 text: hint; $4 bigint: now, UTC ms; $5 text: the
-- site whose configuration it reads, null for a key of people and programs; $6 bigint: when it
-- expires, UTC ms, null for never; $7 text[]: networks of its clients, null for any; $8 text: who
-- creates it, null for a command; $9 bigint: number of the key that it replaces, null for none; $10
-- text: the tenant of all its grants, `*` where there are several; $11 text: id of the user whose it
-- is, null for a service's.
INSERT INTO api_keys (
    name, hash, hint, created_ms, edge_of, expires_ms, networks, created_by, rotated_from,
    tenant, owner)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
RETURNING id


-- name: add_api_key_grant
-- $1 bigint: number of the key; $2 text: role; $3 text: scope.
INSERT INTO api_key_grants (key, role, scope) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING


-- name: api_key_columns
-- Columns of a statement on api_keys: what lists show. The grants follow.
id, name, edge_of, hint, created_ms, revoked_ms, expires_ms, networks, used_ms, created_by,
rotated_from, tenant, owner,


-- name: list_api_keys
-- All keys, revoked ones too, oldest first.
SELECT
-- include: api_key_columns
-- include: grants_of_api_key
FROM api_keys ORDER BY id


-- name: api_keys_of
-- $1 text[]: scopes; $2 boolean: with those that are not valid any more; $3 bigint: now, UTC ms; $4
-- bigint: only numbers below this; $5 integer: limit. The keys of which each grant is within a
-- scope, newest first. Those of several tenants: of `*` only.
SELECT
-- include: api_key_columns
-- include: grants_of_api_key
FROM api_keys
WHERE ('*' = ANY ($1::text[])
       OR tenant <> '*'
          AND NOT EXISTS (
              SELECT FROM api_key_grants
              WHERE key = api_keys.id AND NOT EXISTS (
                  SELECT FROM unnest($1) AS given
                  WHERE scope = given OR starts_with(scope, given || '/'))))
  AND ($2 OR revoked_ms IS NULL AND (expires_ms IS NULL OR expires_ms > $3))
  AND id < $4
ORDER BY id DESC
LIMIT $5


-- name: lock_api_key
-- $1 bigint: number of the key. Row lock until the end of the transaction.
SELECT
-- include: api_key_columns
-- include: grants_of_api_key
FROM api_keys WHERE id = $1 FOR UPDATE


-- name: valid_key_of_line
-- $1 bigint: number of a key; $2 bigint: now, UTC ms. The valid key that it replaces, or that
-- replaces it.
SELECT id FROM api_keys
WHERE (rotated_from = $1 OR id = (SELECT rotated_from FROM api_keys WHERE id = $1))
  AND revoked_ms IS NULL AND (expires_ms IS NULL OR expires_ms > $2)
ORDER BY id
LIMIT 1


-- name: expire_api_key
-- $1 bigint: number of the key; $2 bigint: when it expires, UTC ms. It never expires later than
-- before.
UPDATE api_keys SET expires_ms = least(expires_ms, $2) WHERE id = $1


-- name: lock_admins
-- Advisory lock until the end of the transaction: two admins cannot remove each other at once.
SELECT pg_advisory_xact_lock(hashtextextended('admins', 0))


-- name: other_admin_scopes
-- $1 bigint: now, UTC ms; $2 bigint: not of this key. Scopes on which a valid key of a service, or a
-- user who can sign in, has the role admin.
SELECT scope
FROM api_key_grants
JOIN api_keys ON api_keys.id = key
WHERE role = 'admin' AND api_keys.id <> $2 AND owner IS NULL
  AND revoked_ms IS NULL AND (expires_ms IS NULL OR expires_ms > $1)
UNION
SELECT given.scope
FROM users
JOIN (
    SELECT user_id, role, scope FROM user_grants
    UNION ALL
    SELECT user_id, role, group_grants.scope FROM group_members JOIN group_grants USING (group_id)
) AS given ON given.user_id = users.id
WHERE given.role = 'admin' AND disabled_ms IS NULL
  AND (password_hash IS NOT NULL OR iss IS NOT NULL)


-- name: owner_of_api_key
-- Columns of a statement on api_keys: the user whose key it is, and his grants. All null: there is no
-- such user, or it is a service's.
owner, owners.disabled_ms, owners.iss, owners.provider_confirmed_ms, owners.provider_refused_ms,
owners.grants AS owns
FROM api_keys
LEFT JOIN LATERAL (
    SELECT disabled_ms, iss, provider_confirmed_ms, provider_refused_ms,
-- include: grants_of_user
    FROM users WHERE users.id = owner
) AS owners ON true


-- name: api_key_by_hash
-- $1 bytea: SHA-256 of the key.
SELECT api_keys.id, name, edge_of, hash, expires_ms, networks, used_ms,
-- include: grants_of_api_key
,
-- include: owner_of_api_key
WHERE hash = $1 AND revoked_ms IS NULL


-- name: api_key_by_number
-- $1 bigint: number of the key. No row: it is revoked.
SELECT api_keys.id, name, edge_of, hash, expires_ms, networks, used_ms,
-- include: grants_of_api_key
,
-- include: owner_of_api_key
WHERE api_keys.id = $1 AND revoked_ms IS NULL


-- name: note_api_key_use
-- $1 bigint: number of the key; $2 bigint: now, UTC ms. Writes once a minute at most.
UPDATE api_keys SET used_ms = $2 WHERE id = $1 AND coalesce(used_ms, 0) <= $2::bigint - 60000


-- name: revoke_api_key
-- $1 bigint: number of the key; $2 bigint: now, UTC ms. Returns its name.
UPDATE api_keys SET revoked_ms = coalesce(revoked_ms, $2) WHERE id = $1 RETURNING name


-- name: revoke_keys_of_user
-- $1 text: id of the user; $2 bigint: now, UTC ms.
UPDATE api_keys SET revoked_ms = $2 WHERE owner = $1 AND revoked_ms IS NULL RETURNING id
