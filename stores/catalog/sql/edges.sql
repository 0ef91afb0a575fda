-- The newest heartbeat of each edge device.
SELECT site, edge, sent_ms, heard_ms, software, spool_bytes, spool_waiting, spool_oldest_ms,
    disk_free_bytes, cameras, config_version, config_state, config_detail,
    clock_state, clock_error_ms
FROM edges ORDER BY site, edge
