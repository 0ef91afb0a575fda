-- name: camera_windows
-- $1 text: only this camera, null for all. The window settings of cameras, by id.
SELECT id, windows, grace_ms, idle_ms, windows_changed_ms AS changed_ms, windows_told AS published
FROM cameras
WHERE ($1::text IS NULL OR id = $1) AND windows IS NOT NULL
ORDER BY id


-- name: set_camera_windows
-- $1 text: camera; $2 jsonb: lengths; $3, $4 integer: grace and idle, ms, or null; $5 bigint: when
-- they were set, UTC ms; $6 bigint: when the settings that they replace were set, null: there are
-- none. Changes nothing where another process changed the settings first.
UPDATE cameras
SET windows = $2, grace_ms = $3, idle_ms = $4, windows_changed_ms = $5, windows_told = false
WHERE id = $1 AND windows_changed_ms IS NOT DISTINCT FROM $6::bigint
RETURNING id


-- name: mark_windows_published
-- $1 text: camera; $2 bigint: when the published settings were set, UTC ms.
UPDATE cameras SET windows_told = true WHERE id = $1 AND windows_changed_ms = $2
