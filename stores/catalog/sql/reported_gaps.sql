-- $1 text: camera; $2, $3 bigint: from and to, UTC ms. Gaps that manifests report, and
-- windows that are lost altogether.
SELECT gap.from_ms, gap.to_ms, gap.reason
FROM chunks
CROSS JOIN LATERAL jsonb_to_recordset(chunks.gaps) AS gap (from_ms bigint, to_ms bigint, reason text)
WHERE camera = $1
  AND window_start_ms > $2::bigint - 90000000 AND window_start_ms < $3::bigint + 90000000
  AND (NOT whole OR gaps <> '[]')
  AND gap.to_ms > $2 AND gap.from_ms < $3
UNION ALL
SELECT gap.from_ms, gap.to_ms, gap.reason
FROM lost_windows
CROSS JOIN LATERAL jsonb_to_recordset(lost_windows.gaps) AS gap (
    from_ms bigint, to_ms bigint, reason text)
WHERE camera = $1
  AND window_start_ms > $2::bigint - 90000000 AND window_start_ms < $3::bigint + 90000000
  AND gap.to_ms > $2 AND gap.from_ms < $3
ORDER BY from_ms
