-- name: group_columns
-- Columns of a statement on groups.
groups.id, name, groups.scope, created_ms, version,
ARRAY(
    SELECT role || ':' || group_grants.scope FROM group_grants WHERE group_id = groups.id ORDER BY 1
) AS grants,
ARRAY(
    SELECT DISTINCT user_id FROM group_members WHERE group_id = groups.id ORDER BY 1
) AS members


-- name: add_group
-- $1 text: id; $2 text: name; $3 text: scope; $4 bigint: now, UTC ms. No row: the name is taken.
INSERT INTO groups (id, name, scope, created_ms) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
RETURNING id


-- name: get_group
-- $1 text: id. Locks the row against other changes until the transaction ends.
SELECT
-- include: group_columns
FROM groups WHERE id = $1 FOR UPDATE OF groups


-- name: list_groups
-- $1 text[]: scopes whose groups are listed, with * for all; $2 text: after this id; $3 bigint: limit.
SELECT
-- include: group_columns
FROM groups
WHERE groups.id > $2 AND (
    '*' = ANY($1::text[])
    OR EXISTS (
        SELECT FROM unnest($1::text[]) AS asked (scope)
        WHERE groups.scope = asked.scope OR starts_with(groups.scope, asked.scope || '/')
    )
)
ORDER BY groups.id LIMIT $3


-- name: change_group
-- $1 text: id; $2 text: name. No row: the name is taken in its scope.
UPDATE groups SET name = $2, version = version + 1
WHERE id = $1 AND NOT EXISTS (
    SELECT FROM groups AS others
    WHERE others.scope = groups.scope AND others.name = $2 AND others.id <> $1
)
RETURNING id


-- name: delete_group
-- $1 text: id.
DELETE FROM groups WHERE id = $1


-- name: add_group_grant
-- $1 text: id of the group; $2 text: role; $3 text: scope.
INSERT INTO group_grants (group_id, role, scope) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING


-- name: delete_group_grant
-- $1 text: id of the group; $2 text: role; $3 text: scope.
DELETE FROM group_grants WHERE group_id = $1 AND role = $2 AND scope = $3


-- name: add_group_member
-- $1 text: id of the group; $2 text: id of the user; $3 text: local or oidc.
INSERT INTO group_members (group_id, user_id, source) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING


-- name: delete_group_member
-- $1 text: id of the group; $2 text: id of the user; $3 text: local or oidc.
DELETE FROM group_members WHERE group_id = $1 AND user_id = $2 AND source = $3
