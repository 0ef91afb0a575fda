-- name: index_chunks
-- $1 jsonb: list of chunk-complete with `seqs`, `settled`, `covered` and `whole` added; $2 bigint:
-- now, UTC ms; $3, $4 bigint: their first and last window_start_ms, so that few day partitions are
-- locked. The caller holds the cameras' footage lock. Of one run and window, the highest
-- revision without a tombstone counts: where that one is deleted, a lower one, in windows of another
-- length, may be current. The same statement deletes the rows of fragments that a chunk holds.
-- Returns how many chunks are current now.
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
        -- A fragment is in one chunk only. Just a replay may replace windows of another length.
        SELECT FROM chunks
        WHERE chunks.camera = given.camera
          AND chunks.run = given.run
          AND chunks.window_ms <> given.window_ms
          AND chunks.window_start_ms > $3::bigint - 3600000
          AND chunks.window_start_ms < $4::bigint + 3600000
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
    RETURNING
        camera, run, window_start_ms, first_seq, last_seq, start_ms, end_ms, width, height,
        video_codec
), days AS (
    INSERT INTO chunk_days AS known (camera, run, day_ms, first_seq, last_seq)
    SELECT
        camera, run, window_start_ms - window_start_ms % 86400000 AS day_ms, min(first_seq),
        max(last_seq)
    FROM stored
    WHERE first_seq IS NOT NULL
    GROUP BY camera, run, day_ms
    ON CONFLICT (camera, run, day_ms) DO UPDATE SET
        first_seq = least(known.first_seq, excluded.first_seq),
        last_seq = greatest(known.last_seq, excluded.last_seq)
    WHERE excluded.first_seq < known.first_seq OR excluded.last_seq > known.last_seq
), replaced_fragments AS (
    DELETE FROM fragments
    USING alive
    WHERE fragments.camera = alive.camera
      AND fragments.run = alive.run
      AND alive.settled @> fragments.seq
), extents AS (
    SELECT camera, start_ms, end_ms, width, height, video_codec FROM stored
    UNION ALL
    SELECT camera, NULL, end_ms, width, height, video_codec FROM given
),
-- include: upsert_footage_and_runs
SELECT count(*) AS stored FROM stored


-- name: list_chunks
-- $1 text: camera; $2, $3 bigint: from and to, UTC ms; $4 bigint, $5 uuid: window's start and run of the
-- last one of the page before, or null; $6 bigint: the most, null: all. Chunks that overlap the range.
SELECT run, window_start_ms, window_ms, revision, start_ms, end_ms, size_bytes, digest, reason
FROM chunks
WHERE camera = $1
  AND window_start_ms > $2::bigint - 7200000 AND window_start_ms < $3::bigint
  AND end_ms > $2 AND start_ms < $3
  AND ($4::bigint IS NULL OR window_start_ms >= $4)  -- reads no earlier days
  AND ($4 IS NULL OR (window_start_ms, run) > ($4, $5::uuid))
ORDER BY window_start_ms, run
LIMIT $6


-- name: delete_chunk_row
-- $1 text: camera; $2 bigint: window's start; $3 uuid: run; $4 integer: revision; $5 text: digest.
-- Deletes the row only while it is still this revision. The caller holds the footage lock.
DELETE FROM chunks
WHERE camera = $1 AND window_start_ms = $2 AND run = $3 AND revision = $4 AND digest = $5


-- name: chunk_rows
-- $1 text: camera; $2, $3 bigint: first and last window's start, UTC ms, the last exclusive.
-- Whole rows, multiranges as text: what the consistency check compares with S3.
SELECT
    camera, run::text AS run, window_start_ms, window_ms, revision, digest, object_key, size_bytes,
    encode(sha256, 'hex') AS sha256, start_ms, end_ms, reason, video_codec, audio_codec, width,
    height, fragments, gaps, joined_ms, indexed_ms, seqs::text AS seqs, settled::text AS settled,
    covered::text AS covered, whole
FROM chunks
WHERE camera = $1 AND window_start_ms >= $2 AND window_start_ms < $3
ORDER BY window_start_ms, run


-- name: chunk_days
-- $1 text: camera; $2, $3 bigint: from and to, UTC ms; $4 uuid[]: runs, null for all. The days (start,
-- UTC ms) that may have chunk rows.
SELECT DISTINCT day_ms
FROM chunk_days
WHERE camera = $1 AND day_ms > $2::bigint - 86400000 AND day_ms < $3
  AND ($4::uuid[] IS NULL OR run = ANY($4))
ORDER BY day_ms


-- name: oldest_chunk_start
-- $1 text: camera; $2 bigint: day, UTC ms. The oldest start of its chunks of the day. Windows of
-- different lengths may start out of order, by an hour at most.
SELECT min(start_ms) AS start_ms
FROM chunks
WHERE camera = $1
  AND window_start_ms >= $2::bigint AND window_start_ms < $2::bigint + 86400000 + 3600000


-- name: delete_empty_chunk_day
-- $1 text: camera; $2 bigint: day, UTC ms, without chunks of the camera. The caller holds the footage
-- lock.
DELETE FROM chunk_days WHERE camera = $1 AND day_ms = $2


-- name: delete_empty_run_days
-- $1 text: camera; $2 uuid[]: runs, null for all; $3, $4 bigint: days from and to, UTC ms. Removes the
-- days on which a run has no chunk left. The caller holds the footage lock.
DELETE FROM chunk_days
WHERE camera = $1 AND ($2::uuid[] IS NULL OR run = ANY($2))
  AND day_ms >= $3::bigint AND day_ms < $4::bigint
  AND NOT EXISTS (
      SELECT FROM chunks
      WHERE chunks.camera = $1 AND chunks.run = chunk_days.run
        AND chunks.window_start_ms >= $3::bigint AND chunks.window_start_ms < $4::bigint
        AND chunks.window_start_ms >= chunk_days.day_ms
        AND chunks.window_start_ms < chunk_days.day_ms + 86400000)


-- name: delete_chunk_days
-- $1 text: UTC day whose partition was dropped, as YYYYMMDD.
DELETE FROM chunk_days
WHERE day_ms = extract(epoch FROM (to_date($1, 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC'))::bigint * 1000


-- name: chunk_days_to_fill
-- The partitions of which no chunk is in chunk_days: empty ones, and those of an older version.
SELECT part.relname::text AS part
FROM pg_inherits
JOIN pg_class AS part ON part.oid = inhrelid
CROSS JOIN LATERAL (
    SELECT extract(epoch FROM (
        to_date(right(part.relname, 8), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC'))::bigint * 1000 AS ms
) AS day
WHERE inhparent = to_regclass('chunks')
  AND NOT EXISTS (SELECT FROM chunk_days WHERE chunk_days.day_ms = day.ms)
ORDER BY part


-- name: fill_chunk_day
-- Adds the days of the chunks in the partition :part (the caller replaces the word).
INSERT INTO chunk_days (camera, run, day_ms, first_seq, last_seq)
SELECT
    camera, run, window_start_ms - window_start_ms % 86400000 AS day_ms, min(first_seq),
    max(last_seq)
FROM :part
WHERE first_seq IS NOT NULL
GROUP BY camera, run, day_ms
ON CONFLICT DO NOTHING


-- name: referenced_keys
-- $1 text: camera; $2 text[]: keys of chunk objects; $3, $4 bigint: their first and last
-- window_start_ms. Returns those that a chunk's row references.
SELECT object_key
FROM chunks
WHERE camera = $1 AND object_key = ANY($2)
  AND window_start_ms >= $3::bigint AND window_start_ms <= $4::bigint


-- name: seqs_in_chunks
-- $1 text: camera; $2 uuid[]: runs; $3, $4 bigint: only chunks whose window does not start in
-- [$3, $4), UTC ms; $5 text[]: gap reasons that are true only while no object exists; $6, $7 bigint:
-- only chunks whose windows start in [$6, $7); $8 text: how the reason begins where bytes and notice
-- differ; $9 boolean: with lost windows.
-- For each run: the seqs in chunks, the settled seqs, the seqs left out for another reason than $5,
-- and those of them for a reason like $8. Lost windows count as chunks without content.
WITH joined AS (
    SELECT run, seqs, settled, gaps
    FROM chunks
    WHERE camera = $1 AND run = ANY($2) AND NOT (window_start_ms >= $3 AND window_start_ms < $4)
      AND window_start_ms >= $6::bigint AND window_start_ms < $7::bigint
    UNION ALL
    SELECT run, '{}'::int4multirange, seqs, gaps
    FROM lost_windows
    WHERE camera = $1 AND run = ANY($2) AND NOT (window_start_ms >= $3 AND window_start_ms < $4)
      AND $9
), left_out AS (
    SELECT
        joined.run, range_agg(int4range(gap.first_seq, gap.last_seq, '[]')) AS seqs,
        range_agg(int4range(gap.first_seq, gap.last_seq, '[]'))
            FILTER (WHERE starts_with(gap.reason, $8)) AS disputed
    FROM joined
    CROSS JOIN LATERAL jsonb_to_recordset(joined.gaps) AS gap (
        first_seq integer, last_seq integer, reason text)
    WHERE joined.gaps <> '[]' AND gap.first_seq <= gap.last_seq AND gap.reason <> ALL($5)
    GROUP BY joined.run
), merged AS (
    SELECT run, range_agg(seqs) AS seqs, range_agg(settled) AS settled FROM joined GROUP BY run
)
SELECT
    merged.run::text AS run, merged.seqs::text AS seqs, merged.settled::text AS settled,
    coalesce(left_out.seqs, '{}')::text AS left_out,
    coalesce(left_out.disputed, '{}')::text AS disputed
FROM merged
LEFT JOIN left_out USING (run)


-- name: fragments_in_chunks
-- $1 text: camera; $2 uuid: run; $3 int4multirange as text: seqs; $4 integer: only above this seq;
-- $5 integer: limit; $6 bigint: day, UTC ms. The manifest entries of these fragments in the day's
-- current chunks, by seq.
SELECT
    part.seq, part.start_ms, part.duration_ms, part.start_pts, part.size_bytes, part.sha256,
    greatest(coalesce(part.frames, 1), 1) AS frames, part.keyframes, form.*
FROM chunks
CROSS JOIN LATERAL jsonb_to_recordset(chunks.fragments) AS part (
    seq integer, start_ms bigint, duration_ms integer, start_pts bigint, size_bytes bigint,
    sha256 text, frames integer, keyframes jsonb, form jsonb)
CROSS JOIN LATERAL jsonb_to_record(coalesce(part.form, jsonb_build_object(
    'video_codec', chunks.video_codec, 'audio_codec', chunks.audio_codec, 'width', chunks.width,
    'height', chunks.height))) AS form (
    video_codec text, audio_codec text, width integer, height integer)
WHERE chunks.run = $2 AND chunks.last_seq > $4 AND chunks.camera = $1
  AND chunks.window_start_ms >= $6::bigint AND chunks.window_start_ms < $6::bigint + 86400000
  AND chunks.seqs && $3::text::int4multirange
  AND $3::text::int4multirange @> part.seq AND part.seq > $4
ORDER BY part.seq
LIMIT $5


-- name: filled_gaps
-- $1 text: camera; $2 uuid: run; $3, $4 bigint: from and to, UTC ms; $5 bigint: start of a chunk's
-- window; $6, $7 int4multirange as text: its seqs, and the seqs that it reports as missing. The
-- windows with chunks that report as missing what another chunk holds: one of the two is this chunk.
SELECT DISTINCT window_start_ms
FROM chunks
CROSS JOIN LATERAL jsonb_to_recordset(gaps) AS gap (first_seq integer, last_seq integer)
WHERE camera = $1 AND run = $2 AND window_start_ms >= $3::bigint AND window_start_ms < $4::bigint
  AND window_start_ms <> $5::bigint AND gaps <> '[]'
  AND int4multirange(int4range(gap.first_seq, gap.last_seq, '[]')) && $6::text::int4multirange
UNION
SELECT $5::bigint
FROM chunks
WHERE camera = $1 AND run = $2 AND window_start_ms >= $3::bigint AND window_start_ms < $4::bigint
  AND window_start_ms <> $5::bigint AND seqs && $7::text::int4multirange


-- name: neighbour_days
-- $1 text: camera; $2 uuid: run; $3 bigint: day, UTC ms. The day with chunks before it, and the one
-- after it: gaps around a chunk are reported there. Null where there is none.
SELECT
    (SELECT max(day_ms) FROM chunk_days
     WHERE camera = $1 AND run = $2 AND day_ms < $3::bigint) AS before_ms,
    (SELECT min(day_ms) FROM chunk_days
     WHERE camera = $1 AND run = $2 AND day_ms > $3) AS after_ms
