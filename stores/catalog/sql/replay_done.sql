-- $1 text: job. It is done: the next one begins anew.
DELETE FROM replays WHERE job = $1
