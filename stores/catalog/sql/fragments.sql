-- name: index_fragments
-- $1 text: JSON list of fragment-arrived; $2 bigint: now, UTC ms; $3, $4 bigint: their first and last
-- start_ms, so that few day partitions are locked. The caller holds the cameras' footage lock. Returns how many became playable. A fragment does not where a chunk holds it, where
-- a chunk reports it as a gap (wrong bytes, or late: a revision will hold it), where it has a
-- tombstone, or where its window is lost.
WITH given AS (
    SELECT DISTINCT ON (camera, run, seq) *
    FROM jsonb_to_recordset($1::text::jsonb) AS f (
        camera text, run uuid, seq integer, start_ms bigint, duration_ms integer,
        start_pts bigint, frames integer, size_bytes bigint, sha256 text, video_codec text,
        audio_codec text, width integer, height integer, keyframes jsonb, closed_ms bigint)
    ORDER BY camera, run, seq
), stored AS (
    INSERT INTO fragments (
        camera, run, seq, start_ms, end_ms, start_pts, frames, size_bytes, sha256, video_codec,
        audio_codec, width, height, keyframes, closed_ms, indexed_ms)
    SELECT
        camera, run, seq, start_ms, start_ms + duration_ms, start_pts, frames, size_bytes,
        decode(sha256, 'hex'), video_codec, audio_codec, width, height,
        CASE WHEN jsonb_typeof(keyframes) = 'array' THEN keyframes END, closed_ms, $2
    FROM given
    WHERE NOT EXISTS (
        -- A chunk holds fragments that start in its window, which is an hour long at most.
        SELECT FROM chunks
        WHERE chunks.camera = given.camera
          AND chunks.run = given.run
          AND chunks.window_start_ms > $3::bigint - 3600000 AND chunks.window_start_ms <= $4::bigint
          AND chunks.window_start_ms > given.start_ms - 3600000
          AND chunks.window_start_ms <= given.start_ms
          AND chunks.settled @> given.seq
    ) AND NOT EXISTS (
        SELECT FROM tombstones
        WHERE tombstones.camera = given.camera
          AND tombstones.run = given.run
          AND tombstones.what = 'fragments'
          AND given.seq >= coalesce(tombstones.first_seq, 0)
          AND given.seq <= coalesce(tombstones.last_seq, 99999999)
    ) AND NOT EXISTS (
        SELECT FROM lost_windows
        WHERE lost_windows.camera = given.camera
          AND lost_windows.run = given.run
          AND lost_windows.seqs @> given.seq
    )
    ON CONFLICT DO NOTHING
    RETURNING camera, start_ms, end_ms, width, height, video_codec
), extents AS (
    SELECT camera, start_ms, end_ms, width, height, video_codec FROM stored
    UNION ALL
    SELECT camera, NULL, start_ms + duration_ms, width, height, video_codec FROM given
),
-- include: upsert_footage_and_runs
SELECT count(*) AS stored FROM stored


-- name: list_fragments
-- $1 text: camera; $2, $3 bigint: from and to, UTC ms; $4 bigint, $5 uuid, $6 integer: start, run and
-- seq of the last one of the page before, or null; $7 bigint: the most, null: all. Fragments that no
-- chunk holds yet.
SELECT run, seq, start_ms, end_ms
FROM fragments
WHERE camera = $1 AND start_ms > $2::bigint - 3600000 AND start_ms < $3 AND end_ms > $2
  AND ($4::bigint IS NULL OR (start_ms, run, seq) > ($4, $5::uuid, $6::integer))
ORDER BY start_ms, run, seq
LIMIT $7


-- name: delete_fragment_rows
-- $1 text: camera; $2 uuid: run; $3 integer[]: seqs. The caller holds the camera's footage lock.
DELETE FROM fragments WHERE camera = $1 AND run = $2 AND seq = ANY($3)


-- name: fragment_facts
-- $1 text[]: cameras; $2 text[]: runs; $3 integer[]: seqs, in parallel. What each row says.
SELECT
    fragments.camera, fragments.run::text AS run, fragments.seq,
    encode(fragments.sha256, 'hex') AS sha256, start_ms, end_ms, start_pts, video_codec,
    audio_codec, width, height
FROM fragments
JOIN unnest($1::text[], $2::text[], $3::integer[]) AS wanted (camera, run, seq)
    ON fragments.camera = wanted.camera AND fragments.run = wanted.run::uuid
    AND fragments.seq = wanted.seq


-- name: fragment_rows
-- $1 text: camera; $2 uuid: run; $3 integer: rows above this seq; $4 integer: limit.
SELECT seq, start_ms, indexed_ms
FROM fragments
WHERE camera = $1 AND run = $2 AND seq > $3
ORDER BY seq
LIMIT $4


-- name: fragment_seqs_of_runs
-- $1 text: camera; $2 uuid[]: runs. For each run, the seqs that have a fragment row.
SELECT run::text AS run, range_agg(int4range(seq, seq, '[]'))::text AS seqs
FROM fragments
WHERE camera = $1 AND run = ANY($2)
GROUP BY run
