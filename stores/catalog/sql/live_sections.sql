-- name: live_sections_now
-- $1 text[]: cameras. The live section of each, with the last seq of its run where that has ended.
-- The caller holds the cameras' footage lock.
SELECT section.*, runs.last_seq AS run_last_seq
FROM unnest($1::text[]) AS given (camera)
CROSS JOIN LATERAL (
    SELECT * FROM live_sections
    WHERE live_sections.camera = given.camera
    ORDER BY number DESC
    LIMIT 1
) AS section
LEFT JOIN runs ON runs.camera = section.camera AND runs.run = section.run


-- name: live_sections_of
-- $1 text: camera. Its sections by number.
SELECT * FROM live_sections WHERE camera = $1 ORDER BY number


-- name: store_live_sections
-- $1 jsonb: list of sections.
INSERT INTO live_sections (
    camera, number, run, discontinuities, first_seq, last_seq, start_ms, newest_end_ms, arrived_ms,
    longest_ms, overlap_ms, form)
SELECT
    camera, number, run, discontinuities, first_seq, last_seq, start_ms, newest_end_ms, arrived_ms,
    longest_ms, overlap_ms, form
FROM jsonb_to_recordset($1::jsonb) AS s (
    camera text, number bigint, run uuid, discontinuities integer, first_seq integer,
    last_seq integer, start_ms bigint, newest_end_ms bigint, arrived_ms bigint, longest_ms integer,
    overlap_ms bigint, form text)
ON CONFLICT (camera, number) DO UPDATE SET
    last_seq = excluded.last_seq, newest_end_ms = excluded.newest_end_ms,
    arrived_ms = excluded.arrived_ms, longest_ms = excluded.longest_ms,
    overlap_ms = excluded.overlap_ms, form = excluded.form


-- name: move_live_section
-- $1 text: camera; $2 uuid: run; $3 bigint: number of its live section; $4 bigint, $5 integer, $6
-- bigint: its new number, first seq and start, UTC ms. The section before it, of the same run, ends
-- earlier then. Returns a row where it moved: the section before it begins before $5.
WITH shortened AS (
    UPDATE live_sections AS known SET last_seq = $5::integer - 1
    FROM live_sections AS moved
    WHERE moved.camera = $1 AND moved.number = $3 AND known.camera = $1 AND known.run = $2
      AND known.number < $3 AND known.last_seq = moved.first_seq - 1 AND known.first_seq < $5
    RETURNING known.number
)
UPDATE live_sections SET number = $4, first_seq = $5, start_ms = $6
WHERE camera = $1 AND number = $3 AND EXISTS (SELECT FROM shortened)
RETURNING number


-- name: live_first_seq
-- $1 text: camera; $2 uuid: run; $3 bigint: UTC ms; $4 bigint: UTC ms. The first seq that a section of
-- this run may begin with: its least known seq from $3 on. `after` is the last seq with a number.
-- Also deletes the camera's sections that were last extended before $4, except its newest.
WITH deleted AS (
    DELETE FROM live_sections
    WHERE camera = $1 AND arrived_ms < $4
      AND number < (SELECT max(number) FROM live_sections WHERE camera = $1)
)
SELECT
    (SELECT min(seq) FROM fragments
     WHERE camera = $1 AND run = $2 AND start_ms >= $3) AS first_seq,
    (SELECT max(last_seq) FROM live_sections WHERE camera = $1 AND run = $2) AS after
