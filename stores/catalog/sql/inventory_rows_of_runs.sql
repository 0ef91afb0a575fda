-- $1 text: camera; $2 uuid[]: runs. Of each run the seqs that have rows of their own.
SELECT run::text AS run, range_agg(int4range(seq, seq, '[]'))::text AS seqs
FROM fragments
WHERE camera = $1 AND run = ANY($2)
GROUP BY run
