-- $1 text: camera; $2 bigint: window's start; $3 uuid: run; $4 integer: revision; $5 text: digest.
-- Removes the row only while it is still this revision. The camera's footage is locked.
DELETE FROM chunks
WHERE camera = $1 AND window_start_ms = $2 AND run = $3 AND revision = $4 AND digest = $5
