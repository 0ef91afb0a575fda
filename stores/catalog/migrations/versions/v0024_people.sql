-- Second factors by role; keys that belong to a person; who did it, by id.

CREATE TABLE second_factor_rules (
    scope     text   PRIMARY KEY CHECK (strpos(scope, '/') = 0),
    set_by    text   NOT NULL,
    set_by_id text,
    set_ms    bigint NOT NULL
);
COMMENT ON TABLE second_factor_rules IS
    'Where people whose roles change, delete or export something need a second factor.';
COMMENT ON COLUMN second_factor_rules.scope IS '* or a tenant; a row says that it is required there';
COMMENT ON COLUMN second_factor_rules.set_by IS 'who required it, as people read it';
COMMENT ON COLUMN second_factor_rules.set_by_id IS 'the principal, such as user:ID; null: a command on the server';
COMMENT ON COLUMN second_factor_rules.set_ms IS 'UTC ms';
-- A new installation requires it. In one that has users or keys, an administrator decides.
INSERT INTO second_factor_rules (scope, set_by, set_ms)
SELECT '*', 'vigil catalog migrate', (extract(epoch FROM now()) * 1000)::bigint
WHERE NOT EXISTS (SELECT FROM users) AND NOT EXISTS (SELECT FROM api_keys);

ALTER TABLE api_keys ADD COLUMN owner text;
COMMENT ON COLUMN api_keys.owner IS
    'id of the user whose key it is: it may do no more than he, and ends with him; null: of a service or a device';

ALTER TABLE users ADD COLUMN provider_confirmed_ms bigint, ADD COLUMN provider_refused_ms bigint;
COMMENT ON COLUMN users.provider_confirmed_ms IS 'UTC ms when his OpenID provider last confirmed him; null: never, or a local user';
COMMENT ON COLUMN users.provider_refused_ms IS 'UTC ms since when his OpenID provider refuses him, null: it does not';
UPDATE users SET provider_confirmed_ms = updated_ms WHERE iss IS NOT NULL;

ALTER TABLE legal_holds ADD COLUMN added_by_id text, ADD COLUMN lifted_by_id text;
COMMENT ON COLUMN legal_holds.added_by_id IS 'the principal that placed it, such as user:ID; null: a command, or a version without this';
COMMENT ON COLUMN legal_holds.lifted_by_id IS 'the principal that lifted it, as added_by_id';
ALTER TABLE retention_rules ADD COLUMN set_by_id text;
COMMENT ON COLUMN retention_rules.set_by_id IS 'the principal that set it, such as user:ID; null: a command, or a version without this';
