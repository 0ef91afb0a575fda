-- Retention: how long footage is kept, what must not go, what is going just now.

CREATE TABLE retention_rules (
    scope  text    PRIMARY KEY,
    days   integer NOT NULL CHECK (days BETWEEN 1 AND 36500),
    set_by text    NOT NULL,
    set_ms bigint  NOT NULL
);
COMMENT ON TABLE retention_rules IS
    'How long footage is kept; the most specific rule counts, none: for ever. Kept by `vigil retention`.';
COMMENT ON COLUMN retention_rules.scope IS 'tenant, tenant/site or tenant/site/camera in slugs';
COMMENT ON COLUMN retention_rules.days IS 'age in days of 24 h from which on footage is deleted, 1 to 36500';
COMMENT ON COLUMN retention_rules.set_by IS 'who set it, at most 100 characters';
COMMENT ON COLUMN retention_rules.set_ms IS 'UTC ms when it was set';

CREATE TABLE legal_holds (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope     text   NOT NULL,
    from_ms   bigint NOT NULL,
    to_ms     bigint,
    added_by  text   NOT NULL,
    why       text   NOT NULL,
    added_ms  bigint NOT NULL,
    lifted_by text,
    lifted_ms bigint,
    CHECK (to_ms > from_ms),
    CHECK ((lifted_by IS NULL) = (lifted_ms IS NULL))
);
CREATE INDEX legal_holds_standing ON legal_holds (id) WHERE lifted_ms IS NULL;
COMMENT ON TABLE legal_holds IS
    'Orders that suspend deletion. Rows are never removed. Kept by `vigil hold`.';
COMMENT ON COLUMN legal_holds.id IS 'number of the hold';
COMMENT ON COLUMN legal_holds.scope IS 'tenant, tenant/site or tenant/site/camera in slugs';
COMMENT ON COLUMN legal_holds.from_ms IS 'UTC ms from which on footage is held, inclusive';
COMMENT ON COLUMN legal_holds.to_ms IS 'UTC ms up to which it is held, exclusive; null: without end';
COMMENT ON COLUMN legal_holds.added_by IS 'who ordered it, at most 100 characters';
COMMENT ON COLUMN legal_holds.why IS 'reason, such as the case''s number, at most 500 characters';
COMMENT ON COLUMN legal_holds.added_ms IS 'UTC ms when it was added';
COMMENT ON COLUMN legal_holds.lifted_by IS 'who lifted it, at most 100 characters, null while it stands';
COMMENT ON COLUMN legal_holds.lifted_ms IS 'UTC ms since when it no longer holds, null while it stands';

CREATE TABLE deletions (
    id              bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    camera          text    NOT NULL,
    run             uuid    NOT NULL,
    what            text    NOT NULL CHECK (what IN ('fragments', 'chunk')),
    first_seq       integer,
    last_seq        integer,
    window_start_ms bigint,
    digest          text,
    cause           text    NOT NULL CHECK (cause IN ('age', 'joined', 'superseded')),
    from_ms         bigint  NOT NULL,
    to_ms           bigint  NOT NULL,
    size_bytes      bigint  NOT NULL,
    decided_ms      bigint  NOT NULL
);
CREATE INDEX deletions_by_camera ON deletions (camera, id);
COMMENT ON TABLE deletions IS
    'Deletions that are decided and whose objects may still stand. Added in the transaction that '
    'removes the rows and writes the tombstones, removed when the objects are gone. Kept by '
    '`vigil retention enforce`.';
COMMENT ON COLUMN deletions.id IS 'number of the deletion';
COMMENT ON COLUMN deletions.camera IS 'tenant/site/camera';
COMMENT ON COLUMN deletions.run IS 'the capture session';
COMMENT ON COLUMN deletions.what IS 'fragments: first_seq to last_seq; chunk: of window_start_ms';
COMMENT ON COLUMN deletions.first_seq IS 'fragments: the first of them';
COMMENT ON COLUMN deletions.last_seq IS 'fragments: the last of them, inclusive; at most 999 more';
COMMENT ON COLUMN deletions.window_start_ms IS 'chunk: UTC ms of its window''s start';
COMMENT ON COLUMN deletions.digest IS 'chunk: the revision''s digest; null: all revisions';
COMMENT ON COLUMN deletions.cause IS
    'age: older than its retention; joined: its chunk holds it; superseded: a newer revision does';
COMMENT ON COLUMN deletions.from_ms IS 'UTC ms from which on holds are looked for';
COMMENT ON COLUMN deletions.to_ms IS 'UTC ms up to which holds are looked for, exclusive';
COMMENT ON COLUMN deletions.size_bytes IS 'bytes that go with it, as the catalog knew them';
COMMENT ON COLUMN deletions.decided_ms IS 'UTC ms when it was decided; the tombstone says it too';

ALTER TABLE chunks
    ADD COLUMN joined_gone integer NOT NULL DEFAULT 0,
    ADD COLUMN older_gone  integer NOT NULL DEFAULT 1;
COMMENT ON COLUMN chunks.joined_gone IS
    'the revision whose fragments'' own objects retention deleted, 0: none';
COMMENT ON COLUMN chunks.older_gone IS 'the revision whose predecessors retention deleted, 1: none';
CREATE INDEX chunks_joined_stand ON chunks (camera, window_start_ms) WHERE joined_gone < revision;
CREATE INDEX chunks_older_stand ON chunks (camera, window_start_ms) WHERE older_gone < revision;
