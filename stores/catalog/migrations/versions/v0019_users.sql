-- Users, groups, and sessions as rows.

CREATE TABLE users (
    id            text   PRIMARY KEY,
    login         text   UNIQUE,
    display_name  text   NOT NULL,
    scope         text   NOT NULL,
    password_hash text,
    password_ms   bigint,
    iss           text,
    sub           text,
    disabled_ms   bigint,
    created_ms    bigint NOT NULL,
    updated_ms    bigint NOT NULL,
    version       bigint NOT NULL DEFAULT 1,
    UNIQUE (iss, sub),
    CHECK ((iss IS NULL) = (sub IS NULL)),
    CHECK (login IS NOT NULL OR iss IS NOT NULL)
);
COMMENT ON TABLE users IS 'People who sign in. Kept by `vigil user`, the API and OIDC.';
COMMENT ON COLUMN users.id IS '16 random hex digits; the principal is user:ID';
COMMENT ON COLUMN users.login IS 'name for the sign-in with a password, lower case; null: only by OIDC';
COMMENT ON COLUMN users.display_name IS 'as lists show it, at most 100 characters';
COMMENT ON COLUMN users.scope IS 'who has users:manage on this scope manages the user: * or a tenant, site, camera';
COMMENT ON COLUMN users.password_hash IS 'argon2id in its own text form; null: no password is set';
COMMENT ON COLUMN users.password_ms IS 'UTC ms when the password was set';
COMMENT ON COLUMN users.iss IS 'issuer of the OIDC provider, null for a local user';
COMMENT ON COLUMN users.sub IS 'subject at the OIDC provider; with iss the identity';
COMMENT ON COLUMN users.disabled_ms IS 'UTC ms since when the user may not sign in, null: he may';
COMMENT ON COLUMN users.created_ms IS 'UTC ms';
COMMENT ON COLUMN users.updated_ms IS 'UTC ms of the last change';
COMMENT ON COLUMN users.version IS 'grows by one with each change that an administrator makes';

CREATE TABLE user_grants (
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role    text NOT NULL,
    scope   text NOT NULL,
    PRIMARY KEY (user_id, scope, role)
);
COMMENT ON TABLE user_grants IS 'Roles of users. A role on a scope holds for everything below it.';
COMMENT ON COLUMN user_grants.user_id IS 'the user';
COMMENT ON COLUMN user_grants.role IS 'a role of domain/access.py';
COMMENT ON COLUMN user_grants.scope IS '*, tenant, tenant/site or tenant/site/camera';

CREATE TABLE groups (
    id         text   PRIMARY KEY,
    name       text   NOT NULL,
    scope      text   NOT NULL,
    created_ms bigint NOT NULL,
    version    bigint NOT NULL DEFAULT 1,
    UNIQUE (scope, name)
);
COMMENT ON TABLE groups IS 'Users who have the same grants.';
COMMENT ON COLUMN groups.id IS '16 random hex digits';
COMMENT ON COLUMN groups.name IS 'as lists show it, at most 100 characters';
COMMENT ON COLUMN groups.scope IS 'who has users:manage on this scope manages the group';
COMMENT ON COLUMN groups.created_ms IS 'UTC ms';
COMMENT ON COLUMN groups.version IS 'grows by one with each change';

CREATE TABLE group_members (
    group_id text NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    user_id  text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    source   text NOT NULL DEFAULT 'local' CHECK (source IN ('local', 'oidc')),
    PRIMARY KEY (group_id, user_id, source)
);
CREATE INDEX group_members_by_user ON group_members (user_id);
COMMENT ON TABLE group_members IS 'Who is in which group.';
COMMENT ON COLUMN group_members.group_id IS 'the group';
COMMENT ON COLUMN group_members.user_id IS 'the user';
COMMENT ON COLUMN group_members.source IS 'local: an administrator added him; oidc: the provider reports him as a member';

CREATE TABLE group_grants (
    group_id text NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    role     text NOT NULL,
    scope    text NOT NULL,
    PRIMARY KEY (group_id, scope, role)
);
COMMENT ON TABLE group_grants IS 'Roles that all members of a group have.';
COMMENT ON COLUMN group_grants.group_id IS 'the group';
COMMENT ON COLUMN group_grants.role IS 'a role of domain/access.py';
COMMENT ON COLUMN group_grants.scope IS '*, tenant, tenant/site or tenant/site/camera';

-- Apart from users, so that a role that reads users does not read these.
CREATE TABLE user_totp (
    user_id      text   PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    secret       bytea  NOT NULL,
    confirmed_ms bigint,
    last_step    bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE user_totp IS 'Second factors: time-based one-time passwords (RFC 6238).';
COMMENT ON COLUMN user_totp.user_id IS 'the user';
COMMENT ON COLUMN user_totp.secret IS 'AES-256-GCM of the secret, by a key that is derived from VIGIL_SESSION_SECRET';
COMMENT ON COLUMN user_totp.confirmed_ms IS 'UTC ms when a first code was right, null: enrolment is not finished';
COMMENT ON COLUMN user_totp.last_step IS 'time step (30 s) of the last code that was used: no code works twice';

CREATE TABLE recovery_codes (
    user_id text  NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash    bytea NOT NULL,
    PRIMARY KEY (user_id, hash)
);
COMMENT ON TABLE recovery_codes IS 'Codes for people who lost their second factor. A used one is deleted.';
COMMENT ON COLUMN recovery_codes.user_id IS 'the user';
COMMENT ON COLUMN recovery_codes.hash IS 'SHA-256 of the code, which has 80 random bits';

CREATE TABLE sessions (
    id         text   PRIMARY KEY,
    hash       bytea  NOT NULL UNIQUE,
    user_id    text   REFERENCES users (id) ON DELETE CASCADE,
    key        bigint REFERENCES api_keys (id) ON DELETE CASCADE,
    created_ms bigint NOT NULL,
    seen_ms    bigint NOT NULL,
    until_ms   bigint NOT NULL,
    ended_ms   bigint,
    address    text   NOT NULL,
    agent      text   NOT NULL,
    CHECK ((user_id IS NULL) <> (key IS NULL))
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_key ON sessions (key);
CREATE INDEX sessions_by_until ON sessions (until_ms);
COMMENT ON TABLE sessions IS 'Sign-ins. A row is deleted after its time is over.';
COMMENT ON COLUMN sessions.id IS '16 random hex digits, shown in lists; it opens nothing';
COMMENT ON COLUMN sessions.hash IS 'SHA-256 of the cookie, which has 256 random bits and is stored nowhere';
COMMENT ON COLUMN sessions.user_id IS 'the user who signed in; null: an API key did';
COMMENT ON COLUMN sessions.key IS 'number of the API key that signed in; null: a user did';
COMMENT ON COLUMN sessions.created_ms IS 'UTC ms of the sign-in';
COMMENT ON COLUMN sessions.seen_ms IS 'UTC ms of the last request, to the minute';
COMMENT ON COLUMN sessions.until_ms IS 'UTC ms when it ends even if it is in use';
COMMENT ON COLUMN sessions.ended_ms IS 'UTC ms when it was signed out or revoked, null: it was not';
COMMENT ON COLUMN sessions.address IS 'address of the browser at the sign-in';
COMMENT ON COLUMN sessions.agent IS 'User-Agent of the browser at the sign-in, at most 300 characters';

CREATE TABLE device_cookies (
    hash       bytea  PRIMARY KEY,
    user_id    text   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    until_ms   bigint NOT NULL
);
CREATE INDEX device_cookies_by_user ON device_cookies (user_id);
CREATE INDEX device_cookies_by_until ON device_cookies (until_ms);
COMMENT ON TABLE device_cookies IS
    'Browsers in which a user has signed in. Attempts of others do not limit the attempts from these.';
COMMENT ON COLUMN device_cookies.hash IS 'SHA-256 of the cookie, which has 256 random bits';
COMMENT ON COLUMN device_cookies.user_id IS 'the user';
COMMENT ON COLUMN device_cookies.until_ms IS 'UTC ms when it expires';

CREATE TABLE sign_in_limits (
    subject text   PRIMARY KEY,
    next_ms bigint NOT NULL
);
CREATE INDEX sign_in_limits_by_next ON sign_in_limits (next_ms);
COMMENT ON TABLE sign_in_limits IS
    'How many attempts to sign in are left, for all web workers. A row is deleted when all are.';
COMMENT ON COLUMN sign_in_limits.subject IS 'what is limited: a network, or the SHA-256 of an account or of a device cookie';
COMMENT ON COLUMN sign_in_limits.next_ms IS 'UTC ms when all attempts are allowed again (theoretical arrival time of GCRA)';
