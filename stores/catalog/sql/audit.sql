-- name: append_audit
-- $1 text: chain; $2 text: canonical entry without seq; $3 jsonb: list of {subject, sealed (base64)}.
-- Returns the entry's number and hash. Locks the chain until the transaction ends.
SELECT seq, hash FROM vigil_audit.append($1, $2, $3)


-- name: audit_subject_keys
-- $1 text: chain; $2 text[]: subjects; $3 bytea[]: a new key for each, used where it has none yet.
SELECT subject, vigil_audit.subject_key($1, subject, new_key) AS key
FROM unnest($2::text[], $3::bytea[]) AS given (subject, new_key)
