-- The edge's journal. One process and one thread write it; every statement is durable on commit.

CREATE TABLE IF NOT EXISTS runs (
    run        TEXT PRIMARY KEY,             -- UUIDv7
    camera     TEXT NOT NULL,                -- tenant/site/camera
    last_seq   INTEGER NOT NULL DEFAULT -1,  -- highest seq stored or given up
    last_ms    INTEGER NOT NULL DEFAULT 0,   -- UTC end of the newest fragment, ms
    ended_ms   INTEGER,                      -- UTC of the end, null while the run is open
    reason     TEXT,                         -- why it ended; null while it is open
    end_event  TEXT,                         -- the RunEnded as written to S3, never changed after
    end_state  INTEGER NOT NULL DEFAULT 0    -- 0 open, 1 ended, 2 end.json in S3, 3 noticed
) STRICT;

CREATE INDEX IF NOT EXISTS runs_by_end ON runs (end_state) WHERE end_state < 3;

CREATE TABLE IF NOT EXISTS fragments (
    run        TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    camera     TEXT NOT NULL,
    start_ms   INTEGER NOT NULL,             -- UTC of its first frame, ms
    size       INTEGER NOT NULL,             -- bytes of the transport stream; 0: no file
    event      TEXT NOT NULL,                -- FragmentArrived, version 1; '' where it never was on disk
    state      INTEGER NOT NULL,             -- 0 stored, 1 uploaded, 2 noticed, 3 given up
    prev_sha256 TEXT,                        -- hash of the fragment before it in the run; null: unknown
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS fragments_due ON fragments (run) WHERE state < 2;

CREATE INDEX IF NOT EXISTS fragments_by_state ON fragments (state, start_ms);

CREATE TABLE IF NOT EXISTS messages (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    type       TEXT NOT NULL,                -- the event's type
    size       INTEGER NOT NULL,             -- bytes of the body
    body       BLOB NOT NULL                 -- the event as JSON
) STRICT;

CREATE INDEX IF NOT EXISTS messages_by_type ON messages (type, id, size);

CREATE INDEX IF NOT EXISTS messages_to_send ON messages (id) WHERE type NOT GLOB 'held-*';

CREATE INDEX IF NOT EXISTS messages_held ON messages (id) WHERE type GLOB 'held-*';

CREATE TABLE IF NOT EXISTS shifts (
    boot       TEXT PRIMARY KEY,             -- mark of a boot of the device, end of its runs' ids
    shift_ms   INTEGER NOT NULL              -- UTC minus the steady clock, fixed once known
) STRICT;

CREATE INDEX IF NOT EXISTS fragments_by_camera ON fragments (state, camera, start_ms);

CREATE TABLE IF NOT EXISTS losses (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    camera     TEXT NOT NULL,
    run        TEXT NOT NULL,
    first_seq  INTEGER NOT NULL,
    last_seq   INTEGER NOT NULL,
    from_ms    INTEGER NOT NULL,             -- UTC start of the first, ms
    to_ms      INTEGER NOT NULL,             -- UTC end of the last, ms
    bytes      INTEGER NOT NULL,             -- bytes on the disk; 0: never on the disk
    why        TEXT NOT NULL,
    at_ms      INTEGER NOT NULL              -- UTC when the last of them was given up, ms
) STRICT;

CREATE INDEX IF NOT EXISTS losses_by_run ON losses (run, last_seq);

-- The bytes of all fragments, kept by triggers: a sum would read the whole journal.
CREATE TABLE IF NOT EXISTS totals (
    name       TEXT PRIMARY KEY,             -- 'fragments'
    bytes      INTEGER NOT NULL              -- sum of fragments.size
) STRICT;

INSERT OR IGNORE INTO totals SELECT 'fragments', coalesce(sum(size), 0) FROM fragments
    WHERE NOT EXISTS (SELECT 1 FROM totals);

CREATE TRIGGER IF NOT EXISTS fragments_added AFTER INSERT ON fragments BEGIN
    UPDATE totals SET bytes = bytes + new.size;
END;

CREATE TRIGGER IF NOT EXISTS fragments_changed AFTER UPDATE OF size ON fragments BEGIN
    UPDATE totals SET bytes = bytes + new.size - old.size;
END;

CREATE TRIGGER IF NOT EXISTS fragments_dropped AFTER DELETE ON fragments BEGIN
    UPDATE totals SET bytes = bytes - old.size;
END;
