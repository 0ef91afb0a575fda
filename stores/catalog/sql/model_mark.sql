-- $1 bigint: replay; $2 bigint: window's start, UTC ms; $3 uuid: run; $4 text: digest; $5, $6
-- integer: pictures, objects; $7 text: fault or null; $8 text: multirange of the time looked at.
-- One chunk is looked at; where it was before, in an older revision, the new figures count.
WITH before AS (
    SELECT pictures, objects FROM model_replay_chunks
    WHERE replay = $1 AND window_start_ms = $2 AND run = $3
), marked AS (
    INSERT INTO model_replay_chunks (replay, window_start_ms, run, digest, pictures, objects, fault)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (replay, window_start_ms, run) DO UPDATE SET
        digest = excluded.digest, pictures = excluded.pictures, objects = excluded.objects,
        fault = excluded.fault
)
UPDATE model_replays SET
    covered = covered + $8::text::int8multirange,
    chunks = chunks + 1 - (SELECT count(*) FROM before)::integer,
    pictures = pictures + $5::integer - coalesce((SELECT pictures FROM before), 0),
    objects = objects + $6::integer - coalesce((SELECT objects FROM before), 0)
WHERE id = $1
