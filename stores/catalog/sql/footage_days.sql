-- name: footage_days_to_fill
-- The partitions of chunks that are not counted yet, the newest first.
SELECT part FROM footage_days_to_fill ORDER BY part DESC


-- name: fill_footage_days
-- Counts the chunks of the partition :part (the caller replaces the word, and locks it).
INSERT INTO footage_days AS known (camera, day_ms, chunks, fragments, size_bytes, recorded_ms)
SELECT
    camera, window_start_ms - window_start_ms % 86400000 AS day_ms, count(*),
    sum(seq_count(seqs)), sum(size_bytes), sum(covered_ms(covered))
FROM :part
GROUP BY 1, 2
ON CONFLICT (camera, day_ms) DO UPDATE SET
    chunks = excluded.chunks, fragments = excluded.fragments, size_bytes = excluded.size_bytes,
    recorded_ms = excluded.recorded_ms


-- name: footage_days_filled
-- $1 text: partition that is counted, or gone.
DELETE FROM footage_days_to_fill WHERE part = $1


-- name: stored_by_site
-- $1, $2 bigint: first day and the day after the last of those that count as recent, UTC ms. For each
-- site, the largest first: what its chunks hold, and what those of the recent days hold.
SELECT
    split_part(camera, '/', 1) || '/' || split_part(camera, '/', 2) AS site,
    sum(size_bytes)::bigint AS size_bytes,
    coalesce(sum(size_bytes) FILTER (WHERE day_ms >= $1 AND day_ms < $2), 0)::bigint AS recent_bytes,
    count(DISTINCT camera) AS cameras,
    min(day_ms) AS oldest_day_ms
FROM footage_days
GROUP BY 1
ORDER BY 2 DESC, 1


-- name: stored_by_day
-- $1 bigint: the first day, UTC ms. For each day since then: the bytes of its chunks, as they are kept.
SELECT day_ms, sum(size_bytes)::bigint AS size_bytes
FROM footage_days
WHERE day_ms >= $1
GROUP BY day_ms
ORDER BY day_ms


-- name: recorded_of_cameras
-- $1, $2 bigint: first day and the day after the last, UTC ms. Of each camera in use: what its whole
-- days hold, without the day on which its footage begins. Null: no footage of these days.
SELECT
    cameras.id AS camera, sum(days.size_bytes)::bigint AS size_bytes,
    sum(days.recorded_ms)::bigint AS recorded_ms, sum(days.fragments)::bigint AS fragments,
    count(days.day_ms) AS days
FROM cameras
LEFT JOIN footage ON footage.camera = cameras.id
LEFT JOIN footage_days AS days
    ON days.camera = cameras.id AND days.day_ms >= $1 AND days.day_ms < $2
    AND days.day_ms >= footage.first_ms
WHERE cameras.retired_ms IS NULL AND cameras.disabled_ms IS NULL
GROUP BY cameras.id
ORDER BY cameras.id


-- name: wal_archive
-- What PostgreSQL itself says of the archive of its WAL. It does not know where that is, nor whether it
-- can be read.
SELECT
    current_setting('archive_mode') AS mode,
    (extract(epoch FROM last_archived_time) * 1000)::bigint AS archived_ms,
    (extract(epoch FROM last_failed_time) * 1000)::bigint AS failed_ms
FROM pg_stat_archiver
