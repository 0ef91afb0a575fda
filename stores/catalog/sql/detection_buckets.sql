-- $1 text: camera; $2, $3 bigint: from and to, UTC ms; $4 .. $9: as part_shown.sql; $10 bigint:
-- bucket, ms.
SELECT at_ms - at_ms % $10::bigint AS bucket_ms, label, max(objects) AS count
FROM (
    SELECT at_ms, label, count(*) AS objects
    FROM detections
    WHERE camera = $1 AND at_ms >= $2 AND at_ms < $3
-- part: part_shown
    GROUP BY at_ms, run, pts, model, model_version, label
) AS pictures
GROUP BY bucket_ms, label
ORDER BY bucket_ms, label
