-- Updates: signed releases, rollouts over rings, what each device runs.

CREATE TABLE releases (
    number        integer PRIMARY KEY CHECK (number > 0),
    version       text   NOT NULL UNIQUE,
    text          text   NOT NULL,
    signed_by     text   NOT NULL,
    signature     bytea  NOT NULL,
    added_ms      bigint NOT NULL,
    added_by      text   NOT NULL,
    note          text   NOT NULL DEFAULT '',
    withdrawn_ms  bigint,
    withdrawn_why text
);
COMMENT ON TABLE releases IS 'Releases as they were signed. Rows are never changed, but withdrawn.';
COMMENT ON COLUMN releases.number IS 'grows by one';
COMMENT ON COLUMN releases.version IS 'such as 2.5.0, shown to people';
COMMENT ON COLUMN releases.text IS 'canonical JSON, which is signed: domain/fleet/release.py';
COMMENT ON COLUMN releases.signed_by IS 'id of the release key';
COMMENT ON COLUMN releases.signature IS 'Ed25519, 64 bytes';
COMMENT ON COLUMN releases.added_ms IS 'UTC ms when it was added';
COMMENT ON COLUMN releases.added_by IS 'who added it';
COMMENT ON COLUMN releases.note IS 'what is new, for people';
COMMENT ON COLUMN releases.withdrawn_ms IS 'UTC ms since which no device is given it; null: it is not withdrawn';
COMMENT ON COLUMN releases.withdrawn_why IS 'why it is withdrawn, for people; null: it is not';

CREATE TABLE rollouts (
    id            bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    release       integer NOT NULL REFERENCES releases (number),
    state         text    NOT NULL CHECK (state IN
        ('running', 'paused', 'halted', 'rolling-back', 'finished', 'rolled-back', 'stopped')),
    ring          text    NOT NULL CHECK (ring IN ('lab', 'canary', 'early', 'rest')),
    round         integer NOT NULL DEFAULT 1,
    soak_since_ms bigint,
    rules         jsonb   NOT NULL,
    reason        text    NOT NULL DEFAULT '',
    note          text    NOT NULL DEFAULT '',
    started_ms    bigint  NOT NULL,
    started_by    text    NOT NULL,
    changed_ms    bigint  NOT NULL,
    ring_ms       bigint  NOT NULL,
    ended_ms      bigint
);
CREATE UNIQUE INDEX rollouts_active ON rollouts ((true))
    WHERE state IN ('running', 'paused', 'halted', 'rolling-back');
COMMENT ON TABLE rollouts IS 'Rollouts of releases over rings. At most one is active.';
COMMENT ON COLUMN rollouts.id IS 'its number';
COMMENT ON COLUMN rollouts.release IS 'the release that devices get';
COMMENT ON COLUMN rollouts.state IS
    'running, paused, halted, rolling-back (active); finished, rolled-back, stopped';
COMMENT ON COLUMN rollouts.ring IS 'newest ring that is open: lab, canary, early or rest';
COMMENT ON COLUMN rollouts.round IS 'grows by one with each resume and rollback: rows of devices follow';
COMMENT ON COLUMN rollouts.soak_since_ms IS 'UTC ms since which the ring has what it needs; null: it has not';
COMMENT ON COLUMN rollouts.rules IS 'thresholds: domain/fleet/rollout.py RolloutRules';
COMMENT ON COLUMN rollouts.reason IS 'why it is in its state, or how far its ring is, in words';
COMMENT ON COLUMN rollouts.note IS 'of who started it';
COMMENT ON COLUMN rollouts.started_ms IS 'UTC ms when it was started';
COMMENT ON COLUMN rollouts.started_by IS 'who started it';
COMMENT ON COLUMN rollouts.changed_ms IS 'UTC ms since which it is in its state';
COMMENT ON COLUMN rollouts.ring_ms IS 'UTC ms when its newest ring opened';
COMMENT ON COLUMN rollouts.ended_ms IS 'UTC ms when it ended; null: it is active';

CREATE TABLE rollout_devices (
    rollout        bigint  NOT NULL REFERENCES rollouts (id),
    device         text    NOT NULL,
    ring           text    NOT NULL,
    state          text    NOT NULL,
    reason         text    NOT NULL DEFAULT '',
    attempt        integer NOT NULL DEFAULT 1,
    round          integer NOT NULL,
    came_from      integer,
    began_ms       bigint,
    changed_ms     bigint  NOT NULL,
    excused        boolean NOT NULL DEFAULT false,
    cameras_before integer,
    spool_before   bigint,
    PRIMARY KEY (rollout, device)
);
COMMENT ON TABLE rollout_devices IS 'The update of each device in a rollout.';
COMMENT ON COLUMN rollout_devices.rollout IS 'the rollout';
COMMENT ON COLUMN rollout_devices.device IS 'tenant/site/device';
COMMENT ON COLUMN rollout_devices.ring IS 'its ring in this rollout: lab, canary, early or rest';
COMMENT ON COLUMN rollout_devices.state IS
    'pending, waiting, downloading, installing, checking, succeeded, returned, failed or refused';
COMMENT ON COLUMN rollout_devices.reason IS 'in words: what it waits for, or what is wrong';
COMMENT ON COLUMN rollout_devices.attempt IS 'number of the try; reports of another one are old';
COMMENT ON COLUMN rollout_devices.round IS 'of the rollout, as this row has followed it';
COMMENT ON COLUMN rollout_devices.came_from IS 'release that it ran before; null: not known, or not begun';
COMMENT ON COLUMN rollout_devices.began_ms IS 'UTC ms when it began to install; null: it has not';
COMMENT ON COLUMN rollout_devices.changed_ms IS 'UTC ms since which it is in its state';
COMMENT ON COLUMN rollout_devices.excused IS 'the rollout was resumed in spite of its fault';
COMMENT ON COLUMN rollout_devices.cameras_before IS 'cameras that recorded when it began; null: not known';
COMMENT ON COLUMN rollout_devices.spool_before IS 'fragments that waited when it began; null: not known';

CREATE TABLE device_software (
    device      text   PRIMARY KEY,
    agent       text   NOT NULL,
    hardware    text   NOT NULL,
    image       text,
    release     integer,
    system      text   NOT NULL,
    report      jsonb  NOT NULL,
    reported_ms bigint NOT NULL
);
COMMENT ON TABLE device_software IS 'What each device runs, by the newest report of its update agent.';
COMMENT ON COLUMN device_software.device IS 'tenant/site/device';
COMMENT ON COLUMN device_software.agent IS 'version of the agent''s program';
COMMENT ON COLUMN device_software.hardware IS 'such as x86-64';
COMMENT ON COLUMN device_software.image IS 'digest of the recorder''s image; null: not known';
COMMENT ON COLUMN device_software.release IS 'release that it runs; null: by none';
COMMENT ON COLUMN device_software.system IS 'version of the system';
COMMENT ON COLUMN device_software.report IS 'the report: domain/fleet/messages.py';
COMMENT ON COLUMN device_software.reported_ms IS 'UTC ms when it arrived';

CREATE TABLE site_updates (
    site        text PRIMARY KEY,
    ring        text NOT NULL DEFAULT 'rest' CHECK (ring IN ('lab', 'canary', 'early', 'rest')),
    maintenance jsonb,
    lock        text,
    locked_by   text,
    locked_ms   bigint
);
COMMENT ON TABLE site_updates IS 'How the devices of a site are updated, from the site''s file.';
COMMENT ON COLUMN site_updates.site IS 'tenant/site';
COMMENT ON COLUMN site_updates.ring IS 'lab, canary, early or rest';
COMMENT ON COLUMN site_updates.maintenance IS 'days, from, to, by the clock of the site; null: always';
COMMENT ON COLUMN site_updates.lock IS 'why nothing is installed there now; null: it is not locked';
COMMENT ON COLUMN site_updates.locked_by IS 'who locked it; null: it is not locked';
COMMENT ON COLUMN site_updates.locked_ms IS 'UTC ms when it was locked; null: it is not';
