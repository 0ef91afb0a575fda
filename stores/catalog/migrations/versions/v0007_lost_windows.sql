-- Windows of which nothing could be joined.

CREATE TABLE lost_windows (
    camera          text COLLATE "C" NOT NULL,
    run             uuid    NOT NULL,
    window_start_ms bigint  NOT NULL,
    first_seq       integer NOT NULL,
    window_ms       integer NOT NULL,
    seqs            int4multirange NOT NULL,
    gaps            jsonb   NOT NULL,
    lost_ms         bigint  NOT NULL,
    indexed_ms      bigint  NOT NULL,
    PRIMARY KEY (camera, run, window_start_ms, first_seq)
);
CREATE INDEX lost_windows_by_time ON lost_windows (camera, window_start_ms);
COMMENT ON TABLE lost_windows IS
    'what window-lost events tell: fragments whose bytes nobody can read, and no chunk was made';
COMMENT ON COLUMN lost_windows.camera IS 'tenant/site/camera';
COMMENT ON COLUMN lost_windows.run IS 'UUIDv7 of the recording';
COMMENT ON COLUMN lost_windows.window_start_ms IS 'UTC ms, a multiple of window_ms';
COMMENT ON COLUMN lost_windows.first_seq IS
    'first lost seq: a window may be told of again for fragments that came late';
COMMENT ON COLUMN lost_windows.window_ms IS 'length of the window, ms, 2000 to 3600000';
COMMENT ON COLUMN lost_windows.seqs IS 'all lost seqs: they get no rows in fragments';
COMMENT ON COLUMN lost_windows.gaps IS
    '[{from_ms, to_ms, first_seq, last_seq, reason}], as manifests tell theirs';
COMMENT ON COLUMN lost_windows.lost_ms IS 'UTC ms when the joiner found out';
COMMENT ON COLUMN lost_windows.indexed_ms IS 'UTC ms when this row was written';
