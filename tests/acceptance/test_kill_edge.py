"""kill -9 of the edge at random: all that was on disk arrives, once, and the gap is reported."""

import asyncio
import json
import os
import random
import uuid
from pathlib import Path

import pytest

from domain.events import ChunkComplete
from local.cameras import CameraServer
from stores.objects import ObjectStore
from streams.storage import make_object_store
from tests.cloud import Cloud, quick
from tests.conftest import Services
from tests.edge import Edge
from tests.footage import numbers_in, write_clip
from tests.outcome import newest_chunks, registered
from tests.waiting import wait_for

SEED = int(os.environ.get("VIGIL_TEST_SEED", "0")) or random.randrange(1 << 32)
KILLS = 2


@pytest.mark.slow
async def test_a_killed_edge_loses_only_the_fragment_being_written(
    services: Services, tmp_path: Path
) -> None:
    dice = random.Random(SEED)
    print(f"VIGIL_TEST_SEED={SEED}")
    name = uuid.uuid4().hex[:8]
    camera = f"acme/{name}/door"
    clip = await asyncio.to_thread(write_clip, tmp_path / "clip.mp4", 25 * 60, gop=25)
    served = await asyncio.to_thread(
        CameraServer.start, tmp_path / "rtsp", [{"name": "door", "file": str(clip), "loop": False}]
    )
    on_disk: set[tuple[str, int]] = set()
    try:
        async with (
            Cloud(tmp_path, quick(name)) as cloud,
            make_object_store(cloud.settings) as store,
        ):
            await registered(cloud, camera)
            cameras = [{"id": "door", "url": served.urls["door"]}]
            async with Edge(
                tmp_path, cloud.settings, f"acme/{name}", cameras, env=cloud.env
            ) as edge:
                for kill in range(KILLS):
                    known = len(on_disk)
                    await wait_for(
                        lambda known=known: len(_spooled(tmp_path)) >= known + 3,
                        within_s=60,
                        what=lambda: f"three fragments more on disk\n{edge.tail()}",
                    )
                    await asyncio.sleep(2 * dice.random())  # where in a fragment is left to chance
                    await asyncio.to_thread(edge.kill)
                    on_disk |= _spooled(tmp_path)
                    print(f"kill {kill + 1} with {len(on_disk)} fragments on disk")
                    await asyncio.to_thread(edge.start)
                await wait_for(
                    lambda: len(_spooled(tmp_path)) >= len(on_disk) + 3,
                    within_s=60,
                    what=lambda: f"recording goes on\n{edge.tail()}",
                )
                await edge.stop()
            runs = {run for run, _ in on_disk}
            assert len(runs) == KILLS
            for run in sorted(runs):
                chunks = await wait_for(
                    lambda run=run: _whole(store, camera, run, on_disk),
                    within_s=60,
                    what=lambda run=run: f"run {run} in chunks\n{edge.tail()}\n{cloud.tails()}",
                )
                end = json.loads(await store.get(f"fragments/{camera}/{run}/end.json"))
                assert "restart" in end["reason"]
                numbers = await _numbers(store, chunks, tmp_path)
                assert numbers == list(range(numbers[0] or 0, (numbers[-1] or 0) + 1))
    finally:
        await asyncio.to_thread(served.stop)


def _spooled(folder: Path) -> set[tuple[str, int]]:
    """Return the (run, seq) of the fragments whose files are whole on the edge's disk."""
    return {(path.parent.name, int(path.stem)) for path in (folder / "spool").rglob("*.frag")}


async def _whole(
    store: ObjectStore, camera: str, run: str, on_disk: set[tuple[str, int]]
) -> list[ChunkComplete] | None:
    chunks = await newest_chunks(store, camera, run)
    seqs = [fragment.seq for chunk in chunks for fragment in chunk.fragments]
    assert len(seqs) == len(set(seqs))
    if not {seq for name, seq in on_disk if name == run} <= set(seqs):
        return None
    assert seqs == list(range(len(seqs)))
    return chunks


async def _numbers(
    store: ObjectStore, chunks: list[ChunkComplete], folder: Path
) -> list[int | None]:
    path = folder / "run.ts"
    path.write_bytes(b"".join([await store.get(chunk.object_key) for chunk in chunks]))
    return list(numbers_in(path))
