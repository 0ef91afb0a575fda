-- $1 text: camera; $2, $3 bigint: from and to, whole minutes, UTC ms; $4, $5 text: model, version,
-- null for any. The camera's detections are locked.
WITH gone AS (
    DELETE FROM detections
    WHERE camera = $1 AND at_ms >= $2 AND at_ms < $3
      AND ($4::text IS NULL OR model = $4)
      AND ($5::text IS NULL OR model_version = $5)
    RETURNING 1
), uncounted AS (
    DELETE FROM detection_minutes
    WHERE camera = $1 AND minute_ms >= $2 AND minute_ms < $3
      AND ($4::text IS NULL OR model = $4)
      AND ($5::text IS NULL OR model_version = $5)
)
SELECT count(*) FROM gone
