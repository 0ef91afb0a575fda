-- $1 text: camera; $2, $3 bigint: from and to, UTC ms; $4 .. $9: as part_shown.sql; $10 bigint:
-- bucket, whole minutes in ms; $11 bigint[]: the minutes in which what is shown changes. Those are
-- counted from their detections, the others stand counted.
WITH chosen AS MATERIALIZED (
    SELECT * FROM unnest($7::text[], $8::text[], $9::text[]::int8multirange[])
                  AS given (model, version, shown)
), minutes AS (
    SELECT minute_ms, label, most
    FROM detection_minutes AS counted
    WHERE camera = $1 AND minute_ms > $2::bigint - 60000 AND minute_ms < $3
      AND ($4::text IS NULL OR model = $4)
      AND ($5::text IS NULL OR model_version = $5)
      AND ($6::text IS NULL OR int8range(minute_ms, minute_ms + 60000) <@ coalesce(
            (SELECT chosen.shown FROM chosen
             WHERE chosen.model = counted.model AND chosen.version = counted.model_version),
            $6::int8multirange))
    UNION ALL
    SELECT cut.minute_ms, pictures.label, pictures.objects
    FROM unnest($11::bigint[]) AS cut (minute_ms)
    CROSS JOIN LATERAL (
        SELECT label, count(*) AS objects
        FROM detections
        WHERE camera = $1 AND at_ms >= cut.minute_ms AND at_ms < cut.minute_ms + 60000
          AND at_ms <@ coalesce(
                (SELECT chosen.shown FROM chosen
                 WHERE chosen.model = detections.model
                   AND chosen.version = detections.model_version),
                $6::int8multirange)
        GROUP BY at_ms, run, pts, model, model_version, label
    ) AS pictures
)
SELECT minute_ms - minute_ms % $10::bigint AS bucket_ms, label, max(most)::integer AS count
FROM minutes
GROUP BY bucket_ms, label
ORDER BY bucket_ms, label
