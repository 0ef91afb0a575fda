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
),
-- part: part_reach
SELECT count(*) AS stored FROM stored
