-- $1 text: camera; $2 uuid[]: runs; $3 bigint: UTC ms. Deleted fragments of each run: seqs deleted
-- up to $3, and since.
SELECT
    run::text AS run,
    coalesce(range_agg(seqs) FILTER (WHERE deleted_ms <= $3), '{}')::text AS buried,
    coalesce(range_agg(seqs) FILTER (WHERE deleted_ms > $3), '{}')::text AS dying
FROM (
    SELECT
        run, deleted_ms,
        int4range(coalesce(first_seq, 0), coalesce(last_seq, 99999999), '[]') AS seqs
    FROM tombstones
    WHERE camera = $1 AND run = ANY($2) AND what = 'fragments'
      AND coalesce(first_seq, 0) <= coalesce(last_seq, 99999999)
) AS deletions
GROUP BY run
