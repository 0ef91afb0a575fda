SELECT id, name, hint, created_ms, revoked_ms FROM api_keys ORDER BY id
