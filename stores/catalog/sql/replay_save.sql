-- $1 text: job; $2 jsonb: how far it came; $3 bigint: now, UTC ms.
INSERT INTO replays (job, state, begun_ms, touched_ms)
VALUES ($1, $2, $3, $3)
ON CONFLICT (job) DO UPDATE SET state = excluded.state, touched_ms = excluded.touched_ms
