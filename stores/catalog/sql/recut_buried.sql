-- $1 text: camera; $2 jsonb: list of {run, window_start_ms, digest}. Whether one was deleted before.
SELECT EXISTS (
    SELECT FROM tombstones
    JOIN jsonb_to_recordset($2::jsonb) AS made (run uuid, window_start_ms bigint, digest text)
      ON tombstones.run = made.run
    WHERE tombstones.camera = $1 AND tombstones.what = 'chunk'
      AND coalesce(tombstones.window_start_ms, made.window_start_ms) = made.window_start_ms
      AND coalesce(tombstones.digest, made.digest) = made.digest
) AS buried
