"""A store accepts requests and answers none: stalled uploads restart once it answers again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from domain.identity import fragment_key
from edge_bridge.config.schedule import Schedule
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.spool.spool import open_spool
from edge_bridge.spool.thread import SpoolThread
from edge_bridge.upload import stall_probe as stall_probe_module
from edge_bridge.upload.adaptive_timeout import AdaptiveTimeout
from edge_bridge.upload.bandwidth import BandwidthLimiter
from edge_bridge.upload.concurrency import ConcurrencyLimit
from edge_bridge.upload.link import Link
from edge_bridge.upload.scheduler import UploadScheduler
from edge_bridge.upload.stall_probe import StallProbe
from edge_bridge.upload.uploader import FragmentUploader
from edge_bridge.upload.wakeup import Wakeup
from tests.unit.edge_bridge.cloud import MemoryCloud
from tests.unit.edge_bridge.material import CAMERA, RUN, fragment, started
from tests.waiting import wait_for

PLENTY = SpoolLimits(max_bytes=1 << 30, free_floor_bytes=0)


@pytest.fixture(autouse=True)
def _probe_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stall_probe_module, "PROBE_AFTER_S", 0.02)
    monkeypatch.setattr(stall_probe_module, "PROBE_TIMEOUT_S", 0.02)


class Store:
    """Answers probes as set, and counts them."""

    def __init__(self) -> None:
        self.answer: bool | None = False
        """None: it hangs."""
        self.probes = 0

    async def is_alive(self) -> bool:
        self.probes += 1
        return await asyncio.Event().wait() if self.answer is None else self.answer

    async def probed_again(self) -> None:
        """Wait for two more probes: the result of the one before them is known then."""
        seen = self.probes + 2
        await wait_for(lambda: self.probes >= seen, within_s=10, what="two probes")


@asynccontextmanager
async def probing(store: Store) -> AsyncIterator[StallProbe]:
    probe = StallProbe(store.is_alive)
    task = asyncio.create_task(probe.run())
    yield probe
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def stalls(probe: StallProbe) -> bool:
    """Upload forever; return whether it was ended to be restarted."""
    stalled: Any = None
    try:
        async with probe.timeout(3_600) as stalled:
            await asyncio.Event().wait()
    except TimeoutError:
        return bool(stalled())
    raise AssertionError("nothing ended it")


@pytest.mark.parametrize("silent", [False, None], ids=["unreachable", "mute"])
async def test_an_answer_after_silence_ends_what_stalls(silent: bool | None) -> None:
    store = Store()
    store.answer = silent
    async with probing(store) as probe:
        uploads = [asyncio.create_task(stalls(probe)) for _ in range(3)]
        await store.probed_again()
        assert not any(upload.done() for upload in uploads)
        store.answer = True
        assert await asyncio.wait_for(asyncio.gather(*uploads), 10) == [True] * 3


async def test_a_slow_upload_is_not_interrupted_while_the_store_answers() -> None:
    store = Store()
    store.answer = True
    async with probing(store) as probe:
        upload = asyncio.create_task(stalls(probe))
        await store.probed_again()
        assert not upload.done()
        upload.cancel()


async def test_nothing_is_ended_twice_before_an_upload_succeeds() -> None:
    store = Store()
    async with probing(store) as probe:
        first = asyncio.create_task(stalls(probe))
        await store.probed_again()
        store.answer = True
        assert await asyncio.wait_for(first, 10)
        store.answer = False
        second = asyncio.create_task(stalls(probe))
        await store.probed_again()
        store.answer = True
        await store.probed_again()
        assert not second.done()
        async with probe.timeout(10):
            pass  # this one succeeds
        store.answer = False
        await store.probed_again()
        store.answer = True
        assert await asyncio.wait_for(second, 10)


async def test_a_timeout_differs_from_a_stall() -> None:
    stalled: Any = None
    async with probing(Store()) as probe:
        with pytest.raises(TimeoutError):
            async with probe.timeout(0.01) as stalled:
                await asyncio.Event().wait()
    assert not stalled()


async def test_fragments_that_stalled_are_sent_once_the_store_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        AdaptiveTimeout, "timeout_s", lambda *_: 3_600.0
    )  # so the timeout does not end them
    cloud, wake = MemoryCloud(), Wakeup()
    cloud.answering.clear()
    spool = open_spool(tmp_path, "e1", PLENTY)
    for seq in range(3):
        spool.store(*fragment(seq), started())
    spool.close()
    owner = await asyncio.to_thread(
        SpoolThread, lambda: open_spool(tmp_path, "e1", PLENTY), wake.set
    )
    store: Any = cloud
    uploads = FragmentUploader(
        owner, store, Link("s3"), stored=wake, uploaded=wake, scheduler=UploadScheduler("oldest"),
        bandwidth=BandwidthLimiter(Schedule()), concurrency=ConcurrencyLimit(2, 2, 2),
    )  # fmt: skip
    running = asyncio.create_task(uploads.run())
    try:
        await wait_for(lambda: cloud.operations == 2, within_s=10, what="two uploads in flight")
        seen = cloud.questions + 2
        await wait_for(lambda: cloud.questions >= seen, within_s=10, what="one goes unanswered")
        cloud.answering.set()
        await wait_for(lambda: len(cloud.objects) == 3, within_s=15, what="all are in S3")
        assert set(cloud.objects) == {fragment_key(CAMERA, RUN, seq) for seq in range(3)}
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await asyncio.to_thread(owner.close)
