-- Sessions that OpenID providers opened.

CREATE TABLE oidc_sessions (
    session_id       text   PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    provider         text   NOT NULL,
    iss              text   NOT NULL,
    sub              text   NOT NULL,
    sid              text,
    tokens           bytea,
    access_until_ms  bigint,
    confirmed_ms     bigint NOT NULL,
    tried_ms         bigint NOT NULL,
    claimed_until_ms bigint NOT NULL DEFAULT 0
);
CREATE INDEX oidc_sessions_by_person ON oidc_sessions (iss, sub);
CREATE INDEX oidc_sessions_by_sid ON oidc_sessions (iss, sid);
COMMENT ON TABLE oidc_sessions IS
    'Sessions of people who signed in by an OpenID provider. It is asked about them again.';
COMMENT ON COLUMN oidc_sessions.session_id IS 'the session';
COMMENT ON COLUMN oidc_sessions.provider IS 'id of the provider in the file VIGIL_OIDC_FILE';
COMMENT ON COLUMN oidc_sessions.iss IS 'issuer of the provider';
COMMENT ON COLUMN oidc_sessions.sub IS 'subject at the provider; with iss the person';
COMMENT ON COLUMN oidc_sessions.sid IS 'session at the provider, which a logout token may name; null: not known';
COMMENT ON COLUMN oidc_sessions.tokens IS
    'AES-256-GCM of refresh and access token, by a key that is derived from VIGIL_SESSION_SECRET; null: none';
COMMENT ON COLUMN oidc_sessions.access_until_ms IS 'UTC ms when the access token expires, null: not known';
COMMENT ON COLUMN oidc_sessions.confirmed_ms IS 'UTC ms when the provider last confirmed the person';
COMMENT ON COLUMN oidc_sessions.tried_ms IS 'UTC ms when the provider was last asked';
COMMENT ON COLUMN oidc_sessions.claimed_until_ms IS 'UTC ms until which a web worker asks the provider; 0: none does';

CREATE TABLE oidc_used (
    hash     bytea  PRIMARY KEY,
    until_ms bigint NOT NULL
);
CREATE INDEX oidc_used_by_until ON oidc_used (until_ms);
COMMENT ON TABLE oidc_used IS
    'Answers and logout tokens of OpenID providers that were used: each works once, in all workers.';
COMMENT ON COLUMN oidc_used.hash IS 'SHA-256 of the state, or of the id of the logout token';
COMMENT ON COLUMN oidc_used.until_ms IS 'UTC ms when it expires anyway, and the row is deleted';
