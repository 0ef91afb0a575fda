-- $1 boolean: the lifted ones too. Oldest first.
SELECT id, scope, from_ms, to_ms, added_by, why, added_ms, lifted_by, lifted_ms
FROM legal_holds
WHERE $1 OR lifted_ms IS NULL
ORDER BY id
