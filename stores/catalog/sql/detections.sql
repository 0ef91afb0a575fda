-- $1 text: camera; $2, $3 bigint: from and to, UTC ms; $4 text[]: labels, null for all; $5 real:
-- least score; $6 bigint .. $11 smallint: the last row of the page before; $12 integer: page's size.
SELECT at_ms, run, pts, index, model, model_version, label, score, x, y, w, h, track
FROM detections
WHERE camera = $1 AND at_ms >= $2 AND at_ms < $3
  AND ($4::text[] IS NULL OR label = ANY ($4))
  AND score >= $5
  AND (at_ms, run, pts, model, model_version, index) > ($6, $7, $8, $9, $10, $11)
ORDER BY at_ms, run, pts, model, model_version, index
LIMIT $12
