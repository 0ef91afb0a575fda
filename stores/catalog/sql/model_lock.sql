-- $1 bigint: replay. Its row, to the transaction's end: one chunk after the other is marked.
SELECT state FROM model_replays WHERE id = $1 FOR UPDATE
