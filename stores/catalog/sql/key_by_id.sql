-- $1 bigint: number of the key.
SELECT id, name, edge_of FROM api_keys WHERE id = $1 AND revoked_ms IS NULL
