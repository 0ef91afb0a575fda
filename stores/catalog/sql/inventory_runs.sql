-- $1 text: camera; $2 bigint: UTC ms. The runs that the catalog knows of, oldest first; `over`:
-- ended before $2.
SELECT run::text AS run, coalesce(ended_ms < $2, false) AS over, ended_ms IS NOT NULL AS ended
FROM runs
WHERE camera = $1
UNION
SELECT DISTINCT fragments.run::text, false, false
FROM fragments
WHERE camera = $1
  AND NOT EXISTS (SELECT FROM runs WHERE runs.camera = $1 AND runs.run = fragments.run)
ORDER BY run
