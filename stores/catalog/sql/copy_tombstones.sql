-- Of schema :source, which is put in its place. Its tombstones, under numbers of our own.
WITH given AS (
    SELECT camera, run, what, first_seq, last_seq, window_start_ms, digest, reason, deleted_ms
    FROM :source.tombstones
),
-- part: part_gone_rows
INSERT INTO tombstones (
    camera, run, what, first_seq, last_seq, window_start_ms, digest, reason, deleted_ms)
SELECT * FROM given
ON CONFLICT DO NOTHING
