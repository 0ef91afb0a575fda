-- $1 text: job. How far it came, if it is not done.
SELECT state FROM replays WHERE job = $1
