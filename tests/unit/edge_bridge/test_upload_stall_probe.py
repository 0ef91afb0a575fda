"""A store that takes requests and answers none: what hangs is sent anew once it answers again."""

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
def _asked_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stall_probe_module, "LONG_S", 0.02)
    monkeypatch.setattr(stall_probe_module, "ANSWER_S", 0.02)


class Store:
    """Answers questions as told, and counts them."""

    def __init__(self) -> None:
        self.answer: bool | None = False
        """None: it hangs."""
        self.asked = 0

    async def asks(self) -> bool:
        self.asked += 1
        return await asyncio.Event().wait() if self.answer is None else self.answer

    async def asked_again(self) -> None:
        """Wait for two more questions: what the one before them said is known then."""
        seen = self.asked + 2
        await wait_for(lambda: self.asked >= seen, within_s=10, what="it is asked")


@asynccontextmanager
async def listening(store: Store) -> AsyncIterator[StallProbe]:
    probe = StallProbe(store.asks)
    task = asyncio.create_task(probe.run())
    yield probe
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def hangs(probe: StallProbe) -> bool:
    """Upload for ever; return whether it was ended to be sent anew."""
    anew: Any = None
    try:
        async with probe.limited(3_600) as anew:
            await asyncio.Event().wait()
    except TimeoutError:
        return bool(anew())
    raise AssertionError("nothing ended it")


@pytest.mark.parametrize("silent", [False, None], ids=["unreachable", "mute"])
async def test_an_answer_after_silence_ends_what_hangs(silent: bool | None) -> None:
    store = Store()
    store.answer = silent
    async with listening(store) as probe:
        uploads = [asyncio.create_task(hangs(probe)) for _ in range(3)]
        await store.asked_again()
        assert not any(upload.done() for upload in uploads)
        store.answer = True
        assert await asyncio.wait_for(asyncio.gather(*uploads), 10) == [True] * 3


async def test_a_slow_upload_is_left_in_peace_while_the_store_answers() -> None:
    store = Store()
    store.answer = True
    async with listening(store) as probe:
        upload = asyncio.create_task(hangs(probe))
        await store.asked_again()
        assert not upload.done()
        upload.cancel()


async def test_nothing_is_ended_twice_before_an_upload_is_done() -> None:
    store = Store()
    async with listening(store) as probe:
        first = asyncio.create_task(hangs(probe))
        await store.asked_again()
        store.answer = True
        assert await asyncio.wait_for(first, 10)
        store.answer = False
        second = asyncio.create_task(hangs(probe))
        await store.asked_again()
        store.answer = True
        await store.asked_again()
        assert not second.done()
        async with probe.limited(10):
            pass  # this one is done
        store.answer = False
        await store.asked_again()
        store.answer = True
        assert await asyncio.wait_for(second, 10)


async def test_an_allowance_that_runs_out_is_told_apart() -> None:
    anew: Any = None
    async with listening(Store()) as probe:
        with pytest.raises(TimeoutError):
            async with probe.limited(0.01) as anew:
                await asyncio.Event().wait()
    assert not anew()


async def test_fragments_that_hung_are_sent_once_the_store_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        AdaptiveTimeout, "allowed_s", lambda *_: 3_600.0
    )  # that is not what ends them
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
        owner, store, Link("s3"), stored=wake, put=wake, choice=UploadScheduler("oldest"),
        bandwidth=BandwidthLimiter(Schedule()), parallel=ConcurrencyLimit(2, 2, 2),
    )  # fmt: skip
    running = asyncio.create_task(uploads.run())
    try:
        await wait_for(lambda: cloud.operations == 2, within_s=10, what="two uploads hang")
        seen = cloud.questions + 2
        await wait_for(lambda: cloud.questions >= seen, within_s=10, what="one goes unanswered")
        cloud.answering.set()
        await wait_for(lambda: len(cloud.objects) == 3, within_s=15, what="all stands in S3")
        assert set(cloud.objects) == {fragment_key(CAMERA, RUN, seq) for seq in range(3)}
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await asyncio.to_thread(owner.close)
