-- $1 text: tenant/site; $2 integer: at most so many. Newest first.
SELECT version, digest, set_ms, set_by, note FROM site_configs
WHERE site = $1
ORDER BY version DESC
LIMIT $2
