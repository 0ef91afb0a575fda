-- $1 text: camera; $2 uuid: run; $3 bigint: start of a window, UTC ms. Whether the run's chunk of
-- that window was deleted, whatever it held: a tombstone with a digest names one revision alone.
SELECT EXISTS (
    SELECT FROM tombstones
    WHERE camera = $1 AND run = $2 AND what = 'chunk' AND digest IS NULL
      AND (window_start_ms IS NULL OR window_start_ms = $3)
) AS deleted
