-- $1 text: name; $2 bytea: SHA-256 of the key; $3 text: hint; $4 bigint: now, UTC ms; $5 text: site
-- whose configuration it reads, null for a key of people and programs.
INSERT INTO api_keys (name, hash, hint, created_ms, edge_of) VALUES ($1, $2, $3, $4, $5)
RETURNING id
