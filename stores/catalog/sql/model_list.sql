-- $1 text[]: cameras, null for all; $2, $3 text: model, version, null for any. All replays, by camera
-- and time.
SELECT *, covered::text AS looked
FROM model_replays
WHERE ($1::text[] IS NULL OR camera = ANY ($1))
  AND ($2::text IS NULL OR model = $2)
  AND ($3::text IS NULL OR model_version = $3)
ORDER BY camera, from_ms, id
