-- $1 text: name; $2 bytea: SHA-256 of the key; $3 text: hint; $4 bigint: now, UTC ms.
INSERT INTO api_keys (name, hash, hint, created_ms) VALUES ($1, $2, $3, $4) RETURNING id
