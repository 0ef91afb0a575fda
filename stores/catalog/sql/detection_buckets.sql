-- $1 text: camera; $2, $3 bigint: from and to, UTC ms; $4 bigint: bucket, ms.
SELECT at_ms - at_ms % $4::bigint AS bucket_ms, label, max(objects) AS count
FROM (
    SELECT at_ms, label, count(*) AS objects
    FROM detections
    WHERE camera = $1 AND at_ms >= $2 AND at_ms < $3
    GROUP BY at_ms, run, pts, model, model_version, label
) AS pictures
GROUP BY bucket_ms, label
ORDER BY bucket_ms, label
