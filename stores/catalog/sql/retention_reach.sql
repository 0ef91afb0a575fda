-- $1 text: camera. The footage begins with what is left; windows of different lengths may begin
-- out of order, by an hour at most. The camera's footage is locked.
UPDATE footage SET first_ms = greatest(first_ms, coalesce(least(
    (SELECT min(start_ms) FROM (
        SELECT start_ms FROM chunks WHERE camera = $1 ORDER BY window_start_ms LIMIT 4000) AS oldest),
    (SELECT min(start_ms) FROM fragments WHERE camera = $1)), last_ms))
WHERE camera = $1
