-- name: playback_segments
-- $1 text: camera; $2, $3 bigint: from and to, UTC ms. One statement is one snapshot of the catalog,
-- so a fragment that moves into its chunk at the same time is returned once. `independent`: its first
-- frame is a keyframe; null: unknown. `form`: its tracks, their codecs and its size, as one text.
SELECT
    chunks.run, part.seq, part.start_ms, part.duration_ms, part.size_bytes,
    part."offset", chunks.window_start_ms, chunks.digest,
    CASE WHEN jsonb_typeof(part.keyframes) = 'array'
        THEN coalesce(part.keyframes #>> '{0,pts}', '') = part.start_pts::text END AS independent,
    CASE WHEN part.form IS NULL
        THEN concat_ws(
            ' ', chunks.video_codec, coalesce(chunks.audio_codec, '-'), chunks.width, chunks.height)
        ELSE concat_ws(
            ' ', part.form ->> 'video_codec', coalesce(part.form ->> 'audio_codec', '-'),
            part.form ->> 'width', part.form ->> 'height') END AS form
FROM chunks
CROSS JOIN LATERAL jsonb_to_recordset(chunks.fragments) AS part (
    seq integer, start_ms bigint, duration_ms integer, start_pts bigint, size_bytes bigint,
    "offset" bigint, keyframes jsonb, form jsonb)
WHERE chunks.camera = $1
  AND chunks.window_start_ms > $2::bigint - 7200000 AND chunks.window_start_ms < $3::bigint
  AND chunks.end_ms > $2 AND chunks.start_ms < $3
  AND part.start_ms + part.duration_ms > $2 AND part.start_ms < $3
UNION ALL
SELECT
    run, seq, start_ms, (end_ms - start_ms)::integer, size_bytes, NULL, NULL, NULL,
    CASE WHEN jsonb_typeof(keyframes) = 'array'
        THEN coalesce(keyframes #>> '{0,pts}', '') = start_pts::text END,
    concat_ws(' ', video_codec, coalesce(audio_codec, '-'), width, height)
FROM fragments
WHERE camera = $1 AND start_ms > $2::bigint - 3600000 AND start_ms < $3 AND end_ms > $2
ORDER BY run, seq


-- name: frame_at
-- $1 text: camera; $2 bigint: at, UTC ms; $3 bigint: tolerance, ms.
-- The last fragment that starts at or before $2, unless it ends more than the tolerance before $2.
SELECT * FROM (
    SELECT
        chunks.run, part.seq, part.start_ms, part.start_pts, part.size_bytes, part.keyframes,
        chunks.object_key, part."offset"
    FROM chunks
    CROSS JOIN LATERAL jsonb_to_recordset(chunks.fragments) AS part (
        seq integer, start_ms bigint, duration_ms integer, start_pts bigint, size_bytes bigint,
        "offset" bigint, keyframes jsonb)
    WHERE chunks.camera = $1
      AND chunks.window_start_ms > $2::bigint - 7200000 AND chunks.window_start_ms <= $2
      AND chunks.start_ms <= $2 AND chunks.end_ms + $3::bigint > $2
      AND part.start_ms <= $2 AND part.start_ms + part.duration_ms + $3 > $2
    UNION ALL
    SELECT run, seq, start_ms, start_pts, size_bytes, keyframes, NULL, 0::bigint
    FROM fragments
    WHERE camera = $1 AND start_ms > $2 - 3600000 AND start_ms <= $2 AND end_ms + $3 > $2
) AS candidates
ORDER BY start_ms DESC, seq DESC
LIMIT 1


-- name: keyframe_before
-- $1 text: camera; $2 uuid: run; $3 integer: seq; $4, $5 bigint: from and to, UTC ms.
-- The run's last fragment before $3 that has a keyframe, as frame_at returns it.
SELECT * FROM (
    SELECT
        chunks.run, part.seq, part.start_ms, part.start_pts, part.size_bytes, part.keyframes,
        chunks.object_key, part."offset"
    FROM chunks
    CROSS JOIN LATERAL jsonb_to_recordset(chunks.fragments) AS part (
        seq integer, start_ms bigint, start_pts bigint, size_bytes bigint, "offset" bigint,
        keyframes jsonb)
    WHERE chunks.camera = $1 AND chunks.run = $2
      AND chunks.window_start_ms > $4::bigint - 7200000 AND chunks.window_start_ms <= $5
      AND part.seq < $3 AND part.start_ms >= $4 AND part.keyframes <> '[]'
    UNION ALL
    SELECT run, seq, start_ms, start_pts, size_bytes, keyframes, NULL, 0::bigint
    FROM fragments
    WHERE camera = $1 AND run = $2 AND seq < $3 AND start_ms >= $4 AND keyframes <> '[]'
) AS candidates
ORDER BY seq DESC
LIMIT 1


-- name: locate_fragment
-- $1 text: camera; $2 uuid: run; $3 integer: seq. The fragment's own object. Where a chunk holds it:
-- the days (start, UTC ms) whose chunks may.
SELECT size_bytes, encode(sha256, 'hex') AS sha256, NULL::bigint AS day_ms
FROM fragments
WHERE camera = $1 AND run = $2 AND seq = $3
UNION ALL
SELECT NULL, NULL, day_ms
FROM chunk_days
WHERE camera = $1 AND run = $2 AND first_seq <= $3::integer AND last_seq >= $3


-- name: locate_in_chunk
-- $1 text: camera; $2 uuid: run; $3 integer: seq; $4 bigint: day, UTC ms. Where in a chunk's object the
-- fragment's bytes are.
SELECT part.size_bytes, part.sha256, chunks.object_key, part."offset"
FROM chunks
CROSS JOIN LATERAL jsonb_to_recordset(chunks.fragments) AS part (
    seq integer, size_bytes bigint, sha256 text, "offset" bigint)
WHERE chunks.run = $2 AND chunks.last_seq >= $3 AND chunks.seqs @> $3::integer
  AND chunks.camera = $1 AND part.seq = $3
  AND chunks.window_start_ms >= $4::bigint AND chunks.window_start_ms < $4::bigint + 86400000
LIMIT 1


-- name: locate_chunk
-- $1 text: camera; $2 uuid: run; $3 bigint: window's start, UTC ms; $4 text: digest. A chunk that was
-- replaced can still be located until its object is deleted.
SELECT window_ms, digest, object_key, size_bytes
FROM chunks
WHERE camera = $1 AND run = $2 AND window_start_ms = $3 AND digest = $4
UNION ALL
SELECT window_ms, NULL, NULL, -1
FROM deletions
WHERE camera = $1 AND run = $2 AND what = 'chunk' AND window_start_ms = $3 AND digest = $4
  AND window_ms IS NOT NULL
UNION ALL
SELECT window_ms, NULL, NULL, -1
FROM chunks
WHERE camera = $1 AND run = $2 AND window_start_ms = $3
LIMIT 1
