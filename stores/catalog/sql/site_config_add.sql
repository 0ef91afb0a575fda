-- $1 text: tenant/site; $2 text: document; $3 text: digest; $4 bigint: now, UTC ms; $5 text: by whom;
-- $6 text: note. The site's row is locked.
INSERT INTO site_configs (site, version, document, digest, set_ms, set_by, note)
SELECT $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5, $6 FROM site_configs WHERE site = $1
RETURNING version
