-- Cameras out of use.

ALTER TABLE cameras ADD COLUMN retired_ms bigint;
COMMENT ON COLUMN cameras.retired_ms IS
    'UTC ms when the camera was taken out of use, null for never. It is hidden until it has newer '
    'footage or is added again. Its footage is kept by its retention rules.';
