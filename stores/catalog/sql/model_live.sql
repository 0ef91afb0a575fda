-- $1 text[]: cameras. Versions with detections in the last day of each camera's footage.
SELECT
    footage.camera, model, model_version, min(minute_ms) AS first_ms,
    max(minute_ms) + 60000 AS last_ms, sum(objects)::bigint AS objects
FROM footage
JOIN detection_minutes
    ON detection_minutes.camera = footage.camera
   AND minute_ms >= footage.last_ms - 86400000 AND minute_ms < footage.last_ms + 86400000
WHERE footage.camera = ANY ($1::text[])
GROUP BY footage.camera, model, model_version
ORDER BY footage.camera, model, model_version
