-- $1 text: tenant/site. What its edges said last.
SELECT edge, heard_ms, config_version AS version, config_state AS state, config_detail AS detail
FROM edges WHERE site = $1 ORDER BY edge
