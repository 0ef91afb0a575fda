"""kill -9 of the relay or of a worker at a random moment: nothing lost, nothing doubled."""

import asyncio
import os
import random
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from stores.objects import ObjectStore
from stores.queue import Queue
from streams.storage import make_object_store, make_queue
from tests.cloud import Cloud, quick
from tests.conftest import Services
from tests.outcome import all_in_chunks, registered
from tests.recorder import Recorder

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
SEED = int(os.environ.get("VIGIL_TEST_SEED", "0")) or random.randrange(1 << 32)
CAMERAS, FRAGMENTS = 3, 40


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cloud(
    services: Services, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Cloud]:
    name = uuid.uuid4().hex[:8]
    async with Cloud(tmp_path_factory.mktemp("cloud"), quick(name)) as running:
        yield running


@pytest.mark.parametrize("victim", ["relay", "assemble", "heal", "join", "index"])
async def test_a_killed_process_loses_and_doubles_nothing(cloud: Cloud, victim: str) -> None:
    dice = random.Random(f"{SEED} {victim}")
    print(f"VIGIL_TEST_SEED={SEED}")
    async with (
        make_object_store(cloud.settings) as store,
        make_queue(cloud.settings, cloud.settings.sqs_queue_url) as queue,
    ):
        recorders = [
            Recorder(
                await registered(cloud, f"acme/{victim}-{SEED}/cam-{number}"),
                1_790_000_000_000,
                entropy=bytes([number] * 10),
            )
            for number in range(CAMERAS)
        ]
        await _record_and_kill(cloud, victim, recorders, store, queue, dice)
        for recorder in recorders:
            chunks = await all_in_chunks(cloud, store, recorder, within_s=120)
            assert not any(chunk.gaps for chunk in chunks)
        assert all(cloud.running().values())


async def _record_and_kill(
    cloud: Cloud,
    victim: str,
    recorders: list[Recorder],
    store: ObjectStore,
    queue: Queue,
    dice: random.Random,
) -> None:
    kills = set(dice.sample(range(5, FRAGMENTS - 5), 2))
    print(f"kills of {victim} before fragments {sorted(kills)}")
    for seq in range(FRAGMENTS):
        if seq in kills:
            await asyncio.sleep(dice.random())  # where in its work it dies is left to chance
            await cloud.restart(victim)
        for recorder in recorders:
            if dice.random() < 0.05:
                await recorder.put(store, seq)  # its notice is lost: the healer's case
            else:
                await recorder.record(store, queue, seq)
    for recorder in recorders:
        await recorder.end(store, queue, FRAGMENTS - 1)
