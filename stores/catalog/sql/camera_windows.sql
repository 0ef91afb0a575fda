-- $1 text: only this camera, null for all. What cameras were set to, by id.
SELECT id, windows, grace_ms, idle_ms, windows_changed_ms AS changed_ms, windows_told AS told
FROM cameras
WHERE ($1::text IS NULL OR id = $1) AND windows IS NOT NULL
ORDER BY id
