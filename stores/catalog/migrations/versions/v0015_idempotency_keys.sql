-- Idempotency keys of requests, and the answers that were given.

CREATE TABLE idempotency_keys (
    principal    text   NOT NULL CHECK (length(principal) <= 200),
    key_hash     bytea  NOT NULL CHECK (length(key_hash) = 32),
    request_hash bytea  NOT NULL CHECK (length(request_hash) = 32),
    created_ms   bigint NOT NULL,
    claimed_ms   bigint NOT NULL,
    token        uuid   NOT NULL,
    status       int,
    headers      jsonb,
    body         bytea  CHECK (length(body) <= 65536),
    PRIMARY KEY (principal, key_hash)
);
CREATE INDEX idempotency_keys_by_created ON idempotency_keys (created_ms);
COMMENT ON TABLE idempotency_keys IS
    'Requests with an Idempotency-Key: one that is sent again is answered as the first was. A row '
    'is deleted after 24 hours.';
COMMENT ON COLUMN idempotency_keys.principal IS 'who sent the request';
COMMENT ON COLUMN idempotency_keys.key_hash IS 'SHA-256 of the key';
COMMENT ON COLUMN idempotency_keys.request_hash IS 'SHA-256 of method, path, query and body';
COMMENT ON COLUMN idempotency_keys.created_ms IS 'UTC ms of the first request';
COMMENT ON COLUMN idempotency_keys.claimed_ms IS 'UTC ms since when a worker answers it';
COMMENT ON COLUMN idempotency_keys.token IS 'names that worker''s attempt';
COMMENT ON COLUMN idempotency_keys.status IS 'HTTP status of the answer; null: none yet';
COMMENT ON COLUMN idempotency_keys.headers IS 'headers of the answer';
COMMENT ON COLUMN idempotency_keys.body IS 'body of the answer; null: too long, or a secret';
