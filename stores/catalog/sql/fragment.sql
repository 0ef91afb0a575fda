-- $1 text: camera; $2 uuid: run; $3 integer: seq. Where the fragment's bytes are: an object of
-- its own (no object_key) or a part of a chunk.
SELECT size_bytes, encode(sha256, 'hex') AS sha256, NULL AS object_key, 0::bigint AS "offset"
FROM fragments
WHERE camera = $1 AND run = $2 AND seq = $3
UNION ALL
SELECT held.size_bytes, held.sha256, chunks.object_key, held."offset"
FROM chunks
CROSS JOIN LATERAL jsonb_to_recordset(chunks.fragments) AS held (
    seq integer, size_bytes bigint, sha256 text, "offset" bigint)
WHERE chunks.run = $2 AND chunks.last_seq >= $3 AND chunks.seqs @> $3::integer
  AND chunks.camera = $1 AND held.seq = $3
LIMIT 1
