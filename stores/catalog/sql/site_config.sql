-- $1 text: tenant/site; $2 integer: version, null for the newest.
SELECT version, digest, document AS text FROM site_configs
WHERE site = $1 AND ($2::integer IS NULL OR version = $2)
ORDER BY version DESC
LIMIT 1
