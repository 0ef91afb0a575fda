-- $1 text: camera; $2 bigint: windows that start before may be too old, UTC ms, null: none is;
-- $3, $4 bigint: indexed up to these, fragments and older revisions may go; $5 bigint, $6 uuid: only
-- rows after this window and run; $7 integer: at most so many. The domain judges what is found.
SELECT
    window_start_ms, run::text AS run, window_ms, revision, digest, object_key, size_bytes,
    start_ms, end_ms, indexed_ms, joined_gone, older_gone, gaps,
    (SELECT jsonb_agg(jsonb_build_array(lower(held), upper(held) - 1)) FROM unnest(seqs) AS held) AS seqs
FROM chunks
WHERE camera = $1
  AND (window_start_ms < $2
       OR joined_gone < revision AND indexed_ms <= $3
       OR older_gone < revision AND indexed_ms <= $4)
  AND (window_start_ms, run) > ($5, $6)
ORDER BY window_start_ms, run
LIMIT $7
