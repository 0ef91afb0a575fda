-- $1 text: camera; $2 bigint: when what the stream was told was decided, UTC ms.
UPDATE cameras SET windows_told = true WHERE id = $1 AND windows_changed_ms = $2
