-- $1 text: camera; $2 uuid: run; $3 int4multirange as text: seqs; $4 integer: only above this seq;
-- $5 integer: at most so many. What current chunks tell of these fragments, by seq.
SELECT
    held.seq, held.start_ms, held.duration_ms, held.start_pts, held.size_bytes, held.sha256,
    greatest(coalesce(held.frames, 1), 1) AS frames, held.keyframes, chunks.video_codec,
    chunks.audio_codec, chunks.width, chunks.height
FROM chunks
CROSS JOIN LATERAL jsonb_to_recordset(chunks.fragments) AS held (
    seq integer, start_ms bigint, duration_ms integer, start_pts bigint, size_bytes bigint,
    sha256 text, frames integer, keyframes jsonb)
WHERE chunks.run = $2 AND chunks.last_seq > $4 AND chunks.camera = $1
  AND chunks.seqs && $3::text::int4multirange
  AND $3::text::int4multirange @> held.seq AND held.seq > $4
ORDER BY held.seq
LIMIT $5
