"""The only broker loses its disk while devices and the relay go on: no footage is lost.

device   ───●──●──●──●──●──●──●──●──●──●──●──●──● end
Kafka    ━━━━━━━━━━┥ kill -9, its folder emptied ┝━━━━━━━━━━━
relay    ━━━━━━━━━━━━━━ goes on ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
workers  ━━━━━━━━━━━━━━━━━┥ stopped, topics made, started ┝━━
"""

import asyncio
import shutil
import time
import uuid
from pathlib import Path

import pytest

from harness.environment import services
from stores.objects import ObjectStore
from stores.queue import Queue
from streams.storage import make_object_store, make_queue
from tests.cloud import WORKERS, Cloud, quick
from tests.endurance.test_restore import repaired, run_vigil, start_of
from tests.outcome import all_in_chunks, in_catalog, registered
from tests.recorder import Recorder
from tests.waiting import wait_for

EVERY_S = 0.5
LOST_AFTER = 10


class Device:
    """Records fragments one after the other, whatever happens in Kafka."""

    def __init__(self, recorder: Recorder, store: ObjectStore, queue: Queue) -> None:
        self._recorder, self._store, self._queue = recorder, store, queue
        self.last_seq = -1
        self.stop = asyncio.Event()

    async def run(self) -> None:
        """Record until `stop` is set, then end the run."""
        while not self.stop.is_set():
            await self._recorder.record(self._store, self._queue, self.last_seq + 1)
            self.last_seq += 1
            await asyncio.sleep(EVERY_S)  # a camera needs its time too
        await self._recorder.end(self._store, self._queue, self.last_seq)


@pytest.mark.slow
async def test_a_broker_that_loses_its_disk_loses_no_footage(tmp_path: Path) -> None:
    name = uuid.uuid4().hex[:8]
    with services(tmp_path / "services") as stack:
        cloud = await asyncio.to_thread(Cloud, tmp_path, stack.env | quick(name))
        async with (
            cloud,
            make_object_store(cloud.settings) as store,
            make_queue(cloud.settings, cloud.settings.sqs_queue_url) as queue,
        ):
            camera = await registered(cloud, f"acme/{name}/gate")
            recorder = Recorder(camera, start_of(60_000))
            device = Device(recorder, store, queue)
            recording = asyncio.create_task(device.run())
            await wait_for(
                lambda: _known(cloud, camera, LOST_AFTER), within_s=60,
                what=lambda: f"fragments are in the catalog\n{cloud.tails()}",
            )  # fmt: skip

            began = time.monotonic()
            await asyncio.to_thread(stack.kill, "kafka")
            home = stack.services["kafka"].home
            await asyncio.to_thread(shutil.rmtree, home / "log")
            await asyncio.to_thread(stack.restart, "kafka")
            relay = cloud.programs["relay"].process.pid
            seen = device.last_seq
            for worker in WORKERS:
                await asyncio.to_thread(cloud.programs[worker].process.stop)
            print(await run_vigil(cloud.env, "topics", "ensure"))
            for worker in WORKERS:
                await asyncio.to_thread(cloud.start, worker)
            await run_vigil(cloud.env, "camera", "windows", "--all")
            assert not recording.done(), "the device goes on"
            await wait_for(
                lambda: _known(cloud, camera, seen + 1), within_s=120,
                what=lambda: f"what came since then is in the catalog\n{cloud.tails()}",
            )  # fmt: skip
            print(f"{time.monotonic() - began:6.1f} s  new footage is in the catalog")
            device.stop.set()
            await recording
            # Windows that were decided, and not joined: the assembler's disk counts them as joined.
            await wait_for(lambda: repaired(cloud, camera), within_s=200, what="fsck repaired it")
            chunks = await all_in_chunks(cloud, store, recorder, within_s=120)
            print(f"{time.monotonic() - began:6.1f} s  all footage is in chunks")
            assert sum(len(chunk.fragments) for chunk in chunks) == device.last_seq + 1
            assert not any(chunk.gaps for chunk in chunks)
            assert cloud.programs["relay"].process.pid == relay, "the relay goes on"
            assert await queue.message_count() == 0
            await run_vigil(cloud.env, "fsck", "--bytes", "--camera", camera, "--margin", "1s")


async def _known(cloud: Cloud, camera: str, count: int) -> bool:
    return sum((await in_catalog(cloud, camera)).values()) >= count
