-- The catalog: what footage exists, where its bytes are, what was seen in it.
-- Times are UTC in milliseconds since 1970 unless a comment says otherwise.
-- Days of partitions are UTC days.

CREATE TABLE tenants (
    id         text PRIMARY KEY,
    name       text   NOT NULL,
    created_ms bigint NOT NULL
);
COMMENT ON TABLE tenants IS 'Customers. Kept by `vigil camera add`.';
COMMENT ON COLUMN tenants.id IS 'slug, at most 63 characters';
COMMENT ON COLUMN tenants.name IS 'name shown to people, at most 200 characters';
COMMENT ON COLUMN tenants.created_ms IS 'UTC ms when the row was made';

CREATE TABLE sites (
    id         text PRIMARY KEY,
    tenant     text   NOT NULL REFERENCES tenants (id),
    name       text   NOT NULL,
    created_ms bigint NOT NULL
);
COMMENT ON TABLE sites IS 'Premises of a tenant. Kept by `vigil camera add`.';
COMMENT ON COLUMN sites.id IS 'tenant/site in slugs, at most 127 characters';
COMMENT ON COLUMN sites.tenant IS 'the tenant, first part of id';
COMMENT ON COLUMN sites.name IS 'name shown to people, at most 200 characters';
COMMENT ON COLUMN sites.created_ms IS 'UTC ms when the row was made';

CREATE TABLE cameras (
    id         text PRIMARY KEY,
    site       text   NOT NULL REFERENCES sites (id),
    name       text   NOT NULL,
    created_ms bigint NOT NULL
);
COMMENT ON TABLE cameras IS
    'Known video sources; events of others are refused. Kept by `vigil camera add`.';
COMMENT ON COLUMN cameras.id IS 'tenant/site/camera in slugs, at most 191 characters';
COMMENT ON COLUMN cameras.site IS 'the site, first two parts of id';
COMMENT ON COLUMN cameras.name IS 'name shown to people, at most 200 characters';
COMMENT ON COLUMN cameras.created_ms IS 'UTC ms when the row was made';

-- Rewritten with every batch of fragments, hence room on its pages for updates in place.
CREATE TABLE footage (
    camera      text    PRIMARY KEY,
    first_ms    bigint  NOT NULL,
    last_ms     bigint  NOT NULL,
    width       integer NOT NULL,
    height      integer NOT NULL,
    video_codec text    NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE footage IS
    'How far each camera''s footage reaches. Kept by the index agent; retention moves first_ms.';
COMMENT ON COLUMN footage.camera IS 'tenant/site/camera';
COMMENT ON COLUMN footage.first_ms IS 'UTC ms of the start of the oldest footage';
COMMENT ON COLUMN footage.last_ms IS 'UTC ms of the end of the newest footage, exclusive';
COMMENT ON COLUMN footage.width IS 'pixels of the newest picture, 1 to 16384';
COMMENT ON COLUMN footage.height IS 'pixels of the newest picture, 1 to 16384';
COMMENT ON COLUMN footage.video_codec IS 'h264 or hevc, of the newest footage';

CREATE TABLE runs (
    camera     text   NOT NULL,
    run        uuid   NOT NULL,
    started_ms bigint NOT NULL,
    edge       text,
    stream     text,
    ended_ms   bigint,
    last_seq   integer,
    reason     text,
    given_up   int4multirange NOT NULL DEFAULT '{}',
    PRIMARY KEY (camera, run)
);
CREATE INDEX runs_by_end ON runs (camera, ended_ms);
COMMENT ON TABLE runs IS 'Capture sessions. Kept by the index agent from run-started and run-ended. Rows outlive their '
    'footage: live playlists number their segments by the runs before.';
COMMENT ON COLUMN runs.camera IS 'tenant/site/camera';
COMMENT ON COLUMN runs.run IS 'UUIDv7 of the session; sorts by its start';
COMMENT ON COLUMN runs.started_ms IS 'UTC ms of the first picture; from the footage until run-started came';
COMMENT ON COLUMN runs.edge IS 'name of the recording device, null until run-started came';
COMMENT ON COLUMN runs.stream IS 'main or sub, null until run-started came';
COMMENT ON COLUMN runs.ended_ms IS 'UTC ms of the end of the last fragment, null while it goes on';
COMMENT ON COLUMN runs.last_seq IS 'last fragment''s seq, -1 for none, null while it goes on';
COMMENT ON COLUMN runs.reason IS 'why it ended, at most 500 characters, null while it goes on';
COMMENT ON COLUMN runs.given_up IS 'seqs that the spool gave up; nobody will send them';

CREATE TABLE fragments (
    camera      text     NOT NULL,
    run         uuid     NOT NULL,
    seq         integer  NOT NULL,
    start_ms    bigint   NOT NULL,
    end_ms      bigint   NOT NULL,
    start_pts   bigint   NOT NULL,
    frames      integer  NOT NULL,
    size_bytes  bigint   NOT NULL,
    sha256      bytea    NOT NULL,
    video_codec text     NOT NULL,
    audio_codec text,
    width       integer  NOT NULL,
    height      integer  NOT NULL,
    keyframes   jsonb,
    closed_ms   bigint   NOT NULL,
    indexed_ms  bigint   NOT NULL,
    PRIMARY KEY (camera, run, seq)
);
CREATE INDEX fragments_by_time ON fragments (camera, start_ms);
COMMENT ON TABLE fragments IS
    'Fragments that no chunk holds yet: the newest minutes. Added by the index agent, removed by it '
    'in the transaction that adds their chunk.';
COMMENT ON COLUMN fragments.camera IS 'tenant/site/camera';
COMMENT ON COLUMN fragments.run IS 'the capture session';
COMMENT ON COLUMN fragments.seq IS 'place in the run, 0 to 99999999';
COMMENT ON COLUMN fragments.start_ms IS 'UTC ms of the first picture';
COMMENT ON COLUMN fragments.end_ms IS 'UTC ms of the end, exclusive; at most an hour after start_ms';
COMMENT ON COLUMN fragments.start_pts IS 'of the first picture, 90 kHz, unwrapped';
COMMENT ON COLUMN fragments.frames IS 'video pictures, at least 1';
COMMENT ON COLUMN fragments.size_bytes IS 'bytes of the object, 188 to 4 GiB';
COMMENT ON COLUMN fragments.sha256 IS 'of the object''s bytes, 32 bytes';
COMMENT ON COLUMN fragments.video_codec IS 'h264 or hevc';
COMMENT ON COLUMN fragments.audio_codec IS 'codec of the audio stream, null without audio';
COMMENT ON COLUMN fragments.width IS 'pixels, 1 to 16384';
COMMENT ON COLUMN fragments.height IS 'pixels, 1 to 16384';
COMMENT ON COLUMN fragments.keyframes IS
    'list of {pts, offset, size}: where a decoder can start; null where unknown';
COMMENT ON COLUMN fragments.closed_ms IS 'edge''s UTC ms when the fragment was closed';
COMMENT ON COLUMN fragments.indexed_ms IS 'UTC ms when it became playable';

CREATE TABLE chunks (
    camera          text     NOT NULL,
    window_start_ms bigint   NOT NULL,
    run             uuid     NOT NULL,
    window_ms       integer  NOT NULL,
    revision        integer  NOT NULL,
    digest          text     NOT NULL,
    object_key      text     NOT NULL,
    size_bytes      bigint   NOT NULL,
    sha256          bytea    NOT NULL,
    start_ms        bigint   NOT NULL,
    end_ms          bigint   NOT NULL,
    reason          text     NOT NULL,
    video_codec     text     NOT NULL,
    audio_codec     text,
    width           integer  NOT NULL,
    height          integer  NOT NULL,
    seqs            int4multirange NOT NULL,
    first_seq       integer  GENERATED ALWAYS AS (lower(seqs)) STORED,
    last_seq        integer  GENERATED ALWAYS AS (upper(seqs) - 1) STORED,
    settled         int4multirange NOT NULL,
    covered         int8multirange NOT NULL,
    whole           boolean  NOT NULL,
    fragments       jsonb    NOT NULL,
    gaps            jsonb    NOT NULL,
    joined_ms       bigint   NOT NULL,
    indexed_ms      bigint   NOT NULL,
    PRIMARY KEY (camera, window_start_ms, run) INCLUDE (start_ms, end_ms, whole)
) PARTITION BY RANGE (window_start_ms);
CREATE INDEX chunks_by_seq ON chunks (run, last_seq);
CREATE INDEX chunks_broken ON chunks (camera, window_start_ms) WHERE NOT whole OR gaps <> '[]';
COMMENT ON TABLE chunks IS
    'The current chunk of each run and window, a partition a day. Kept by the index agent; a higher '
    'revision takes the place of a lower one.';
COMMENT ON COLUMN chunks.camera IS 'tenant/site/camera';
COMMENT ON COLUMN chunks.window_start_ms IS 'UTC ms of the window''s start, inclusive';
COMMENT ON COLUMN chunks.run IS 'the capture session';
COMMENT ON COLUMN chunks.window_ms IS 'length of the window, ms, 1000 to 3600000';
COMMENT ON COLUMN chunks.revision IS 'counts from 1; the highest is current';
COMMENT ON COLUMN chunks.digest IS 'of the joined fragments'' ids and hashes, 32 hex digits';
COMMENT ON COLUMN chunks.object_key IS 'S3 key of the bytes, at most 1024 characters';
COMMENT ON COLUMN chunks.size_bytes IS 'bytes of the object';
COMMENT ON COLUMN chunks.sha256 IS 'of the object''s bytes, 32 bytes';
COMMENT ON COLUMN chunks.start_ms IS 'UTC ms of the first fragment''s start, in the window';
COMMENT ON COLUMN chunks.end_ms IS
    'UTC ms of the last fragment''s end, exclusive; at most two hours after window_start_ms';
COMMENT ON COLUMN chunks.reason IS 'which rule closed the window: complete, run-ended, grace, idle, late';
COMMENT ON COLUMN chunks.video_codec IS 'h264 or hevc';
COMMENT ON COLUMN chunks.audio_codec IS 'codec of the audio stream, null without audio';
COMMENT ON COLUMN chunks.width IS 'pixels, 1 to 16384';
COMMENT ON COLUMN chunks.height IS 'pixels, 1 to 16384';
COMMENT ON COLUMN chunks.seqs IS 'the seqs it holds';
COMMENT ON COLUMN chunks.first_seq IS 'least of seqs; PostgreSQL keeps it';
COMMENT ON COLUMN chunks.last_seq IS 'greatest of seqs; PostgreSQL keeps it';
COMMENT ON COLUMN chunks.settled IS
    'the seqs it holds or reports as gaps: their fragments are playable through chunks alone';
COMMENT ON COLUMN chunks.covered IS
    'UTC ms intervals that its fragments cover, holes of less than the tolerance closed';
COMMENT ON COLUMN chunks.whole IS 'covered is the one interval start_ms to end_ms';
COMMENT ON COLUMN chunks.fragments IS
    'the manifest''s list: seq, start_ms, duration_ms, start_pts, size_bytes, sha256, offset (bytes '
    'from the chunk''s start), frames, keyframes (offsets from the fragment''s start)';
COMMENT ON COLUMN chunks.gaps IS
    'the manifest''s list: from_ms, to_ms, first_seq, last_seq, reason';
COMMENT ON COLUMN chunks.joined_ms IS 'UTC ms when this content was first joined';
COMMENT ON COLUMN chunks.indexed_ms IS 'UTC ms when this revision''s row was written';

CREATE TABLE detections (
    camera        text     NOT NULL,
    at_ms         bigint   NOT NULL,
    run           uuid     NOT NULL,
    pts           bigint   NOT NULL,
    model         text     NOT NULL,
    model_version text     NOT NULL,
    index         smallint NOT NULL,
    label         text     NOT NULL,
    score         real     NOT NULL,
    x             real     NOT NULL,
    y             real     NOT NULL,
    w             real     NOT NULL,
    h             real     NOT NULL,
    track         text,
    PRIMARY KEY (camera, at_ms, run, pts, model, model_version, index)
) PARTITION BY RANGE (at_ms);
COMMENT ON TABLE detections IS 'Objects found in pictures, a partition a day. Added by the index agent.';
COMMENT ON COLUMN detections.camera IS 'tenant/site/camera';
COMMENT ON COLUMN detections.at_ms IS 'UTC ms of the picture';
COMMENT ON COLUMN detections.run IS 'the capture session';
COMMENT ON COLUMN detections.pts IS 'of the picture in its run, 90 kHz, unwrapped';
COMMENT ON COLUMN detections.model IS 'name of the model';
COMMENT ON COLUMN detections.model_version IS 'version of the model';
COMMENT ON COLUMN detections.index IS 'place in the picture''s list of objects, 0 to 999';
COMMENT ON COLUMN detections.label IS 'what it is, at most 100 characters';
COMMENT ON COLUMN detections.score IS 'how sure the model is, 0 to 1';
COMMENT ON COLUMN detections.x IS 'left edge as a fraction of the picture''s width, 0 to 1';
COMMENT ON COLUMN detections.y IS 'top edge as a fraction of the picture''s height, 0 to 1';
COMMENT ON COLUMN detections.w IS 'width as a fraction of the picture''s width, 0 to 1';
COMMENT ON COLUMN detections.h IS 'height as a fraction of the picture''s height, 0 to 1';
COMMENT ON COLUMN detections.track IS 'links detections of one object, null without tracking';

CREATE TABLE detection_minutes (
    camera    text    NOT NULL,
    minute_ms bigint  NOT NULL,
    label     text    NOT NULL,
    most      integer NOT NULL,
    objects   bigint  NOT NULL,
    PRIMARY KEY (camera, minute_ms, label) INCLUDE (most)
) PARTITION BY RANGE (minute_ms);
COMMENT ON TABLE detection_minutes IS
    'Detections counted by minute, a partition a day, so that a month draws fast. Kept by the index '
    'agent in the transaction that adds the detections.';
COMMENT ON COLUMN detection_minutes.camera IS 'tenant/site/camera';
COMMENT ON COLUMN detection_minutes.minute_ms IS 'UTC ms of the minute''s start';
COMMENT ON COLUMN detection_minutes.label IS 'what was seen, at most 100 characters';
COMMENT ON COLUMN detection_minutes.most IS 'most objects of the label in one picture by one model';
COMMENT ON COLUMN detection_minutes.objects IS 'all detections of the label in the minute';

CREATE TABLE edges (
    site            text   NOT NULL,
    edge            text   NOT NULL,
    sent_ms         bigint NOT NULL,
    heard_ms        bigint NOT NULL,
    software        text   NOT NULL,
    spool_bytes     bigint NOT NULL,
    spool_waiting   bigint NOT NULL,
    spool_oldest_ms bigint,
    disk_free_bytes bigint NOT NULL,
    cameras         jsonb  NOT NULL,
    PRIMARY KEY (site, edge)
);
COMMENT ON TABLE edges IS 'The newest heartbeat of each edge device. Kept by the index agent.';
COMMENT ON COLUMN edges.site IS 'tenant/site';
COMMENT ON COLUMN edges.edge IS 'name of the device, at most 100 characters';
COMMENT ON COLUMN edges.sent_ms IS 'UTC ms of the edge when it was sent';
COMMENT ON COLUMN edges.heard_ms IS 'UTC ms of the cloud when it was indexed';
COMMENT ON COLUMN edges.software IS 'version of the edge''s program';
COMMENT ON COLUMN edges.spool_bytes IS 'bytes of fragments on the edge''s disk';
COMMENT ON COLUMN edges.spool_waiting IS 'fragments not yet uploaded';
COMMENT ON COLUMN edges.spool_oldest_ms IS 'UTC ms of the oldest not uploaded, null without any';
COMMENT ON COLUMN edges.disk_free_bytes IS 'bytes free on the edge''s disk';
COMMENT ON COLUMN edges.cameras IS 'list of {camera, state, since_ms, detail}, at most 256';

CREATE TABLE tombstones (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    camera          text   NOT NULL,
    run             uuid   NOT NULL,
    what            text   NOT NULL CHECK (what IN ('fragments', 'chunk')),
    first_seq       integer,
    last_seq        integer,
    window_start_ms bigint,
    digest          text,
    reason          text   NOT NULL,
    deleted_ms      bigint NOT NULL,
    UNIQUE NULLS NOT DISTINCT (camera, run, what, first_seq, last_seq, window_start_ms, digest)
);
COMMENT ON TABLE tombstones IS
    'What was deleted on purpose and must not come back. Kept by the index agent from deleted events.';
COMMENT ON COLUMN tombstones.id IS 'number of the row';
COMMENT ON COLUMN tombstones.camera IS 'tenant/site/camera';
COMMENT ON COLUMN tombstones.run IS 'the capture session';
COMMENT ON COLUMN tombstones.what IS 'fragments or chunk';
COMMENT ON COLUMN tombstones.first_seq IS 'of fragments: first seq, null for from the start';
COMMENT ON COLUMN tombstones.last_seq IS 'of fragments: last seq, inclusive, null for to the end';
COMMENT ON COLUMN tombstones.window_start_ms IS 'of a chunk: its window, null for all of the run';
COMMENT ON COLUMN tombstones.digest IS 'of a chunk: which content, null for any';
COMMENT ON COLUMN tombstones.reason IS 'why, at most 500 characters';
COMMENT ON COLUMN tombstones.deleted_ms IS 'UTC ms of the deletion';

CREATE TABLE api_keys (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text   NOT NULL,
    hash       bytea  NOT NULL UNIQUE,
    hint       text   NOT NULL,
    created_ms bigint NOT NULL,
    revoked_ms bigint
);
COMMENT ON TABLE api_keys IS 'Keys of people and programs. Kept by `vigil key`.';
COMMENT ON COLUMN api_keys.id IS 'number of the key, stands in session cookies';
COMMENT ON COLUMN api_keys.name IS 'whose it is, at most 100 characters';
COMMENT ON COLUMN api_keys.hash IS 'SHA-256 of the key, 32 bytes; the key itself (256 random bits) is kept nowhere';
COMMENT ON COLUMN api_keys.hint IS 'first characters of the key, to tell keys apart';
COMMENT ON COLUMN api_keys.created_ms IS 'UTC ms when it was made';
COMMENT ON COLUMN api_keys.revoked_ms IS 'UTC ms since when it is refused, null while it is valid';

-- A new partition is made beside its parent and then attached: that lock lets reads and writes of
-- the other partitions go on, where CREATE TABLE … PARTITION OF would stop them.
CREATE FUNCTION ensure_day(parent text, day_start_ms bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    day_ms CONSTANT bigint := 86400000;
    part   CONSTANT text := format(
        '%s_%s', parent, to_char(to_timestamp(day_start_ms / 1000) AT TIME ZONE 'UTC', 'YYYYMMDD'));
BEGIN
    IF parent NOT IN ('chunks', 'detections', 'detection_minutes') OR day_start_ms % day_ms <> 0 THEN
        RAISE EXCEPTION '% from % is no partition of the catalog', parent, day_start_ms;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('ensure_day', 0));
    IF to_regclass(part) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', part, parent);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                       parent, part, day_start_ms, day_start_ms + day_ms);
    END IF;
END
$$;
COMMENT ON FUNCTION ensure_day IS
    'Makes the partition of a UTC day unless it is there. In a transaction of its own.';
