-- $1 text: camera; $2 uuid: run; $3 integer[]: seqs. The camera's footage is locked.
DELETE FROM fragments WHERE camera = $1 AND run = $2 AND seq = ANY($3)
