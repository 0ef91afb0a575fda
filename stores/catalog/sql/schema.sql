-- name: schema_in_use
-- The schema that has the catalog's tables, by the search path.
SELECT nspname AS schema
FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE pg_class.oid = to_regclass('tombstones')


-- name: schema_exists
-- One row where the catalog's tables exist.
SELECT count(*) FROM (SELECT FROM cameras LIMIT 1) AS camera


-- name: advisory_lock
-- $1 text: name of the lock, one in each schema. Returns whether this session has it now.
SELECT pg_try_advisory_lock(hashtextextended(current_schema() || ' ' || $1, 0))


-- name: partitions_before
-- $1 text: day as YYYYMMDD. The partitions of earlier days, each with its table.
SELECT parent.relname::text AS whole, part.relname::text AS part
FROM pg_inherits
JOIN pg_class AS part ON part.oid = inhrelid
JOIN pg_class AS parent ON parent.oid = inhparent
WHERE parent.oid IN ('chunks'::regclass, 'detections'::regclass, 'detection_minutes'::regclass)
  AND right(part.relname, 8) < $1
ORDER BY part.relname
