-- Clocks of edge devices.

ALTER TABLE edges
    ADD COLUMN clock_state    text,
    ADD COLUMN clock_error_ms integer;
COMMENT ON COLUMN edges.clock_state IS
    'synchronised, unsynchronised or unknown, as the device''s kernel says; null: not told';
COMMENT ON COLUMN edges.clock_error_ms IS
    'the most that a synchronised clock is wrong by, ms, 0 to 3600000; null: not told';
