-- $1 text: tenant; $2 bigint: now, UTC ms.
INSERT INTO tenants (id, name, created_ms) VALUES ($1, $1, $2) ON CONFLICT DO NOTHING
