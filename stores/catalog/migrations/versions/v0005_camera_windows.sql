-- Cameras: how long their windows are, and how long these wait.

ALTER TABLE cameras
    ADD COLUMN windows            jsonb,
    ADD COLUMN grace_ms           integer,
    ADD COLUMN idle_ms            integer,
    ADD COLUMN windows_changed_ms bigint,
    ADD COLUMN windows_told       boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN cameras.windows IS
    'lengths of its windows: [[from (UTC ms), length (ms)], …] ascending, at most 32, the first from 0; '
    'null: as the settings say. Kept by `vigil camera windows`';
COMMENT ON COLUMN cameras.grace_ms IS 'grace of its windows, ms, 0 to 3600000; null: as the settings say';
COMMENT ON COLUMN cameras.idle_ms IS
    'silence that closes its windows, ms, 1000 to 86400000; null: as the settings say';
COMMENT ON COLUMN cameras.windows_changed_ms IS 'UTC ms when windows, grace or idle were last decided';
COMMENT ON COLUMN cameras.windows_told IS 'whether the stream was told of it';
