-- name: grants_of_user
-- A column of a statement on users: all grants, own and by groups, each as role:scope.
ARRAY(
    SELECT role || ':' || user_grants.scope FROM user_grants WHERE user_grants.user_id = users.id
    UNION
    SELECT role || ':' || group_grants.scope
    FROM group_grants JOIN group_members USING (group_id) WHERE group_members.user_id = users.id
    ORDER BY 1
) AS grants


-- name: user_columns
-- Columns of a statement on users: what lists and pages show. No hash, no secret.
users.id, login, display_name, users.scope, iss, sub, disabled_ms, users.created_ms, updated_ms,
users.version, password_hash IS NOT NULL AS has_password,
EXISTS (SELECT FROM user_totp WHERE user_id = users.id AND confirmed_ms IS NOT NULL) AS has_totp,
ARRAY(
    SELECT role || ':' || user_grants.scope FROM user_grants WHERE user_grants.user_id = users.id
    ORDER BY 1
) AS own_grants,
ARRAY(
    SELECT DISTINCT group_id FROM group_members WHERE group_members.user_id = users.id ORDER BY 1
) AS groups,
-- include: grants_of_user


-- name: add_user
-- $1 text: id; $2 text: login; $3 text: name; $4 text: scope; $5 text: hash of the password, or null;
-- $6, $7 text: iss, sub, or null; $8 bigint: now, UTC ms. No row: the login or identity is taken.
INSERT INTO users
    (id, login, display_name, scope, password_hash, password_ms, iss, sub, created_ms, updated_ms)
VALUES ($1, $2, $3, $4, $5, CASE WHEN $5::text IS NULL THEN NULL ELSE $8::bigint END, $6, $7, $8, $8)
ON CONFLICT DO NOTHING
RETURNING id


-- name: get_user
-- $1 text: id. Locks the row against other changes until the transaction ends.
SELECT
-- include: user_columns
FROM users WHERE id = $1 FOR UPDATE OF users


-- name: read_user
-- $1 text: id.
SELECT
-- include: user_columns
FROM users WHERE id = $1


-- name: user_by_login
-- $1 text: login.
SELECT
-- include: user_columns
FROM users WHERE login = $1


-- name: user_by_identity
-- $1 text: iss; $2 text: sub.
SELECT
-- include: user_columns
FROM users WHERE iss = $1 AND sub = $2


-- name: list_users
-- $1 text[]: scopes whose users are listed, with * for all; $2 text: after this id; $3 bigint: limit.
-- A user is below a scope by his own scope, or by one of his grants.
SELECT
-- include: user_columns
FROM users
WHERE users.id > $2 AND (
    '*' = ANY($1::text[])
    OR EXISTS (
        SELECT FROM unnest($1::text[]) AS asked (scope), (
            SELECT users.scope
            UNION ALL
            SELECT user_grants.scope FROM user_grants WHERE user_grants.user_id = users.id
            UNION ALL
            SELECT group_grants.scope
            FROM group_grants JOIN group_members USING (group_id)
            WHERE group_members.user_id = users.id
        ) AS had (scope)
        WHERE had.scope = asked.scope OR starts_with(had.scope, asked.scope || '/')
    )
)
ORDER BY users.id LIMIT $3


-- name: change_user
-- $1 text: id; $2 text: name; $3 bigint: since when he is disabled, UTC ms, or null; $4 bigint: now.
UPDATE users SET display_name = $2, disabled_ms = $3, updated_ms = $4, version = version + 1
WHERE id = $1


-- name: touch_users
-- $1 text[]: ids of users whose grants changed; $2 bigint: now, UTC ms.
UPDATE users SET updated_ms = $2, version = version + 1 WHERE id = ANY($1::text[])


-- name: add_user_grant
-- $1 text: id of the user; $2 text: role; $3 text: scope.
INSERT INTO user_grants (user_id, role, scope) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING


-- name: delete_user_grant
-- $1 text: id of the user; $2 text: role; $3 text: scope.
DELETE FROM user_grants WHERE user_id = $1 AND role = $2 AND scope = $3


-- name: set_password
-- $1 text: id of the user; $2 text: hash, or null for none; $3 bigint: now, UTC ms.
UPDATE users SET password_hash = $2, password_ms = $3, updated_ms = $3, version = version + 1
WHERE id = $1


-- name: renew_password_hash
-- $1 text: id of the user; $2 text: the hash so far; $3 text: the same password's hash by the
-- parameters of today.
UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2


-- name: administered_scopes
-- The installation (*) and the tenants on which a user who can sign in has the role admin.
SELECT DISTINCT given.scope
FROM users
JOIN (
    SELECT user_id, role, scope FROM user_grants
    UNION ALL
    SELECT user_id, role, group_grants.scope FROM group_members JOIN group_grants USING (group_id)
) AS given ON given.user_id = users.id
WHERE given.role = 'admin' AND strpos(given.scope, '/') = 0
  AND disabled_ms IS NULL AND (password_hash IS NOT NULL OR iss IS NOT NULL AND provider_refused_ms IS NULL)
