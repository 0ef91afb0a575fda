"""Devices over the API: codes, states, revocation; what the audit log has of it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from domain.access import Grant, Role
from domain.enrolment_code import code_hash
from domain.times import utc_ms
from stores.catalog.devices import get_device, lock_device, set_device_state
from stores.catalog.enrolment import lock_code
from stores.device_ca import DeviceCa, create_ca, read_ca
from tests.device_address import add_device
from tests.integration.access_support import as_key
from tests.integration.catalog_support import T0, scalar
from tests.integration.web_support import Web, running_web

DEVICE, FOREIGN = "acme/hq/edge-1", "globex/plant/edge-1"
LIST = "/api/v1/devices"


@pytest.fixture
def ca(tmp_path: Path) -> DeviceCa:
    create_ca(tmp_path / "ca.pem", tmp_path / "ca.key", "Test devices", datetime.now(UTC))
    return read_ca(tmp_path / "ca.pem", tmp_path / "ca.key")


@pytest.fixture
async def web(services, tmp_path: Path, ca: DeviceCa) -> AsyncIterator[Web]:
    async with running_web(services) as web:
        for device in (DEVICE, FOREIGN):
            await add_device(web.catalog, device, tmp_path, ca)
        yield web


async def test_devices_are_listed_for_those_who_see_the_site(web: Web) -> None:
    async def listed(*grants: Grant, query: str = "") -> list[str]:
        headers = await as_key(web, *grants)
        answer = await web.stranger.get(LIST + query, headers=headers)
        assert answer.status == 200, await answer.text()
        return [device["device"] for device in (await answer.json())["devices"]]

    assert await listed(Grant(Role.VIEWER, "*")) == [DEVICE, FOREIGN]
    assert await listed(Grant(Role.VIEWER, "acme")) == [DEVICE]
    assert await listed(Grant(Role.VIEWER, "acme/hq/gate")) == [DEVICE]
    assert await listed(Grant(Role.VIEWER, "acme/lab")) == []
    assert await listed(Grant(Role.VIEWER, "*"), query="?site=globex/plant") == [FOREIGN]
    assert await listed(Grant(Role.VIEWER, "acme"), query="?site=globex/plant") == []
    headers = await as_key(web, Grant(Role.VIEWER, "acme"))
    for device, status in ((DEVICE, 200), (FOREIGN, 404), ("acme/hq/none", 404)):
        answer = await web.stranger.get(f"{LIST}/{device}", headers=headers)
        assert answer.status == status, device


async def test_a_code_is_made_once_and_audited(web: Web) -> None:
    headers = await as_key(web, Grant(Role.ADMIN, "acme"))
    path = "/api/v1/sites/acme/hq/enrolment-codes"
    answer = await web.stranger.post(path, headers=headers, json={"device": "edge-1"})
    assert answer.status == 201, await answer.text()
    made = await answer.json()
    assert (made["site"], made["device"]) == ("acme/hq", DEVICE)
    assert made["expires_ms"] == T0 + 60_000 + 86_400_000
    async with web.catalog.transaction() as connection:
        stored = await lock_code(connection, code_hash(made["code"]))
    assert stored is not None
    assert stored.device == DEVICE
    entry = str(
        await scalar(
            web.catalog, "SELECT entry FROM vigil_audit.entries WHERE entry LIKE '%device:code%'"
        )
    )
    assert DEVICE in entry
    assert made["code"] not in entry
    for wrong in ({"lifetime_ms": 86_400_001}, {"device": "a/b"}, {"lifetime_ms": 0}):
        answer = await web.stranger.post(path, headers=headers, json=wrong)
        assert answer.status == 400, wrong
    foreign = "/api/v1/sites/globex/plant/enrolment-codes"
    assert (await web.stranger.post(foreign, headers=headers, json={})).status == 404
    viewer = await as_key(web, Grant(Role.VIEWER, "acme"))
    assert (await web.stranger.post(path, headers=viewer, json={})).status == 403


async def test_a_device_is_revoked_and_a_locked_one_unlocked(web: Web) -> None:
    headers = await as_key(web, Grant(Role.ADMIN, "acme"))

    async def send(device: str, act: str, why: str = "it was stolen") -> int:
        path = f"{LIST}/{device}/{act}"
        answer = await web.stranger.post(path, headers=headers, json={"why": why})
        return answer.status

    assert await send(DEVICE, "unlock") == 409
    async with web.catalog.transaction() as connection:
        row = await lock_device(connection, DEVICE)
        assert row is not None
        await set_device_state(connection, row, "locked", utc_ms(), "two devices hold it.")
    answer = await web.client.get(f"{LIST}/{DEVICE}")
    assert (await answer.json())["detail"] == "two devices hold it."
    assert await send(DEVICE, "unlock") == 200
    found = await get_device(web.catalog, DEVICE)
    assert found is not None
    assert (found.state, found.can_rejoin) == ("enrolled", True)
    assert await send(DEVICE, "revoke") == 200
    assert await send(DEVICE, "revoke") == 409
    assert await send("acme/hq/none", "revoke") == 404
    assert await send(FOREIGN, "revoke") == 404
    found = await get_device(web.catalog, DEVICE)
    assert found is not None
    assert found.state == "revoked"
    revoked = "SELECT revoked FROM device_keys WHERE device = $1"
    assert await scalar(web.catalog, revoked, DEVICE) is True
    for act in ("device:unlock", "device:revoke"):
        entries = "SELECT count(*) FROM vigil_audit.entries WHERE entry LIKE '%' || $1 || '%'"
        assert await scalar(web.catalog, entries, act) == 1, act
