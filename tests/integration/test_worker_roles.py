"""Workers and commands have the least rights: what they do works, all else is refused."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from domain.access import Grant, Role
from domain.errors import StoreError
from stores.catalog import (
    Catalog,
    add_camera,
    index_chunks,
    index_detections,
    index_fragments,
    known_cameras,
    migrate,
    pool,
)
from stores.catalog.keys import create_key
from stores.catalog.partitions import drop_empty_partitions
from stores.catalog.pool import DAY_MS
from stores.catalog.row_security import ADMIN, INDEX, LINK, WEB, missing_roles
from stores.catalog.web_catalog import all_tenants
from streams.settings import Settings
from streams.storage import LazyStore, admin_catalog, link_catalog, worker_catalog
from tests.integration.catalog_support import (
    CAMERA,
    T0,
    chunk,
    fragment,
    fresh_catalog,
    run_id,
    scalar,
    seen,
)

OF_PEOPLE = ("users", "user_grants", "groups", "api_keys", "api_key_grants", "sessions",
             "user_totp", "recovery_codes", "device_cookies", "oidc_sessions", "idempotency_keys",
             "vigil_audit.entries", "vigil_audit.personal", "vigil_audit.subject_keys")  # fmt: skip
OF_FOOTAGE = ("footage", "runs", "fragments", "chunks", "detections", "live_events", "legal_holds",
              "retention_rules", "tombstones")  # fmt: skip
REFUSED = {
    INDEX: (
        *(f"SELECT count(*) FROM {table}" for table in OF_PEOPLE),
        "INSERT INTO cameras (id, site, name, created_ms) VALUES ('a/b/c', 'a/b', 'c', 0)",
        "DELETE FROM cameras",
        "DELETE FROM legal_holds",
        "UPDATE retention_rules SET days = 1",
        "INSERT INTO site_configs VALUES ('acme/hq', 9, '{}', 'd', 0, 'me', '')",
        "DROP TABLE chunks",
        "ALTER TABLE users DISABLE ROW LEVEL SECURITY",
    ),
    LINK: (
        *(f"SELECT count(*) FROM {table}" for table in OF_PEOPLE),
        *(f"SELECT count(*) FROM {table}" for table in OF_FOOTAGE),
        "SELECT name FROM cameras",
        "SELECT software FROM edges",
        "SELECT name FROM sites",
        "SELECT count(*) FROM tenants",
        "UPDATE sites SET unsigned = 'accept'",
        "INSERT INTO enrolment_codes (hash, site, created_ms, created_by, expires_ms) "
        "VALUES ('', 'acme/hq', 0, '', 0)",
        "UPDATE enrolment_codes SET expires_ms = 9999999999999",
        "UPDATE enrolment_codes SET site = 'globex/plant'",
        "INSERT INTO edge_commands (id, device, kind, principal, sent_by, sent_ms, deadline_ms) "
        "VALUES (repeat('a', 32), 'acme/hq/box', 'snapshot', '', '', 0, 0)",
        "UPDATE edge_commands SET principal = 'user:1'",
        "UPDATE devices SET site = 'globex/plant'",
        "DELETE FROM devices",
        "UPDATE device_keys SET public_key = ''",
        "DELETE FROM device_keys",
        "INSERT INTO config_keys DEFAULT VALUES",
        "INSERT INTO site_configs VALUES ('acme/hq', 9, '{}', 'd', 0, 'me', '')",
        "SELECT nextval('model_turns')",
        "SELECT ensure_day('chunks', 0)",
        "DROP TABLE edge_links",
    ),
    ADMIN: (
        "DELETE FROM vigil_audit.entries",
        "UPDATE vigil_audit.chains SET seq = 0",
        "ALTER TABLE users DISABLE ROW LEVEL SECURITY",
        "DROP TABLE chunks",
        "CREATE TABLE mine ()",
    ),
}


@pytest.fixture
async def owner(services) -> AsyncIterator[Catalog]:
    async with fresh_catalog(services.settings.database_url.get_secret_value()) as made:
        await add_camera(made, CAMERA, "Gate", T0)
        yield made


def settings_with(dsn: str, **more: str) -> Settings:
    return Settings.model_validate({"database_url": dsn, **more})


@asynccontextmanager
async def opened(store: LazyStore[Catalog]) -> AsyncIterator[Catalog]:
    catalog = await store.get()
    try:
        yield catalog
    finally:
        await catalog.__aexit__(None, None, None)


async def index_everything(catalog: Catalog) -> None:
    """Store what each worker stores, drop a past day, and take a number of a replay's turn."""
    assert await known_cameras(catalog) == {CAMERA}
    run = run_id(T0)
    await index_fragments(catalog, [fragment(run, seq) for seq in range(18)], T0)
    await index_chunks(catalog, [chunk([fragment(run, seq) for seq in range(15)])], T0)
    await index_detections(catalog, [seen(CAMERA, "person")])
    past_ms = T0 - T0 % DAY_MS - 40 * DAY_MS
    async with catalog.transaction() as connection:
        await connection.execute("SELECT ensure_day('detections', $1)", past_ms)
    assert await drop_empty_partitions(catalog, T0 - DAY_MS) == 1
    assert await drop_empty_partitions(catalog, T0 - DAY_MS) == 0
    assert await scalar(catalog, "SELECT nextval('model_turns')") == 1


async def refused(catalog: Catalog, role: str) -> None:
    for statement in REFUSED[role]:
        with pytest.raises(StoreError, match=r"must be owner|denied"):
            async with catalog.transaction() as connection:
                await connection.execute(statement)


async def test_workers_and_commands_become_their_roles(owner: Catalog) -> None:
    settings = settings_with(owner._dsn)
    assert await missing_roles(owner) == []
    async with worker_catalog(settings) as worker:
        for _ in range(3):  # asyncpg resets a connection between two uses
            assert await scalar(worker, "SELECT current_user::text") == INDEX
        await index_everything(worker)
        await refused(worker, INDEX)
    async with admin_catalog(settings) as admin:
        assert await scalar(admin, "SELECT current_user::text") == ADMIN
        await create_key(admin, "key", T0, None, [Grant(Role.VIEWER, "acme")])
        await add_camera(admin, "acme/hq/door", "Door", T0)
        await refused(admin, ADMIN)


async def test_link_workers_have_a_role_of_their_own(owner: Catalog) -> None:
    """What they do with it is in test_device_address.py, test_link.py and test_row_security.py."""
    async with opened(link_catalog(settings_with(owner._dsn, row_security="require"))) as link:
        with all_tenants():
            assert await scalar(link, "SELECT current_user::text") == LINK
            await refused(link, LINK)


async def test_where_the_role_of_link_workers_is_missing_they_are_the_web(
    services, caplog: pytest.LogCaptureFixture
) -> None:
    """An owner who may create no roles, of an installation that had the first three."""
    async with hosted(services.settings.database_url.get_secret_value()) as (server, name, own):
        await server.execute(f"ALTER ROLE {name} NOCREATEROLE")
        await server.execute(
            f"GRANT vigil_web, vigil_index, vigil_admin TO {name} WITH INHERIT FALSE, SET TRUE"
        )
        await migrate(own)
        async with Catalog(own) as owner:
            await add_camera(owner, CAMERA, "Gate", T0)
            assert await missing_roles(owner) == [LINK]
        async with opened(link_catalog(settings_with(own, row_security="require"))) as link:
            with all_tenants():
                assert await scalar(link, "SELECT current_user::text") == WEB
                assert await scalar(link, "SELECT count(*) FROM cameras") == 1
        assert "does not let this process become vigil_link: it works as vigil_web" in caplog.text


@pytest.mark.parametrize(
    "part", ["cameras", "chunks_20990101", "chunks; DROP TABLE cameras", "users"]
)
async def test_only_empty_days_are_dropped(owner: Catalog, part: str) -> None:
    await index_chunks(owner, [chunk([fragment(run_id(T0), seq) for seq in range(15)])], T0)
    async with Catalog(owner._dsn, role=INDEX) as worker:
        for whole in ("chunks", "cameras", part):
            with pytest.raises(StoreError, match="not a partition"):
                await scalar(worker, "SELECT drop_empty_day($1, $2)", whole, part)
        day = await scalar(
            worker, "SELECT 'chunks_' || to_char(to_timestamp($1), 'YYYYMMDD')", T0 / 1e3
        )
        assert not await scalar(worker, "SELECT drop_empty_day('chunks', $1)", day)


@asynccontextmanager
async def hosted(dsn: str) -> AsyncIterator[tuple[asyncpg.Connection, str, str]]:
    """A database whose owner is not a superuser, but may create roles: as at a cloud provider."""
    name = f"owner_{uuid.uuid4().hex[:8]}"
    server = await asyncpg.connect(dsn)
    await server.execute(f"CREATE ROLE {name} LOGIN CREATEROLE PASSWORD 'x'")
    await server.execute(f"CREATE DATABASE {name} OWNER {name}")
    try:
        yield server, name, dsn.replace("//vigil@", f"//{name}:x@").rsplit("/", 1)[0] + f"/{name}"
    finally:
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await server.execute(f"DROP OWNED BY {name}")
        await server.execute(f"DROP ROLE {name}")
        await server.close()


async def test_where_the_owner_may_not_become_a_role_it_works_as_before(
    services, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing breaks at an upgrade: an administrator lets it become the roles later."""
    pool._warn_of_missing_role.cache_clear()
    async with hosted(services.settings.database_url.get_secret_value()) as (server, name, own):
        await migrate(own)
        async with Catalog(own) as owner:
            await add_camera(owner, CAMERA, "Gate", T0)
            assert INDEX in await missing_roles(owner)  # the roles are another owner's
        async with worker_catalog(settings_with(own)) as worker:
            assert await scalar(worker, "SELECT current_user::text") == name
            await index_everything(worker)
        assert "does not let this process become vigil_index" in caplog.text
        await server.execute(
            f"GRANT vigil_web, vigil_index, vigil_admin TO {name} WITH INHERIT FALSE, SET TRUE"
        )
        await migrate(own)
        async with worker_catalog(settings_with(own)) as worker:
            assert await scalar(worker, "SELECT current_user::text") == INDEX
            await refused(worker, INDEX)


async def test_workers_and_commands_with_logins_of_their_own(services) -> None:
    """They cannot become the owner again, and not each other."""
    async with hosted(services.settings.database_url.get_secret_value()) as (server, name, own):
        await server.execute(
            f"GRANT vigil_web, vigil_index, vigil_admin TO {name} WITH INHERIT FALSE, SET TRUE"
        )
        await migrate(own)
        async with Catalog(own) as owner:
            await add_camera(owner, CAMERA, "Gate", T0)
        logins = {role: f"{name}_{role}" for role in (INDEX, ADMIN)}
        urls = {role: own.replace(f"//{name}:", f"//{login}:") for role, login in logins.items()}
        for role, login in logins.items():
            await server.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'x' IN ROLE {role}")
        try:
            settings = settings_with(
                "postgresql://no-one@127.0.0.1:1/none",
                index_database_url=urls[INDEX],
                admin_database_url=urls[ADMIN],
            )
            async with worker_catalog(settings) as worker, admin_catalog(settings) as admin:
                await create_key(admin, "key", T0, None, [Grant(Role.VIEWER, "acme")])
                await index_everything(worker)
                await refused(worker, INDEX)
                await refused(admin, ADMIN)
                for other in (ADMIN, name):
                    with pytest.raises(StoreError, match="denied"):
                        await scalar(worker, f"SELECT set_config('role', '{other}', false)")
        finally:
            for login in logins.values():
                await server.execute(f"DROP ROLE {login}")


async def test_behind_a_pooler_no_role_is_set_in_a_session(
    owner: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncpg.Connection, "get_server_pid", lambda _: 1)
    async with worker_catalog(settings_with(owner._dsn)) as worker:
        assert await scalar(worker, "SELECT current_user::text") == "vigil"
