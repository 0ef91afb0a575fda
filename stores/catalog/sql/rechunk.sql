-- name: window_lengths
-- $1 text: camera; $2, $3 bigint: from and to, UTC ms; $4, $5 bigint: windows that start in [$4, $5),
-- so that few day partitions are locked. The lengths of windows that overlap [from, to).
SELECT DISTINCT window_ms
FROM chunks
WHERE camera = $1 AND window_start_ms > $2::bigint - 3600000 AND window_start_ms < $3
  AND window_start_ms + window_ms > $2
  AND window_start_ms >= $4::bigint AND window_start_ms < $5::bigint


-- name: windows_of_days
-- $1 text: camera; $2, $3 bigint: from and to, UTC ms. The first window with a chunk in the range, and
-- how many chunks there are.
SELECT min(window_start_ms) AS first_ms, count(*) AS chunks
FROM chunks
WHERE camera = $1 AND window_start_ms >= $2 AND window_start_ms < $3


-- name: waiting_fragments
-- $1 text: camera; $2, $3 bigint: from and to, UTC ms. Whether a fragment in it has no chunk yet.
SELECT EXISTS (
    SELECT FROM fragments WHERE camera = $1 AND start_ms >= $2 AND start_ms < $3
) AS waiting


-- name: chunks_of_other_length
-- $1 text: camera; $2 uuid: run; $3 bigint, $4 integer: a window's start, UTC ms, and length, ms.
-- The run's current chunks in windows of another length that overlap it.
SELECT window_start_ms, window_ms, seqs::text AS seqs
FROM chunks
WHERE camera = $1 AND run = $2 AND window_ms <> $4
  AND window_start_ms > $3::bigint - 3600000 AND window_start_ms < $3::bigint + $4
  AND window_start_ms + window_ms > $3
ORDER BY window_start_ms


-- name: any_chunk_deleted
-- $1 text: camera; $2 jsonb: list of {run, window_start_ms, digest}. Whether one was
-- deleted before.
SELECT EXISTS (
    SELECT FROM tombstones
    JOIN jsonb_to_recordset($2::jsonb) AS made (run uuid, window_start_ms bigint, digest text)
      ON tombstones.run = made.run
    WHERE tombstones.camera = $1 AND tombstones.what = 'chunk'
      AND coalesce(tombstones.window_start_ms, made.window_start_ms) = made.window_start_ms
      AND coalesce(tombstones.digest, made.digest) = made.digest
) AS deleted


-- name: current_chunks
-- $1 text: camera; $2, $3 bigint: from and to, UTC ms. The current chunks in the range.
SELECT run::text AS run, window_start_ms, revision, digest
FROM chunks
WHERE camera = $1 AND window_start_ms >= $2 AND window_start_ms < $3
