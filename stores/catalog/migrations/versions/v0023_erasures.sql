-- Erasures of tenants and users. They are the same for all catalogs of the database, as the audit log.

CREATE TABLE IF NOT EXISTS vigil_audit.erasures (
    subject     text   PRIMARY KEY CHECK (length(subject) BETWEEN 1 AND 200),
    chain       text   NOT NULL,
    begun_ms    bigint NOT NULL,
    finished_ms bigint,
    report      jsonb
);
COMMENT ON TABLE vigil_audit.erasures IS
    'Tenants and users that were erased or are being erased. What has a row here does not come back.';
COMMENT ON COLUMN vigil_audit.erasures.subject IS 'tenant:ID or user:ID';
COMMENT ON COLUMN vigil_audit.erasures.chain IS 'the chain whose log has the erasure';
COMMENT ON COLUMN vigil_audit.erasures.begun_ms IS 'UTC ms when it began';
COMMENT ON COLUMN vigil_audit.erasures.finished_ms IS 'UTC ms when nothing was left, null: not yet';
COMMENT ON COLUMN vigil_audit.erasures.report IS 'the newest report of proof';

-- Refuses rows of a tenant that was erased. The argument is the column with the tenant or scope.
CREATE FUNCTION refuse_erased_tenant() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tenant text := split_part(to_jsonb(NEW) ->> TG_ARGV[0], '/', 1);
BEGIN
    IF EXISTS (SELECT FROM vigil_audit.erasures WHERE subject = 'tenant:' || tenant) THEN
        RAISE EXCEPTION 'the tenant % was erased and cannot be made again', tenant
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION refuse_erased_tenant IS 'lets no one make a tenant again that was erased';
CREATE TRIGGER not_erased BEFORE INSERT ON tenants
    FOR EACH ROW EXECUTE FUNCTION refuse_erased_tenant('id');
CREATE TRIGGER not_erased BEFORE INSERT ON sites
    FOR EACH ROW EXECUTE FUNCTION refuse_erased_tenant('tenant');
CREATE TRIGGER not_erased BEFORE INSERT ON cameras
    FOR EACH ROW EXECUTE FUNCTION refuse_erased_tenant('id');
CREATE TRIGGER not_erased BEFORE INSERT ON legal_holds
    FOR EACH ROW EXECUTE FUNCTION refuse_erased_tenant('scope');
CREATE TRIGGER not_erased BEFORE INSERT ON api_key_grants
    FOR EACH ROW EXECUTE FUNCTION refuse_erased_tenant('scope');
CREATE TRIGGER not_erased BEFORE INSERT ON user_grants
    FOR EACH ROW EXECUTE FUNCTION refuse_erased_tenant('scope');
REVOKE ALL ON FUNCTION refuse_erased_tenant() FROM PUBLIC;
REVOKE ALL ON vigil_audit.erasures FROM PUBLIC;
