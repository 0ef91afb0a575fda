-- $1 text: camera; $2, $3 text: model, version; $4, $5 bigint: from and to, whole minutes, UTC ms.
-- The first minute that has detections of the version, and how many all have.
SELECT min(minute_ms) AS first_ms, coalesce(sum(objects), 0)::bigint AS objects
FROM detection_minutes
WHERE camera = $1 AND minute_ms >= $4 AND minute_ms < $5 AND model = $2 AND model_version = $3
