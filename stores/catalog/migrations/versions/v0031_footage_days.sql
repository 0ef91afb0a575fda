-- How much footage chunks hold, by camera and day: for the pages of the status and of the cost.
-- Triggers keep it, so it is right whatever statement of whatever version changes chunks.

CREATE TABLE footage_days (
    camera      text    NOT NULL,
    day_ms      bigint  NOT NULL,
    chunks      integer NOT NULL,
    fragments   bigint  NOT NULL,
    size_bytes  bigint  NOT NULL,
    recorded_ms bigint  NOT NULL,
    PRIMARY KEY (camera, day_ms)
) WITH (fillfactor = 70);
COMMENT ON TABLE footage_days IS
    'How much footage the chunks of a camera and a UTC day hold. Kept by triggers on chunks.';
COMMENT ON COLUMN footage_days.camera IS 'tenant/site/camera';
COMMENT ON COLUMN footage_days.day_ms IS 'UTC ms of the day''s start; a chunk counts where its window starts';
COMMENT ON COLUMN footage_days.chunks IS 'how many chunks';
COMMENT ON COLUMN footage_days.fragments IS 'how many fragments they hold';
COMMENT ON COLUMN footage_days.size_bytes IS 'bytes of their objects';
COMMENT ON COLUMN footage_days.recorded_ms IS 'time that they cover, without holes, ms';

CREATE TABLE footage_days_to_fill (
    part text PRIMARY KEY
);
COMMENT ON TABLE footage_days_to_fill IS
    'Partitions of chunks from before footage_days. `vigil catalog migrate` counts each once.';
COMMENT ON COLUMN footage_days_to_fill.part IS 'name of the partition, chunks_YYYYMMDD';

INSERT INTO footage_days_to_fill (part)
SELECT part.relname::text
FROM pg_inherits
JOIN pg_class AS part ON part.oid = inhrelid
WHERE inhparent = to_regclass('chunks');

CREATE FUNCTION covered_ms(given int8multirange) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(sum(upper(part) - lower(part)), 0)::bigint FROM unnest(given) AS part
$$;
COMMENT ON FUNCTION covered_ms(int8multirange) IS 'Sum of the lengths of the intervals.';

CREATE FUNCTION seq_count(given int4multirange) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(sum(upper(part) - lower(part)), 0)::bigint FROM unnest(given) AS part
$$;
COMMENT ON FUNCTION seq_count(int4multirange) IS 'How many seqs it has.';

-- Of many cameras, rows are locked in one order. Updates and deletions find no row of a day that is
-- not counted yet: then there is nothing to change.
CREATE FUNCTION add_to_footage_days() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO footage_days AS known (camera, day_ms, chunks, fragments, size_bytes, recorded_ms)
    SELECT
        camera, window_start_ms - window_start_ms % 86400000 AS day_ms, count(*),
        sum(seq_count(seqs)), sum(added.size_bytes), sum(covered_ms(covered))
    FROM added
    GROUP BY 1, 2
    ORDER BY 1, 2
    ON CONFLICT (camera, day_ms) DO UPDATE SET
        chunks = known.chunks + excluded.chunks,
        fragments = known.fragments + excluded.fragments,
        size_bytes = known.size_bytes + excluded.size_bytes,
        recorded_ms = known.recorded_ms + excluded.recorded_ms;
    RETURN NULL;
END
$$;

CREATE FUNCTION change_footage_days() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    UPDATE footage_days AS known SET
        chunks = known.chunks + more.chunks, fragments = known.fragments + more.fragments,
        size_bytes = known.size_bytes + more.size_bytes,
        recorded_ms = known.recorded_ms + more.recorded_ms
    FROM (
        SELECT
            each.camera, each.day_ms, sum(each.sign) AS chunks, sum(each.sign * seq_count(each.seqs)) AS fragments,
            sum(each.sign * each.size_bytes) AS size_bytes,
            sum(each.sign * covered_ms(each.covered)) AS recorded_ms
        FROM (
            SELECT camera, window_start_ms - window_start_ms % 86400000 AS day_ms, 1 AS sign,
                seqs, size_bytes, covered
            FROM added
            UNION ALL
            SELECT camera, window_start_ms - window_start_ms % 86400000, -1, seqs, size_bytes, covered
            FROM removed
        ) AS each
        GROUP BY each.camera, each.day_ms
    ) AS more
    WHERE known.camera = more.camera AND known.day_ms = more.day_ms
      AND (more.chunks <> 0 OR more.fragments <> 0 OR more.size_bytes <> 0 OR more.recorded_ms <> 0);
    RETURN NULL;
END
$$;

CREATE FUNCTION remove_from_footage_days() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    WITH less AS (
        SELECT
            camera, window_start_ms - window_start_ms % 86400000 AS day_ms, count(*) AS chunks,
            sum(seq_count(seqs)) AS fragments, sum(removed.size_bytes) AS size_bytes,
            sum(covered_ms(covered)) AS recorded_ms
        FROM removed
        GROUP BY 1, 2
    ), emptied AS (
        DELETE FROM footage_days AS known USING less
        WHERE known.camera = less.camera AND known.day_ms = less.day_ms
          AND known.chunks <= less.chunks
    )
    UPDATE footage_days AS known SET
        chunks = known.chunks - less.chunks, fragments = known.fragments - less.fragments,
        size_bytes = known.size_bytes - less.size_bytes,
        recorded_ms = known.recorded_ms - less.recorded_ms
    FROM less
    WHERE known.camera = less.camera AND known.day_ms = less.day_ms AND known.chunks > less.chunks;
    RETURN NULL;
END
$$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['add_to_footage_days', 'change_footage_days', 'remove_from_footage_days'] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = %I, pg_temp', name, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %I() FROM PUBLIC', name);
    END LOOP;
END
$$;

CREATE TRIGGER add_to_footage_days AFTER INSERT ON chunks
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION add_to_footage_days();
CREATE TRIGGER change_footage_days AFTER UPDATE ON chunks
    REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION change_footage_days();
CREATE TRIGGER remove_from_footage_days AFTER DELETE ON chunks
    REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION remove_from_footage_days();
