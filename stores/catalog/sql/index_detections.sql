-- $1..$14: columns of the detections; $15: number of the replay that made each, null for the
-- edge's own. Arrays of one length. The cameras' detections are locked.
-- Returns how many are new; only those are counted into their minutes. A replay's detections come
-- in while it stands: what was dropped stays away, and so does what retention deleted.
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
    RETURNING camera, run, pts, at_ms, model, model_version, label
), pictures AS (
    SELECT
        camera, at_ms - at_ms % 60000 AS minute_ms, label, model, model_version, count(*) AS objects
    FROM stored
    GROUP BY camera, run, pts, at_ms, model, model_version, label
), counted AS (
    INSERT INTO detection_minutes AS known (
        camera, minute_ms, label, model, model_version, most, objects)
    SELECT camera, minute_ms, label, model, model_version, max(objects), sum(objects)
    FROM pictures
    GROUP BY camera, minute_ms, label, model, model_version
    ON CONFLICT (camera, minute_ms, label, model, model_version) DO UPDATE SET
        most = greatest(known.most, excluded.most), objects = known.objects + excluded.objects
)
SELECT count(*) AS stored FROM stored
