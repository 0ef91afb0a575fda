-- $1 text: camera; $2 bigint: at, UTC ms; $3 bigint: tolerance, ms.
-- The last fragment that starts at or before `at`, unless it ends more than the tolerance earlier.
SELECT * FROM (
    SELECT
        chunks.run, held.seq, held.start_ms, held.start_pts, held.size_bytes, held.keyframes,
        chunks.object_key, held."offset"
    FROM chunks
    CROSS JOIN LATERAL jsonb_to_recordset(chunks.fragments) AS held (
        seq integer, start_ms bigint, duration_ms integer, start_pts bigint, size_bytes bigint,
        "offset" bigint, keyframes jsonb)
    WHERE chunks.camera = $1
      AND chunks.window_start_ms > $2::bigint - 7200000 AND chunks.window_start_ms <= $2
      AND chunks.start_ms <= $2 AND chunks.end_ms + $3::bigint > $2
      AND held.start_ms <= $2 AND held.start_ms + held.duration_ms + $3 > $2
    UNION ALL
    SELECT run, seq, start_ms, start_pts, size_bytes, keyframes, NULL, 0::bigint
    FROM fragments
    WHERE camera = $1 AND start_ms > $2 - 3600000 AND start_ms <= $2 AND end_ms + $3 > $2
) AS candidates
ORDER BY start_ms DESC, seq DESC
LIMIT 1
