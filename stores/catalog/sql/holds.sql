-- name: list_holds
-- $1 boolean: with the lifted ones. Oldest first.
SELECT id, scope, from_ms, to_ms, added_by, why, added_ms, lifted_by, lifted_ms, lifted_why
FROM legal_holds
WHERE $1 OR lifted_ms IS NULL
ORDER BY id


-- name: holds_of
-- $1 text[]: scopes of which one contains the hold's; $2 boolean: with the lifted ones; $3 bigint:
-- only numbers below this; $4 integer: limit. Newest first.
SELECT id, scope, from_ms, to_ms, added_by, why, added_ms, lifted_by, lifted_ms, lifted_why
FROM legal_holds
WHERE EXISTS (
    SELECT FROM unnest($1::text[]) AS given
    WHERE given IN ('*', scope) OR starts_with(scope, given || '/'))
  AND ($2 OR lifted_ms IS NULL)
  AND id < $3
ORDER BY id DESC
LIMIT $4


-- name: lock_hold
-- $1 bigint: number. Row lock until the end of the transaction.
SELECT id, scope, from_ms, to_ms, added_by, why, added_ms, lifted_by, lifted_ms, lifted_why
FROM legal_holds
WHERE id = $1
FOR UPDATE


-- name: scope_exists
-- $1 text: tenant, tenant/site or tenant/site/camera. A row where it is registered.
SELECT 1 FROM tenants WHERE id = $1
UNION ALL
SELECT 1 FROM sites WHERE id = $1
UNION ALL
SELECT 1 FROM cameras WHERE id = $1
LIMIT 1


-- name: add_hold
-- $1 text: scope; $2, $3 bigint: from and to, UTC ms, to may be null; $4 text: who; $5 text: why;
-- $6 bigint: now, UTC ms; $7 text: the principal, null for a command. The caller has the exclusive lock of the holds. Returns the hold's number,
-- and how many pending deletions are in its range: they wait for it now.
WITH added AS (
    INSERT INTO legal_holds (scope, from_ms, to_ms, added_by, why, added_ms, added_by_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    RETURNING id
)
SELECT
    id,
    (SELECT count(*) FROM deletions
     WHERE starts_with(camera || '/', $1 || '/') AND to_ms > $2
       AND ($3::bigint IS NULL OR from_ms < $3)) AS pending
FROM added


-- name: lift_hold
-- $1 bigint: number; $2 text: who; $3 bigint: now, UTC ms; $4 text: why, may be null; $5 text: the
-- principal, null for a command. Returns the scope; no row where it was lifted before.
UPDATE legal_holds SET lifted_by = $2, lifted_ms = $3, lifted_why = $4, lifted_by_id = $5
WHERE id = $1 AND lifted_ms IS NULL
RETURNING scope


-- name: lock_holds
-- Exclusive advisory lock until the end of the transaction. Adding a hold waits for deletions in
-- progress, and deletions wait for the new hold.
SELECT pg_advisory_xact_lock(hashtextextended('legal-holds', 0))


-- name: share_holds
-- Shared advisory lock until the end of the transaction. No hold can be added during this; other
-- deletions can run.
SELECT pg_advisory_xact_lock_shared(hashtextextended('legal-holds', 0))
