-- $1 bytea: SHA-256 of the key.
SELECT id, name, edge_of, hash FROM api_keys WHERE hash = $1 AND revoked_ms IS NULL
