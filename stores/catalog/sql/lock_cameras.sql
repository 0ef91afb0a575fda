-- $1 text: what is locked; $2 text[]: cameras. Held to the end of the transaction.
SELECT pg_advisory_xact_lock(lock)
FROM (
    SELECT DISTINCT hashtextextended($1 || ' ' || camera, 0) AS lock
    FROM unnest($2::text[]) AS camera
    ORDER BY lock
) AS locks
