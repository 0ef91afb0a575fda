-- The tenant of an API key, so that the web may add keys of its tenants; a revoked key stays revoked.

ALTER TABLE api_keys ADD COLUMN tenant text NOT NULL DEFAULT '*';
COMMENT ON COLUMN api_keys.tenant IS
    'the one tenant that all its grants are in; *: of the installation, or of several tenants';
UPDATE api_keys SET tenant = known.tenant
FROM (
    SELECT key, min(split_part(scope, '/', 1)) AS tenant
    FROM api_key_grants
    GROUP BY key
    HAVING count(DISTINCT split_part(scope, '/', 1)) = 1
) AS known
WHERE known.key = id;

CREATE FUNCTION keep_key_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.revoked_ms IS NOT NULL AND NEW.revoked_ms IS DISTINCT FROM OLD.revoked_ms
        OR OLD.expires_ms IS NOT NULL AND (NEW.expires_ms IS NULL OR NEW.expires_ms > OLD.expires_ms)
    THEN
        RAISE insufficient_privilege USING MESSAGE = 'denied: a key that ends earlier stays so';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION keep_key_ended IS 'Lets no one accept a key again that was revoked or expires.';
CREATE TRIGGER keep_key_ended BEFORE UPDATE OF revoked_ms, expires_ms ON api_keys
    FOR EACH ROW EXECUTE FUNCTION keep_key_ended();
