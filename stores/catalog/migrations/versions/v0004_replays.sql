-- Replays: how far each came. What a replay of chunks replaces stays readable for a while.

CREATE TABLE replays (
    job        text   PRIMARY KEY,
    state      jsonb  NOT NULL,
    begun_ms   bigint NOT NULL,
    touched_ms bigint NOT NULL
);
COMMENT ON TABLE replays IS
    'How far each unfinished replay came, so that it goes on after a crash. Kept by `vigil replay`; '
    'a row goes when its replay is done.';
COMMENT ON COLUMN replays.job IS 'what is replayed, from when, of which cameras, at most 1000 characters';
COMMENT ON COLUMN replays.state IS 'offsets, days and stretches that are done; its form is the program''s own';
COMMENT ON COLUMN replays.begun_ms IS 'UTC ms when it was begun';
COMMENT ON COLUMN replays.touched_ms IS 'UTC ms when it last came further';

ALTER TABLE deletions
    ADD COLUMN window_ms     integer,
    ADD COLUMN not_before_ms bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN deletions.window_ms IS
    'chunk that others took the place of: length of its window, ms; until it goes, its address answers';
COMMENT ON COLUMN deletions.not_before_ms IS
    'UTC ms before which its objects are not deleted: addresses that were handed out read them';
