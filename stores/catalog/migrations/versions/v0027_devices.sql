-- Devices, their keys, the codes that enrol them, and what a site does with unsigned events.

CREATE TABLE devices (
    id             text    PRIMARY KEY,
    site           text    NOT NULL REFERENCES sites (id),
    state          text    NOT NULL CHECK (state IN ('enrolled', 'locked', 'revoked')),
    generation     integer NOT NULL CHECK (generation > 0),
    key            text    NOT NULL,
    certificate    text    NOT NULL,
    renewal_id     text    NOT NULL,
    can_rejoin     boolean NOT NULL DEFAULT false,
    enrolled_ms    bigint  NOT NULL,
    renewed_ms     bigint  NOT NULL,
    expires_ms     bigint  NOT NULL,
    locked_ms      bigint,
    locked_why     text,
    revoked_ms     bigint,
    changed_ms     bigint  NOT NULL
);
CREATE INDEX devices_by_site ON devices (site);
CREATE INDEX devices_by_change ON devices (changed_ms);
COMMENT ON TABLE devices IS
    'Devices that were enrolled. What they say is believed by their signature. Kept by the enrolment '
    'service and `vigil device`.';
COMMENT ON COLUMN devices.id IS 'tenant/site/device in slugs';
COMMENT ON COLUMN devices.site IS 'tenant/site: it may send events about the cameras of this site';
COMMENT ON COLUMN devices.state IS
    'enrolled; locked: two devices held the identity; revoked: by an operator. Events of the last two '
    'are refused';
COMMENT ON COLUMN devices.generation IS 'of its newest certificate; each renewal adds one';
COMMENT ON COLUMN devices.key IS 'id of its key, in device_keys';
COMMENT ON COLUMN devices.certificate IS 'its newest certificate, PEM: a renewal whose answer was lost gets it again';
COMMENT ON COLUMN devices.renewal_id IS
    'random id of the request for the newest certificate. Another id for the same generation means two '
    'holders';
COMMENT ON COLUMN devices.can_rejoin IS
    'true after an unlock: the next renewal is accepted with whatever generation';
COMMENT ON COLUMN devices.enrolled_ms IS 'UTC ms when its key was enrolled';
COMMENT ON COLUMN devices.renewed_ms IS 'UTC ms when the newest certificate was issued';
COMMENT ON COLUMN devices.expires_ms IS 'UTC ms when the newest certificate expires';
COMMENT ON COLUMN devices.locked_ms IS 'UTC ms when it was locked, null: it is not';
COMMENT ON COLUMN devices.locked_why IS 'why it was locked, for people; null: it is not';
COMMENT ON COLUMN devices.revoked_ms IS 'UTC ms when it was revoked, null: it is not';
COMMENT ON COLUMN devices.changed_ms IS 'UTC ms of the last change, by the clock of PostgreSQL';

CREATE TABLE device_keys (
    id               text    PRIMARY KEY,
    device           text    NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    public_key       bytea   NOT NULL CHECK (length(public_key) = 32),
    first_generation integer NOT NULL,
    last_generation  integer,
    revoked          boolean NOT NULL DEFAULT false,
    created_ms       bigint  NOT NULL
);
CREATE INDEX device_keys_by_device ON device_keys (device);
COMMENT ON TABLE device_keys IS 'Public keys of devices. An enrolment adds one, a renewal keeps it.';
COMMENT ON COLUMN device_keys.id IS 'half of the SHA-256 of the public key, hex';
COMMENT ON COLUMN device_keys.device IS 'tenant/site/device';
COMMENT ON COLUMN device_keys.public_key IS 'Ed25519, 32 bytes';
COMMENT ON COLUMN device_keys.first_generation IS 'of the first certificate with this key';
COMMENT ON COLUMN device_keys.last_generation IS
    'of the last certificate with this key, null: it is in use';
COMMENT ON COLUMN device_keys.revoked IS 'true: nothing that it signed is believed, however old';
COMMENT ON COLUMN device_keys.created_ms IS 'UTC ms when it was enrolled';

CREATE TABLE enrolment_codes (
    id         bigint  PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    hash       bytea   NOT NULL UNIQUE,
    site       text    NOT NULL REFERENCES sites (id),
    device     text,
    created_ms bigint  NOT NULL,
    created_by text    NOT NULL,
    expires_ms bigint  NOT NULL,
    used_ms    bigint,
    used_by    text,
    failures   integer NOT NULL DEFAULT 0
);
CREATE INDEX enrolment_codes_by_site ON enrolment_codes (site);
COMMENT ON TABLE enrolment_codes IS 'Codes that enrol one device each. Deleted a week after their end.';
COMMENT ON COLUMN enrolment_codes.id IS 'number of the code';
COMMENT ON COLUMN enrolment_codes.hash IS 'SHA-256 of the code, which is stored nowhere';
COMMENT ON COLUMN enrolment_codes.site IS 'tenant/site that it is for';
COMMENT ON COLUMN enrolment_codes.device IS
    'tenant/site/device that it enrols again; null: it enrols a new device of the site';
COMMENT ON COLUMN enrolment_codes.created_ms IS 'UTC ms when it was made';
COMMENT ON COLUMN enrolment_codes.created_by IS 'who made it, for people';
COMMENT ON COLUMN enrolment_codes.expires_ms IS 'UTC ms when it expires, at most 24 h after it was made';
COMMENT ON COLUMN enrolment_codes.used_ms IS 'UTC ms when a device was enrolled by it, null: it was not';
COMMENT ON COLUMN enrolment_codes.used_by IS 'tenant/site/device that it enrolled, null: none';
COMMENT ON COLUMN enrolment_codes.failures IS 'enrolments that it refused, for another site for instance';

-- Sites of today have devices without identity, so they begin with a warning. New sites refuse.
ALTER TABLE sites ADD COLUMN unsigned text NOT NULL DEFAULT 'warn'
    CHECK (unsigned IN ('accept', 'warn', 'refuse'));
ALTER TABLE sites ALTER COLUMN unsigned SET DEFAULT 'refuse';
COMMENT ON COLUMN sites.unsigned IS
    'what is done with events that no device signed: accept, warn (accept, and count) or refuse';

CREATE TRIGGER not_erased BEFORE INSERT ON devices
    FOR EACH ROW EXECUTE FUNCTION refuse_erased_tenant('id');
CREATE TRIGGER not_erased BEFORE INSERT ON enrolment_codes
    FOR EACH ROW EXECUTE FUNCTION refuse_erased_tenant('site');
