-- $1 text: camera; $2 jsonb: list of {window_start_ms, run, joined, older}: what of its present
-- revision goes. The camera's footage is locked.
UPDATE chunks SET
    joined_gone = CASE WHEN g.joined THEN revision ELSE joined_gone END,
    older_gone = CASE WHEN g.older THEN revision ELSE older_gone END
FROM jsonb_to_recordset($2::jsonb) AS g (
    window_start_ms bigint, run uuid, joined boolean, older boolean)
WHERE chunks.camera = $1 AND chunks.window_start_ms = g.window_start_ms AND chunks.run = g.run
