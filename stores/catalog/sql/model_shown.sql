-- $1 text: camera; $2, $3 bigint: from and to, UTC ms. What decides which detections are shown.
SELECT model, model_version, from_ms, to_ms, covered::text AS covered, turn
FROM model_replays
WHERE camera = $1 AND to_ms > $2 AND from_ms < $3 AND state <> 'dropped'
