-- $1 text: camera; $2, $3 bigint: from and to, UTC ms; $4 bigint: bucket, whole minutes in ms.
SELECT minute_ms - minute_ms % $4::bigint AS bucket_ms, label, max(most) AS count
FROM detection_minutes
WHERE camera = $1 AND minute_ms > $2::bigint - 60000 AND minute_ms < $3
GROUP BY bucket_ms, label
ORDER BY bucket_ms, label
