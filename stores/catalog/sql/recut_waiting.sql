-- $1 text: camera; $2, $3 bigint: from and to, UTC ms. Whether a fragment there is in no chunk.
SELECT EXISTS (
    SELECT FROM fragments WHERE camera = $1 AND start_ms >= $2 AND start_ms < $3
) AS waiting
