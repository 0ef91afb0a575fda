-- $1 text: day as YYYYMMDD. The partitions of days before it, with what they are a part of.
SELECT parent.relname::text AS whole, part.relname::text AS part
FROM pg_inherits
JOIN pg_class AS part ON part.oid = inhrelid
JOIN pg_class AS parent ON parent.oid = inhparent
WHERE parent.oid IN ('chunks'::regclass, 'detections'::regclass, 'detection_minutes'::regclass)
  AND right(part.relname, 8) < $1
ORDER BY part.relname
