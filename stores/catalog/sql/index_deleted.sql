-- $1 jsonb: list of deleted events. The cameras' footage is locked.
-- A row goes with its tombstone: a chunk only where its digest is the one deleted.
WITH given AS (
    SELECT DISTINCT ON (camera, run, what, first_seq, last_seq, window_start_ms, digest) *
    FROM jsonb_to_recordset($1::jsonb) AS d (
        camera text, run uuid, what text, first_seq integer, last_seq integer,
        window_start_ms bigint, digest text, reason text, deleted_ms bigint)
),
-- part: part_gone_rows
INSERT INTO tombstones (
    camera, run, what, first_seq, last_seq, window_start_ms, digest, reason, deleted_ms)
SELECT camera, run, what, first_seq, last_seq, window_start_ms, digest, reason, deleted_ms
FROM given
ON CONFLICT DO NOTHING
