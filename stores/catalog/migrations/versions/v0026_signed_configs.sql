-- A version is signed where it is set: the catalog has the signature, never the private key.

ALTER TABLE site_configs
    ADD COLUMN not_before_ms bigint,
    ADD COLUMN signed_by     text,
    ADD COLUMN signature     bytea CHECK (length(signature) = 64),
    ADD CONSTRAINT site_configs_signed CHECK (num_nulls(not_before_ms, signed_by, signature) IN (0, 3));
COMMENT ON COLUMN site_configs.not_before_ms IS 'UTC ms from which a signed version holds';
COMMENT ON COLUMN site_configs.signed_by IS 'id of the configuration key, null: not signed';
COMMENT ON COLUMN site_configs.signature IS 'Ed25519, over site, version, not_before_ms and document';

CREATE TABLE config_keys (
    number      integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          text    NOT NULL UNIQUE,
    public_key  bytea   NOT NULL CHECK (length(public_key) = 32),
    added_ms    bigint  NOT NULL,
    endorsed_by text,
    endorsement bytea CHECK (length(endorsement) = 64),
    CHECK (num_nulls(endorsed_by, endorsement) IN (0, 2))
);
COMMENT ON TABLE config_keys IS
    'Public keys that verify the configuration of sites. The newest is pinned at enrolment.';
COMMENT ON COLUMN config_keys.number IS 'counts up: the highest is the newest key';
COMMENT ON COLUMN config_keys.id IS 'half of the SHA-256 of the public key, hex';
COMMENT ON COLUMN config_keys.public_key IS 'Ed25519, raw';
COMMENT ON COLUMN config_keys.added_ms IS 'UTC ms';
COMMENT ON COLUMN config_keys.endorsed_by IS 'id of the key before it, null: the first key';
COMMENT ON COLUMN config_keys.endorsement IS 'signature of the key before it over the public key';
