"""Erasure of tenants and users: everything of one and nothing of another, also after a kill."""

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from moto.server import ThreadedMotoServer

from agents.erasure import tenant_eraser
from agents.erasure.tenant_eraser import TenantEraser, sweep
from agents.relay import relay
from domain.access import Grant, Role
from domain.audit import AuditOrigin
from domain.audit_verify import verify_export
from domain.errors import ConfigError, ConflictError, InvalidEventError
from domain.retention import LegalHold
from local.ports import HOST
from stores.aws_endpoint import AwsEndpoint
from stores.catalog import Catalog, add_camera, erasure, index_fragments
from stores.catalog.audit import record_audit
from stores.catalog.audit_log import AuditFilter, export_lines, find_entries
from stores.catalog.retention_rules import add_hold, lift_hold, list_holds, list_rules
from stores.catalog.users import create_user
from stores.objects import ObjectStore
from streams.storage import make_object_store
from tests.conftest import Services
from tests.integration.catalog_support import T0, fragment, fresh_catalog, run_id, scalar
from tests.integration.retention_support import Died, Mortal
from tests.integration.test_catalog_migrate import vigil
from tests.integration.test_row_security import FOREIGN, MINE, fill

ANN = AuditOrigin(actor="user:1", name="Ann Lee", address="192.0.2.7", reason="a contract ended")


@pytest_asyncio.fixture
async def catalog(services: Services) -> AsyncIterator[Catalog]:
    async with fresh_catalog(services.settings.database_url.get_secret_value()) as opened:
        await fill(opened)
        yield opened


@pytest_asyncio.fixture
async def store(services: Services) -> AsyncIterator[ObjectStore]:
    async with make_object_store(services.settings) as opened:
        opened.bucket = f"erase-{uuid.uuid4().hex[:8]}"
        await opened._client.create_bucket(Bucket=opened.bucket)
        await put(opened, MINE, FOREIGN, "acme-2/hq/gate")
        yield opened


async def put(store: ObjectStore, *cameras: str) -> None:
    for camera in cameras:
        for kind in ("fragments", "chunks"):
            key = f"{kind}/{camera}/x.ts"
            await store._client.put_object(Bucket=store.bucket, Key=key, Body=b"video")


async def keys(store: ObjectStore) -> set[str]:
    return {info.key async for info in store.list("")}


async def lift_all(catalog: Catalog) -> None:
    for hold in await list_holds(catalog):
        if hold.hold.scope.startswith("acme"):
            await lift_hold(catalog, hold.id, "court", T0)


def eraser(services: Services, catalog: Catalog, store: ObjectStore) -> TenantEraser:
    return TenantEraser(catalog, store, services.settings, lambda: T0, ANN)


async def test_a_legal_hold_prevents_the_erasure(
    services: Services, catalog: Catalog, store: ObjectStore
) -> None:
    before = await erasure.count_rows(catalog, "acme")
    for act in (eraser(services, catalog, store).plan, eraser(services, catalog, store).erase):
        with pytest.raises(ConflictError, match="Legal holds cover acme"):
            await act("acme")
    assert await erasure.count_rows(catalog, "acme") == before
    assert await erasure.erased_tenants(catalog) == []


async def test_all_of_one_tenant_and_nothing_of_another(
    services: Services, catalog: Catalog, store: ObjectStore
) -> None:
    await lift_all(catalog)
    async with catalog.transaction() as connection:
        user = await create_user(
            connection, login="bob", display_name="Bob", scope="acme", now_ms=T0,
            grants=[Grant(Role.VIEWER, "acme/hq")],
        )  # fmt: skip
    other = await erasure.count_rows(catalog, "globex")
    at = eraser(services, catalog, store)
    plan = await at.plan("acme")
    assert (plan["objects"], plan["users"]) == (2, 1)
    assert {"chunks", "fragments", "cameras", "edges", "legal_holds", "tenants"} <= set(
        plan["rows"]
    )
    assert await at.plan("acme") == plan  # it changes nothing

    report = await at.erase("acme")
    assert report["complete"], report["left"]
    assert report["erased"]["objects"] == 2
    assert report["erased"]["users"] == 1
    assert set(plan["rows"]) <= set(report["erased"]["rows"]) | {"user_grants"}
    assert report["later"]["devices"] == [{"site": "acme/hq", "edge": "box", "spool_bytes": 0}]
    assert report["later"]["kafka_events"].startswith("Gone by 2026-")
    assert await erasure.count_rows(catalog, "acme") == {}
    assert await erasure.count_rows(catalog, "globex") == other
    assert {key.split("/")[1] for key in await keys(store)} == {"globex", "acme-2"}
    assert await scalar(catalog, "SELECT count(*) FROM users WHERE id = $1", user) == 0

    # The log stays, without personal data but that of the erasure's own last entry, and verifies.
    lines = [line async for line in export_lines(catalog, "acme")]
    assert verify_export(lines, []).findings == ()
    assert sum("Ann Lee" in line for line in lines) == 1
    again = await at.erase("acme")
    assert again["complete"]
    assert again["erased"]["rows"] == {}


async def test_an_erased_tenant_does_not_come_back(
    services: Services, catalog: Catalog, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lift_all(catalog)
    cameras = relay.KnownCameras(lambda: known(catalog))
    assert await cameras.has(MINE)
    at = eraser(services, catalog, store)
    await at.erase("acme")
    monkeypatch.setattr(relay, "KNOWN_FOR_S", 0.0)  # a minute later
    assert not await cameras.has(MINE)  # so its events are dead letters
    assert not await cameras.has_site("acme/hq")
    assert await cameras.has(FOREIGN)
    with pytest.raises(InvalidEventError, match="acme was erased"):
        await add_camera(catalog, MINE, "Gate", T0)
    with pytest.raises(InvalidEventError, match="acme was erased"):
        await add_hold(catalog, LegalHold("acme", 0, None), "x", "y", T0)
    # What was on its way in Kafka is erased by the next pass.
    await index_fragments(catalog, [fragment(run_id(T0), 99, camera=MINE)], T0)
    await put(store, MINE)
    assert await sweep(at, catalog) == 1
    assert await erasure.count_rows(catalog, "acme") == {}
    assert await sweep(at, catalog) == 0


async def known(catalog: Catalog) -> set[str]:
    async with catalog.transaction() as connection:
        return {row["id"] for row in await connection.fetch("SELECT id FROM cameras")}


async def test_a_kill_at_any_step_is_continued(
    services: Services, catalog: Catalog, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lift_all(catalog)
    names = ("begin_tenant", "erase_rows", "erase_tenant_personal", "end_tenant")
    real = {name: getattr(tenant_eraser.erasure, name) for name in names}
    died = 0
    for dies_at in range(100):
        mortal = Mortal(dies_at)
        for name, function in real.items():
            monkeypatch.setattr(tenant_eraser.erasure, name, mortal.wrap(function))
        monkeypatch.setattr(store, "erase", mortal.wrap(ObjectStore.erase.__get__(store)))
        try:
            report = await eraser(services, catalog, store).erase("acme")
        except Died:
            died += 1
            continue
        assert report["complete"]
        break
    assert died >= 10
    assert await erasure.count_rows(catalog, "acme") == {}
    assert {key.split("/")[1] for key in await keys(store)} == {"globex", "acme-2"}
    lines = [line async for line in export_lines(catalog, "acme")]
    assert verify_export(lines, []).findings == ()


async def test_all_versions_of_objects_are_deleted() -> None:
    server = ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        async with ObjectStore(
            AwsEndpoint("us-east-1", f"http://{host}:{port}"), "versions"
        ) as store:
            await store._client.create_bucket(Bucket="versions")
            await store._client.put_bucket_versioning(
                Bucket="versions", VersioningConfiguration={"Status": "Enabled"}
            )
            for _ in range(2):
                await put(store, MINE, FOREIGN)
            # By key: it leaves a delete marker.
            await store._client.delete_object(Bucket="versions", Key=f"chunks/{MINE}/x.ts")
            assert await store.erase("chunks/acme/") == (3, 10)
            assert await store.erase("fragments/acme/") == (2, 10)
            assert await store.erase("fragments/acme/") == (0, 0)
            left = await store._client.list_object_versions(Bucket="versions")
            assert {each["Key"].split("/")[1] for each in left["Versions"]} == {"globex"}
            assert "DeleteMarkers" not in left
            with pytest.raises(ValueError, match="end in /"):
                await store.erase("chunks/acme")
    finally:
        server.stop()


async def test_an_erased_user_leaves_a_number(catalog: Catalog) -> None:
    async with catalog.transaction() as connection:
        bob = await create_user(
            connection, login="bob", display_name="Bob Moss", scope="acme", now_ms=T0,
            grants=[Grant(Role.ADMIN, "acme")],
        )  # fmt: skip
    origin = AuditOrigin(actor=f"user:{bob}", name="Bob Moss", address="192.0.2.9")
    await record_audit(catalog, origin.entry(T0, "camera:rename", MINE))
    await record_audit(catalog, origin.entry(T0, "camera:rename", FOREIGN))
    await scalar(catalog, "UPDATE retention_rules SET set_by = 'Bob Moss'")
    await add_hold(catalog, LegalHold("acme", 0, None), "Bob Moss", "case 5", T0)
    erased = await erasure.erase_user(catalog, "bob", T0, ANN)
    assert (erased.id, erased.audit_texts) == (bob, 2)
    assert {each.set_by for each in await list_rules(catalog)} == {f"user:{bob}"}
    assert f"user:{bob}" in {each.added_by for each in await list_holds(catalog)}
    found = [each.shown() for each in await find_entries(catalog, ["*"], AuditFilter())]
    his = [each for each in found if each["actor"] == f"user:{bob}"]
    assert [each["personal"] for each in his] == [{f"user:{bob}": None}] * 2
    for chain in ("acme", "globex"):
        lines = [line async for line in export_lines(catalog, chain)]
        assert verify_export(lines, []).findings == ()
        assert "Moss" not in "".join(lines)
    with pytest.raises(ConfigError, match="There is no user"):
        await erasure.erase_user(catalog, "bob", T0, ANN)


async def test_the_command_asks_first(catalog: Catalog) -> None:
    await lift_all(catalog)
    code, out, _ = await vigil(catalog._dsn, "tenant", "erase", "acme")
    assert (code, '"dry_run": true' in out) == (0, True)
    code, _, err = await vigil(catalog._dsn, "tenant", "erase", "acme", "--confirm", "acne")
    assert (code, "--confirm is not acme" in err) == (1, True)
    assert await scalar(catalog, "SELECT count(*) FROM tenants WHERE id = 'acme'") == 1
