-- $1 text: camera; $2 uuid[]: runs; $3 bigint: UTC ms. Those that ended before then, of which no
-- chunk, fragment or deletion is left, and from when to when they went.
SELECT run::text, started_ms, ended_ms
FROM runs
WHERE camera = $1 AND run = ANY ($2::uuid[]) AND ended_ms < $3
  AND NOT EXISTS (
      SELECT FROM chunks
      WHERE chunks.camera = runs.camera AND chunks.run = runs.run
        AND chunks.window_start_ms BETWEEN runs.started_ms - 7200000 AND runs.ended_ms + 7200000)
  AND NOT EXISTS (
      SELECT FROM fragments WHERE fragments.camera = runs.camera AND fragments.run = runs.run)
  AND NOT EXISTS (
      SELECT FROM deletions WHERE deletions.camera = runs.camera AND deletions.run = runs.run)
