-- name: create_roles
-- Creates the roles of stores/catalog/row_security.py where they are missing, and lets this user become
-- them. :may_become and :becoming (the caller replaces them) differ by PostgreSQL's version. What
-- this user may not do is left out. Another database of the server may do the same at this moment.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['vigil_web', 'vigil_index', 'vigil_admin', 'vigil_link'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN NULL;
        END;
    END LOOP;
    FOR name IN SELECT rolname FROM pg_roles
        WHERE rolname IN ('vigil_web', 'vigil_index', 'vigil_admin', 'vigil_link')
          AND NOT pg_has_role(oid, ':may_become')
    LOOP
        BEGIN
            EXECUTE format('GRANT %I TO CURRENT_USER :becoming', name);
        EXCEPTION WHEN insufficient_privilege THEN NULL;
        END;
    END LOOP;
END
$$


-- name: known_roles
-- $1 text[]: roles. Those of them that exist.
SELECT rolname AS name FROM pg_roles WHERE rolname = ANY ($1)


-- name: policy_digests
-- $1 text[]: tables. Those that exist, and of which rule each has the policy.
SELECT name AS table, obj_description(pg_policy.oid, 'pg_policy') AS digest
FROM unnest($1::text[]) AS name
LEFT JOIN pg_policy ON polrelid = to_regclass(name) AND polname = 'vigil_web'
WHERE to_regclass(name) IS NOT NULL


-- name: schemas_of
-- $1 text[]: tables. Their schemas, quoted.
SELECT DISTINCT quote_ident(nspname) AS schema
FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE pg_class.oid = ANY (SELECT to_regclass(name) FROM unnest($1::text[]) AS name)


-- name: role_with_checks
-- $1 text[]: roles, the best first. The first one that this user may become and that has rights here,
-- where the tables are protected. No row: there is none.
SELECT role
FROM unnest($1::text[]) WITH ORDINALITY AS given (role, place)
JOIN pg_roles ON rolname = role AND pg_has_role(pg_roles.oid, CASE
    WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END)
JOIN pg_class ON pg_class.oid = to_regclass('cameras') AND relrowsecurity
WHERE has_any_column_privilege(pg_roles.oid, pg_class.oid, 'SELECT')
ORDER BY place LIMIT 1


-- name: missing_roles
-- $1 text[]: roles. Those that this user may not become.
SELECT name
FROM unnest($1::text[]) AS name
LEFT JOIN pg_roles ON rolname = name
WHERE NOT coalesce(pg_has_role(oid, CASE
    WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END), false)


-- name: take_role
-- $1 text: role; $2 integer: process ID of the connection's session, as the server reported it.
-- Makes it the session's role. No row: this user may not, the role has no rights on the tables, or a
-- pooler may give the session to others.
SELECT set_config('role', $1, false)
FROM pg_roles
WHERE rolname = $1 AND pg_backend_pid() = $2
  AND pg_has_role(oid, CASE
      WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END)
  AND has_table_privilege(oid, to_regclass('cameras')::oid, 'SELECT')
