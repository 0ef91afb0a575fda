-- $1 bigint[]: numbers. Their objects are gone.
DELETE FROM deletions WHERE id = ANY($1)
