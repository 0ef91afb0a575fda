-- Live sections, and the days of a run's chunks.

CREATE TABLE live_sections (
    camera          text    NOT NULL,
    number          bigint  NOT NULL,
    run             uuid    NOT NULL,
    discontinuities integer NOT NULL,
    first_seq       integer NOT NULL,
    last_seq        integer NOT NULL,
    start_ms        bigint  NOT NULL,
    newest_end_ms   bigint  NOT NULL,
    arrived_ms      bigint  NOT NULL,
    longest_ms      integer NOT NULL,
    overlap_ms      bigint,
    PRIMARY KEY (camera, number)
) WITH (fillfactor = 50);
COMMENT ON TABLE live_sections IS
    'Numbers of fragments in live playlists: seqs of one run with consecutive numbers. The greatest '
    'number of a camera is live now. Older rows are deleted after 26 hours. Kept by the index agent.';
COMMENT ON COLUMN live_sections.camera IS 'tenant/site/camera';
COMMENT ON COLUMN live_sections.number IS 'media sequence number of first_seq';
COMMENT ON COLUMN live_sections.run IS 'the capture session';
COMMENT ON COLUMN live_sections.discontinuities IS 'sections of the camera before this one';
COMMENT ON COLUMN live_sections.first_seq IS 'first seq with a number';
COMMENT ON COLUMN live_sections.last_seq IS
    'newest known seq; once a later section exists: the last seq with a number';
COMMENT ON COLUMN live_sections.start_ms IS 'UTC ms of the start of the fragment that began it';
COMMENT ON COLUMN live_sections.newest_end_ms IS 'UTC ms of the end of its newest fragment';
COMMENT ON COLUMN live_sections.arrived_ms IS 'UTC ms when its newest fragment was indexed';
COMMENT ON COLUMN live_sections.longest_ms IS 'longest fragment of this and the sections before, ms';
COMMENT ON COLUMN live_sections.overlap_ms IS
    'UTC ms when footage of another run for the same time was indexed, null for never';

CREATE TABLE chunk_days (
    camera    text    NOT NULL,
    run       uuid    NOT NULL,
    day_ms    bigint  NOT NULL,
    first_seq integer NOT NULL,
    last_seq  integer NOT NULL,
    PRIMARY KEY (camera, run, day_ms)
);
CREATE INDEX chunk_days_by_day ON chunk_days (day_ms);
COMMENT ON TABLE chunk_days IS
    'Which day partitions of chunks hold which seqs of a run, so that a query without a time locks '
    'only these. Kept by the index agent; removed with the partition.';
COMMENT ON COLUMN chunk_days.camera IS 'tenant/site/camera';
COMMENT ON COLUMN chunk_days.run IS 'the capture session';
COMMENT ON COLUMN chunk_days.day_ms IS 'UTC ms of the day''s start';
COMMENT ON COLUMN chunk_days.first_seq IS 'least seq of its chunks of this day, so far';
COMMENT ON COLUMN chunk_days.last_seq IS 'greatest seq of its chunks of this day, so far';
