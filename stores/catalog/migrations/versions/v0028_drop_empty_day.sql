-- Drops an empty partition of a day, with the owner's rights. Returns whether it did.
-- Its tables are those of its own schema, whatever the search path of the caller.

CREATE FUNCTION drop_empty_day(whole text, part text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    is_empty boolean;
BEGIN
    IF whole NOT IN ('chunks', 'detections', 'detection_minutes')
        OR part !~ ('^' || whole || '_\d{8}$')
        OR NOT EXISTS (
            SELECT FROM pg_inherits
            WHERE inhparent = to_regclass(whole) AND inhrelid = to_regclass(part))
    THEN
        RAISE EXCEPTION '% of % is not a partition of the catalog', part, whole;
    END IF;
    -- First without the lock: most days have rows.
    EXECUTE format('SELECT NOT EXISTS (SELECT FROM %I)', part) INTO is_empty;
    IF NOT is_empty THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('ensure_day', 0));
    EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', whole);
    EXECUTE format('SELECT NOT EXISTS (SELECT FROM %I)', part) INTO is_empty;
    IF NOT is_empty THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE %I', part);
    RETURN true;
END
$$;

DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION drop_empty_day(text, text) SET search_path = %I, pg_temp',
                   current_schema());
    EXECUTE 'REVOKE EXECUTE ON FUNCTION drop_empty_day(text, text) FROM PUBLIC';
END
$$;
