-- name: index_lost
-- $1 jsonb: list of window-lost, with `seqs` and `first_seq` added; $2 bigint: now, UTC ms. The
-- caller holds the cameras' footage lock. The same statement deletes the rows of their fragments.
-- Returns how many windows were new.
WITH given AS (
    SELECT DISTINCT ON (camera, run, window_start_ms, first_seq) *
    FROM jsonb_to_recordset($1::jsonb) AS l (
        camera text, run uuid, window_start_ms bigint, window_ms integer, first_seq integer,
        seqs int4multirange, gaps jsonb, lost_ms bigint)
), deleted_fragments AS (
    DELETE FROM fragments
    USING given
    WHERE fragments.camera = given.camera
      AND fragments.run = given.run
      AND given.seqs @> fragments.seq
), stored AS (
    INSERT INTO lost_windows (
        camera, run, window_start_ms, first_seq, window_ms, seqs, gaps, lost_ms, indexed_ms)
    SELECT camera, run, window_start_ms, first_seq, window_ms, seqs, gaps, lost_ms, $2
    FROM given
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT count(*) AS stored FROM stored
