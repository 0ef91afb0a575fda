-- $1 text: camera; $2, $3 bigint: from and to, UTC ms; $4, $5 text: model, version, null for any;
-- $6 integer: how many. When the detection after so many was.
SELECT at_ms
FROM detections
WHERE camera = $1 AND at_ms >= $2 AND at_ms < $3
  AND ($4::text IS NULL OR model = $4)
  AND ($5::text IS NULL OR model_version = $5)
ORDER BY at_ms
OFFSET $6::integer LIMIT 1
