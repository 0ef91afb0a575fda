-- name: index_tombstones
-- $1 jsonb: list of deleted events; $2, $3 bigint: their first and last window_start_ms, so that few
-- day partitions are locked. The caller holds the cameras' footage lock.
-- Adds tombstones and deletes the rows that they name; of a chunk, only the digest they name.
WITH given AS (
    SELECT DISTINCT ON (camera, run, what, first_seq, last_seq, window_start_ms, digest) *
    FROM jsonb_to_recordset($1::jsonb) AS d (
        camera text, run uuid, what text, first_seq integer, last_seq integer,
        window_start_ms bigint, digest text, reason text, deleted_ms bigint)
),
-- include: delete_tombstoned_rows
INSERT INTO tombstones (
    camera, run, what, first_seq, last_seq, window_start_ms, digest, reason, deleted_ms)
SELECT camera, run, what, first_seq, last_seq, window_start_ms, digest, reason, deleted_ms
FROM given
ON CONFLICT DO NOTHING


-- name: delete_tombstoned_rows
-- Deletes the rows that tombstones (`given`) name; of a chunk, only the digest they name. $2, $3
-- bigint: as in index_tombstones.
deleted_fragments AS (
    DELETE FROM fragments
    USING given
    WHERE given.what = 'fragments'
      AND fragments.camera = given.camera
      AND fragments.run = given.run
      AND fragments.seq >= coalesce(given.first_seq, 0)
      AND fragments.seq <= coalesce(given.last_seq, 99999999)
), deleted_chunks AS (
    DELETE FROM chunks
    USING given
    WHERE given.what = 'chunk'
      AND chunks.camera = given.camera
      AND chunks.run = given.run
      AND chunks.window_start_ms >= $2::bigint AND chunks.window_start_ms <= $3::bigint
      AND chunks.window_start_ms = coalesce(given.window_start_ms, chunks.window_start_ms)
      AND chunks.digest = coalesce(given.digest, chunks.digest)
)


-- name: delete_tombstoned_chunks
-- $1 text: camera; $2 uuid[]: runs, null for all; $3, $4 bigint: windows that start in [$3, $4), UTC
-- ms. Deletes the rows of chunks that tombstones name. The caller holds the footage lock.
DELETE FROM chunks
USING tombstones
WHERE tombstones.camera = $1 AND tombstones.what = 'chunk'
  AND ($2::uuid[] IS NULL OR tombstones.run = ANY($2))
  AND (tombstones.window_start_ms IS NULL
       OR tombstones.window_start_ms >= $3::bigint AND tombstones.window_start_ms < $4::bigint)
  AND chunks.camera = $1 AND chunks.run = tombstones.run
  AND chunks.window_start_ms >= $3::bigint AND chunks.window_start_ms < $4::bigint
  AND chunks.window_start_ms = coalesce(tombstones.window_start_ms, chunks.window_start_ms)
  AND chunks.digest = coalesce(tombstones.digest, chunks.digest)


-- name: cameras_with_tombstones
-- The cameras of which footage was deleted on purpose, by id.
SELECT DISTINCT camera FROM tombstones ORDER BY camera


-- name: has_tombstones
-- $1 text: camera. Whether any of its footage was deleted on purpose.
SELECT EXISTS (SELECT FROM tombstones WHERE camera = $1)


-- name: window_deleted
-- $1 text: camera; $2 uuid: run; $3 bigint: start of a window, UTC ms. Whether the run's chunk of
-- that window was deleted in all revisions. A tombstone with a digest names only one revision.
SELECT EXISTS (
    SELECT FROM tombstones
    WHERE camera = $1 AND run = $2 AND what = 'chunk' AND digest IS NULL
      AND (window_start_ms IS NULL OR window_start_ms = $3)
) AS deleted


-- name: covering_chunk_deleted
-- $1 text: camera; $2 uuid: run; $3 bigint: start of a fragment, UTC ms; $4 bigint: length of a
-- window, ms. Whether the chunk that would hold it was deleted and no other chunk replaced it.
SELECT
    EXISTS (
        SELECT FROM tombstones
        WHERE camera = $1 AND run = $2 AND what = 'chunk'
          AND (window_start_ms IS NULL OR window_start_ms <= $3 AND window_start_ms > $3 - $4)
    ) AND NOT EXISTS (
        SELECT FROM chunks
        WHERE camera = $1 AND run = $2 AND window_start_ms <= $3
          AND window_start_ms > $3 - $4
    ) AS deleted


-- name: chunk_tombstones
-- $1 text: camera; $2, $3 bigint: windows that start in [$2, $3), UTC ms. Tombstones of chunks, also
-- those that name no window. A pending deletion (a hold may keep its objects) counts as deleted in
-- the far future.
SELECT
    run::text AS run, window_start_ms, digest,
    CASE WHEN EXISTS (
        SELECT FROM deletions
        WHERE deletions.camera = $1
          AND deletions.run = tombstones.run
          AND deletions.what = 'chunk'
          AND deletions.window_start_ms IS NOT DISTINCT FROM tombstones.window_start_ms
          AND deletions.digest IS NOT DISTINCT FROM tombstones.digest
    ) THEN 1::bigint << 60 ELSE deleted_ms END AS deleted_ms
FROM tombstones
WHERE camera = $1 AND what = 'chunk'
  AND (window_start_ms IS NULL OR window_start_ms >= $2 AND window_start_ms < $3)


-- name: fragment_tombstones
-- $1 text: camera; $2 uuid[]: runs; $3 bigint: UTC ms. Deleted fragments of each run: seqs deleted
-- up to $3 (`deleted`), and seqs deleted later or with a pending deletion (`pending`).
SELECT
    run::text AS run,
    coalesce(range_agg(seqs) FILTER (WHERE NOT pending), '{}')::text AS deleted,
    coalesce(range_agg(seqs) FILTER (WHERE pending), '{}')::text AS pending
FROM (
    SELECT
        run,
        deleted_ms > $3 OR EXISTS (
            SELECT FROM deletions
            WHERE deletions.camera = $1
              AND deletions.run = tombstones.run
              AND deletions.what = 'fragments'
              AND deletions.first_seq IS NOT DISTINCT FROM tombstones.first_seq
              AND deletions.last_seq IS NOT DISTINCT FROM tombstones.last_seq
        ) AS pending,
        int4range(coalesce(first_seq, 0), coalesce(last_seq, 99999999), '[]') AS seqs
    FROM tombstones
    WHERE camera = $1 AND run = ANY($2) AND what = 'fragments'
      AND coalesce(first_seq, 0) <= coalesce(last_seq, 99999999)
) AS deletions
GROUP BY run


-- name: chunk_days_of
-- $1 text: camera; $2 uuid: run; $3 int4multirange as text: seqs. The days (start, UTC ms) whose chunks
-- may hold these seqs, by seq.
SELECT day_ms
FROM chunk_days
WHERE camera = $1 AND run = $2
  AND int4range(first_seq, last_seq, '[]') && $3::text::int4multirange
ORDER BY first_seq, day_ms
