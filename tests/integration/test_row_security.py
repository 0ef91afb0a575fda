"""PostgreSQL refuses what the code forgets: grants of roles, and row-level security by tenant."""

import re
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import product

import asyncpg
import pytest

from domain.access import Grant, Role
from domain.errors import InvalidIdError, StoreError
from domain.events import Heartbeat
from stores.catalog import (
    Catalog,
    add_camera,
    index_chunks,
    index_fragments,
    index_heartbeats,
    migrate,
    pool,
)
from stores.catalog.keys import create_key
from stores.catalog.pool import DAY_MS, statements
from stores.catalog.row_security import ADMIN, INDEX, LINK, ROLES, RULES, WEB
from stores.catalog.web_catalog import WebCatalog, all_tenants, visible_tenants
from tests.integration.catalog_support import T0, chunk, fragment, fresh_catalog, run_id, scalar
from tests.integration.test_catalog_migrate import vigil
from tests.integration.web_support import Web, running_web

MINE, FOREIGN = "acme/hq/gate", "globex/plant/door"
TENANT_COLUMNS = {"camera", "site", "tenant", "scope", "chain"}
WEB_WRITES = {
    "note_api_key_use", "claim_idempotency_key", "delete_old_idempotency_keys",
    "keep_idempotent_answer", "release_idempotency_key", "open_live_epoch",
    "note_audit_reads", "delete_old_audit_reads",
    # users, groups and their sessions
    "add_user", "change_user", "touch_users", "add_user_grant", "delete_user_grant",
    "set_password", "renew_password_hash", "add_group", "change_group", "delete_group",
    "add_group_grant", "delete_group_grant", "add_group_member", "delete_group_member",
    "add_session", "note_session_use", "renew_session", "end_sessions", "end_sessions_of_users",
    "end_sessions_of_key", "end_all_sessions", "take_attempt", "give_attempt_back",
    "delete_full_limits",
    "add_device", "delete_devices", "set_totp", "confirm_totp", "use_totp_step", "delete_totp",
    "add_recovery_code", "use_recovery_code", "delete_recovery_codes",
    "create_tenant", "add_tenant", "update_tenant", "create_site", "update_site",
    "create_camera", "update_camera", "retire_camera", "add_camera",
    "set_retention_rule", "clear_retention_rule", "add_hold", "lift_hold",
    "add_api_key", "add_api_key_grant", "expire_api_key", "revoke_api_key",
    # sign-in by OpenID providers
    "revoke_keys_of_user", "confirm_oidc_user", "refuse_oidc_user",
    "require_second_factor", "release_second_factor",
    "use_oidc_once", "set_oidc_user", "keep_user_grants", "add_oidc_session", "claim_oidc_check",
    "confirm_oidc_session", "release_oidc_check", "delete_oidc_sessions",
    # link workers
    "keep_link_worker_alive", "forget_link_worker", "forget_dead_link_workers", "open_edge_link",
    "close_edge_link", "add_edge_command", "finish_edge_command", "expire_edge_commands",
    "delete_old_edge_commands",
    # devices
    "put_enrolled_device", "end_device_keys", "add_device_key", "renew_device", "set_device_state",
    "add_enrolment_code", "delete_old_codes", "use_code", "count_code_failure",
    # updates
    "add_rollout", "set_rollout", "withdraw_release", "lock_site_updates", "set_site_update_policy",
}  # fmt: skip
"""Every statement that changes something and that the web may execute."""
LINK_WRITES = {
    "keep_link_worker_alive", "forget_link_worker", "forget_dead_link_workers", "open_edge_link",
    "close_edge_link", "finish_edge_command", "expire_edge_commands", "delete_old_edge_commands",
    "put_enrolled_device", "end_device_keys", "add_device_key", "renew_device", "set_device_state",
    "use_code", "count_code_failure",
    "set_rollout", "put_rollout_device", "drop_gone_rollout_devices", "note_before_update",
    "put_device_software",
}  # fmt: skip
"""Every statement that changes something and that link workers may execute."""
FILLED = {
    "tenants", "sites", "cameras", "footage", "runs", "fragments", "chunks", "chunk_days",
    "footage_days",
    "live_sections", "edges", "site_configs", "api_keys", "api_key_grants",
}  # fmt: skip
"""Tables that `fill` gives rows of both tenants."""
NOT_STATEMENTS = {"create_roles", "copy_statement"}


async def fill(catalog: Catalog) -> None:
    """Give both tenants the same footage, detections, device, configuration, rules and keys."""
    await add_camera(catalog, FOREIGN, "Door", T0)
    await add_camera(catalog, MINE, "Gate", T0)
    for seed, camera in enumerate((MINE, FOREIGN)):
        run = run_id(T0, seed=seed)
        events = [fragment(run, seq, camera=camera) for seq in range(15)]
        await index_chunks(catalog, [chunk(events)], T0)
        await index_fragments(
            catalog, [fragment(run, seq, camera=camera) for seq in range(15, 18)], T0
        )
        site = camera.rpartition("/")[0]
        heartbeat = Heartbeat(
            site=site, edge="box", sent_ms=T0, software="1", spool_bytes=0, spool_waiting=0,
            disk_free_bytes=1, cameras=[],
        )  # fmt: skip
        await index_heartbeats(catalog, [heartbeat], T0)
        await create_key(catalog, f"key of {site}", T0, None, [Grant(Role.VIEWER, site)])
        await scalar(
            catalog,
            "WITH rules AS (INSERT INTO retention_rules VALUES ($1, 3, 'me', 0)), "
            "holds AS (INSERT INTO legal_holds (scope, from_ms, added_by, why, added_ms) "
            "VALUES ($1, 0, 'me', 'why', 0)) "
            "INSERT INTO site_configs VALUES ($1, 1, '{}', 'digest', 0, 'me', '')",
            site,
        )


@pytest.fixture
async def catalog(services) -> AsyncIterator[Catalog]:
    async with fresh_catalog(services.settings.database_url.get_secret_value()) as made:
        yield made


@pytest.fixture
async def web_catalog(catalog: Catalog) -> AsyncIterator[WebCatalog]:
    await fill(catalog)
    await scalar(catalog, "UPDATE api_keys SET revoked_ms = 1, expires_ms = 1")
    async with WebCatalog(catalog._dsn, size=2, required=True) as made:
        yield made


async def test_every_table_has_a_rule_and_row_level_security(catalog: Catalog) -> None:
    """A table of a later migration fails here until stores/catalog/row_security.py names it."""
    async with catalog.transaction() as connection:
        tables = await connection.fetch(
            "SELECT CASE nspname WHEN current_schema() THEN '' ELSE nspname || '.' END || relname "
            "AS table, relrowsecurity, ARRAY(SELECT attname::text FROM pg_attribute "
            "WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped) AS columns "
            "FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
            "WHERE nspname IN (current_schema(), 'vigil_audit') "
            "AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'alembic_version'"
        )
    rules = {rule.table: rule for rule in RULES}
    assert {row["table"] for row in tables} == set(rules)
    for row in tables:
        rule = rules[row["table"]]
        assert row["relrowsecurity"] == (rule.owner is not None), row["table"]
        if TENANT_COLUMNS & set(row["columns"]):
            assert row["relrowsecurity"], f"{row['table']} has rows of tenants"


async def test_partitions_are_closed_also_those_of_days_to_come(catalog: Catalog) -> None:
    async with catalog.transaction() as connection:
        for table, role in product(("chunks", "detections", "detection_minutes"), (WEB, INDEX)):
            day = T0 - T0 % DAY_MS + (5 if role == WEB else 6) * DAY_MS
            await connection.execute("SELECT ensure_day($1, $2)", table, day)
        rights = await connection.fetch(
            "SELECT relname, role FROM pg_class, unnest($1::text[]) AS role "
            "WHERE relispartition AND relkind = 'r' AND has_table_privilege("
            "role, pg_class.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')",
            list(ROLES),
        )
        count = await connection.fetchval("SELECT count(*) FROM pg_class WHERE relispartition")
    assert count >= 6
    assert [tuple(row) for row in rights] == []


@asynccontextmanager
async def becoming(catalog: Catalog, role: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(catalog._dsn)
    try:
        await connection.execute(f"SET ROLE {role}")
        yield connection
    finally:
        await connection.close()


async def allowed_statements(catalog: Catalog, role: str) -> set[str]:
    """Return the statements that the role may execute: PostgreSQL checks that when it plans."""
    allowed = set()
    async with becoming(catalog, role) as connection:
        for name, text in statements().items():
            if re.search(r"(?<!:):(part|source)\b", text) or name in NOT_STATEMENTS:
                continue
            try:
                await connection.execute(f"EXPLAIN (GENERIC_PLAN) {pool.sql(name)}")
            except asyncpg.InsufficientPrivilegeError:
                continue
            except asyncpg.PostgresError:  # a part of other statements
                continue
            allowed.add(name)
    return allowed


async def test_each_role_may_execute_its_statements_and_no_others(catalog: Catalog) -> None:
    writes = {
        name
        for name, text in statements().items()
        if re.search(r"\b(INSERT INTO|UPDATE \w+\s+SET|DELETE FROM)\b", pool.sql(name))
    }
    web = await allowed_statements(catalog, WEB)
    assert web & writes == WEB_WRITES
    index = await allowed_statements(catalog, INDEX)
    assert {"index_fragments", "index_chunks", "index_detections", "index_tombstones"} <= index
    assert not index & {"add_api_key", "add_camera", "add_hold", "set_rule", "add_site_config"}
    link = await allowed_statements(catalog, LINK)
    assert link & writes == LINK_WRITES
    admin = await allowed_statements(catalog, ADMIN)
    assert web | index | link <= admin


FORBIDDEN = (
    "UPDATE tenants SET id = 'x'",
    "DELETE FROM tenants",
    "UPDATE sites SET tenant = 'x'",
    "UPDATE cameras SET site = 'x'",
    "DELETE FROM cameras",
    "DELETE FROM chunks",
    "DELETE FROM fragments",
    "UPDATE footage SET last_ms = 0",
    "INSERT INTO tombstones (camera, run, what, reason, deleted_ms)"
    " VALUES ('acme/hq/gate', gen_random_uuid(), 'chunk', '', 0)",
    "UPDATE legal_holds SET from_ms = 1",
    "DELETE FROM legal_holds",
    "UPDATE api_keys SET revoked_ms = 2",
    "UPDATE api_keys SET expires_ms = NULL",
    "UPDATE api_keys SET tenant = 'acme'",
    "DELETE FROM api_keys",
    "UPDATE api_keys SET hash = ''",
    "UPDATE api_key_grants SET scope = '*'",
    "SELECT * FROM tombstones",
    "SELECT * FROM alembic_version",
    "INSERT INTO vigil_audit.entries (chain, seq, hash, entry) VALUES ('acme', 1, '', '{}')",
    "UPDATE vigil_audit.chains SET seq = 0",
    "DELETE FROM vigil_audit.subject_keys",
    "SELECT ensure_day('chunks', 0)",
    "ALTER TABLE cameras DISABLE ROW LEVEL SECURITY",
    "DROP POLICY vigil_web ON cameras",
    "GRANT SELECT ON tombstones TO vigil_web",
    "CREATE TABLE mine ()",
    "TRUNCATE cameras",
)


async def test_forbidden_acts_of_the_web_fail(web_catalog: WebCatalog) -> None:
    for statement in FORBIDDEN:
        with all_tenants(), pytest.raises(StoreError, match=r"must be owner|denied"):
            async with web_catalog.transaction() as connection:
                await connection.execute(statement)


async def test_a_query_without_any_condition_returns_rows_of_the_tenant_only(
    catalog: Catalog, web_catalog: WebCatalog
) -> None:
    for rule in RULES:
        if not rule.web or rule.owner is None:
            continue
        everything = f"SELECT count(*) FROM {rule.table}"
        foreign = f"SELECT count(*) FROM {rule.table} AS r WHERE r::text LIKE '%globex%'"
        total = await scalar(catalog, everything)
        with all_tenants():
            assert await scalar(web_catalog, everything) == total, rule.table
        assert await scalar(web_catalog, everything) == 0, rule.table
        with visible_tenants(["no-such"]):
            assert await scalar(web_catalog, everything) == 0, rule.table
        with visible_tenants(["acme"]):
            seen = await scalar(web_catalog, everything)
            assert await scalar(web_catalog, foreign) == 0, rule.table
        with visible_tenants(["acme", "globex"]):
            assert await scalar(web_catalog, everything) == total, rule.table
        if rule.table in FILLED:
            assert 0 < seen < total, rule.table


def stripped(written: Callable[[str], str]) -> Callable[[str], str]:
    """Leave the camera and the site out of every WHERE, as a forgetful programmer would."""

    def sql(name: str) -> str:
        condition = r"(?<![\w.])(\w+\.)?(camera|site|id) = \$1\b"
        return re.sub(condition, "$1::text IS NOT NULL", written(name))

    return sql


@pytest.fixture
def without_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    patch_sql(monkeypatch)
    assert "$1::text IS NOT NULL" in pool.sql("list_chunks")


def patch_sql(patch: pytest.MonkeyPatch) -> None:
    """Strip the statements wherever they are read: modules import the function by its name."""
    new = stripped(pool.sql)
    patch.setattr(pool, "sql", new)
    patch.setattr("stores.catalog.cameras.sql", new)


PATHS = (
    "",
    f"/timeline?from={T0}&to={T0 + 60_000}",
    f"/chunks?from={T0}&to={T0 + 90_000}",
    f"/detections?from={T0}&to={T0 + 60_000}",
    f"/playlist.m3u8?from={T0}&to={T0 + 60_000}",
)


async def answers(web: Web) -> list[tuple[int, str]]:
    key = await create_key(web.catalog, "acme's", T0, None, [Grant(Role.VIEWER, "acme")])
    headers = {"Authorization": f"Bearer {key}"}
    paths = [f"/api/v1/cameras/{MINE}{path}" for path in PATHS]
    found = []
    for path in ("/api/v1/cameras", "/api/v1/edges", *paths):
        response = await web.stranger.get(path, headers=headers)
        found.append((response.status, await response.text()))
    return found


async def test_where_the_condition_is_left_out_the_api_shows_nothing_more(
    services, request: pytest.FixtureRequest
) -> None:
    """acme has one camera: with row-level security, its answers do not even change."""
    async with running_web(services) as web:
        await fill(web.catalog)
        expected = await answers(web)
        assert {status for status, _ in expected} == {200}
        request.getfixturevalue("without_conditions")
        assert await answers(web) == expected
        assert "globex" not in str(expected)


async def test_tenants_of_a_request_end_with_it(web_catalog: WebCatalog) -> None:
    with visible_tenants(["acme"]):
        assert len(await web_catalog.rows("known_cameras")) == 1
    assert await web_catalog.rows("known_cameras") == []
    with visible_tenants(["acme"]):
        with pytest.raises(StoreError):
            await scalar(web_catalog, "SELECT 1 / 0 FROM no_such_table")
        assert len(await web_catalog.rows("known_cameras")) == 1
    async with web_catalog._pool.acquire() as connection:
        assert await connection.fetchval("SELECT current_user") == "vigil"
        assert not await connection.fetchval("SELECT current_setting('vigil.tenants', true)")
    for tenant in ("acme'; SELECT 1", "a,*", "", "acme/hq"):
        with pytest.raises(InvalidIdError), visible_tenants([tenant]):
            pass


async def test_an_owner_who_may_create_no_role_still_migrates_and_learns_what_to_do(
    services,
) -> None:
    """The roles exist on this server: the owner may become none of them, as if they did not."""
    dsn = services.settings.database_url.get_secret_value()
    name = f"owner_{uuid.uuid4().hex[:8]}"
    admin = await asyncpg.connect(dsn)
    await admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
    await admin.execute(f"CREATE DATABASE {name} OWNER {name}")
    own = dsn.replace("//vigil@", f"//{name}:x@").rsplit("/", 1)[0] + f"/{name}"
    try:
        await migrate(own)
        async with Catalog(own) as catalog:
            await add_camera(catalog, MINE, "Gate", T0)
        async with WebCatalog(own) as web:
            assert len(await web.rows("known_cameras")) == 1, "as before the upgrade"
        async with WebCatalog(own, required=True) as web:
            with pytest.raises(StoreError, match="VIGIL_ROW_SECURITY"):
                await web.rows("known_cameras")
        code, out, _ = await vigil(own, "catalog", "status")
        assert (code, "vigil catalog roles" in out) == (0, True)
        script = (await vigil(own, "catalog", "roles"))[1]
        assert script.count("CREATE ROLE") == len(ROLES)
        await admin.execute(script.splitlines()[-1])  # the roles themselves exist here
        assert "checks the tenants" in (await vigil(own, "catalog", "migrate"))[1]
        async with WebCatalog(own, required=True) as web:
            assert await web.rows("known_cameras") == []
            with visible_tenants(["acme"]):
                assert len(await web.rows("known_cameras")) == 1
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.execute(f"DROP ROLE {name}")
        await admin.close()
