-- $1 text: camera; $2 text: site; $3 text: name; $4 bigint: now, UTC ms.
-- Returns whether it is new; the name of a known one is changed.
INSERT INTO cameras (id, site, name, created_ms)
VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO UPDATE SET name = excluded.name
RETURNING xmax = 0 AS added
