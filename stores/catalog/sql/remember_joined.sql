-- $1 text: camera. Chunks whose fragments' own objects were deleted, by the tombstones.
WITH gone AS (
    SELECT run, range_agg(int4range(coalesce(first_seq, 0), coalesce(last_seq, 99999999), '[]')) AS seqs
    FROM tombstones
    WHERE camera = $1 AND what = 'fragments'
    GROUP BY run
)
UPDATE chunks SET joined_gone = revision
FROM gone
WHERE chunks.camera = $1 AND chunks.run = gone.run
  AND chunks.joined_gone < chunks.revision AND chunks.seqs <@ gone.seqs
