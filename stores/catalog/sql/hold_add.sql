-- $1 text: scope; $2, $3 bigint: from and to, UTC ms, to may be null; $4 text: who; $5 text: why;
-- $6 bigint: now, UTC ms. The holds are locked. Returns its number and how many deletions in its
-- range were decided before and wait for it now.
WITH added AS (
    INSERT INTO legal_holds (scope, from_ms, to_ms, added_by, why, added_ms)
    VALUES ($1, $2, $3, $4, $5, $6)
    RETURNING id
)
SELECT
    id,
    (SELECT count(*) FROM deletions
     WHERE starts_with(camera || '/', $1 || '/') AND to_ms > $2
       AND ($3::bigint IS NULL OR from_ms < $3)) AS under_way
FROM added
