"""Rollouts in a real catalog: releases, rings, halts, rollbacks; devices at their real address."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.audit import BY_SYSTEM
from domain.errors import ConflictError
from domain.fleet.messages import (
    UPDATE_PATH,
    DeviceUpdateReport,
    DeviceUpdateState,
    RunningSoftware,
    UpdateAnswer,
    UpdateProgress,
)
from domain.fleet.release import release_from, sign_release, verify_release
from domain.fleet.rollout import RolloutRules
from domain.site_file.model import MaintenanceWindow
from stores.catalog import Catalog
from stores.catalog.device_updates import exchange_update
from stores.catalog.fleet import list_fleet, lock_site_updates, set_update_policy
from stores.catalog.releases import add_release, find_release
from stores.catalog.rollouts import (
    StoredRollout,
    change_rollout,
    current_rollout,
    reconcile_rollout,
    rollout_devices,
    start_rollout,
)
from tests.device_address import DeviceAddress, DeviceFiles, add_device, running_devices
from tests.integration.catalog_support import T0, fresh_catalog, scalar

KEY = Ed25519PrivateKey.generate()
HARDWARE = "x86-64"
SOAK_MS = 60_000
RULES = RolloutRules.model_validate(
    {
        ring: {"success_percent": 100, "error_percent": 0, "soak_ms": SOAK_MS}
        for ring in ("lab", "canary", "early", "rest")
    }
)
RINGS = {"acme/lab": "lab", "acme/hq": "canary", "globex/plant": "rest"}
DEVICES = [f"{site}/edge-1" for site in RINGS]


def image(number: int) -> str:
    return f"sha256:{number:064x}"


async def release(catalog: Catalog, number: int) -> None:
    made = release_from(
        {
            "number": number,
            "version": f"2.{number}.0",
            "oldest": 1,
            "targets": {HARDWARE: {"image": image(number)}},
        }
    )
    await add_release(
        catalog, sign_release(KEY, made), now_ms=T0, by="ada", note="", origin=BY_SYSTEM
    )


@pytest.fixture
async def catalog(services, tmp_path) -> AsyncIterator[Catalog]:
    dsn = services.settings.database_url.get_secret_value()
    ca = DeviceFiles(tmp_path).ca
    async with fresh_catalog(dsn) as made:
        for site, ring in RINGS.items():
            await add_device(made, f"{site}/edge-1", tmp_path, ca)
            async with made.transaction() as connection:
                await connection.execute(
                    "INSERT INTO site_updates (site, ring) VALUES ($1, $2)", site, ring
                )
        for number in (1, 2):
            await release(made, number)
        yield made


async def start(catalog: Catalog, name: str = "2") -> StoredRollout:
    async with catalog.transaction() as connection:
        found = await find_release(connection, name)
        return await start_rollout(connection, found, RULES, now_ms=T0, by="ada")


async def now(catalog: Catalog) -> StoredRollout:
    async with catalog.transaction() as connection:
        found = await current_rollout(connection)
    assert found is not None
    return found


async def states(catalog: Catalog) -> dict[str, DeviceUpdateState]:
    rollout = await now(catalog)
    async with catalog.transaction() as connection:
        return {
            each.device: each.progress.state for each in await rollout_devices(connection, rollout)
        }


class SimulatedDevice:
    """An update agent without a recorder: it installs what it is given in two exchanges."""

    def __init__(self, catalog: Catalog, device: str, *, number: int = 1, works: bool = True):
        self.catalog, self.device, self.number, self.works = catalog, device, number, works
        self.update: UpdateProgress | None = None

    async def ask(self, now_ms: int) -> UpdateAnswer:
        report = DeviceUpdateReport(
            hardware=HARDWARE,
            running=RunningSoftware(image=image(self.number), release=self.number),
            update=self.update,
        )
        return await exchange_update(self.catalog, self.device, report, now_ms)

    async def follow(self, now_ms: int) -> bool:
        """Install what is wanted; return whether something was."""
        wanted = (await self.ask(now_ms)).wanted
        if wanted is None:
            return False
        found = verify_release(wanted.release.signed(), [KEY.public_key().public_bytes_raw()])
        self.update = UpdateProgress(
            rollout=wanted.rollout, attempt=wanted.attempt, release=found.number,
            state="installing", since_ms=now_ms,
        )  # fmt: skip
        await self.ask(now_ms)
        if self.works:
            self.number = found.number
        self.update = self.update.model_copy(
            update={"state": "succeeded"}
            if self.works
            else {"state": "returned", "reason": "records nothing"}
        )
        await self.ask(now_ms)
        return True


async def test_a_release_goes_through_the_rings(catalog: Catalog) -> None:
    rollout = await start(catalog)
    devices = [SimulatedDevice(catalog, each) for each in DEVICES]
    now_ms, order = T0, []
    for _ in range(12):
        for device in devices:
            if await device.follow(now_ms):
                order.append(device.device)
        await reconcile_rollout(catalog, now_ms)
        now_ms += SOAK_MS // 2
    assert order == DEVICES
    done = await now(catalog)
    assert (done.id, done.state) == (rollout.id, "finished"), done.reason
    assert set((await states(catalog)).values()) == {"succeeded"}
    acts = await scalar(
        catalog, "SELECT count(*) FROM vigil_audit.entries WHERE entry LIKE '%rollout:%'"
    )
    assert int(acts) == len(("canary", "early", "rest", "finish")) - 1  # one ring has no device


async def test_a_fault_halts_and_a_resume_tries_again(catalog: Catalog) -> None:
    await start(catalog)
    lab = SimulatedDevice(catalog, DEVICES[0], works=False)
    await lab.ask(T0)
    await reconcile_rollout(catalog, T0)
    assert await lab.follow(T0 + 1)
    await reconcile_rollout(catalog, T0 + 2)
    halted = await now(catalog)
    assert halted.state == "halted"
    assert halted.reason == (
        "1 of 1 devices of lab have a fault after the update (the limit is 0 %): "
        "acme/lab/edge-1: returned: records nothing"
    )
    assert not await lab.follow(T0 + 3)
    assert not await SimulatedDevice(catalog, DEVICES[1]).follow(T0 + 3)
    with pytest.raises(ConflictError, match="one at a time"):
        await start(catalog)
    async with catalog.transaction() as connection:
        await change_rollout(connection, halted.id, "resume", now_ms=T0 + 4, why="fixed the cable")
    assert not await lab.follow(T0 + 5)  # the reconciler gives it another attempt
    await reconcile_rollout(catalog, T0 + 6)
    lab.works = True
    assert await lab.follow(T0 + 7)
    assert (await states(catalog))[DEVICES[0]] == "succeeded"


async def test_a_rollback_brings_back_who_was_updated(catalog: Catalog) -> None:
    rollout = await start(catalog)
    lab, canary = (SimulatedDevice(catalog, each) for each in DEVICES[:2])
    for device in (lab, canary):
        await device.ask(T0)
    await reconcile_rollout(catalog, T0)
    assert await lab.follow(T0 + 1)
    async with catalog.transaction() as connection:
        await change_rollout(connection, rollout.id, "rollback", now_ms=T0 + 2, why="it leaks")
    await reconcile_rollout(catalog, T0 + 3)
    answer = await lab.ask(T0 + 4)
    assert answer.wanted is not None
    assert answer.wanted.at_once
    assert await lab.follow(T0 + 5)
    assert lab.number == 1
    assert not await canary.follow(T0 + 5)
    for step in range(4):
        await reconcile_rollout(catalog, T0 + 6 + step)
    async with catalog.transaction() as connection:
        assert await current_rollout(connection) is None
        with pytest.raises(ConflictError, match=r"withdrawn \(rolled back: it leaks\)"):
            await start_rollout(
                connection, await find_release(connection, "2"), RULES, now_ms=T0, by="ada"
            )


async def test_many_workers_open_one_ring(catalog: Catalog) -> None:
    await start(catalog)
    lab = SimulatedDevice(catalog, DEVICES[0])
    await lab.ask(T0)
    await reconcile_rollout(catalog, T0)
    await lab.follow(T0)
    await SimulatedDevice(catalog, DEVICES[1]).ask(T0)
    await asyncio.gather(*(reconcile_rollout(catalog, T0 + 1) for _ in range(6)))
    assert (await now(catalog)).ring == "lab"
    await asyncio.gather(*(reconcile_rollout(catalog, T0 + 1 + SOAK_MS) for _ in range(6)))
    assert (await now(catalog)).ring == "canary"


async def test_the_site_says_when(catalog: Catalog) -> None:
    window = MaintenanceWindow.model_validate({"days": ["sat"], "from": "02:00", "to": "04:00"})
    assert await set_update_policy(catalog, "acme/hq", "canary", window, T0)
    assert not await set_update_policy(catalog, "acme/hq", "canary", window, T0)
    async with catalog.transaction() as connection:
        assert await lock_site_updates(connection, "acme/hq", "audit", by="ada", now_ms=T0)
        assert not await lock_site_updates(connection, "acme/hq", "audit", by="ada", now_ms=T0)
    answer = await SimulatedDevice(catalog, DEVICES[1]).ask(T0)
    assert (answer.window, answer.lock, answer.zone) == (window, "audit", "UTC")
    async with catalog.transaction() as connection:
        listed = await list_fleet(connection, ["acme"], None)
    assert [(each.device, each.lock, each.release) for each in listed] == [
        ("acme/hq/edge-1", "audit", 1),
        ("acme/lab/edge-1", None, None),
    ]
    assert listed[0].window == window


async def test_a_device_asks_by_its_certificate(services, tmp_path, free_port: int) -> None:
    running: DeviceAddress
    async with running_devices(services, tmp_path, free_port) as running:
        device = await add_device(running.catalog, DEVICES[0], tmp_path, running.files.ca)
        for number in (1, 2):
            await release(running.catalog, number)
        async with running.client(*device.files) as client:

            async def ask(**more: object) -> tuple[int, Any]:
                body = {"hardware": HARDWARE, "running": {"image": image(1)}, **more}
                async with client.post(UPDATE_PATH, json=body) as answer:
                    return answer.status, await answer.json()

            assert (await ask())[1]["wanted"] is None
            await start(running.catalog)
            await running.services.fleet.advance()
            status, answer = await ask(later="an agent of a later version says more")
            assert status == 200
            wanted = UpdateAnswer.model_validate(answer).wanted
            assert wanted is not None
            found = verify_release(wanted.release.signed(), [KEY.public_key().public_bytes_raw()])
            assert found.number == 2
            status, answer = await ask(hardware="Z" * 100)
            assert (status, answer["detail"][:32]) == (400, "The report is wrong at hardware:")
        async with running.client() as client, client.post(UPDATE_PATH, json={}) as stranger:
            assert stranger.status == 401
