-- The schema that the catalog's tables are found in, by the search path.
SELECT nspname AS schema
FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE pg_class.oid = to_regclass('tombstones')
