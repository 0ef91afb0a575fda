"""No request sees the tenants of the one before it: the web keeps role and tenants in sessions."""

import asyncio
import contextlib
import random
import re
from collections.abc import AsyncIterator

import asyncpg
import pytest

from domain.errors import StoreError, VigilError
from stores.catalog import Catalog, add_camera
from stores.catalog.cameras import get_camera, recent_labels
from stores.catalog.pool import DAY_MS, statements
from stores.catalog.row_security import WEB
from stores.catalog.tenant_pool import IDLE_S, TenantPool
from stores.catalog.timeline import covered, detection_buckets, list_chunks
from stores.catalog.web_catalog import WebCatalog, all_tenants, visible_now, visible_tenants
from tests.integration.catalog_support import T0, fresh_catalog, scalar
from tests.waiting import wait_for

TENANTS = ("acme", "globex", "initech")
CAMERAS = {tenant: f"{tenant}/hq/gate" for tenant in TENANTS}
SEES = {**{tenant: [camera] for tenant, camera in CAMERAS.items()}, "*": [*CAMERAS.values()]}
STEPS = 24
"""More steps of the event loop than any statement here takes to begin."""


@pytest.fixture
async def catalog(services) -> AsyncIterator[Catalog]:
    async with fresh_catalog(services.settings.database_url.get_secret_value()) as made:
        for camera in CAMERAS.values():
            await add_camera(made, camera, "Gate", T0)
        yield made


@pytest.fixture
async def web(catalog: Catalog) -> AsyncIterator[WebCatalog]:
    """One connection: each request gets what the one before left."""
    async with WebCatalog(catalog._dsn, size=1, required=True) as made:
        yield made


async def seen(web: WebCatalog, tenant: str | None) -> list[str]:
    with visible_tenants([tenant]) if tenant is not None else contextlib.nullcontext():
        return sorted(row["id"] for row in await web.rows("known_cameras"))


async def assert_no_leak(web: WebCatalog, hint: object = "") -> None:
    assert await seen(web, None) == [], hint
    for tenant, cameras in SEES.items():
        assert await seen(web, tenant) == cameras, hint
    with visible_tenants(["globex"]):
        async with web.transaction() as connection:
            assert await connection.fetchval("SELECT count(*) FROM cameras") == 1, hint


async def test_each_request_sees_its_own_tenants_only(web: WebCatalog) -> None:
    await assert_no_leak(web)
    with visible_tenants(["acme"]):
        async with web.together():
            assert await web.row("known_cameras") is not None
            with pytest.raises(RuntimeError, match="together"):
                web.transaction()
            with visible_tenants(["globex"]), pytest.raises(RuntimeError, match="same tenants"):
                await web.rows("known_cameras")
    await assert_no_leak(web)


@pytest.mark.parametrize("kind", ["reading", "transaction"])
async def test_a_request_that_is_cancelled_at_any_step_leaves_nothing(
    web: WebCatalog, kind: str
) -> None:
    async def request() -> None:
        with visible_tenants(["acme"]):
            async with getattr(web, kind)() as connection:
                await connection.fetch("SELECT id FROM cameras")

    for steps in range(STEPS):
        # The session shows another tenant before, so that it has to be set.
        assert await seen(web, "initech") == SEES["initech"]
        task = asyncio.create_task(request())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await seen(web, None) == [], steps
        assert await seen(web, "globex") == SEES["globex"], steps
    await assert_no_leak(web)


@pytest.mark.parametrize("kind", ["reading", "transaction"])
async def test_a_request_that_is_cancelled_while_postgresql_works_leaves_nothing(
    catalog: Catalog, web: WebCatalog, kind: str
) -> None:
    async def request() -> None:
        with visible_tenants(["acme"]):
            async with getattr(web, kind)() as connection:
                await connection.fetch("SELECT pg_sleep(60) /* cancelled */")

    async def runs() -> bool:
        return bool(
            await scalar(
                catalog,
                "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' "
                "AND query LIKE '%pg_sleep(60) /* cancelled%' AND pid <> pg_backend_pid()",
            )
        )

    task = asyncio.create_task(request())
    await wait_for(runs, within_s=10, what="the statement runs")
    task.cancel()
    assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], BaseException)
    await assert_no_leak(web)
    assert not await runs()


async def test_errors_leave_nothing(web: WebCatalog) -> None:
    for kind in ("reading", "transaction"):
        for statement in (
            "SELECT 1 / 0",
            "SELECT * FROM no_such_table",
            "UPDATE cameras SET id = 1",
        ):
            with visible_tenants(["acme"]), pytest.raises(VigilError):
                async with getattr(web, kind)() as connection:
                    await connection.fetch(statement)
            await assert_no_leak(web, statement)
        with visible_tenants(["acme"]), pytest.raises(ZeroDivisionError):
            async with getattr(web, kind)():
                raise ZeroDivisionError
        await assert_no_leak(web, kind)


async def test_a_connection_that_ends_is_replaced(catalog: Catalog, web: WebCatalog) -> None:
    for kind in ("reading", "transaction"):
        with visible_tenants(["acme"]), pytest.raises(StoreError):
            async with getattr(web, kind)() as connection:
                process = await connection.fetchval("SELECT pg_backend_pid()")
                await scalar(catalog, "SELECT pg_terminate_backend($1)", process)
                await connection.fetchval("SELECT pg_sleep(60)")
        await assert_no_leak(web, kind)
    async with web.reading() as connection:
        process = await connection.fetchval("SELECT pg_backend_pid()")
    await scalar(catalog, "SELECT pg_terminate_backend($1)", process)

    async def is_noticed() -> bool:
        return web._tenant_pool._kept[0].is_closed()

    await wait_for(is_noticed, within_s=10, what="the connection is closed")
    await assert_no_leak(web)


async def test_where_all_connections_are_in_use_the_next_one_gets_none(
    web: WebCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stores.catalog.web_catalog.WAIT_S", 0.0)
    with visible_tenants(["acme"]):
        async with web.reading():
            for tenant in (None, *SEES):
                with pytest.raises(StoreError, match="all in use"):
                    await asyncio.create_task(seen(web, tenant))
    monkeypatch.undo()
    await assert_no_leak(web)


async def test_many_requests_at_the_same_time_see_their_own(catalog: Catalog) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)

    async def request(web: WebCatalog, tenant: str | None, fault: str, kind: str) -> None:
        with visible_tenants([tenant]) if tenant is not None else contextlib.nullcontext():
            async with getattr(web, kind)() as connection:
                rows = await connection.fetch("SELECT id FROM cameras ORDER BY id")
                assert [row["id"] for row in rows] == SEES.get(visible_now(), []), visible_now()
                if fault == "fails":
                    await connection.fetch("SELECT 1 / 0")

    async with WebCatalog(catalog._dsn, size=3, required=True) as web:
        for _ in range(10):
            tasks = []
            for _ in range(30):
                tenant = rng.choice([None, *SEES])
                fault = rng.choice(["", "", "fails", "cancelled"])
                kind = rng.choice(["reading", "transaction"])
                task = asyncio.create_task(request(web, tenant, fault, kind))
                if fault == "cancelled":
                    for _ in range(rng.randrange(30)):
                        await asyncio.sleep(0)
                    task.cancel()
                tasks.append(task)
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                assert not isinstance(result, AssertionError), f"seed {seed}: {result}"
        await assert_no_leak(web, f"seed {seed}")


async def test_behind_a_pooler_nothing_is_set_in_a_session(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives each transaction to another session, and invents the process ID."""
    monkeypatch.setattr(asyncpg.Connection, "get_server_pid", lambda _: 1)
    async with WebCatalog(catalog._dsn, size=1, required=True) as web:
        await assert_no_leak(web)
        for kept in web._tenant_pool._kept:
            assert kept.tenants is None
            assert await kept.connection.fetchval("SELECT current_user") == "vigil"
            assert not await kept.connection.fetchval(
                "SELECT current_setting('vigil.tenants', true)"
            )
        assert web._tenant_pool._kept


async def test_a_connection_that_shows_the_tenants_is_preferred_and_old_ones_are_not_used(
    catalog: Catalog,
) -> None:
    now_s = 0.0
    pool = await asyncpg.create_pool(catalog._dsn, min_size=1, max_size=2)
    async with pool:
        kept = TenantPool(pool, lambda: now_s)
        first, second = await kept.acquire("acme"), await kept.acquire("globex")
        await first.show(WEB, "acme")
        await second.show(WEB, "globex")
        for tenants, wanted in (("globex", second), ("acme", first), ("acme", first)):
            kept.release(first)
            kept.release(second)
            used = await kept.acquire(tenants)
            assert used is wanted
            await kept.acquire("another")
        kept.release(first)
        now_s = IDLE_S + 1
        newer = await kept.acquire("acme")
        assert newer is not first
        assert newer.tenants is None
        await kept.discard(second, in_transaction=False)
        kept.release(newer)
        await kept.close()


def test_no_statement_changes_what_a_session_shows() -> None:
    for name, text in statements().items():
        if name == "take_role":  # of other processes, when they connect
            continue
        code = re.sub(r"--.*", "", text)
        assert not re.search(r"(?i)\bset_config\b|\bRESET\b|\bDISCARD\b|^\s*SET\s", code), name


async def test_plans_of_the_web(catalog: Catalog) -> None:
    """What reads days is planned each time, so that only the days it reads are locked."""
    start_ms = T0 - T0 % DAY_MS
    for day in range(40):
        for table in ("chunks", "detections", "detection_minutes"):
            await scalar(catalog, "SELECT ensure_day($1, $2)", table, start_ms + day * DAY_MS)
    camera, to_ms = CAMERAS["acme"], T0 + DAY_MS // 2
    async with WebCatalog(catalog._dsn, size=1, required=True) as web:
        with visible_tenants(["acme"]):
            for _ in range(8):
                assert await get_camera(web, camera, T0) is not None
                await recent_labels(web, camera, T0)
                await list_chunks(web, camera, T0, to_ms)
                await covered(web, camera, T0, to_ms)
                await detection_buckets(web, camera, T0, to_ms, 60_000)
                await detection_buckets(web, camera, T0, T0 + 3_600_000, 1_000)
            async with web.reading() as connection:
                rows = await connection.fetch(
                    "SELECT statement, generic_plans, custom_plans FROM pg_prepared_statements"
                )
    reads_days = re.compile(r"\b(FROM|JOIN) (chunks|detections|detection_minutes)\b")
    custom = [row for row in rows if reads_days.search(row["statement"])]
    assert len(custom) >= 4
    for row in custom:
        assert row["generic_plans"] == 0, row["statement"]
    [planned_once] = [row for row in rows if "live.overlap_ms" in row["statement"]]
    assert planned_once["generic_plans"] > 0


async def test_all_tenants_are_seen_inside_their_block_only(web: WebCatalog) -> None:
    with visible_tenants(["acme"]):
        with all_tenants():
            assert len(await web.rows("known_cameras")) == len(TENANTS)
        assert len(await web.rows("known_cameras")) == 1
    await assert_no_leak(web)
