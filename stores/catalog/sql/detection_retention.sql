-- name: delete_detections
-- $1 text: camera; $2, $3 bigint: from and to, whole minutes, UTC ms; $4, $5 text: model, version,
-- null for any. The caller holds the camera's detections lock. Returns how many were deleted.
WITH deleted AS (
    DELETE FROM detections
    WHERE camera = $1 AND at_ms >= $2 AND at_ms < $3
      AND ($4::text IS NULL OR model = $4)
      AND ($5::text IS NULL OR model_version = $5)
    RETURNING 1
), deleted_counts AS (
    DELETE FROM detection_minutes
    WHERE camera = $1 AND minute_ms >= $2 AND minute_ms < $3
      AND ($4::text IS NULL OR model = $4)
      AND ($5::text IS NULL OR model_version = $5)
)
SELECT count(*) FROM deleted


-- name: end_of_batch
-- $1 text: camera; $2, $3 bigint: from and to, UTC ms; $4, $5 text: model, version, null for any;
-- $6 integer: size of a batch. The time of the first detection after the batch.
SELECT at_ms
FROM detections
WHERE camera = $1 AND at_ms >= $2 AND at_ms < $3
  AND ($4::text IS NULL OR model = $4)
  AND ($5::text IS NULL OR model_version = $5)
ORDER BY at_ms
OFFSET $6::integer LIMIT 1


-- name: detections_gone
-- $1 text: camera. The time up to which its detections were deleted, and the ranges that were kept.
SELECT until_ms, kept::text AS kept FROM detections_gone WHERE camera = $1


-- name: record_detections_gone
-- $1 text: camera; $2 bigint: up to when, UTC ms; $3 text: multirange that is kept. Older detections
-- are rejected from now on. A longer retention age later does not bring them back.
INSERT INTO detections_gone AS known (camera, until_ms, kept)
VALUES ($1, $2, $3::text::int8multirange)
ON CONFLICT (camera) DO UPDATE SET
    until_ms = greatest(known.until_ms, excluded.until_ms),
    kept = excluded.kept * (known.kept + int8multirange(int8range(known.until_ms, NULL)))
