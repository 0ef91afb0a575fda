-- ensure_day with the owner's rights: only the owner of a table may add a partition.
-- Its tables are those of its own schema, whatever the search path of the caller.

DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION ensure_day(text, bigint) SECURITY DEFINER SET search_path = %I, pg_temp',
                   current_schema());
END
$$;
