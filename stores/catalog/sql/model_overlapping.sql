-- $1 text: camera; $2, $3 text: model, version; $4, $5 bigint: from and to, UTC ms.
SELECT *, covered::text AS looked
FROM model_replays
WHERE camera = $1 AND model = $2 AND model_version = $3 AND to_ms > $4 AND from_ms < $5
  AND state <> 'dropped'
ORDER BY id
