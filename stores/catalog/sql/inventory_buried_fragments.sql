-- $1 text: camera; $2 uuid[]: runs; $3 bigint: UTC ms. Deleted fragments of each run: seqs deleted
-- up to $3, and since or still under way (a hold may keep their objects).
SELECT
    run::text AS run,
    coalesce(range_agg(seqs) FILTER (WHERE NOT dying), '{}')::text AS buried,
    coalesce(range_agg(seqs) FILTER (WHERE dying), '{}')::text AS dying
FROM (
    SELECT
        run,
        deleted_ms > $3 OR EXISTS (
            SELECT FROM deletions
            WHERE deletions.camera = $1
              AND deletions.run = tombstones.run
              AND deletions.what = 'fragments'
              AND deletions.first_seq IS NOT DISTINCT FROM tombstones.first_seq
              AND deletions.last_seq IS NOT DISTINCT FROM tombstones.last_seq
        ) AS dying,
        int4range(coalesce(first_seq, 0), coalesce(last_seq, 99999999), '[]') AS seqs
    FROM tombstones
    WHERE camera = $1 AND run = ANY($2) AND what = 'fragments'
      AND coalesce(first_seq, 0) <= coalesce(last_seq, 99999999)
) AS deletions
GROUP BY run
