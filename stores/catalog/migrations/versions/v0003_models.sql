-- Models: detections that replays made beside the edge's own, and which of them are shown.

CREATE TABLE model_replays (
    id            bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    camera        text    NOT NULL,
    model         text    NOT NULL,
    model_version text    NOT NULL,
    from_ms       bigint  NOT NULL CHECK (from_ms % 60000 = 0),
    to_ms         bigint  NOT NULL CHECK (to_ms % 60000 = 0 AND to_ms > from_ms),
    rate_mfps     integer CHECK (rate_mfps > 0),
    gated         boolean NOT NULL,
    state         text    NOT NULL CHECK (state IN ('running', 'done', 'current', 'dropping', 'dropped')),
    covered       int8multirange NOT NULL DEFAULT '{}',
    chunks        integer NOT NULL DEFAULT 0,
    pictures      bigint  NOT NULL DEFAULT 0,
    objects       bigint  NOT NULL DEFAULT 0,
    turn          bigint,
    changed_by    text    NOT NULL,
    changed_ms    bigint  NOT NULL,
    started_ms    bigint  NOT NULL,
    CHECK ((state = 'current') = (turn IS NOT NULL))
);
CREATE INDEX model_replays_by_camera ON model_replays (camera, to_ms);
CREATE SEQUENCE model_turns;
COMMENT ON TABLE model_replays IS
    'Detectors run again over recorded footage. Rows stay when their detections are dropped, so '
    'that they do not come back. Kept by `vigil replay detections` and `vigil model`.';
COMMENT ON COLUMN model_replays.id IS 'number of the replay; its detections'' events name it';
COMMENT ON COLUMN model_replays.camera IS 'tenant/site/camera';
COMMENT ON COLUMN model_replays.model IS 'name of the model';
COMMENT ON COLUMN model_replays.model_version IS 'version under which its detections stand';
COMMENT ON COLUMN model_replays.from_ms IS 'UTC ms from which on it looks, a whole minute';
COMMENT ON COLUMN model_replays.to_ms IS 'UTC ms up to which it looks, exclusive, a whole minute';
COMMENT ON COLUMN model_replays.rate_mfps IS 'pictures looked at in 1000 s; null: keyframes only';
COMMENT ON COLUMN model_replays.gated IS 'only pictures with motion, and one now and then';
COMMENT ON COLUMN model_replays.state IS
    'running; done: all is looked at; current: and shown; dropping, dropped: its detections go, are gone';
COMMENT ON COLUMN model_replays.covered IS
    'UTC ms intervals whose pictures it looked at, whether or not something was seen';
COMMENT ON COLUMN model_replays.chunks IS 'chunks it looked at';
COMMENT ON COLUMN model_replays.pictures IS 'pictures the detector was shown';
COMMENT ON COLUMN model_replays.objects IS 'objects found in them';
COMMENT ON COLUMN model_replays.turn IS
    'order in which replays were made current, the later counts; null while it is not';
COMMENT ON COLUMN model_replays.changed_by IS 'who changed the state last, at most 100 characters';
COMMENT ON COLUMN model_replays.changed_ms IS 'UTC ms when the state changed last';
COMMENT ON COLUMN model_replays.started_ms IS 'UTC ms when it was begun';

CREATE TABLE model_replay_chunks (
    replay          bigint  NOT NULL REFERENCES model_replays (id),
    window_start_ms bigint  NOT NULL,
    run             uuid    NOT NULL,
    digest          text    NOT NULL,
    pictures        integer NOT NULL,
    objects         integer NOT NULL,
    fault           text,
    PRIMARY KEY (replay, window_start_ms, run)
);
COMMENT ON TABLE model_replay_chunks IS
    'Chunks that a replay is through with: where it goes on after a crash. Removed when its '
    'detections are dropped. Kept by `vigil replay detections`.';
COMMENT ON COLUMN model_replay_chunks.replay IS 'number of the replay';
COMMENT ON COLUMN model_replay_chunks.window_start_ms IS 'UTC ms of the chunk''s window';
COMMENT ON COLUMN model_replay_chunks.run IS 'the chunk''s capture session';
COMMENT ON COLUMN model_replay_chunks.digest IS 'which content; another revision is looked at again';
COMMENT ON COLUMN model_replay_chunks.pictures IS 'pictures of it that the detector was shown';
COMMENT ON COLUMN model_replay_chunks.objects IS 'objects found in them';
COMMENT ON COLUMN model_replay_chunks.fault IS
    'why not all of it could be looked at, at most 500 characters, null: all was';

CREATE TABLE detections_gone (
    camera   text   PRIMARY KEY,
    until_ms bigint NOT NULL,
    kept     int8multirange NOT NULL
);
COMMENT ON TABLE detections_gone IS
    'Up to when retention deleted detections: older ones are refused. Kept by retention.';
COMMENT ON COLUMN detections_gone.camera IS 'tenant/site/camera';
COMMENT ON COLUMN detections_gone.until_ms IS 'UTC ms up to which they are gone, a whole minute';
COMMENT ON COLUMN detections_gone.kept IS 'UTC ms intervals that legal holds kept, whole minutes';

-- Counts by minute tell models apart from now on: counted anew from the detections.
DROP TABLE detection_minutes;
CREATE TABLE detection_minutes (
    camera        text    NOT NULL,
    minute_ms     bigint  NOT NULL,
    label         text    NOT NULL,
    model         text    NOT NULL,
    model_version text    NOT NULL,
    most          integer NOT NULL,
    objects       bigint  NOT NULL,
    PRIMARY KEY (camera, minute_ms, label, model, model_version) INCLUDE (most)
) PARTITION BY RANGE (minute_ms);
COMMENT ON TABLE detection_minutes IS
    'Detections counted by minute and model, a partition a day, so that a month draws fast. Kept '
    'by the index agent in the transaction that adds the detections.';
COMMENT ON COLUMN detection_minutes.camera IS 'tenant/site/camera';
COMMENT ON COLUMN detection_minutes.minute_ms IS 'UTC ms of the minute''s start';
COMMENT ON COLUMN detection_minutes.label IS 'what was seen, at most 100 characters';
COMMENT ON COLUMN detection_minutes.model IS 'name of the model';
COMMENT ON COLUMN detection_minutes.model_version IS 'version of the model';
COMMENT ON COLUMN detection_minutes.most IS 'most objects of the label in one picture';
COMMENT ON COLUMN detection_minutes.objects IS 'all detections of the label in the minute';

SELECT ensure_day('detection_minutes', day_ms)
FROM (
    SELECT
        1000 * extract(epoch FROM to_date(right(inhrelid::regclass::text, 8), 'YYYYMMDD')
                                  AT TIME ZONE 'UTC')::bigint AS day_ms
    FROM pg_inherits
    WHERE inhparent = 'detections'::regclass
) AS days;
INSERT INTO detection_minutes (camera, minute_ms, label, model, model_version, most, objects)
SELECT camera, minute_ms, label, model, model_version, max(objects), sum(objects)
FROM (
    SELECT
        camera, at_ms - at_ms % 60000 AS minute_ms, label, model, model_version, count(*) AS objects
    FROM detections
    GROUP BY camera, at_ms, run, pts, model, model_version, label
) AS pictures
GROUP BY camera, minute_ms, label, model, model_version;
