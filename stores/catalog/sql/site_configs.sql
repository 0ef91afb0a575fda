-- name: get_site_config
-- $1 text: tenant/site; $2 integer: version, null for the newest.
SELECT version, digest, document AS text FROM site_configs
WHERE site = $1 AND ($2::integer IS NULL OR version = $2)
ORDER BY version DESC
LIMIT 1


-- name: list_site_configs
-- $1 text: tenant/site; $2 integer: limit. Newest first.
SELECT version, digest, set_ms, set_by, note FROM site_configs
WHERE site = $1
ORDER BY version DESC
LIMIT $2


-- name: lock_site
-- $1 text: tenant/site. Row lock: one new version at a time.
SELECT id FROM sites WHERE id = $1 FOR UPDATE


-- name: add_site_config
-- $1 text: tenant/site; $2 text: document; $3 text: digest; $4 bigint: now, UTC ms; $5 text: who
-- set it; $6 text: note. The caller has locked the site's row. Returns the new version.
INSERT INTO site_configs (site, version, document, digest, set_ms, set_by, note)
SELECT $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5, $6 FROM site_configs WHERE site = $1
RETURNING version


-- name: edge_config_reports
-- $1 text: tenant/site. The newest report of each of its edges.
SELECT edge, heard_ms, config_version AS version, config_state AS state, config_detail AS detail
FROM edges WHERE site = $1 ORDER BY edge
