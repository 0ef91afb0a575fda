-- name: get_site_config
-- $1 text: tenant/site; $2 integer: version, null for the newest.
SELECT version, digest, document AS text FROM site_configs
WHERE site = $1 AND ($2::integer IS NULL OR version = $2)
ORDER BY version DESC
LIMIT 1


-- name: get_signed_site_config
-- $1 text: tenant/site. The newest version with its signature, whose columns may be null.
SELECT version, digest, document AS text, not_before_ms, signed_by, signature FROM site_configs
WHERE site = $1
ORDER BY version DESC
LIMIT 1


-- name: list_site_configs
-- $1 text: tenant/site; $2 integer: limit; $3 integer: only older ones than this version, or null.
-- Newest first.
SELECT version, digest, set_ms, set_by, note, signed_by FROM site_configs
WHERE site = $1 AND ($3::integer IS NULL OR version < $3)
ORDER BY version DESC
LIMIT $2


-- name: lock_site
-- $1 text: tenant/site. Row lock: one new version at a time.
SELECT id FROM sites WHERE id = $1 FOR UPDATE


-- name: add_site_config
-- $1 text: tenant/site; $2 text: document; $3 text: digest; $4 bigint: now, UTC ms; $5 text: who
-- set it; $6 text: note; $7 integer: version; $8 bigint: from when it holds, UTC ms; $9 text: id of
-- the key; $10 bytea: signature. $8 to $10 null: not signed. The caller has locked the site's row.
INSERT INTO site_configs
    (site, document, digest, set_ms, set_by, note, version, not_before_ms, signed_by, signature)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)


-- name: add_config_key
-- $1 text: id; $2 bytea: public key; $3 bigint: now, UTC ms; $4 text: id of the key before it, null:
-- the first; $5 bytea: its signature.
INSERT INTO config_keys (id, public_key, added_ms, endorsed_by, endorsement)
VALUES ($1, $2, $3, $4, $5)


-- name: lock_config_keys
LOCK TABLE config_keys IN EXCLUSIVE MODE


-- name: list_config_keys
-- The oldest first.
SELECT id, public_key, added_ms, endorsed_by, endorsement FROM config_keys ORDER BY number


-- name: edge_config_reports
-- $1 text: tenant/site. The newest report of each of its edges.
SELECT edge, heard_ms, config_version AS version, config_state AS state, config_detail AS detail
FROM edges WHERE site = $1 ORDER BY edge
