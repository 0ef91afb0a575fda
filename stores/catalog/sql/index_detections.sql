-- $1..$14: columns of the detections, arrays of one length. The cameras' detections are locked.
-- Returns how many are new; only those are counted into their minutes.
WITH stored AS (
    INSERT INTO detections (
        camera, run, pts, at_ms, model, model_version, index, label, score, x, y, w, h, track)
    SELECT *
    FROM unnest(
        $1::text[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[], $6::text[],
        $7::smallint[], $8::text[], $9::real[], $10::real[], $11::real[], $12::real[],
        $13::real[], $14::text[])
    ON CONFLICT DO NOTHING
    RETURNING camera, run, pts, at_ms, model, model_version, label
), pictures AS (
    SELECT camera, at_ms - at_ms % 60000 AS minute_ms, label, count(*) AS objects
    FROM stored
    GROUP BY camera, run, pts, at_ms, model, model_version, label
), counted AS (
    INSERT INTO detection_minutes AS known (camera, minute_ms, label, most, objects)
    SELECT camera, minute_ms, label, max(objects), sum(objects)
    FROM pictures
    GROUP BY camera, minute_ms, label
    ON CONFLICT (camera, minute_ms, label) DO UPDATE SET
        most = greatest(known.most, excluded.most), objects = known.objects + excluded.objects
)
SELECT count(*) AS stored FROM stored
