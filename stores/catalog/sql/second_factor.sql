-- name: list_second_factor_rules
-- Where a second factor is required, by scope.
SELECT scope, set_by, set_by_id, set_ms FROM second_factor_rules ORDER BY scope


-- name: require_second_factor
-- $1 text: * or a tenant; $2 text: who; $3 text: the principal, null for a command; $4 bigint: now, UTC
-- ms. No row: it was required before.
INSERT INTO second_factor_rules (scope, set_by, set_by_id, set_ms) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
RETURNING scope


-- name: release_second_factor
-- $1 text: * or a tenant. No row: it was not required.
DELETE FROM second_factor_rules WHERE scope = $1 RETURNING scope
