-- $1 text: camera; $2, $3 bigint: from and to, UTC ms; $4 bigint: bucket, ms; $5 .. $10: which
-- models' are shown, as $13 .. $18 of detections.sql.
SELECT at_ms - at_ms % $4::bigint AS bucket_ms, label, max(objects) AS count
FROM (
    SELECT at_ms, label, count(*) AS objects
    FROM detections
    WHERE camera = $1 AND at_ms >= $2 AND at_ms < $3
      AND ($5::text IS NULL OR model = $5)
      AND ($6::text IS NULL OR model_version = $6)
      AND ($7::text IS NULL OR at_ms <@ coalesce(
            (SELECT chosen.shown
             FROM unnest($8::text[], $9::text[], $10::text[]::int8multirange[])
                  AS chosen (model, version, shown)
             WHERE chosen.model = detections.model AND chosen.version = detections.model_version),
            $7::int8multirange))
    GROUP BY at_ms, run, pts, model, model_version, label
) AS pictures
GROUP BY bucket_ms, label
ORDER BY bucket_ms, label
