-- $1 jsonb: list of deletions. Notes them as under way.
INSERT INTO deletions (
    camera, run, what, first_seq, last_seq, window_start_ms, digest, cause, from_ms, to_ms,
    size_bytes, decided_ms, window_ms, not_before_ms)
SELECT
    camera, run, what, first_seq, last_seq, window_start_ms, digest, cause, from_ms, to_ms,
    size_bytes, decided_ms, window_ms, not_before_ms
FROM jsonb_to_recordset($1::jsonb) AS d (
    camera text, run uuid, what text, first_seq integer, last_seq integer,
    window_start_ms bigint, digest text, cause text, from_ms bigint, to_ms bigint,
    size_bytes bigint, decided_ms bigint, window_ms integer, not_before_ms bigint)
