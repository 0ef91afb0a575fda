-- $1 text: camera; $2 uuid: last run wanted. All runs up to it, oldest first: last_seq is the
-- newest seq indexed where the run has not ended; -1 where it holds nothing.
SELECT
    runs.run, runs.ended_ms,
    coalesce(
        runs.last_seq,
        greatest(
            (SELECT max(seq) FROM fragments
             WHERE fragments.camera = runs.camera AND fragments.run = runs.run),
            (SELECT max(last_seq) FROM chunks WHERE chunks.run = runs.run)),
        -1) AS last_seq
FROM runs
WHERE runs.camera = $1 AND runs.run <= $2
ORDER BY runs.run
