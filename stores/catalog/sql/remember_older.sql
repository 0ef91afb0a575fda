-- $1 text: camera. Chunks whose older revisions were deleted: a tombstone names each.
UPDATE chunks SET older_gone = revision
WHERE camera = $1 AND older_gone < revision
  AND (
    SELECT count(*)
    FROM tombstones
    WHERE tombstones.camera = $1
      AND tombstones.run = chunks.run
      AND tombstones.what = 'chunk'
      AND tombstones.window_start_ms = chunks.window_start_ms
      AND tombstones.digest <> chunks.digest
  ) >= revision - 1
