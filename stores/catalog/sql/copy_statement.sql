-- $1 text: table; $2 text: schema in use. The statement that takes over that schema's rows of the
-- table, and the one that lets its numbers go on behind them, null where it has none.
SELECT
    format(
        'INSERT INTO %1$I AS known (%2$s) OVERRIDING SYSTEM VALUE SELECT %2$s FROM %3$I.%1$I '
        'ON CONFLICT (%4$s) DO UPDATE SET %5$s WHERE (%6$s) IS DISTINCT FROM (%7$s)',
        $1::text,
        string_agg(quote_ident(attname), ', ' ORDER BY attnum),
        $2::text,
        string_agg(quote_ident(attname), ', ' ORDER BY attnum) FILTER (WHERE attnum = ANY(key.indkey)),
        string_agg(format('%1$I = excluded.%1$I', attname), ', ' ORDER BY attnum)
            FILTER (WHERE attnum <> ALL(key.indkey)),
        string_agg(format('known.%I', attname), ', ' ORDER BY attnum),
        string_agg(format('excluded.%I', attname), ', ' ORDER BY attnum)
    ) AS copying,
    format(
        'SELECT setval(%L, (SELECT coalesce(max(id), 0) + 1 FROM %I), false)',
        max(CASE WHEN attidentity <> '' THEN pg_get_serial_sequence($1::text, attname) END),
        $1::text
    ) AS numbering,
    bool_or(attidentity <> '') AS numbered
FROM pg_attribute
JOIN pg_index AS key ON key.indrelid = attrelid AND key.indisprimary
WHERE attrelid = to_regclass($1::text) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
