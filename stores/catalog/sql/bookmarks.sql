-- name: load_bookmark
-- $1 text: job. The state of an unfinished job.
SELECT state FROM replays WHERE job = $1


-- name: save_bookmark
-- $1 text: job; $2 jsonb: its state; $3 bigint: now, UTC ms.
INSERT INTO replays (job, state, begun_ms, touched_ms)
VALUES ($1, $2, $3, $3)
ON CONFLICT (job) DO UPDATE SET state = excluded.state, touched_ms = excluded.touched_ms


-- name: delete_bookmark
-- $1 text: job. It is finished: the next run starts at the beginning.
DELETE FROM replays WHERE job = $1
