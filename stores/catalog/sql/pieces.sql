-- $1 text: camera; $2, $3 bigint: from and to, UTC ms. One statement, so one view of the catalog:
-- a fragment that moves into its chunk meanwhile is seen once.
SELECT
    chunks.run, held.seq, held.start_ms, held.duration_ms, held.size_bytes,
    held."offset", chunks.window_start_ms, chunks.digest
FROM chunks
CROSS JOIN LATERAL jsonb_to_recordset(chunks.fragments) AS held (
    seq integer, start_ms bigint, duration_ms integer, size_bytes bigint, "offset" bigint)
WHERE chunks.camera = $1
  AND chunks.window_start_ms > $2::bigint - 7200000 AND chunks.window_start_ms < $3::bigint
  AND chunks.end_ms > $2 AND chunks.start_ms < $3
  AND held.start_ms + held.duration_ms > $2 AND held.start_ms < $3
UNION ALL
SELECT run, seq, start_ms, (end_ms - start_ms)::integer, size_bytes, NULL, NULL, NULL
FROM fragments
WHERE camera = $1 AND start_ms > $2::bigint - 3600000 AND start_ms < $3 AND end_ms > $2
ORDER BY run, seq
