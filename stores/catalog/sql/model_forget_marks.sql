-- $1 bigint: replay. Its chunks' marks: it can be begun anew.
DELETE FROM model_replay_chunks WHERE replay = $1
