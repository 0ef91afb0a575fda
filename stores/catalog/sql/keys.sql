SELECT id, name, edge_of, hint, created_ms, revoked_ms FROM api_keys ORDER BY id
