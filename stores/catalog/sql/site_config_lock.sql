-- $1 text: tenant/site. One version after another.
SELECT id FROM sites WHERE id = $1 FOR UPDATE
