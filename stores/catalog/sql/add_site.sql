-- $1 text: tenant/site; $2 text: tenant; $3 bigint: now, UTC ms.
INSERT INTO sites (id, tenant, name, created_ms)
VALUES ($1, $2, split_part($1, '/', 2), $3)
ON CONFLICT DO NOTHING
