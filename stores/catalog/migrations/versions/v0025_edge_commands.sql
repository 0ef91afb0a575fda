-- The link to devices: who holds their sockets, and what they were asked for.

CREATE UNLOGGED TABLE link_workers (
    id         text        PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 100),
    address    text        NOT NULL CHECK (length(address) BETWEEN 1 AND 500),
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    draining   boolean     NOT NULL DEFAULT false,
    sockets    integer     NOT NULL DEFAULT 0
);
COMMENT ON TABLE link_workers IS
    'Processes that hold the sockets of devices. A row that was not renewed for 3 s counts as gone.';
COMMENT ON COLUMN link_workers.id IS 'random name of the process';
COMMENT ON COLUMN link_workers.address IS 'its internal address for other workers: http(s)://host:port';
COMMENT ON COLUMN link_workers.started_at IS 'when it started, by the clock of PostgreSQL';
COMMENT ON COLUMN link_workers.seen_at IS 'its last keep-alive, by the clock of PostgreSQL';
COMMENT ON COLUMN link_workers.draining IS 'it stops: nothing new is given to it';
COMMENT ON COLUMN link_workers.sockets IS 'devices that are connected to it';

CREATE UNLOGGED TABLE edge_links (
    device   text        PRIMARY KEY CHECK (length(device) BETWEEN 5 AND 191),
    worker   text        NOT NULL,
    socket   text        NOT NULL,
    since_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    software text        NOT NULL DEFAULT ''
);
COMMENT ON TABLE edge_links IS
    'The newest socket of each device that is connected. It counts while its worker does.';
COMMENT ON COLUMN edge_links.device IS 'tenant/site/device';
COMMENT ON COLUMN edge_links.worker IS 'link_workers.id';
COMMENT ON COLUMN edge_links.socket IS 'random name of the socket: the newest one wins';
COMMENT ON COLUMN edge_links.since_at IS 'when it was opened, by the clock of PostgreSQL';
COMMENT ON COLUMN edge_links.software IS 'version of the device''s software';

CREATE TABLE edge_commands (
    id          text   PRIMARY KEY CHECK (id ~ '^[0-9a-f]{32}$'),
    device      text   NOT NULL CHECK (length(device) BETWEEN 5 AND 191),
    kind        text   NOT NULL,
    camera      text,
    principal   text   NOT NULL,
    sent_by     text   NOT NULL,
    sent_ms     bigint NOT NULL,
    deadline_ms bigint NOT NULL,
    state       text   NOT NULL DEFAULT 'sent'
        CHECK (state IN ('sent', 'answered', 'failed', 'expired')),
    done_ms     bigint,
    detail      text   NOT NULL DEFAULT '' CHECK (length(detail) <= 500),
    result      jsonb  CHECK (pg_column_size(result) <= 100000),
    body        bytea  CHECK (length(body) <= 1048576),
    body_type   text
);
CREATE INDEX edge_commands_of_device ON edge_commands (device, sent_ms);
CREATE INDEX edge_commands_of_principal ON edge_commands (principal, sent_ms);
CREATE INDEX edge_commands_open ON edge_commands (deadline_ms) WHERE state = 'sent';
CREATE INDEX edge_commands_with_body ON edge_commands (done_ms) WHERE body IS NOT NULL;
COMMENT ON TABLE edge_commands IS
    'What devices were asked for, and what they answered. Kept for 30 days; the audit log says who.';
COMMENT ON COLUMN edge_commands.id IS 'random; a device does the same id once';
COMMENT ON COLUMN edge_commands.device IS 'tenant/site/device';
COMMENT ON COLUMN edge_commands.kind IS 'what it was asked for';
COMMENT ON COLUMN edge_commands.camera IS 'tenant/site/camera, null: of no camera';
COMMENT ON COLUMN edge_commands.principal IS 'id of who gave it';
COMMENT ON COLUMN edge_commands.sent_by IS 'name of who gave it';
COMMENT ON COLUMN edge_commands.sent_ms IS 'UTC ms when it was given';
COMMENT ON COLUMN edge_commands.deadline_ms IS 'UTC ms: an answer after it does not count';
COMMENT ON COLUMN edge_commands.state IS 'sent until it is answered, failed or expired';
COMMENT ON COLUMN edge_commands.done_ms IS 'UTC ms when the state was final, null: not yet';
COMMENT ON COLUMN edge_commands.detail IS 'the answer, or the reason, as a sentence';
COMMENT ON COLUMN edge_commands.result IS 'the answer''s values, by kind';
COMMENT ON COLUMN edge_commands.body IS 'a picture or a bundle; deleted after an hour';
COMMENT ON COLUMN edge_commands.body_type IS 'media type of the body';
