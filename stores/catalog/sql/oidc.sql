-- name: use_oidc_once
-- $1 bytea: SHA-256 of a state or of a logout token's id; $2 bigint: until when it could be used
-- again, UTC ms; $3 bigint: now, UTC ms. No row: it was used before. Deletes what has expired.
WITH expired AS (DELETE FROM oidc_used WHERE until_ms <= $3)
INSERT INTO oidc_used (hash, until_ms) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING hash


-- name: confirm_oidc_user
-- $1 text: id of the user; $2 bigint: now, UTC ms. His provider confirms him: his keys work.
UPDATE users SET provider_confirmed_ms = $2, provider_refused_ms = NULL WHERE id = $1


-- name: refuse_oidc_user
-- $1 text: id of the user; $2 bigint: now, UTC ms. His provider refuses him: his keys stop.
UPDATE users SET provider_refused_ms = coalesce(provider_refused_ms, $2) WHERE id = $1


-- name: set_oidc_user
-- $1 text: id of the user; $2 text: name; $3 text: scope; $4 bigint: now, UTC ms.
UPDATE users
SET display_name = $2, scope = $3, updated_ms = $4, version = version + 1
WHERE id = $1 AND (display_name, scope) IS DISTINCT FROM ($2, $3)


-- name: keep_user_grants
-- $1 text: id of the user; $2 text[]: grants that stay, each as role:scope. Returns what goes.
DELETE FROM user_grants WHERE user_id = $1 AND role || ':' || scope <> ALL($2::text[])
RETURNING role || ':' || scope AS grant


-- name: add_oidc_session
-- $1 text: id of the session; $2 text: provider; $3, $4 text: iss, sub; $5 text: session at the
-- provider, or null; $6 bytea: encrypted tokens, or null; $7 bigint: when the access token expires,
-- UTC ms, or null; $8 bigint: now, UTC ms. Deletes the tokens of sessions that ended.
WITH ended AS (
    DELETE FROM oidc_sessions USING sessions
    WHERE sessions.id = oidc_sessions.session_id AND sessions.ended_ms IS NOT NULL
)
INSERT INTO oidc_sessions
    (session_id, provider, iss, sub, sid, tokens, access_until_ms, confirmed_ms, tried_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)


-- name: get_oidc_session
-- $1 text: id of the session.
SELECT session_id, provider, iss, sub, tokens, access_until_ms, confirmed_ms, tried_ms,
    claimed_until_ms
FROM oidc_sessions WHERE session_id = $1


-- name: claim_oidc_check
-- $1 text: id of the session; $2 bigint: now, UTC ms; $3 bigint: until when the claim holds, UTC ms;
-- $4 bigint: how old the last confirmation must be, ms. No row: another worker asks, or has asked.
UPDATE oidc_sessions SET claimed_until_ms = $3, tried_ms = $2
WHERE session_id = $1 AND claimed_until_ms <= $2 AND confirmed_ms <= $2::bigint - $4::bigint
RETURNING session_id, provider, iss, sub, tokens, access_until_ms, confirmed_ms, tried_ms,
    claimed_until_ms


-- name: confirm_oidc_session
-- $1 text: id of the session; $2 bytea: encrypted tokens, or null; $3 bigint: when the access token
-- expires, UTC ms, or null; $4 bigint: now, UTC ms.
UPDATE oidc_sessions
SET tokens = $2, access_until_ms = $3, confirmed_ms = $4, tried_ms = $4, claimed_until_ms = 0
WHERE session_id = $1


-- name: release_oidc_check
-- $1 text: id of the session.
UPDATE oidc_sessions SET claimed_until_ms = 0 WHERE session_id = $1


-- name: delete_oidc_sessions
-- $1 text[]: ids of sessions that ended: their tokens are not needed any more.
DELETE FROM oidc_sessions WHERE session_id = ANY($1::text[])


-- name: oidc_sessions_of
-- $1 text: iss; $2 text: sub, or null for any; $3 text: session at the provider, or null for any.
SELECT session_id FROM oidc_sessions
WHERE iss = $1 AND sub = coalesce($2::text, sub)
AND ($3::text IS NULL OR sid = $3)
ORDER BY session_id
