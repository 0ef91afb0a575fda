-- One row where the schema is there.
SELECT count(*) FROM (SELECT FROM cameras LIMIT 1) AS camera
