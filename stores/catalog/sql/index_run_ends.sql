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
