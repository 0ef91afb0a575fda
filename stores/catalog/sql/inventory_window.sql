-- $1 text: camera; $2 uuid: run; $3 bigint: start of a fragment, UTC ms; $4 bigint: length of a
-- window, ms. Whether the chunk that would hold it was deleted and none stands in its place.
SELECT
    EXISTS (
        SELECT FROM tombstones
        WHERE camera = $1 AND run = $2 AND what = 'chunk'
          AND (window_start_ms IS NULL OR window_start_ms <= $3 AND window_start_ms > $3 - $4)
    ) AND NOT EXISTS (
        SELECT FROM chunks
        WHERE camera = $1 AND run = $2 AND window_start_ms <= $3
          AND window_start_ms > $3 - $4
    ) AS buried
