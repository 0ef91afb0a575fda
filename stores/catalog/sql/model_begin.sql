-- $1 text: camera; $2, $3 text: model, version; $4, $5 bigint: from and to, UTC ms; $6 integer:
-- pictures in 1000 s, null: keyframes; $7 boolean: only with motion; $8 text: who; $9 bigint: now.
INSERT INTO model_replays (
    camera, model, model_version, from_ms, to_ms, rate_mfps, gated, state, changed_by, changed_ms,
    started_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'running', $8, $9, $9)
RETURNING *, covered::text AS looked
