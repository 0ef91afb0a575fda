-- $1 text: camera; $2, $3 bigint: first and last window's start, UTC ms, the last exclusive.
-- Whole rows, multiranges as text: what the consistency check compares with S3.
SELECT
    camera, run::text AS run, window_start_ms, window_ms, revision, digest, object_key, size_bytes,
    encode(sha256, 'hex') AS sha256, start_ms, end_ms, reason, video_codec, audio_codec, width,
    height, fragments, gaps, joined_ms, indexed_ms, seqs::text AS seqs, settled::text AS settled,
    covered::text AS covered, whole
FROM chunks
WHERE camera = $1 AND window_start_ms >= $2 AND window_start_ms < $3
ORDER BY window_start_ms, run
