-- $1 bigint: number; $2 text: who; $3 bigint: now, UTC ms. Returns the scope unless lifted before.
UPDATE legal_holds SET lifted_by = $2, lifted_ms = $3
WHERE id = $1 AND lifted_ms IS NULL
RETURNING scope
