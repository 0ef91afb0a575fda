-- What an API key may do, and where.

CREATE TABLE api_key_grants (
    key   bigint NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    role  text   NOT NULL,
    scope text   NOT NULL,
    PRIMARY KEY (key, scope, role)
);
COMMENT ON TABLE api_key_grants IS
    'Roles of API keys. A role on a scope holds for everything below it. Kept by `vigil key`.';
COMMENT ON COLUMN api_key_grants.key IS 'number of the key';
COMMENT ON COLUMN api_key_grants.role IS 'a role of domain/access.py';
COMMENT ON COLUMN api_key_grants.scope IS '*, tenant, tenant/site or tenant/site/camera';

-- What the keys of before could do: read everything of every tenant, and the metrics.
INSERT INTO api_key_grants (key, role, scope)
SELECT id, role, '*' FROM api_keys CROSS JOIN (VALUES ('viewer'), ('monitor')) AS roles (role)
WHERE edge_of IS NULL;
INSERT INTO api_key_grants (key, role, scope)
SELECT id, 'edge', edge_of FROM api_keys WHERE edge_of IS NOT NULL;
