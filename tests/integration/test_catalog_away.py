"""Workers while PostgreSQL is away: a sentence for each try, no stack trace; then they go on."""

import asyncio
import uuid
from pathlib import Path

import pytest

from streams.storage import make_object_store, make_queue
from tests.cloud import Cloud, quick
from tests.conftest import Services
from tests.outcome import all_in_chunks, in_catalog, registered
from tests.recorder import Recorder
from tests.waiting import wait_for

pytestmark = pytest.mark.slow
START_MS = 1_790_000_000_000


def log_of(cloud: Cloud, name: str) -> str:
    return cloud.programs[name].process.log.read_text(errors="replace")


async def test_the_log_has_sentences_and_nothing_is_lost(
    services: Services, tmp_path: Path
) -> None:
    async with (
        Cloud(tmp_path, quick(uuid.uuid4().hex[:8]), web=True) as cloud,
        make_object_store(cloud.settings) as store,
        make_queue(cloud.settings, cloud.settings.sqs_queue_url) as queue,
    ):
        camera = await registered(cloud, f"acme/{uuid.uuid4().hex[:8]}/away")
        recorder = Recorder(camera, START_MS)
        await recorder.record(store, queue, 0)

        async def indexed() -> bool:
            return (await in_catalog(cloud, camera))["waiting"] == 1

        await wait_for(indexed, within_s=30, what=lambda: f"a row\n{cloud.tails()}")
        await asyncio.to_thread(services.kill, "postgres")
        try:
            for seq in range(1, 8):
                await recorder.record(store, queue, seq)
            await wait_for(
                lambda: log_of(cloud, "index").count("index fragments failed") >= 2,
                within_s=40,
                what=lambda: f"the indexer logs it\n{cloud.tails()}",
            )
        finally:
            await asyncio.to_thread(services.restart, "postgres")
        await recorder.end(store, queue, 7)
        await all_in_chunks(cloud, store, recorder)
        for name in ("index", "web"):
            assert "Traceback" not in log_of(cloud, name), log_of(cloud, name)
