-- The audit log: append-only, one hash chain for each tenant.
--
-- It has a schema of its own, the same for all catalogs of the database: a replay that rebuilds the
-- catalog in another schema neither copies nor interrupts it. docs/design/audit.md says why.

CREATE SCHEMA IF NOT EXISTS vigil_audit;
COMMENT ON SCHEMA vigil_audit IS 'the audit log; no program may change or delete its entries';

CREATE TABLE IF NOT EXISTS vigil_audit.chains (
    chain text   PRIMARY KEY CHECK (length(chain) BETWEEN 1 AND 100),
    seq   bigint NOT NULL CHECK (seq >= 0),
    hash  bytea  NOT NULL CHECK (length(hash) = 32)
);
COMMENT ON TABLE vigil_audit.chains IS 'The newest entry of each chain. Its row is locked to append.';
COMMENT ON COLUMN vigil_audit.chains.chain IS 'the tenant, or * for the installation';
COMMENT ON COLUMN vigil_audit.chains.seq IS 'number of the newest entry, 0: there is none';
COMMENT ON COLUMN vigil_audit.chains.hash IS 'hash of the newest entry, 32 zero bytes: there is none';

CREATE TABLE IF NOT EXISTS vigil_audit.entries (
    chain    text   NOT NULL,
    seq      bigint NOT NULL CHECK (seq > 0),
    hash     bytea  NOT NULL CHECK (length(hash) = 32),
    entry    text   NOT NULL CHECK (octet_length(entry) <= 16384),
    at_ms    bigint NOT NULL GENERATED ALWAYS AS ((entry::jsonb ->> 'at_ms')::bigint) STORED,
    actor    text   NOT NULL GENERATED ALWAYS AS (entry::jsonb ->> 'actor') STORED,
    action   text   NOT NULL GENERATED ALWAYS AS (entry::jsonb ->> 'action') STORED,
    resource text   NOT NULL GENERATED ALWAYS AS (entry::jsonb ->> 'resource') STORED,
    PRIMARY KEY (chain, seq)
);
CREATE INDEX IF NOT EXISTS entries_by_time ON vigil_audit.entries (at_ms, chain, seq);
CREATE INDEX IF NOT EXISTS entries_by_chain ON vigil_audit.entries (chain, at_ms, seq);
CREATE INDEX IF NOT EXISTS entries_by_actor ON vigil_audit.entries (actor, chain, seq);
COMMENT ON TABLE vigil_audit.entries IS 'One act each, in canonical form. Rows are never changed.';
COMMENT ON COLUMN vigil_audit.entries.chain IS 'the tenant, or * for the installation';
COMMENT ON COLUMN vigil_audit.entries.seq IS 'number in its chain, from 1, without holes';
COMMENT ON COLUMN vigil_audit.entries.hash IS
    'SHA-256 of the byte 1, the hash of the entry before, and the entry';
COMMENT ON COLUMN vigil_audit.entries.entry IS 'canonical JSON (RFC 8785), at most 16 KiB';
COMMENT ON COLUMN vigil_audit.entries.at_ms IS 'UTC ms of the act, from the entry';
COMMENT ON COLUMN vigil_audit.entries.actor IS 'who acted, from the entry';
COMMENT ON COLUMN vigil_audit.entries.action IS 'what was done, from the entry';
COMMENT ON COLUMN vigil_audit.entries.resource IS 'on what, from the entry';

CREATE TABLE IF NOT EXISTS vigil_audit.subject_keys (
    chain   text  NOT NULL,
    subject text  NOT NULL CHECK (length(subject) BETWEEN 1 AND 200),
    key     bytea NOT NULL CHECK (length(key) = 32),
    PRIMARY KEY (chain, subject)
);
COMMENT ON TABLE vigil_audit.subject_keys IS
    'Keys of personal data. Without its key, a person''s data cannot be read: erasure deletes rows.';
COMMENT ON COLUMN vigil_audit.subject_keys.chain IS 'the chain whose personal data it encrypts';
COMMENT ON COLUMN vigil_audit.subject_keys.subject IS 'whose data it encrypts, such as user:17';
COMMENT ON COLUMN vigil_audit.subject_keys.key IS 'key of AES-256-GCM, 32 bytes';

CREATE TABLE IF NOT EXISTS vigil_audit.personal (
    chain   text   NOT NULL,
    seq     bigint NOT NULL,
    subject text   NOT NULL,
    sealed  bytea  NOT NULL CHECK (length(sealed) <= 16384),
    PRIMARY KEY (chain, seq, subject)
);
CREATE INDEX IF NOT EXISTS personal_by_subject ON vigil_audit.personal (subject, chain);
COMMENT ON TABLE vigil_audit.personal IS
    'Personal data of entries, encrypted. Erasure deletes rows; the chain has only hashes of them.';
COMMENT ON COLUMN vigil_audit.personal.chain IS 'chain of the entry';
COMMENT ON COLUMN vigil_audit.personal.seq IS 'number of the entry';
COMMENT ON COLUMN vigil_audit.personal.subject IS 'whose data it is, such as user:17';
COMMENT ON COLUMN vigil_audit.personal.sealed IS
    'nonce (12 bytes) and AES-256-GCM of salt and texts; bound to chain and subject';

CREATE TABLE IF NOT EXISTS vigil_audit.reads (
    chain     text   NOT NULL,
    minute_ms bigint NOT NULL,
    what      bytea  NOT NULL CHECK (length(what) = 16),
    PRIMARY KEY (chain, minute_ms, what)
);
COMMENT ON TABLE vigil_audit.reads IS
    'Which reads and refusals of the last minutes have an entry: each has one a minute, whichever '
    'workers answer it. Old rows are deleted.';
COMMENT ON COLUMN vigil_audit.reads.chain IS 'chain of the entry';
COMMENT ON COLUMN vigil_audit.reads.minute_ms IS 'UTC ms of the minute''s start';
COMMENT ON COLUMN vigil_audit.reads.what IS 'hash of actor, action, resource and part of the footage';

CREATE TABLE IF NOT EXISTS vigil_audit.signed (
    chain text   PRIMARY KEY,
    seq   bigint NOT NULL CHECK (seq > 0),
    hash  bytea  NOT NULL CHECK (length(hash) = 32),
    at_ms bigint NOT NULL
);
COMMENT ON TABLE vigil_audit.signed IS
    'The newest signed head of each chain, so that the next starts there. The heads are in S3.';
COMMENT ON COLUMN vigil_audit.signed.chain IS 'the tenant, or * for the installation';
COMMENT ON COLUMN vigil_audit.signed.seq IS 'number of the entry whose hash was signed';
COMMENT ON COLUMN vigil_audit.signed.hash IS 'the hash that was signed';
COMMENT ON COLUMN vigil_audit.signed.at_ms IS 'UTC ms when it was signed';

-- Adds an entry (canonical JSON without seq) to a chain in the caller's transaction. The chain's row
-- stays locked until that ends, so the chain has no holes: a rollback takes the number back.
CREATE OR REPLACE FUNCTION vigil_audit.append(given_chain text, given_entry text, given_personal jsonb)
RETURNS TABLE (seq bigint, hash bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = vigil_audit, pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    newest record;
    next_seq bigint;
    next_entry text;
    next_hash bytea;
BEGIN
    INSERT INTO chains VALUES (given_chain, 0, decode(repeat('00', 32), 'hex')) ON CONFLICT DO NOTHING;
    SELECT c.seq, c.hash INTO newest FROM chains AS c WHERE c.chain = given_chain FOR UPDATE;
    next_seq := newest.seq + 1;
    next_entry := left(given_entry, -1) || ',"seq":' || next_seq || '}';
    next_hash := sha256('\x01'::bytea || newest.hash || convert_to(next_entry, 'UTF8'));
    IF given_entry::jsonb ->> 'chain' IS DISTINCT FROM given_chain THEN
        RAISE EXCEPTION 'an entry of another chain' USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO entries (chain, seq, hash, entry) VALUES (given_chain, next_seq, next_hash, next_entry);
    INSERT INTO personal (chain, seq, subject, sealed)
    SELECT given_chain, next_seq, each ->> 'subject', decode(each ->> 'sealed', 'base64')
    FROM jsonb_array_elements(given_personal) AS each;
    UPDATE chains AS c SET seq = next_seq, hash = next_hash WHERE c.chain = given_chain;
    RETURN QUERY SELECT next_seq, next_hash;
END $$;
COMMENT ON FUNCTION vigil_audit.append IS 'adds an entry to a chain, in the transaction of the act';

-- Returns the key of a subject; the given one where it has none yet.
CREATE OR REPLACE FUNCTION vigil_audit.subject_key(given_chain text, given_subject text, new_key bytea)
RETURNS bytea
LANGUAGE sql SECURITY DEFINER SET search_path = vigil_audit, pg_catalog, pg_temp AS $$
    INSERT INTO subject_keys VALUES (given_chain, given_subject, new_key) ON CONFLICT DO NOTHING;
    SELECT key FROM subject_keys WHERE chain = given_chain AND subject = given_subject;
$$;
COMMENT ON FUNCTION vigil_audit.subject_key IS 'the key of a subject''s personal data, made if missing';

CREATE OR REPLACE FUNCTION vigil_audit.refuse() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only: % of %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON vigil_audit.entries
    FOR EACH STATEMENT EXECUTE FUNCTION vigil_audit.refuse();
CREATE OR REPLACE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON vigil_audit.chains
    FOR EACH STATEMENT EXECUTE FUNCTION vigil_audit.refuse();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON vigil_audit.personal
    FOR EACH STATEMENT EXECUTE FUNCTION vigil_audit.refuse();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON vigil_audit.subject_keys
    FOR EACH STATEMENT EXECUTE FUNCTION vigil_audit.refuse();

-- A chain's newest entry only moves on, to an entry that exists.
CREATE OR REPLACE FUNCTION vigil_audit.check_head() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.chain <> OLD.chain OR NEW.seq <> OLD.seq + 1 OR NOT EXISTS (
        SELECT FROM vigil_audit.entries
        WHERE entries.chain = NEW.chain AND entries.seq = NEW.seq AND entries.hash = NEW.hash
    ) THEN
        RAISE EXCEPTION 'the audit log is append-only: a chain''s head only moves to the next entry'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER moves_on BEFORE UPDATE ON vigil_audit.chains
    FOR EACH ROW EXECUTE FUNCTION vigil_audit.check_head();

REVOKE ALL ON SCHEMA vigil_audit FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA vigil_audit FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA vigil_audit FROM PUBLIC;
