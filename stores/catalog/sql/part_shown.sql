-- Of detections: $4, $5 text: model and version, null for any; $6 text: multirange of the time in
-- which versions are shown that $7, $8 do not name, null: all is shown; $7, $8, $9 text[]: models,
-- versions, and the multiranges in which they are shown.
  AND ($4::text IS NULL OR model = $4)
  AND ($5::text IS NULL OR model_version = $5)
  AND ($6::text IS NULL OR at_ms <@ coalesce(
        (SELECT chosen.shown
         FROM unnest($7::text[], $8::text[], $9::text[]::int8multirange[])
              AS chosen (model, version, shown)
         WHERE chosen.model = detections.model AND chosen.version = detections.model_version),
        $6::int8multirange))
