-- $1 text: camera; $2 uuid[]: runs; $3, $4 bigint: only chunks whose window does not start in
-- [$3, $4), UTC ms; $5 text[]: reasons of gaps that hold only while no object stands.
-- Of each run the seqs in chunks, those settled, and those left out for another reason; windows
-- that are lost altogether count as chunks that hold nothing.
WITH held AS (
    SELECT run, seqs, settled, gaps
    FROM chunks
    WHERE camera = $1 AND run = ANY($2) AND NOT (window_start_ms >= $3 AND window_start_ms < $4)
    UNION ALL
    SELECT run, '{}'::int4multirange, seqs, gaps
    FROM lost_windows
    WHERE camera = $1 AND run = ANY($2) AND NOT (window_start_ms >= $3 AND window_start_ms < $4)
), left_out AS (
    SELECT held.run, range_agg(int4range(gap.first_seq, gap.last_seq, '[]')) AS seqs
    FROM held
    CROSS JOIN LATERAL jsonb_to_recordset(held.gaps) AS gap (
        first_seq integer, last_seq integer, reason text)
    WHERE held.gaps <> '[]' AND gap.first_seq <= gap.last_seq AND gap.reason <> ALL($5)
    GROUP BY held.run
), agreed AS (
    SELECT run, range_agg(seqs) AS seqs, range_agg(settled) AS settled FROM held GROUP BY run
)
SELECT
    agreed.run::text AS run, agreed.seqs::text AS seqs, agreed.settled::text AS settled,
    coalesce(left_out.seqs, '{}')::text AS left_out
FROM agreed
LEFT JOIN left_out USING (run)
