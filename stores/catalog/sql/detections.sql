-- $1 text: camera; $2, $3 bigint: from and to, UTC ms; $4 text[]: labels, null for all; $5 real:
-- least score; $6 bigint .. $11 smallint: the last row of the page before; $12 integer: page's size.
-- $13, $14 text: model and version, null for any; $15 text: multirange of the time in which versions
-- are shown that $16, $17 do not name, null: all is shown; $16, $17, $18 text[]: models, versions,
-- and the multiranges in which they are shown.
SELECT at_ms, run, pts, index, model, model_version, label, score, x, y, w, h, track
FROM detections
WHERE camera = $1 AND at_ms >= $2 AND at_ms < $3
  AND ($4::text[] IS NULL OR label = ANY ($4))
  AND score >= $5
  AND (at_ms, run, pts, model, model_version, index) > ($6, $7, $8, $9, $10, $11)
  AND ($13::text IS NULL OR model = $13)
  AND ($14::text IS NULL OR model_version = $14)
  AND ($15::text IS NULL OR at_ms <@ coalesce(
        (SELECT chosen.shown
         FROM unnest($16::text[], $17::text[], $18::text[]::int8multirange[])
              AS chosen (model, version, shown)
         WHERE chosen.model = detections.model AND chosen.version = detections.model_version),
        $15::int8multirange))
ORDER BY at_ms, run, pts, model, model_version, index
LIMIT $12
