"""A device that comes back: what is in its spool arrives, under its own identity, and nothing else.

72 h away       enrol ──── certificate ends at 24 h ──── 72 h: renews, uploads all
1970 at boot    waits ──── clock is set ──── uploads all, with its true times
locked          a copy of its disk renews ──── locked, uploads stop ──── new code: uploads all

The 72 hours are simulated: the device was enrolled at a clock of 72 hours ago.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.events import RunStarted
from domain.identity import new_run_id
from domain.times import utc_ms
from edge_bridge.clock import EdgeClock
from edge_bridge.identity.identity import DeviceIdentity
from edge_bridge.identity.renewal import IdentityRenewal
from local.folder import DataFolder
from local.program import Program, vigil
from stores.catalog.devices import get_device
from stores.objects import ObjectStore
from streams.storage import make_object_store
from tests.identity_site import IdentitySite, identity_site
from tests.unit.edge_bridge.material import fragment
from tests.unit.edge_bridge.test_undated import UP_MS, undated_fragment
from tests.waiting import wait_for

HOUR_MS = 3_600_000
COUNT = 12


@pytest.fixture
async def store(services) -> AsyncIterator[ObjectStore]:
    async with make_object_store(services.settings) as made:
        yield made


@pytest.fixture
async def site(services, tmp_path: Path, free_port: int) -> AsyncIterator[IdentitySite]:
    name = f"acme/site-{free_port}"
    async with identity_site(services, tmp_path, free_port, name) as running:
        yield running


def record(site: IdentitySite, first_ms: int, last_ms: int) -> str:
    """Put a run into the spool, whose fragments are spread over a time; return its id."""
    camera, run = f"{site.name}/gate", new_run_id(first_ms, bytes(range(10)))
    spool = site.spool()
    start = RunStarted(camera=camera, run=run, started_ms=first_ms, edge="edge-1")
    for seq in range(COUNT):
        event, data = fragment(seq, run=run, camera=camera)
        start_ms = first_ms + (last_ms - first_ms) * seq // COUNT
        times = {"start_ms": start_ms, "arrived_ms": start_ms, "closed_ms": start_ms + 4_000}
        assert spool.store(event.model_copy(update=times), data, start)
    spool.end_run(run, last_ms, "stopped")
    spool.close()
    return run


async def all_stored(store: ObjectStore, site: IdentitySite, run: str) -> bool:
    prefix = f"fragments/{site.name}/gate/{run}/"
    keys = [info.key async for info in store.list(prefix)]
    return len([key for key in keys if not key.endswith(".json")]) == COUNT


async def test_a_device_that_was_away_for_72_hours_uploads_everything(
    site: IdentitySite, store: ObjectStore
) -> None:
    now_ms = utc_ms()
    site.at(now_ms - 72 * HOUR_MS)
    await site.enrol()
    site.at(None)
    identity = DeviceIdentity(site.config.identity_folder)
    assert identity.certificate is not None
    assert identity.certificate.not_after_ms < now_ms - 47 * HOUR_MS
    assert identity.ssl_context() is None  # no handshake with an expired certificate
    run = record(site, now_ms - 71 * HOUR_MS, now_ms - 60_000)
    async with site.edge() as edge:
        await site.idle(edge)
        assert (edge.parts.identity.state, edge.parts.identity.generation) == ("enrolled", 2)
    assert await all_stored(store, site, run)
    notices = await site.notices("refuse")
    assert sorted(event.seq for event, _ in notices) == list(range(COUNT))
    assert {generation for _, generation in notices} == {2}


async def test_a_killed_device_goes_on_with_its_credentials_while_the_cloud_is_away(
    site: IdentitySite, store: ObjectStore
) -> None:
    """S3 and SQS answer, the devices' address does not."""
    await site.enrol()
    now_ms = utc_ms()
    first = record(site, now_ms - 120_000, now_ms - 60_000)
    data = DataFolder(site.folder / "edge")
    data.open(fresh=False)
    command = vigil("edge", "run", "--config", str(site.folder / "edge.yaml"))
    edge = Program("edge", command, data, os.environ, stop_within_s=60)
    await asyncio.to_thread(edge.launch)
    try:
        await wait_for(lambda: all_stored(store, site, first), within_s=60, what="the first run")
        edge.process.kill()
        await site.address.stop()
        second = record(site, now_ms - 50_000, now_ms - 10_000)
        await asyncio.to_thread(edge.launch)
        await wait_for(lambda: all_stored(store, site, second), within_s=60, what=edge.process.tail)
    finally:
        await asyncio.to_thread(edge.process.stop)
    kept = site.config.identity_folder / "credentials.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    notices = await site.notices("refuse")
    assert sorted(event.seq for event, _ in notices) == sorted([*range(COUNT)] * 2)


async def test_a_device_whose_clock_starts_in_1970(site: IdentitySite, store: ObjectStore) -> None:
    await site.enrol()
    set_ms: list[int] = []
    steady_ms = UP_MS + COUNT * 4_000
    clock = EdgeClock(lambda: set_ms[0] if set_ms else 5_000, lambda: steady_ms, "0a0b0c0d")
    camera = f"{site.name}/gate"
    run = clock.new_run(UP_MS)
    async with site.edge(clock) as edge:
        start = RunStarted(camera=camera, run=run, started_ms=UP_MS, edge="edge-1")
        for seq in range(COUNT):
            event, data = undated_fragment(run, seq)
            event = event.model_copy(update={"camera": camera})
            assert await edge.parts.spool.call(
                lambda spool, event=event, data=data: spool.store(event, data, start)
            )
        await edge.parts.spool.call(lambda spool: spool.end_run(run, steady_ms, "stopped"))
        edge.parts.wake()
        counts = await edge.parts.spool.call(lambda spool: spool.counts())
        assert counts.undated == COUNT
        assert edge.report()["clock"] == "wrong"
        assert await site.notices("refuse") == []
        set_ms.append(utc_ms())
        await wait_for(
            lambda: edge.report()["clock"] == "right", within_s=20, what="the clock is set"
        )
        await site.idle(edge)
    notices = await site.notices("refuse")
    assert sorted(event.seq for event, _ in notices) == list(range(COUNT))
    assert {generation for _, generation in notices} == {1}
    first_ms = min(event.start_ms for event, _ in notices)
    assert first_ms == set_ms[0] - COUNT * 4_000
    assert await all_stored(store, site, notices[0][0].run)


@pytest.mark.slow
async def test_a_locked_device_uploads_under_a_new_key_after_a_new_code(
    site: IdentitySite, store: ObjectStore, tmp_path: Path
) -> None:
    await site.enrol()
    root, clone = site.config.identity_folder, tmp_path / "clone"
    shutil.copytree(root, clone)
    half_ms = utc_ms() + 15 * HOUR_MS
    for folder in (clone, root):  # the copy renews first; the device is the second holder
        renewal = IdentityRenewal(DeviceIdentity(folder), folder, now_ms=lambda: half_ms)
        await renewal.step()
    found = await get_device(site.address.catalog, site.device)
    assert found is not None
    assert found.state == "locked"
    old_key = DeviceIdentity(root)._key_id
    run = record(site, utc_ms() - HOUR_MS, utc_ms() - 60_000)
    async with site.edge() as edge:
        await wait_for(
            lambda: all(link.down_since_s is not None for link in edge.parts.links),
            within_s=20,
            what="uploads stop",
        )
        assert "locked" in edge.report()["links"]["s3"]["detail"]
        assert (await edge.parts.spool.call(lambda spool: spool.counts())).stored == COUNT
        assert not await all_stored(store, site, run)
        # The command on the device; the running edge uses the new identity.
        await site.enrol(again=True)
        await site.idle(edge)
        assert edge.parts.identity._key_id != old_key
    assert await all_stored(store, site, run)
    notices = await site.notices("refuse")
    assert sorted(event.seq for event, _ in notices) == list(range(COUNT))
    assert {generation for _, generation in notices} == {found.generation + 1}
