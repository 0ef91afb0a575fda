-- name: index_run_starts
-- $1 jsonb: list of run-started, one of each run.
INSERT INTO runs AS known (camera, run, started_ms, edge, stream)
SELECT camera, run, started_ms, edge, stream
FROM jsonb_to_recordset($1::jsonb) AS r (
    camera text, run uuid, started_ms bigint, edge text, stream text)
ORDER BY camera, run
ON CONFLICT (camera, run) DO UPDATE SET
    started_ms = excluded.started_ms, edge = excluded.edge, stream = excluded.stream
WHERE (known.started_ms, known.edge, known.stream)
    IS DISTINCT FROM (excluded.started_ms, excluded.edge, excluded.stream)


-- name: index_run_ends
-- $1 jsonb: list of run-ended, one of each run, with `started_ms` and `given_up` as a multirange.
INSERT INTO runs AS known (camera, run, started_ms, ended_ms, last_seq, reason, given_up)
SELECT camera, run, started_ms, ended_ms, last_seq, reason, given_up
FROM jsonb_to_recordset($1::jsonb) AS r (
    camera text, run uuid, started_ms bigint, ended_ms bigint, last_seq integer, reason text,
    given_up int4multirange)
ORDER BY camera, run
ON CONFLICT (camera, run) DO UPDATE SET
    ended_ms = excluded.ended_ms, last_seq = excluded.last_seq, reason = excluded.reason,
    given_up = excluded.given_up
WHERE (known.ended_ms, known.last_seq, known.reason, known.given_up)
    IS DISTINCT FROM (excluded.ended_ms, excluded.last_seq, excluded.reason, excluded.given_up)


-- name: run_ends
-- $1 text: camera; $2, $3 bigint: from and to, UTC ms. Runs that ended in the range.
SELECT ended_ms, reason
FROM runs
WHERE camera = $1 AND ended_ms >= $2 AND ended_ms < $3
ORDER BY ended_ms


-- name: run_edges
-- $1 text: camera; $2 uuid[]: runs. Which edge recorded each, where that is known.
SELECT run, edge FROM runs WHERE camera = $1 AND run = ANY($2) AND edge IS NOT NULL


-- name: known_runs
-- $1 text: camera; $2 bigint: UTC ms. The runs that the catalog knows, oldest first.
-- `ended_before`: ended before $2.
SELECT run::text AS run, coalesce(ended_ms < $2, false) AS ended_before, ended_ms IS NOT NULL AS ended
FROM runs
WHERE camera = $1
UNION
SELECT DISTINCT fragments.run::text, false, false
FROM fragments
WHERE camera = $1
  AND NOT EXISTS (SELECT FROM runs WHERE runs.camera = $1 AND runs.run = fragments.run)
ORDER BY run


-- name: find_runs
-- $1 text: camera; $2, $3 bigint: from and to, UTC ms; $4 uuid: only runs after this one; $5 integer:
-- limit. Runs that overlap the range, by start. `given_up` counts the fragments that no one sends.
SELECT
    run::text AS run, started_ms, ended_ms, reason, last_seq, edge, stream,
    (SELECT coalesce(sum(upper(part) - lower(part)), 0) FROM unnest(given_up) AS part)::bigint AS given_up
FROM runs
WHERE camera = $1 AND started_ms < $3 AND (ended_ms IS NULL OR ended_ms > $2) AND run > $4
ORDER BY run
LIMIT $5
