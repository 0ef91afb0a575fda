-- The newest detections as events, for streams. Unlogged: they are written once more for a quarter of
-- an hour only, and readers learn of a loss.

CREATE UNLOGGED TABLE live_events (
    xid        xid8   NOT NULL DEFAULT pg_current_xact_id(),
    id         bigint GENERATED ALWAYS AS IDENTITY,
    camera     text   NOT NULL,
    created_ms bigint NOT NULL,
    event      text   NOT NULL,
    PRIMARY KEY (xid, id)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.5);
COMMENT ON TABLE live_events IS
    'The newest detections, in the order in which they were committed. Written by the index agent, '
    'which deletes them after 15 minutes.';
COMMENT ON COLUMN live_events.xid IS 'the transaction that wrote it';
COMMENT ON COLUMN live_events.id IS 'its place within the transaction';
COMMENT ON COLUMN live_events.camera IS 'tenant/site/camera';
COMMENT ON COLUMN live_events.created_ms IS 'UTC ms when it was written';
COMMENT ON COLUMN live_events.event IS 'JSON, as /api/v1/events sends it';

CREATE UNLOGGED TABLE live_epoch (
    is_only   boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    epoch     text    NOT NULL,
    floor_xid xid8    NOT NULL DEFAULT '0',
    floor_id  bigint  NOT NULL DEFAULT 0
);
COMMENT ON TABLE live_epoch IS
    'One row, from the first reader on. A crash of PostgreSQL empties it, as it does live_events: the '
    'next row has another name.';
COMMENT ON COLUMN live_epoch.is_only IS 'true';
COMMENT ON COLUMN live_epoch.epoch IS 'random name; positions of another one are not valid';
COMMENT ON COLUMN live_epoch.floor_xid IS 'transaction of the newest event that was deleted';
COMMENT ON COLUMN live_epoch.floor_id IS 'its place within the transaction';
