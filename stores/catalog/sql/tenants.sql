-- name: create_tenant
-- $1 text: tenant; $2 text: name; $3 bigint: now, UTC ms. No row: it exists.
INSERT INTO tenants (id, name, created_ms) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING
RETURNING id, name, created_ms


-- name: lock_tenant
-- $1 text: tenant. Row lock until the end of the transaction.
SELECT id, name, created_ms FROM tenants WHERE id = $1 FOR UPDATE


-- name: get_tenant
-- $1 text: tenant.
SELECT id, name, created_ms FROM tenants WHERE id = $1


-- name: update_tenant
-- $1 text: tenant; $2 text: its new name.
UPDATE tenants SET name = $2 WHERE id = $1


-- name: list_tenants
-- $1 text[]: scopes, of which one contains the tenant or is within it; $2 text: only tenants after
-- this one; $3 integer: limit.
SELECT id, name, created_ms
FROM tenants
WHERE ('*' = ANY ($1::text[]) OR id IN (SELECT split_part(scope, '/', 1) FROM unnest($1) AS scope))
  AND id > $2
ORDER BY id
LIMIT $3


-- name: create_site
-- $1 text: tenant/site; $2 text: name; $3 text: IANA time zone; $4 bigint: now, UTC ms; $5 text:
-- what it does with unsigned events. No row: it exists.
INSERT INTO sites (id, tenant, name, zone, created_ms, unsigned)
VALUES ($1, split_part($1, '/', 1), $2, $3, $4, $5)
ON CONFLICT DO NOTHING
RETURNING id, name, zone, created_ms, unsigned


-- name: lock_site_row
-- $1 text: tenant/site. Row lock until the end of the transaction.
SELECT id, name, zone, created_ms, unsigned FROM sites WHERE id = $1 FOR UPDATE


-- name: get_site
-- $1 text: tenant/site.
SELECT id, name, zone, created_ms, unsigned FROM sites WHERE id = $1


-- name: unsigned_policies
SELECT id, unsigned FROM sites


-- name: update_site
-- $1 text: tenant/site; $2 text: its new name; $3 text: its new zone; $4 text: what it does with
-- unsigned events from now on.
UPDATE sites SET name = $2, zone = $3, unsigned = $4 WHERE id = $1


-- name: list_sites
-- $1 text[]: scopes, of which one contains the site or is within it; $2 text: only sites after this
-- one; $3 integer: limit; $4 text: only of this tenant, null for all.
SELECT id, name, zone, created_ms, unsigned
FROM sites
WHERE EXISTS (
    SELECT FROM unnest($1::text[]) AS scope
    WHERE scope IN ('*', id, tenant) OR starts_with(scope, id || '/'))
  AND id > $2
  AND ($4::text IS NULL OR tenant = $4)
ORDER BY id
LIMIT $3
