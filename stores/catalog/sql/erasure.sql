-- name: begin_erasure
-- $1 text: subject, such as tenant:acme; $2 text: chain; $3 bigint: now, UTC ms. Returns whether it is
-- new: one that was begun before goes on.
INSERT INTO vigil_audit.erasures AS known (subject, chain, begun_ms) VALUES ($1, $2, $3)
ON CONFLICT (subject) DO UPDATE SET begun_ms = known.begun_ms
RETURNING xmax = 0 AS is_new


-- name: end_erasure
-- $1 text: subject; $2 bigint: now, UTC ms, null: something is left; $3 jsonb: the report.
UPDATE vigil_audit.erasures SET finished_ms = coalesce(finished_ms, $2), report = $3 WHERE subject = $1


-- name: erased_tenants
-- The tenants that were erased or are being erased.
SELECT substr(subject, 8) AS tenant FROM vigil_audit.erasures
WHERE starts_with(subject, 'tenant:')
ORDER BY subject


-- name: holds_within
-- $1 text: tenant. The holds in force on anything of it.
SELECT id, scope FROM legal_holds
WHERE lifted_ms IS NULL AND (scope = $1 OR starts_with(scope, $1 || '/'))
ORDER BY id


-- name: parts_of_table
-- $1 text: table. Returns the condition of each of its partitions, true for a table without any. A
-- partition itself has no grants; a statement with its condition reads only that one.
SELECT coalesce(pg_get_partition_constraintdef(inhrelid), 'true') AS part
FROM (SELECT) AS one
LEFT JOIN pg_inherits ON inhparent = to_regclass($1)
ORDER BY part


-- name: erase_replay_chunks
-- $1 text: tenant.
DELETE FROM model_replay_chunks WHERE replay IN (
    SELECT id FROM model_replays WHERE starts_with(camera, $1 || '/'))


-- name: users_within
-- $1 text: tenant. The users who belong to it.
SELECT id FROM users WHERE scope = $1 OR starts_with(scope, $1 || '/') ORDER BY id


-- name: user_to_erase
-- $1 text: login or id. Row lock until the end of the transaction.
SELECT id, display_name, scope FROM users WHERE login = $1 OR id = $1 FOR UPDATE


-- name: erase_user
-- $1 text: id. Its sessions, grants, devices and second factor go with it.
DELETE FROM users WHERE id = $1


-- name: keys_of_user
-- $1 text: id. All keys that are or were his, as principals.
SELECT 'key:' || id AS principal FROM api_keys WHERE owner = $1


-- name: erase_user_name
-- $1 text: the name that people read; $2 text: what stays of it, such as user:1; $3 text[]: the user
-- and his keys, as principals. Returns how many rows had him as the one who did something. Rows
-- without a principal are those of commands and of older versions: there, his name decides.
WITH rules AS (
    UPDATE retention_rules SET set_by = $2
    WHERE set_by_id = ANY ($3::text[]) OR set_by_id IS NULL AND set_by = $1
    RETURNING 1
),
holds AS (
    UPDATE legal_holds SET
        added_by = CASE
            WHEN added_by_id = ANY ($3::text[]) OR added_by_id IS NULL AND added_by = $1 THEN $2
            ELSE added_by
        END,
        lifted_by = CASE
            WHEN lifted_by_id = ANY ($3::text[]) OR lifted_by_id IS NULL AND lifted_by = $1 THEN $2
            ELSE lifted_by
        END
    WHERE added_by_id = ANY ($3::text[]) OR added_by_id IS NULL AND added_by = $1
        OR lifted_by_id = ANY ($3::text[]) OR lifted_by_id IS NULL AND lifted_by = $1
    RETURNING 1
),
factors AS (
    UPDATE second_factor_rules SET set_by = $2
    WHERE set_by_id = ANY ($3::text[]) OR set_by_id IS NULL AND set_by = $1
    RETURNING 1
),
configs AS (UPDATE site_configs SET set_by = $2 WHERE set_by = $1 RETURNING 1),
replays AS (UPDATE model_replays SET changed_by = $2 WHERE changed_by = $1 RETURNING 1)
SELECT (SELECT count(*) FROM rules) + (SELECT count(*) FROM holds)
    + (SELECT count(*) FROM factors) + (SELECT count(*) FROM configs)
    + (SELECT count(*) FROM replays)


-- name: user_made_before
-- $1 text: id; $2 bigint: UTC ms. The user, if he existed then.
SELECT id FROM users WHERE id = $1 AND created_ms < $2
