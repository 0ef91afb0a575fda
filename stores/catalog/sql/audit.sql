-- name: append_audit
-- $1 text: chain; $2 text: canonical entry without seq; $3 jsonb: list of {subject, sealed (base64)}.
-- Returns the entry's number and hash. Locks the chain until the transaction ends.
SELECT seq, hash FROM vigil_audit.append($1, $2, $3)


-- name: audit_subject_keys
-- $1 text: chain; $2 text[]: subjects; $3 bytea[]: a new key for each, used where it has none yet.
SELECT subject, vigil_audit.subject_key($1, subject, new_key) AS key
FROM unnest($2::text[], $3::bytea[]) AS given (subject, new_key)


-- name: list_audit
-- $1 text[]: scopes whose entries are shown, `*`: all; $2, $3 bigint: from and to, UTC ms; $4 text:
-- actor, null: any; $5 text: action, or what it starts with up to a colon, null: any; $6 text: scope or
-- other resource, with all below it, null: any; $7 text: outcome, null: any; $8 bigint, $9 text, $10
-- bigint: only entries before this time, chain and number; $11 integer: limit; $12 text: chain, null:
-- any. Newest first.
SELECT chain, seq, hash, entry, at_ms
FROM vigil_audit.entries
WHERE at_ms >= $2 AND at_ms < $3
  AND ('*' = ANY ($1::text[]) OR EXISTS (
      SELECT FROM unnest($1::text[]) AS scope
      WHERE chain = split_part(scope, '/', 1)
        AND (strpos(scope, '/') = 0 OR resource = scope OR starts_with(resource, scope || '/'))))
  AND ($4::text IS NULL OR actor = $4)
  AND ($5::text IS NULL OR action = $5 OR starts_with(action, $5 || ':'))
  AND ($6::text IS NULL OR resource = $6 OR starts_with(resource, $6 || '/'))
  AND ($7::text IS NULL OR entry::jsonb ->> 'outcome' = $7)
  AND ($12::text IS NULL OR chain = $12)
  AND (at_ms, chain, seq) < ($8::bigint, $9::text, $10::bigint)
ORDER BY at_ms DESC, chain DESC, seq DESC
LIMIT $11


-- name: audit_personal
-- $1 text[], $2 bigint[]: chains and numbers of entries. Returns what is not erased, with its key.
SELECT personal.chain, personal.seq, personal.subject, personal.sealed, subject_keys.key
FROM unnest($1::text[], $2::bigint[]) AS wanted (chain, seq)
JOIN vigil_audit.personal USING (chain, seq)
JOIN vigil_audit.subject_keys USING (chain, subject)
ORDER BY chain, seq, subject


-- name: audit_range
-- $1 text: chain; $2, $3 bigint: from and to, UTC ms. Returns the first and the last number of the
-- entries in this time, and the hash before the first. No entry: null.
SELECT
    min(seq) AS first_seq, max(seq) AS last_seq,
    (SELECT hash FROM vigil_audit.entries AS before
     WHERE before.chain = $1 AND before.seq = min(entries.seq) - 1) AS previous
FROM vigil_audit.entries
WHERE chain = $1 AND at_ms >= $2 AND at_ms < $3


-- name: audit_entries_after
-- $1 text: chain; $2, $3 bigint: only numbers above $2, up to $3; $4 integer: limit.
SELECT chain, seq, hash, entry FROM vigil_audit.entries
WHERE chain = $1 AND seq > $2 AND seq <= $3
ORDER BY seq
LIMIT $4


-- name: audit_chains
-- All chains, with the number of their newest entry.
SELECT chain, seq FROM vigil_audit.chains ORDER BY chain


-- name: unsigned_audit_chains
-- The chains with entries that no signed head covers, each with its newest entry and signed head.
SELECT chains.chain, chains.seq, chains.hash, signed.seq AS signed_seq, signed.hash AS signed_hash
FROM vigil_audit.chains
LEFT JOIN vigil_audit.signed USING (chain)
WHERE chains.seq > coalesce(signed.seq, 0)
ORDER BY chain


-- name: note_signed_head
-- $1 text: chain; $2 bigint: number; $3 bytea: hash; $4 bigint: now, UTC ms.
INSERT INTO vigil_audit.signed (chain, seq, hash, at_ms) VALUES ($1, $2, $3, $4)
ON CONFLICT (chain) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, at_ms = excluded.at_ms
WHERE signed.seq < excluded.seq


-- name: erase_audit_subject
-- $1 text: subject; $2 text: chain, null: all. Destroys its keys and its encrypted data. Returns how
-- many entries had data of it.
WITH keys AS (
    DELETE FROM vigil_audit.subject_keys WHERE subject = $1 AND ($2::text IS NULL OR chain = $2)
),
erased AS (
    DELETE FROM vigil_audit.personal WHERE subject = $1 AND ($2::text IS NULL OR chain = $2)
    RETURNING 1
)
SELECT count(*) FROM erased


-- name: erase_audit_chain_personal
-- $1 text: chain. Destroys the keys and the encrypted data of all subjects of a tenant. Returns how
-- many texts were erased.
WITH keys AS (DELETE FROM vigil_audit.subject_keys WHERE chain = $1),
erased AS (DELETE FROM vigil_audit.personal WHERE chain = $1 RETURNING 1)
SELECT count(*) FROM erased


-- name: note_audit_reads
-- $1 text[], $2 bigint[], $3 bytea[]: chain, minute (UTC ms) and key of each note. Returns those that
-- this minute did not have, whichever worker asks.
INSERT INTO vigil_audit.reads (chain, minute_ms, what)
SELECT DISTINCT chain, minute_ms, what FROM unnest($1::text[], $2::bigint[], $3::bytea[])
    AS given (chain, minute_ms, what)
ORDER BY chain, minute_ms, what
ON CONFLICT DO NOTHING
RETURNING chain, minute_ms, what


-- name: delete_old_audit_reads
-- $1 bigint: UTC ms. Notes of earlier minutes, of which no worker asks any more.
DELETE FROM vigil_audit.reads WHERE minute_ms < $1


-- name: audit_fork
-- $1 text: chain; $2 bigint: number. The newest entry that says that the entry of this number was lost
-- by a restore of the database.
SELECT seq FROM vigil_audit.entries
WHERE chain = $1 AND action = 'catalog:restore' AND seq <= $2
  AND (entry::jsonb #>> '{after,lost_to}')::bigint >= $2
ORDER BY seq DESC
LIMIT 1
