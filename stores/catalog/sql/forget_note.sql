-- $1 text: camera; $2 bigint: up to when, UTC ms; $3 text: multirange that is kept. Older detections
-- are refused from now on; what is gone stays gone where the age was made longer.
INSERT INTO detections_gone AS known (camera, until_ms, kept)
VALUES ($1, $2, $3::text::int8multirange)
ON CONFLICT (camera) DO UPDATE SET
    until_ms = greatest(known.until_ms, excluded.until_ms),
    kept = excluded.kept * (known.kept + int8multirange(int8range(known.until_ms, NULL)))
