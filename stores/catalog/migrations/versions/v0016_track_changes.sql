-- Tracks that change inside a run.

ALTER TABLE live_sections ADD COLUMN form text;
COMMENT ON COLUMN live_sections.form IS
    'video codec, audio codec or "-", width and height of its fragments; null: not known. Where a run '
    'changes them, the next section begins';
COMMENT ON COLUMN live_sections.discontinuities IS
    'sections of the camera before this one: other runs, and other tracks of the same run';
COMMENT ON COLUMN chunks.video_codec IS 'h264 or hevc, of its last fragment';
COMMENT ON COLUMN chunks.audio_codec IS
    'codec of the audio stream of its last fragment, null without audio';
COMMENT ON COLUMN chunks.width IS 'width of the pictures of its last fragment, pixels';
COMMENT ON COLUMN chunks.height IS 'height of the pictures of its last fragment, pixels';
