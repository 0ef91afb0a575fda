-- Sessions that were signed out of.

CREATE TABLE ended_sessions (
    session  text   PRIMARY KEY CHECK (length(session) <= 64),
    until_ms bigint NOT NULL
);
CREATE INDEX ended_sessions_by_until ON ended_sessions (until_ms);
COMMENT ON TABLE ended_sessions IS
    'Sessions that people signed out of: no web worker accepts their cookies any more. A row is '
    'deleted after its cookie has expired.';
COMMENT ON COLUMN ended_sessions.session IS 'id of the session, as the signed cookie names it';
COMMENT ON COLUMN ended_sessions.until_ms IS 'UTC ms when the cookie expires';
