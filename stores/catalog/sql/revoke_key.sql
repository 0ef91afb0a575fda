-- $1 bigint: number of the key; $2 bigint: now, UTC ms.
UPDATE api_keys SET revoked_ms = coalesce(revoked_ms, $2) WHERE id = $1 RETURNING name
