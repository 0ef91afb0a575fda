-- $1 text: scope; $2 integer: days; $3 text: who; $4 bigint: now, UTC ms.
INSERT INTO retention_rules (scope, days, set_by, set_ms)
VALUES ($1, $2, $3, $4)
ON CONFLICT (scope) DO UPDATE SET
    days = excluded.days, set_by = excluded.set_by, set_ms = excluded.set_ms
