-- $1 jsonb: list of chunk-complete with `seqs`, `settled`, `covered` and `whole` added; $2 bigint:
-- now, UTC ms. The cameras' footage is locked. Of one run and window the highest revision counts
-- that no tombstone names: a lower one may stand in its place, in windows of another length.
-- Returns how many are current now. Fragments that a chunk holds leave in the same statement.
WITH given AS (
    SELECT *
    FROM jsonb_to_recordset($1::jsonb) AS c (
        camera text, run uuid, window_start_ms bigint, window_ms integer, revision integer,
        digest text, object_key text, size_bytes bigint, sha256 text, start_ms bigint,
        end_ms bigint, reason text, video_codec text, audio_codec text, width integer,
        height integer, fragments jsonb, gaps jsonb, joined_ms bigint, seqs int4multirange,
        settled int4multirange, covered int8multirange, whole boolean)
), alive AS (
    SELECT DISTINCT ON (camera, window_start_ms, run) *
    FROM given
    WHERE NOT EXISTS (
        SELECT FROM tombstones
        WHERE tombstones.camera = given.camera
          AND tombstones.run = given.run
          AND tombstones.what = 'chunk'
          AND coalesce(tombstones.window_start_ms, given.window_start_ms) = given.window_start_ms
          AND coalesce(tombstones.digest, given.digest) = given.digest
    ) AND NOT EXISTS (
        -- A fragment stands in one chunk: windows of another length give way in a replay alone.
        SELECT FROM chunks
        WHERE chunks.camera = given.camera
          AND chunks.run = given.run
          AND chunks.window_ms <> given.window_ms
          AND chunks.window_start_ms > given.window_start_ms - 3600000
          AND chunks.window_start_ms < given.window_start_ms + given.window_ms
          AND chunks.window_start_ms + chunks.window_ms > given.window_start_ms
          AND (chunks.seqs && given.seqs OR chunks.window_start_ms = given.window_start_ms)
    )
    ORDER BY camera, window_start_ms, run, revision DESC, joined_ms
), stored AS (
    INSERT INTO chunks AS known (
        camera, window_start_ms, run, window_ms, revision, digest, object_key, size_bytes, sha256,
        start_ms, end_ms, reason, video_codec, audio_codec, width, height, seqs, settled, covered,
        whole, fragments, gaps, joined_ms, indexed_ms)
    SELECT
        camera, window_start_ms, run, window_ms, revision, digest, object_key, size_bytes,
        decode(sha256, 'hex'), start_ms, end_ms, reason, video_codec, audio_codec, width, height,
        seqs, settled, covered, whole, fragments, gaps, joined_ms, $2
    FROM alive
    ON CONFLICT (camera, window_start_ms, run) DO UPDATE SET
        window_ms = excluded.window_ms, revision = excluded.revision, digest = excluded.digest,
        object_key = excluded.object_key, size_bytes = excluded.size_bytes,
        sha256 = excluded.sha256, start_ms = excluded.start_ms, end_ms = excluded.end_ms,
        reason = excluded.reason, video_codec = excluded.video_codec,
        audio_codec = excluded.audio_codec, width = excluded.width, height = excluded.height,
        seqs = excluded.seqs, settled = excluded.settled, covered = excluded.covered, whole = excluded.whole,
        fragments = excluded.fragments, gaps = excluded.gaps, joined_ms = excluded.joined_ms,
        indexed_ms = excluded.indexed_ms
    WHERE excluded.revision > known.revision
    RETURNING camera, start_ms, end_ms, width, height, video_codec
), taken_over AS (
    DELETE FROM fragments
    USING alive
    WHERE fragments.camera = alive.camera
      AND fragments.run = alive.run
      AND alive.settled @> fragments.seq
), heard AS (
    SELECT camera, start_ms, end_ms, width, height, video_codec FROM stored
    UNION ALL
    SELECT camera, NULL, end_ms, width, height, video_codec FROM given
), reach AS (
    -- Footage that was deleted counts for how far it reached, not for where it begins: then
    -- first_ms is last_ms.
    INSERT INTO footage AS known (camera, first_ms, last_ms, width, height, video_codec)
    SELECT
        camera, coalesce(min(start_ms), max(end_ms)), max(end_ms),
        (array_agg(width ORDER BY end_ms DESC))[1],
        (array_agg(height ORDER BY end_ms DESC))[1],
        (array_agg(video_codec ORDER BY end_ms DESC))[1]
    FROM heard
    GROUP BY camera
    ON CONFLICT (camera) DO UPDATE SET
        first_ms = CASE WHEN excluded.first_ms < excluded.last_ms
                        THEN least(known.first_ms, excluded.first_ms) ELSE known.first_ms END,
        last_ms = greatest(known.last_ms, excluded.last_ms),
        width = CASE WHEN excluded.last_ms >= known.last_ms THEN excluded.width ELSE known.width END,
        height = CASE WHEN excluded.last_ms >= known.last_ms
                      THEN excluded.height ELSE known.height END,
        video_codec = CASE WHEN excluded.last_ms >= known.last_ms
                           THEN excluded.video_codec ELSE known.video_codec END
    WHERE excluded.last_ms >= known.last_ms OR excluded.first_ms < known.first_ms
), announced AS (
    -- A run may lack its run-started: other recorders, or a notice still on its way. Then it began
    -- with its first footage, in whatever order that comes.
    INSERT INTO runs AS known (camera, run, started_ms)
    SELECT camera, run, min(start_ms) AS started_ms
    FROM given
    GROUP BY camera, run
    HAVING NOT EXISTS (
        SELECT FROM runs
        WHERE runs.camera = given.camera AND runs.run = given.run
          AND (runs.edge IS NOT NULL OR runs.started_ms <= min(given.start_ms))
    )
    ORDER BY camera, run
    ON CONFLICT (camera, run) DO UPDATE SET started_ms = excluded.started_ms
    WHERE known.edge IS NULL AND excluded.started_ms < known.started_ms
)
SELECT count(*) AS stored FROM stored
