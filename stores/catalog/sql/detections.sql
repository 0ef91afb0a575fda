-- name: index_detections
-- $1..$14: columns of the detections; $15: number of the replay that made each, null for the
-- edge's own. Arrays of one length; $16 bigint: now, UTC ms, where streams show them, else null.
-- The caller holds the cameras' detections lock.
-- Returns how many are new. Only new ones are added to the counts by minute. Detections of a dropped
-- replay, and those older than retention allows, are not stored.
WITH stored AS (
    INSERT INTO detections (
        camera, run, pts, at_ms, model, model_version, index, label, score, x, y, w, h, track)
    SELECT
        camera, run, pts, at_ms, model, model_version, index, label, score, x, y, w, h, track
    FROM unnest(
        $1::text[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[], $6::text[],
        $7::smallint[], $8::text[], $9::real[], $10::real[], $11::real[], $12::real[],
        $13::real[], $14::text[], $15::bigint[]) AS given (
        camera, run, pts, at_ms, model, model_version, index, label, score, x, y, w, h, track,
        replay)
    WHERE (replay IS NULL OR EXISTS (
        SELECT FROM model_replays
        WHERE model_replays.id = given.replay
          AND model_replays.camera = given.camera
          AND model_replays.model = given.model
          AND model_replays.model_version = given.model_version
          AND given.at_ms >= model_replays.from_ms AND given.at_ms < model_replays.to_ms
          AND model_replays.state IN ('running', 'done', 'current')
    )) AND NOT EXISTS (
        SELECT FROM detections_gone
        WHERE detections_gone.camera = given.camera
          AND given.at_ms < detections_gone.until_ms
          AND NOT given.at_ms <@ detections_gone.kept
    )
    ON CONFLICT DO NOTHING
    RETURNING camera, run, pts, at_ms, model, model_version, index, label, score, x, y, w, h, track
), live AS (  -- an event for each run and model, of at most 200 objects
    INSERT INTO live_events (camera, created_ms, event)
    SELECT camera, $16, json_build_object(
        'camera', camera, 'run', run, 'model', model, 'model_version', model_version,
        'detections', json_agg(json_build_object(
            'at_ms', at_ms, 'pts', pts, 'index', index, 'label', label, 'score', score,
            'box', json_build_array(x, y, w, h), 'track', track) ORDER BY number))::text
    FROM (
        SELECT *, row_number() OVER (
            PARTITION BY camera, run, model, model_version ORDER BY pts, index) - 1 AS number
        FROM stored
        WHERE $16::bigint IS NOT NULL
    ) AS numbered
    GROUP BY camera, run, model, model_version, number / 200
    ORDER BY min(at_ms)
), frames AS (
    SELECT
        camera, at_ms - at_ms % 60000 AS minute_ms, label, model, model_version, count(*) AS objects
    FROM stored
    GROUP BY camera, run, pts, at_ms, model, model_version, label
), counted AS (
    INSERT INTO detection_minutes AS known (
        camera, minute_ms, label, model, model_version, most, objects)
    SELECT camera, minute_ms, label, model, model_version, max(objects), sum(objects)
    FROM frames
    GROUP BY camera, minute_ms, label, model, model_version
    ON CONFLICT (camera, minute_ms, label, model, model_version) DO UPDATE SET
        most = greatest(known.most, excluded.most), objects = known.objects + excluded.objects
)
SELECT count(*) AS stored FROM stored


-- name: find_detections
-- $1 text: camera; $2, $3 bigint: from and to, UTC ms; $4 .. $9: as in visible_models; $10 text[]:
-- labels, null for all; $11 real: lowest score; $12 bigint .. $17 smallint: the last row of the page
-- before; $18 integer: page size.
SELECT at_ms, run, pts, index, model, model_version, label, score, x, y, w, h, track
FROM detections
WHERE camera = $1 AND at_ms >= $2 AND at_ms < $3
  AND ($10::text[] IS NULL OR label = ANY ($10))
  AND score >= $11
  AND (at_ms, run, pts, model, model_version, index) > ($12, $13, $14, $15, $16, $17)
-- include: visible_models
ORDER BY at_ms, run, pts, model, model_version, index
LIMIT $18


-- name: detection_buckets
-- $1 text: camera; $2, $3 bigint: from and to, UTC ms; $4 .. $9: as in visible_models; $10 bigint:
-- bucket, ms.
SELECT at_ms - at_ms % $10::bigint AS bucket_ms, label, max(objects) AS count
FROM (
    SELECT at_ms, label, count(*) AS objects
    FROM detections
    WHERE camera = $1 AND at_ms >= $2 AND at_ms < $3
-- include: visible_models
    GROUP BY at_ms, run, pts, model, model_version, label
) AS frames
GROUP BY bucket_ms, label
ORDER BY bucket_ms, label


-- name: detection_minute_buckets
-- $1 text: camera; $2, $3 bigint: from and to, UTC ms; $4 .. $9: as in visible_models; $10 bigint:
-- bucket, whole minutes in ms; $11 bigint[]: the minutes in which the shown model changes. Those are
-- counted from their detections; for the others there are counts by minute.
WITH chosen AS MATERIALIZED (
    SELECT * FROM unnest($7::text[], $8::text[], $9::text[]::int8multirange[])
                  AS given (model, version, shown)
), minutes AS (
    SELECT minute_ms, label, most
    FROM detection_minutes AS counted
    WHERE camera = $1 AND minute_ms > $2::bigint - 60000 AND minute_ms < $3
      AND ($4::text IS NULL OR model = $4)
      AND ($5::text IS NULL OR model_version = $5)
      AND ($6::text IS NULL OR int8range(minute_ms, minute_ms + 60000) <@ coalesce(
            (SELECT chosen.shown FROM chosen
             WHERE chosen.model = counted.model AND chosen.version = counted.model_version),
            $6::int8multirange))
    UNION ALL
    SELECT cut.minute_ms, frames.label, frames.objects
    FROM unnest($11::bigint[]) AS cut (minute_ms)
    CROSS JOIN LATERAL (
        SELECT label, count(*) AS objects
        FROM detections
        WHERE camera = $1 AND at_ms >= cut.minute_ms AND at_ms < cut.minute_ms + 60000
          AND at_ms <@ coalesce(
                (SELECT chosen.shown FROM chosen
                 WHERE chosen.model = detections.model
                   AND chosen.version = detections.model_version),
                $6::int8multirange)
        GROUP BY at_ms, run, pts, model, model_version, label
    ) AS frames
)
SELECT minute_ms - minute_ms % $10::bigint AS bucket_ms, label, max(most)::integer AS count
FROM minutes
GROUP BY bucket_ms, label
ORDER BY bucket_ms, label


-- name: visible_models
-- A condition on detections. $4, $5 text: model and version, null for any; $6 text: multirange of the
-- time in which versions are shown that $7 and $8 do not list, null: everything is shown;
-- $7, $8, $9 text[]: models, versions, and the multiranges in which they are shown.
  AND ($4::text IS NULL OR model = $4)
  AND ($5::text IS NULL OR model_version = $5)
  AND ($6::text IS NULL OR at_ms <@ coalesce(
        (SELECT chosen.shown
         FROM unnest($7::text[], $8::text[], $9::text[]::int8multirange[])
              AS chosen (model, version, shown)
         WHERE chosen.model = detections.model AND chosen.version = detections.model_version),
        $6::int8multirange))
