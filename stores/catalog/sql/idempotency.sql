-- name: delete_old_idempotency_keys
-- $1 text: principal, null for all; $2 bigint: UTC ms. Deletes the keys that were first used then
-- or before. Rows that another transaction is about to delete are left to it.
DELETE FROM idempotency_keys WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM idempotency_keys
    WHERE created_ms <= $2 AND ($1::text IS NULL OR principal = $1)
    FOR UPDATE SKIP LOCKED
))


-- name: count_idempotency_keys
-- $1 text: principal; $2 bytea: SHA-256 of a key; $3 int: the most to count. How many other keys.
SELECT count(*) FROM (
    SELECT FROM idempotency_keys WHERE principal = $1 AND key_hash <> $2 LIMIT $3
) AS counted


-- name: claim_idempotency_key
-- $1 text: principal; $2 bytea: SHA-256 of the key; $3 bytea: SHA-256 of the request; $4 bigint:
-- now, UTC ms; $5 uuid: token of the claim; $6 bigint: a claim of then or before is given up.
-- Returns true where the claim is ours.
INSERT INTO idempotency_keys AS known (principal, key_hash, request_hash, created_ms, claimed_ms, token)
VALUES ($1, $2, $3, $4, $4, $5)
ON CONFLICT (principal, key_hash) DO UPDATE SET claimed_ms = $4, token = $5
WHERE known.status IS NULL AND known.claimed_ms <= $6 AND known.request_hash = $3
RETURNING true


-- name: get_idempotency_key
-- $1 text: principal; $2 bytea: SHA-256 of the key.
SELECT request_hash, status, headers, body FROM idempotency_keys
WHERE principal = $1 AND key_hash = $2


-- name: keep_idempotent_answer
-- $1 text: principal; $2 bytea: SHA-256 of the key; $3 uuid: token of the claim; $4 int: status;
-- $5 jsonb: headers; $6 bytea: body, or null. Returns true where the claim is still ours.
UPDATE idempotency_keys SET status = $4, headers = $5, body = $6
WHERE principal = $1 AND key_hash = $2 AND token = $3 AND status IS NULL
RETURNING true


-- name: release_idempotency_key
-- $1 text: principal; $2 bytea: SHA-256 of the key; $3 uuid: token of the claim.
DELETE FROM idempotency_keys
WHERE principal = $1 AND key_hash = $2 AND token = $3 AND status IS NULL
