-- $1 bigint[]: replays; $2 text: state; $3 text[]: states they may be in; $4 text: who; $5 bigint:
-- now, UTC ms. Those that are made current get a turn each: the one made current last counts.
UPDATE model_replays SET
    state = $2, changed_by = $4, changed_ms = $5,
    turn = CASE WHEN $2 = 'current' THEN nextval('model_turns') END
WHERE id = ANY ($1::bigint[]) AND state = ANY ($3::text[])
RETURNING id
