-- Identities of edge devices, as their heartbeats report them.

ALTER TABLE edges
    ADD COLUMN identity_state      text,
    ADD COLUMN identity_generation integer,
    ADD COLUMN identity_renew_ms   bigint,
    ADD COLUMN identity_expires_ms bigint,
    ADD COLUMN clock_trust         text;
COMMENT ON COLUMN edges.identity_state IS
    'enrolled, locked, revoked, expired or damaged; null: not reported, or not enrolled';
COMMENT ON COLUMN edges.identity_generation IS 'of its newest certificate; null: none, or not reported';
COMMENT ON COLUMN edges.identity_renew_ms IS
    'UTC ms: the certificate is to be renewed from then on; null: none, or not reported';
COMMENT ON COLUMN edges.identity_expires_ms IS
    'UTC ms when the certificate expires; null: none, or not reported';
COMMENT ON COLUMN edges.clock_trust IS
    'agreed, wrong or unconfirmed: whether its clock is the cloud''s; null: not reported';
