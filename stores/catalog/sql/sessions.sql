-- name: add_session
-- $1 text: id; $2 bytea: SHA-256 of the cookie; $3 text: user, or null; $4 bigint: key, or null;
-- $5 bigint: now, UTC ms; $6 bigint: when it ends, UTC ms; $7 text: address; $8 text: browser.
-- Deletes the sessions whose time is over.
WITH expired AS (DELETE FROM sessions WHERE until_ms <= $5)
INSERT INTO sessions (id, hash, user_id, key, created_ms, seen_ms, until_ms, address, agent)
VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8)


-- name: find_session
-- $1 bytea: SHA-256 of the cookie; $2 bigint: now, UTC ms; $3 bigint: idle time-out, ms.
-- No row: it ended, or its user is disabled. The key of its row is not checked here.
SELECT sessions.id, sessions.key, sessions.user_id, sessions.created_ms, seen_ms, until_ms, login,
display_name, oidc_sessions.provider, oidc_sessions.confirmed_ms, tried_ms,
EXISTS (
    SELECT FROM user_totp
    WHERE user_totp.user_id = sessions.user_id AND user_totp.confirmed_ms IS NOT NULL
) AS has_totp,
ARRAY(SELECT second_factor_rules.scope FROM second_factor_rules) AS factor_scopes,
-- include: grants_of_user
FROM sessions
LEFT JOIN users ON users.id = sessions.user_id
LEFT JOIN oidc_sessions ON oidc_sessions.session_id = sessions.id
WHERE hash = $1 AND ended_ms IS NULL AND until_ms > $2 AND seen_ms > $2::bigint - $3::bigint
AND users.disabled_ms IS NULL


-- name: note_session_use
-- $1 text: id; $2 bigint: now, UTC ms; $3 bigint: how exact the time is, ms.
UPDATE sessions SET seen_ms = $2 WHERE id = $1 AND seen_ms <= $2::bigint - $3::bigint


-- name: renew_session
-- $1 text: id; $2 bytea: SHA-256 of the new cookie. No row: it ended.
UPDATE sessions SET hash = $2 WHERE id = $1 AND ended_ms IS NULL RETURNING id


-- name: end_sessions
-- $1 text[]: ids; $2 bigint: now, UTC ms. Returns those that had not ended.
UPDATE sessions SET ended_ms = $2 WHERE id = ANY($1::text[]) AND ended_ms IS NULL RETURNING id


-- name: end_sessions_of_users
-- $1 text[]: ids of users; $2 bigint: now, UTC ms; $3 text: a session that goes on, or null.
UPDATE sessions SET ended_ms = $2
WHERE user_id = ANY($1::text[]) AND ended_ms IS NULL AND id IS DISTINCT FROM $3::text
RETURNING id


-- name: end_sessions_of_key
-- $1 bigint: number of the key; $2 bigint: now, UTC ms; $3 text: a session that goes on, or null.
UPDATE sessions SET ended_ms = $2
WHERE key = $1 AND ended_ms IS NULL AND id IS DISTINCT FROM $3::text
RETURNING id


-- name: end_all_sessions
-- $1 bigint: now, UTC ms. Returns how many had not ended.
WITH ended AS (UPDATE sessions SET ended_ms = $1 WHERE ended_ms IS NULL RETURNING 1)
SELECT count(*) FROM ended


-- name: session_by_hash
-- $1 bytea: SHA-256 of the cookie. Returns a session that has not ended.
SELECT id, user_id, key FROM sessions WHERE hash = $1 AND ended_ms IS NULL


-- name: list_sessions
-- $1 text: of this user, or null; $2 bigint: of this key, or null; $3 bigint: now, UTC ms;
-- $4 bigint: idle time-out, ms. Newest first.
SELECT id, user_id, key, created_ms, seen_ms, until_ms, address, agent
FROM sessions
WHERE (user_id = $1 OR key = $2) AND ended_ms IS NULL AND until_ms > $3
AND seen_ms > $3::bigint - $4::bigint
ORDER BY created_ms DESC, id LIMIT 1000


-- name: get_session
-- $1 text: id. A session that has not ended.
SELECT id, user_id, key, created_ms, seen_ms, until_ms, address, agent
FROM sessions WHERE id = $1 AND ended_ms IS NULL
