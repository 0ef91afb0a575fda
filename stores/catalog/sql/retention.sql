-- name: list_retention_rules
-- All rules, by scope.
SELECT scope, days, set_by, set_ms FROM retention_rules ORDER BY scope


-- name: set_retention_rule
-- $1 text: scope; $2 integer: days; $3 text: who; $4 bigint: now, UTC ms; $5 text: the principal, null
-- for a command.
INSERT INTO retention_rules (scope, days, set_by, set_ms, set_by_id)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (scope) DO UPDATE SET
    days = excluded.days, set_by = excluded.set_by, set_ms = excluded.set_ms,
    set_by_id = excluded.set_by_id


-- name: clear_retention_rule
-- $1 text: scope. Deletes its rule and returns the rule's days.
DELETE FROM retention_rules WHERE scope = $1 RETURNING days


-- name: deletable_chunks
-- $1 text: camera; $2 bigint: windows that start before this may be too old, UTC ms, null: none is;
-- $3, $4 bigint: chunks indexed up to these may lose the objects of their fragments ($3) and of older
-- revisions ($4); $5 bigint, $6 uuid: only rows after this window and run; $7 integer: limit; $8,
-- $9 bigint: windows that start in [$8, $9), so that few day partitions are locked. These are
-- candidates: the rules in domain/ decide.
SELECT
    window_start_ms, run::text AS run, window_ms, revision, digest, object_key, size_bytes,
    start_ms, end_ms, indexed_ms, joined_gone, older_gone, gaps,
    (SELECT jsonb_agg(jsonb_build_array(lower(part), upper(part) - 1)) FROM unnest(seqs) AS part) AS seqs
FROM chunks
WHERE camera = $1
  AND (window_start_ms < $2
       OR joined_gone < revision AND indexed_ms <= $3
       OR older_gone < revision AND indexed_ms <= $4)
  AND (window_start_ms, run) > ($5, $6)
  AND window_start_ms >= $8::bigint AND window_start_ms < $9::bigint
ORDER BY window_start_ms, run
LIMIT $7


-- name: deletable_fragments
-- $1 text: camera; $2 bigint: fragments that end at or before this, UTC ms; $3 bigint, $4 uuid,
-- $5 integer: only rows after this start, run and seq; $6 integer: limit.
SELECT run::text AS run, seq, start_ms, end_ms, size_bytes
FROM fragments
WHERE camera = $1 AND end_ms <= $2 AND start_ms <= $2 AND (start_ms, run, seq) > ($3, $4, $5)
ORDER BY start_ms, run, seq
LIMIT $6


-- name: unchanged_chunks
-- $1 text: camera; $2 jsonb: list of {window_start_ms, run, revision, digest}. Returns those that are
-- still current. $3, $4 bigint: their first and last window's start. The caller holds the camera's
-- footage lock.
SELECT chunks.window_start_ms, chunks.run::text AS run
FROM jsonb_to_recordset($2::jsonb) AS g (
    window_start_ms bigint, run uuid, revision integer, digest text)
JOIN chunks ON chunks.camera = $1 AND chunks.window_start_ms = g.window_start_ms
    AND chunks.run = g.run AND chunks.revision = g.revision AND chunks.digest = g.digest
    AND chunks.window_start_ms >= $3::bigint AND chunks.window_start_ms <= $4::bigint


-- name: mark_objects_gone
-- $1 text: camera; $2 jsonb: list of {window_start_ms, run, joined, older}: which objects of the
-- current revision are deleted. $3, $4 bigint: their first and last window's start. The caller holds
-- the camera's footage lock.
UPDATE chunks SET
    joined_gone = CASE WHEN g.joined THEN revision ELSE joined_gone END,
    older_gone = CASE WHEN g.older THEN revision ELSE older_gone END
FROM jsonb_to_recordset($2::jsonb) AS g (
    window_start_ms bigint, run uuid, joined boolean, older boolean)
WHERE chunks.camera = $1 AND chunks.window_start_ms = g.window_start_ms AND chunks.run = g.run
  AND chunks.window_start_ms >= $3::bigint AND chunks.window_start_ms <= $4::bigint


-- name: advance_footage_start
-- $1 text: camera; $2 bigint: start of its oldest chunk, UTC ms, null without any. Moves the start of
-- the footage to the oldest that is left. The caller holds the camera's footage lock.
UPDATE footage SET first_ms = greatest(first_ms, coalesce(least(
    $2::bigint, (SELECT min(start_ms) FROM fragments WHERE camera = $1)), last_ms))
WHERE camera = $1


-- name: emptied_runs
-- $1 text: camera; $2 uuid[]: runs; $3 bigint: UTC ms. Runs that ended before $3 and have no chunk,
-- fragment or deletion left, each with its start and end.
SELECT run::text, started_ms, ended_ms
FROM runs
WHERE camera = $1 AND run = ANY ($2::uuid[]) AND ended_ms < $3
  AND NOT EXISTS (
      SELECT FROM chunk_days WHERE chunk_days.camera = runs.camera AND chunk_days.run = runs.run)
  AND NOT EXISTS (
      SELECT FROM fragments WHERE fragments.camera = runs.camera AND fragments.run = runs.run)
  AND NOT EXISTS (
      SELECT FROM deletions WHERE deletions.camera = runs.camera AND deletions.run = runs.run)


-- name: retention_preview_days
-- $1 text[]: cameras; $2 bigint: UTC ms. The days (start, UTC ms) before $2 with chunks of any.
SELECT DISTINCT day_ms FROM chunk_days WHERE camera = ANY ($1::text[]) AND day_ms < $2 ORDER BY day_ms


-- name: retention_preview_sums
-- What is counted of `due`, footage that is old enough: columns camera, from_ms, to_ms, size_bytes,
-- old_until_ms. `hold` has the holds. The same rule as RetentionPolicy.judge in domain/.
SELECT
    camera,
    count(*) FILTER (WHERE NOT held) AS count,
    coalesce(sum(size_bytes) FILTER (WHERE NOT held), 0)::bigint AS bytes,
    count(*) FILTER (WHERE NOT held AND to_ms <= old_until_ms) AS due_count,
    coalesce(sum(size_bytes) FILTER (WHERE NOT held AND to_ms <= old_until_ms), 0)::bigint AS due_bytes,
    count(*) FILTER (WHERE held) AS held_count,
    coalesce(sum(size_bytes) FILTER (WHERE held), 0)::bigint AS held_bytes,
    min(from_ms) FILTER (WHERE NOT held) AS oldest_ms,
    max(to_ms) FILTER (WHERE NOT held) AS newest_ms
FROM (
    SELECT due.*, EXISTS (
        SELECT FROM hold
        WHERE starts_with(due.camera || '/', hold.scope || '/')
          AND (hold.to_ms IS NULL OR due.from_ms < hold.to_ms)
          AND greatest(due.to_ms, due.from_ms + 1) > hold.from_ms) AS held
    FROM due
) AS judged
GROUP BY camera


-- name: retention_preview_chunks
-- $1 text[]: cameras; $2 bigint[]: footage that ends at or before this is deleted, for each camera,
-- UTC ms; $3 bigint[]: the same by the rules of before, 0 for none; $4 jsonb: list of {scope,
-- from_ms, to_ms}, the holds; $5, $6 bigint: windows that start in [$5, $6).
WITH hold AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset($4::jsonb) AS given (scope text, from_ms bigint, to_ms bigint)
), due AS (
    SELECT
        chunks.camera, least(window_start_ms, start_ms) AS from_ms,
        greatest(window_start_ms + window_ms, end_ms) AS to_ms, size_bytes, old_until_ms
    FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS given (camera, until_ms, old_until_ms)
    JOIN chunks ON chunks.camera = given.camera AND window_start_ms < until_ms
        AND window_start_ms >= $5::bigint AND window_start_ms < $6::bigint
    WHERE greatest(window_start_ms + window_ms, end_ms) <= until_ms
)
-- include: retention_preview_sums


-- name: retention_preview_fragments
-- $1 to $4: as of retention_preview_chunks. The fragments that are in no chunk.
WITH hold AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset($4::jsonb) AS given (scope text, from_ms bigint, to_ms bigint)
), due AS (
    SELECT fragments.camera, start_ms AS from_ms, end_ms AS to_ms, size_bytes, old_until_ms
    FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS given (camera, until_ms, old_until_ms)
    JOIN fragments ON fragments.camera = given.camera AND start_ms <= until_ms
    WHERE end_ms <= until_ms
)
-- include: retention_preview_sums
