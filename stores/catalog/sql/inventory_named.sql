-- $1 text: camera; $2 text[]: keys of chunk objects. Those that a chunk's row names.
SELECT object_key FROM chunks WHERE camera = $1 AND object_key = ANY($2)
