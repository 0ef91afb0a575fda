-- $1 text: camera; $2, $3 bigint: from and to, UTC ms; $4 .. $9: as part_shown.sql; $10 text[]:
-- labels, null for all; $11 real: least score; $12 bigint .. $17 smallint: the last row of the page
-- before; $18 integer: page's size.
SELECT at_ms, run, pts, index, model, model_version, label, score, x, y, w, h, track
FROM detections
WHERE camera = $1 AND at_ms >= $2 AND at_ms < $3
  AND ($10::text[] IS NULL OR label = ANY ($10))
  AND score >= $11
  AND (at_ms, run, pts, model, model_version, index) > ($12, $13, $14, $15, $16, $17)
-- part: part_shown
ORDER BY at_ms, run, pts, model, model_version, index
LIMIT $18
