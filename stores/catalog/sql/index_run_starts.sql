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
