-- name: begin_model_replay
-- $1 text: camera; $2, $3 text: model, version; $4, $5 bigint: from and to, UTC ms; $6 integer:
-- frames in 1000 s, null: keyframes; $7 boolean: only with motion; $8 text: who; $9 bigint: now,
-- UTC ms.
INSERT INTO model_replays (
    camera, model, model_version, from_ms, to_ms, rate_mfps, gated, state, changed_by, changed_ms,
    started_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'running', $8, $9, $9)
RETURNING *, covered::text AS covered_text


-- name: overlapping_model_replays
-- $1 text: camera; $2, $3 text: model, version; $4, $5 bigint: from and to, UTC ms. Replays of the
-- version that overlap the range and are not dropped.
SELECT *, covered::text AS covered_text
FROM model_replays
WHERE camera = $1 AND model = $2 AND model_version = $3 AND to_ms > $4 AND from_ms < $5
  AND state <> 'dropped'
ORDER BY id


-- name: list_model_replays
-- $1 text[]: cameras, null for all; $2, $3 text: model, version, null for any. All replays, by camera
-- and time.
SELECT *, covered::text AS covered_text
FROM model_replays
WHERE ($1::text[] IS NULL OR camera = ANY ($1))
  AND ($2::text IS NULL OR model = $2)
  AND ($3::text IS NULL OR model_version = $3)
ORDER BY camera, from_ms, id


-- name: shown_model_replays
-- $1 text: camera; $2, $3 bigint: from and to, UTC ms. The replays that decide which detections are
-- shown.
SELECT model, model_version, from_ms, to_ms, covered::text AS covered, turn
FROM model_replays
WHERE camera = $1 AND to_ms > $2 AND from_ms < $3 AND state <> 'dropped'


-- name: next_replay_chunks
-- $1 text: camera; $2, $3 bigint: from and to, UTC ms; $4 bigint: replay; $5 bigint, $6 uuid: the
-- last chunk of the page before; $7 integer: page size; $8, $9 bigint: windows that start in [$8,
-- $9), so that few day partitions are locked. Current chunks that overlap the range and that the
-- replay has not analysed in their current revision, by window and run.
SELECT
    chunks.window_start_ms, chunks.run, chunks.digest, chunks.object_key, chunks.fragments
FROM chunks
LEFT JOIN model_replay_chunks AS mark
    ON mark.replay = $4 AND mark.window_start_ms = chunks.window_start_ms AND mark.run = chunks.run
WHERE chunks.camera = $1
  AND chunks.window_start_ms > $2::bigint - 7200000 AND chunks.window_start_ms < $3::bigint
  AND chunks.end_ms > $2 AND chunks.start_ms < $3
  AND chunks.window_start_ms >= $8::bigint AND chunks.window_start_ms < $9::bigint
  AND (chunks.window_start_ms, chunks.run) > ($5, $6)
  AND (mark.digest IS NULL OR mark.digest <> chunks.digest OR mark.fault IS NOT NULL)
ORDER BY chunks.window_start_ms, chunks.run
LIMIT $7


-- name: replay_workload
-- $1 text: camera; $2, $3 bigint: from and to, UTC ms; $4 bigint: replay; $5, $6 bigint: windows that
-- start in [$5, $6), so that few day partitions are locked. How many chunks overlap the range, and
-- how many of them the replay has analysed.
SELECT count(*) AS chunks, count(mark.digest) AS done
FROM chunks
LEFT JOIN model_replay_chunks AS mark
    ON mark.replay = $4 AND mark.window_start_ms = chunks.window_start_ms AND mark.run = chunks.run
   AND mark.digest = chunks.digest AND mark.fault IS NULL
WHERE chunks.camera = $1
  AND chunks.window_start_ms > $2::bigint - 7200000 AND chunks.window_start_ms < $3::bigint
  AND chunks.end_ms > $2 AND chunks.start_ms < $3
  AND chunks.window_start_ms >= $5::bigint AND chunks.window_start_ms < $6::bigint


-- name: count_waiting_fragments
-- $1 text: camera; $2, $3 bigint: from and to, UTC ms. How many of its fragments no chunk holds yet.
SELECT count(*) AS fragments
FROM fragments
WHERE camera = $1 AND start_ms > $2::bigint - 3600000 AND start_ms < $3 AND end_ms > $2


-- name: lock_model_replay
-- $1 bigint: replay. Row lock until the end of the transaction: one chunk is marked at a time.
SELECT state FROM model_replays WHERE id = $1 FOR UPDATE


-- name: mark_chunk_analysed
-- $1 bigint: replay; $2 bigint: window's start, UTC ms; $3 uuid: run; $4 text: digest; $5, $6
-- integer: frames, objects; $7 text: fault or null; $8 text: multirange of the time analysed.
-- Marks one chunk as analysed. Where an older revision of it was analysed before, the new numbers
-- replace the old ones.
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


-- name: delete_replay_marks
-- $1 bigint: replay. Deletes the marks of its chunks, so that it can begin again.
DELETE FROM model_replay_chunks WHERE replay = $1


-- name: set_model_replay_state
-- $1 bigint[]: replays; $2 text: state; $3 text[]: states they may be in; $4 text: who; $5 bigint:
-- now, UTC ms. Each that becomes current gets a turn: the one made current last is shown.
UPDATE model_replays SET
    state = $2, changed_by = $4, changed_ms = $5,
    turn = CASE WHEN $2 = 'current' THEN nextval('model_turns') END
WHERE id = ANY ($1::bigint[]) AND state = ANY ($3::text[])
RETURNING id


-- name: version_detections
-- $1 text: camera; $2, $3 text: model, version; $4, $5 bigint: from and to, whole minutes, UTC ms.
-- The first minute with detections of the version, and how many detections there are.
SELECT min(minute_ms) AS first_ms, coalesce(sum(objects), 0)::bigint AS objects
FROM detection_minutes
WHERE camera = $1 AND minute_ms >= $4 AND minute_ms < $5 AND model = $2 AND model_version = $3


-- name: recent_versions
-- $1 text[]: cameras. Versions with detections in the last day of each camera's footage.
SELECT
    footage.camera, model, model_version, min(minute_ms) AS first_ms,
    max(minute_ms) + 60000 AS last_ms, sum(objects)::bigint AS objects
FROM footage
JOIN detection_minutes
    ON detection_minutes.camera = footage.camera
   AND minute_ms >= footage.last_ms - 86400000 AND minute_ms < footage.last_ms + 86400000
WHERE footage.camera = ANY ($1::text[])
GROUP BY footage.camera, model, model_version
ORDER BY footage.camera, model, model_version
