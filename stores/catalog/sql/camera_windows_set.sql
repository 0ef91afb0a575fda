-- $1 text: camera; $2 jsonb: lengths; $3, $4 integer: grace and idle, ms, or null; $5 bigint: when
-- it was decided, UTC ms; $6 bigint: when what it replaces was decided, null: nothing.
-- Nothing is changed where somebody else was faster.
UPDATE cameras
SET windows = $2, grace_ms = $3, idle_ms = $4, windows_changed_ms = $5, windows_told = false
WHERE id = $1 AND windows_changed_ms IS NOT DISTINCT FROM $6::bigint
RETURNING id
