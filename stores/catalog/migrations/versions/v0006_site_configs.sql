-- Configurations of sites, and keys that read one of them.

CREATE TABLE site_configs (
    site     text    NOT NULL REFERENCES sites (id),
    version  integer NOT NULL CHECK (version > 0),
    document text    NOT NULL,
    digest   text    NOT NULL,
    set_ms   bigint  NOT NULL,
    set_by   text    NOT NULL,
    note     text    NOT NULL,
    PRIMARY KEY (site, version)
);
COMMENT ON TABLE site_configs IS
    'What edges are to record and how; the highest version counts. Only added to, by `vigil site config`.';
COMMENT ON COLUMN site_configs.site IS 'tenant/site';
COMMENT ON COLUMN site_configs.version IS 'counts from 1 at each site';
COMMENT ON COLUMN site_configs.document IS
    'canonical JSON of cameras, fragment_s, no_data_s, inference and upload, at most 1 MiB; text, so that it '
    'is given back as it was hashed. Holds no secret';
COMMENT ON COLUMN site_configs.digest IS 'SHA-256 of document, 64 hex digits';
COMMENT ON COLUMN site_configs.set_ms IS 'UTC ms when it was set';
COMMENT ON COLUMN site_configs.set_by IS 'who set it, at most 100 characters';
COMMENT ON COLUMN site_configs.note IS 'why, at most 500 characters';

ALTER TABLE api_keys ADD COLUMN edge_of text;
COMMENT ON COLUMN api_keys.edge_of IS
    'tenant/site whose configuration the key reads, and nothing else; null: a key of people and programs, '
    'which reads all but configurations';

ALTER TABLE edges
    ADD COLUMN config_version integer,
    ADD COLUMN config_state   text,
    ADD COLUMN config_detail  text;
COMMENT ON COLUMN edges.config_version IS
    'version of the site''s configuration in force there; null: the device''s own file, or not told';
COMMENT ON COLUMN edges.config_state IS
    'current, trying, refused, out-of-reach or none; null: the device asks for none';
COMMENT ON COLUMN edges.config_detail IS 'why, at most 500 characters';
