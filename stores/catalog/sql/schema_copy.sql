-- name: copy_statement
-- $1 text: table; $2 text: schema in use. Returns the statement that copies that schema's rows of the
-- table, and the one that sets the table's sequence behind them (null: it has no sequence).
SELECT
    format(
        'INSERT INTO %1$I AS known (%2$s) OVERRIDING SYSTEM VALUE SELECT %2$s FROM %3$I.%1$I '
        'ON CONFLICT (%4$s) DO UPDATE SET %5$s WHERE (%6$s) IS DISTINCT FROM (%7$s)',
        $1::text,
        string_agg(quote_ident(attname), ', ' ORDER BY attnum),
        $2::text,
        string_agg(quote_ident(attname), ', ' ORDER BY attnum) FILTER (WHERE attnum = ANY(key.indkey)),
        coalesce(
            string_agg(format('%1$I = excluded.%1$I', attname), ', ' ORDER BY attnum)
                FILTER (WHERE attnum <> ALL(key.indkey)),
            -- A table that is all key: its rows are never distinct, so this sets nothing.
            string_agg(format('%1$I = excluded.%1$I', attname), ', ' ORDER BY attnum)
        ),
        string_agg(format('known.%I', attname), ', ' ORDER BY attnum),
        string_agg(format('excluded.%I', attname), ', ' ORDER BY attnum)
    ) AS copy_rows,
    format(
        'SELECT setval(%L, (SELECT coalesce(max(id), 0) + 1 FROM %I), false)',
        max(CASE WHEN attidentity <> '' THEN pg_get_serial_sequence($1::text, attname) END),
        $1::text
    ) AS set_sequence,
    bool_or(attidentity <> '') AS has_sequence
FROM pg_attribute
JOIN pg_index AS key ON key.indrelid = attrelid AND key.indisprimary
WHERE attrelid = to_regclass($1::text) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''


-- name: copy_tombstones
-- Copies the tombstones of schema :source (the caller replaces the word) under new numbers.
-- $1: null; $2, $3 bigint: only chunks whose windows start in this time are deleted, UTC ms.
WITH given AS (
    SELECT camera, run, what, first_seq, last_seq, window_start_ms, digest, reason, deleted_ms
    FROM :source.tombstones
    WHERE $1::text IS NULL
),
-- include: delete_tombstoned_rows
INSERT INTO tombstones (
    camera, run, what, first_seq, last_seq, window_start_ms, digest, reason, deleted_ms)
SELECT * FROM given
ON CONFLICT DO NOTHING


-- name: copy_model_turns
-- Copies the order in which models were made current from schema :source (the caller replaces it).
SELECT setval('model_turns', greatest(last_value, 1)) FROM :source.model_turns


-- name: restore_joined_gone
-- $1 text: camera; $2, $3 bigint: windows that start in [$2, $3), UTC ms. Marks chunks whose
-- fragments' own objects were deleted, by the tombstones.
WITH gone AS (
    SELECT run, range_agg(int4range(coalesce(first_seq, 0), coalesce(last_seq, 99999999), '[]')) AS seqs
    FROM tombstones
    WHERE camera = $1 AND what = 'fragments'
    GROUP BY run
)
UPDATE chunks SET joined_gone = revision
FROM gone
WHERE chunks.camera = $1 AND chunks.run = gone.run
  AND chunks.window_start_ms >= $2::bigint AND chunks.window_start_ms < $3::bigint
  AND chunks.joined_gone < chunks.revision AND chunks.seqs <@ gone.seqs


-- name: restore_older_gone
-- $1 text: camera; $2, $3 bigint: windows that start in [$2, $3), UTC ms. Marks chunks whose older
-- revisions were deleted: each has a tombstone.
UPDATE chunks SET older_gone = revision
WHERE camera = $1 AND older_gone < revision
  AND window_start_ms >= $2::bigint AND window_start_ms < $3::bigint
  AND (
    SELECT count(*)
    FROM tombstones
    WHERE tombstones.camera = $1
      AND tombstones.run = chunks.run
      AND tombstones.what = 'chunk'
      AND tombstones.window_start_ms = chunks.window_start_ms
      AND tombstones.digest <> chunks.digest
  ) >= revision - 1
