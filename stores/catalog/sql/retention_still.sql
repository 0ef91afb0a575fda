-- $1 text: camera; $2 jsonb: list of {window_start_ms, run, revision, digest}. Those that are still
-- current. The camera's footage is locked.
SELECT chunks.window_start_ms, chunks.run::text AS run
FROM jsonb_to_recordset($2::jsonb) AS g (
    window_start_ms bigint, run uuid, revision integer, digest text)
JOIN chunks ON chunks.camera = $1 AND chunks.window_start_ms = g.window_start_ms
    AND chunks.run = g.run AND chunks.revision = g.revision AND chunks.digest = g.digest
