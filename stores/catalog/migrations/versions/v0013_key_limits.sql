-- When an API key expires, from where it may be used, and when it was used last.

ALTER TABLE api_keys ADD COLUMN expires_ms bigint;
COMMENT ON COLUMN api_keys.expires_ms IS 'UTC ms from which it is refused, null: it does not expire';
ALTER TABLE api_keys ADD COLUMN networks text[];
COMMENT ON COLUMN api_keys.networks IS 'networks of the clients that may use it, null: any';
ALTER TABLE api_keys ADD COLUMN used_ms bigint;
COMMENT ON COLUMN api_keys.used_ms IS 'UTC ms of its last use, to the minute; null: never used';
