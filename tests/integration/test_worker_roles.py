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
from stores.catalog.row_security import ADMIN, INDEX, missing_roles
from streams.settings import Settings
from streams.storage import admin_catalog, worker_catalog
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
