-- What the API changes: time zones of sites, disabled cameras, why holds end, keys' rotation.

ALTER TABLE sites ADD COLUMN zone text NOT NULL DEFAULT 'UTC';
COMMENT ON COLUMN sites.zone IS
    'IANA time zone, such as Europe/Berlin: its times are shown in it. UTC where no one set it';

ALTER TABLE cameras ADD COLUMN disabled_ms bigint;
COMMENT ON COLUMN cameras.disabled_ms IS
    'UTC ms since when it is not to be recorded, null: it is. The site''s configuration in the '
    'catalog is sent to the edge without it';

ALTER TABLE legal_holds ADD COLUMN lifted_why text;
COMMENT ON COLUMN legal_holds.lifted_why IS
    'why it was lifted, at most 500 characters, null while it is in force or where no one said';

ALTER TABLE api_keys ADD COLUMN created_by text;
COMMENT ON COLUMN api_keys.created_by IS
    'who created it, as key:N or user:N; null: a command on the server';
ALTER TABLE api_keys ADD COLUMN rotated_from bigint REFERENCES api_keys (id) ON DELETE SET NULL;
COMMENT ON COLUMN api_keys.rotated_from IS 'number of the key that it replaces, null for none';
CREATE INDEX api_keys_by_rotation ON api_keys (rotated_from) WHERE rotated_from IS NOT NULL;
